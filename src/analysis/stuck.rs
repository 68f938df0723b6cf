//! What stays for ever though nothing holds it.

use super::collection::{Collection, uncollectable};
use crate::graph::{HeapGraph, ObjectId, Reference, WAVE, Wave};

/// The objects that nothing holds, and that no collection frees all the same.
pub(super) struct Stuck {
    stuck: Vec<bool>,
}

impl Stuck {
    /// With all references counted, hidden ones too, what has none from outside of a cycle is held
    /// by itself alone; if the collector would not free it, nothing ever does.
    pub(super) fn new(graph: &HeapGraph, collection: &Collection) -> Self {
        let found = graph.found_references();
        let mut alive = vec![false; graph.len()];
        let mut left: Vec<ObjectId> = Vec::new();
        let reach = |object: ObjectId, alive: &mut Vec<bool>, left: &mut Vec<ObjectId>| {
            if let Some(flag) = alive.get_mut(object.index())
                && !*flag
            {
                *flag = true;
                left.push(object);
            }
        };
        for root in &graph.roots {
            reach(root.object, &mut alive, &mut left);
        }
        for object in graph.ids() {
            if graph.unexplained_references(object, &found).is_none_or(|count| count > 0) {
                reach(object, &mut alive, &mut left);
            }
        }
        let (mut wave, mut objects) = (Wave::of(graph), Vec::with_capacity(WAVE));
        while !left.is_empty() {
            objects.clear();
            objects.extend(left.drain(left.len().saturating_sub(WAVE)..));
            let look = |to: ObjectId| alive.get(to.index()).copied().map_or(0, u32::from);
            for &Reference { to, .. } in wave.read(&objects, true, look) {
                reach(to, &mut alive, &mut left);
            }
        }
        let mut stuck: Vec<bool> =
            graph.ids().map(|object| !alive.get(object.index()).copied().unwrap_or(true)).collect();
        for object in graph.ids().filter(|&object| collection.is_freed(object)) {
            if let Some(flag) = stuck.get_mut(object.index()) {
                *flag = false;
            }
        }
        for object in uncollectable(graph).into_iter().chain(collection.kept()) {
            if let Some(flag) = stuck.get_mut(object.index()) {
                *flag = true;
            }
        }
        Self { stuck }
    }

    pub(super) fn is_stuck(&self, object: ObjectId) -> bool {
        self.stuck.get(object.index()).copied().unwrap_or_default()
    }
}
