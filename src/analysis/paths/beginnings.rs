//! Where the path to each object begins, found for all of them at once.

use super::{NONE, Paths};
use crate::graph::{HeapGraph, ObjectId};

/// The first object of each path. Paths may be as long as the heap is large, so each is walked only up
/// to what is known.
#[derive(Clone, Debug)]
pub struct Beginnings {
    of: Vec<u32>,
}

impl Beginnings {
    /// Finds them.
    #[must_use]
    pub fn new(paths: &Paths, graph: &HeapGraph) -> Self {
        let mut of = vec![NONE; graph.len()];
        let mut pending = Vec::new();
        for object in graph.ids() {
            let mut at = object;
            let first = loop {
                match of.get(at.index()) {
                    Some(&NONE) => pending.push(at),
                    Some(&known) => break known,
                    None => break at.0,
                }
                match paths.parent(at) {
                    Some(parent) => at = parent,
                    None => break at.0,
                }
            };
            while let Some(object) = pending.pop() {
                if let Some(slot) = of.get_mut(object.index()) {
                    *slot = first;
                }
            }
        }
        Self { of }
    }

    /// The first object of the path to an object.
    #[must_use]
    pub fn of(&self, object: ObjectId) -> ObjectId {
        self.of.get(object.index()).copied().map_or(object, ObjectId)
    }
}
