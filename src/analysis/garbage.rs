//! What waits for the collector, by type.

use rustc_hash::FxHashMap;

use super::collection::{Collection, uncollectable};
use super::filter::Selection;
use super::finalizers::{FinalizerRow, Finalizers};
use super::grouping::Groups;
use crate::graph::{HeapGraph, ObjectId};

/// The objects of one type that would be freed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GarbageType {
    /// The full name, or that of another group.
    pub type_name: String,
    /// How many objects.
    pub objects: u64,
    /// Those that the collector would find by itself.
    pub unreachable: u64,
    /// `sys.getsizeof` of all, in bytes.
    pub shallow_bytes: u64,
    /// The part of it in blocks of their own, in bytes.
    pub payload_bytes: u64,
    /// What they own besides, in bytes.
    pub buffer_bytes: u64,
}

impl GarbageType {
    /// What people read as buffers.
    #[must_use]
    pub const fn buffers(&self) -> u64 {
        self.payload_bytes.saturating_add(self.buffer_bytes)
    }

    /// All memory of these objects.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.shallow_bytes.saturating_add(self.buffer_bytes)
    }
}

/// All that would be freed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Garbage {
    /// How many objects.
    pub objects: u64,
    /// Those that the collector would find by itself: `gc.DEBUG_SAVEALL` would keep these.
    pub unreachable: u64,
    /// Those whose class has a `__del__`.
    pub may_be_resurrected: u64,
    /// What runs when they go, the most frequent first.
    pub finalizers: Vec<FinalizerRow>,
    /// By type, most bytes first.
    pub types: Vec<GarbageType>,
    /// What `gc.garbage` holds, or would then hold, by type.
    pub uncollectable: Vec<GarbageType>,
}

impl Garbage {
    /// Sums up a collection.
    #[must_use]
    pub fn new(graph: &HeapGraph, collection: &Collection) -> Self {
        Self::grouped(graph, collection, &Groups::by_type(graph), &Selection::all())
    }

    /// The same of the objects that are meant, by their groups.
    #[must_use]
    pub fn grouped(
        graph: &HeapGraph,
        collection: &Collection,
        groups: &Groups,
        selection: &Selection,
    ) -> Self {
        let finalizers = Finalizers::new(graph);
        let is_meant = |object: &ObjectId| selection.has(*object);
        let freed = || collection.freed().filter(is_meant);
        let unreachable = || collection.unreachable.iter().filter(|&object| is_meant(object));
        let stuck = uncollectable(graph).into_iter().chain(collection.kept()).filter(is_meant);
        Self {
            objects: freed().count() as u64,
            unreachable: unreachable().count() as u64,
            may_be_resurrected: unreachable().filter(|&&object| finalizers.has_del(object)).count()
                as u64,
            finalizers: finalizers.summed(freed(), |weak| collection.is_unreachable(weak)),
            types: summed(graph, groups, freed(), |object| collection.is_unreachable(object)),
            uncollectable: summed(graph, groups, stuck, |_| true),
        }
    }

    /// `sys.getsizeof` of all, in bytes.
    #[must_use]
    pub fn shallow_bytes(&self) -> u64 {
        self.types.iter().map(|row| row.shallow_bytes).fold(0, u64::saturating_add)
    }

    /// What people read as buffers, in bytes.
    #[must_use]
    pub fn buffers(&self) -> u64 {
        self.types.iter().map(GarbageType::buffers).fold(0, u64::saturating_add)
    }

    /// All memory of these objects, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.types.iter().map(GarbageType::bytes).fold(0, u64::saturating_add)
    }
}

fn summed(
    graph: &HeapGraph,
    groups: &Groups,
    objects: impl IntoIterator<Item = ObjectId>,
    is_unreachable: impl Fn(ObjectId) -> bool,
) -> Vec<GarbageType> {
    let mut rows: FxHashMap<usize, GarbageType> = FxHashMap::default();
    for object in objects {
        let group = groups.of(graph, object);
        let row = rows.entry(group).or_insert_with(|| GarbageType {
            type_name: groups.name(group).to_owned(),
            ..GarbageType::default()
        });
        row.objects += 1;
        row.unreachable += u64::from(is_unreachable(object));
        row.shallow_bytes = row.shallow_bytes.saturating_add(graph.shallow_bytes_of(object));
        let buffer = graph.buffer_bytes.get(&object).copied().unwrap_or_default();
        let payload = graph.payload_bytes.get(&object).copied().unwrap_or_default();
        row.buffer_bytes = row.buffer_bytes.saturating_add(buffer);
        row.payload_bytes = row.payload_bytes.saturating_add(payload);
    }
    let mut rows: Vec<GarbageType> = rows.into_values().collect();
    rows.sort_by(|a, b| (b.bytes(), &a.type_name).cmp(&(a.bytes(), &b.type_name)));
    rows
}
