//! The numbers of nodes.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::graph::{HeapGraph, ObjectId};

/// The numbers of nodes. V8's stay the same from one snapshot to the next, and DevTools compares
/// snapshots by them; so ours are made of addresses: 31 bits of the sixteenth part (no two objects are
/// nearer), and a bit that tells an object (1, as in V8) from the memory that it owns. Of objects that
/// are a multiple of 32 GiB apart all but the first get a number that is free.
pub(super) struct Ids<'g> {
    graph: &'g HeapGraph,
    /// The 31 bits of each object, ascending.
    taken: Vec<u32>,
    /// What objects got instead of their own.
    instead: FxHashMap<ObjectId, u32>,
    next: u32,
}

/// The bits that a number has without its last one.
const KEY: u64 = (1 << 31) - 1;

impl<'g> Ids<'g> {
    pub(super) fn new(graph: &'g HeapGraph) -> Self {
        let mut taken: Vec<u32> = graph.ids().map(|object| key(graph, object)).collect();
        taken.sort_unstable();
        let pairs = taken.iter().zip(taken.iter().skip(1));
        let shared: FxHashSet<u32> =
            pairs.filter(|(one, other)| one == other).map(|(&one, _)| one).collect();
        let mut ids = Self { graph, taken, instead: FxHashMap::default(), next: 0 };
        if !shared.is_empty() {
            let mut given = FxHashSet::default();
            for object in graph.ids() {
                let key = key(graph, object);
                if shared.contains(&key) && !given.insert(key) {
                    let key = ids.free();
                    ids.instead.insert(object, key);
                }
            }
        }
        ids
    }

    /// 31 bits that no object has.
    fn free(&mut self) -> u32 {
        loop {
            self.next = self.next.wrapping_add(1);
            if self.taken.binary_search(&self.next).is_err() {
                return self.next;
            }
        }
    }

    /// The number of a node that is neither an object nor the memory of one.
    pub(super) fn fresh(&mut self) -> u32 {
        self.free() << 1
    }

    /// The number of an object; that of its memory is one less.
    pub(super) fn of_object(&self, object: ObjectId) -> u32 {
        let instead = self.instead.get(&object).copied();
        instead.unwrap_or_else(|| key(self.graph, object)) << 1 | 1
    }
}

#[allow(clippy::cast_possible_truncation, reason = "these are the bits that are meant")]
fn key(graph: &HeapGraph, object: ObjectId) -> u32 {
    (graph.addr(object).0 >> 4 & KEY) as u32
}
