//! The memory that nodes of their own have.

use rustc_hash::FxHashSet;

use crate::graph::{HeapGraph, ObjectId};

/// The most bytes of one node.
pub(super) const MOST_BYTES: u64 = 1 << 31;
/// The most nodes that the memory of objects with more than that is cut into: all that a process can have mapped
/// (128 TiB). A hostile target may claim more.
const MOST_PIECES: u64 = 1 << 16;

/// The part of an object's shallow bytes that its own node has.
pub(super) fn own_bytes(graph: &HeapGraph, object: ObjectId) -> u64 {
    graph.shallow_bytes_of(object).min(MOST_BYTES)
}

/// The memory of objects that nodes of their own have: what `getsizeof` does not count, and what is too
/// much for one node.
pub(super) struct Pieces<'g> {
    graph: &'g HeapGraph,
    /// The objects that claim more than there can be: a node has what fits into it, and the rest is left out.
    beyond: FxHashSet<ObjectId>,
}

impl<'g> Pieces<'g> {
    pub(super) fn new(graph: &'g HeapGraph) -> Self {
        let mut pieces = Self { graph, beyond: FxHashSet::default() };
        let mut left = MOST_PIECES;
        for object in graph.ids() {
            let wanted: u64 =
                pieces.bytes(object).into_iter().map(|bytes| bytes.div_ceil(MOST_BYTES)).sum();
            if wanted > 1 {
                match left.checked_sub(wanted) {
                    Some(rest) => left = rest,
                    None => drop(pieces.beyond.insert(object)),
                }
            }
        }
        pieces
    }

    /// What is outside the object, and what is too much for its own node.
    pub(super) fn bytes(&self, object: ObjectId) -> [u64; 2] {
        let buffer = self.graph.buffer_bytes.get(&object).copied().unwrap_or_default();
        [buffer, self.graph.shallow_bytes_of(object) - own_bytes(self.graph, object)]
    }

    /// The bytes of each node that an object has besides its own.
    pub(super) fn of(&self, object: ObjectId) -> impl Iterator<Item = u64> + use<> {
        let is_beyond = !self.beyond.is_empty() && self.beyond.contains(&object);
        self.bytes(object).into_iter().flat_map(move |bytes| {
            let bytes = if is_beyond { bytes.min(MOST_BYTES) } else { bytes };
            let pieces = bytes.div_ceil(MOST_BYTES);
            (0..pieces).map(move |nth| (bytes - nth * MOST_BYTES).min(MOST_BYTES))
        })
    }
}
