//! What waits for the collector, by type.

use rustc_hash::FxHashMap;

use super::circles::finalizer_types;
use super::collection::{Collection, uncollectable};
use crate::graph::{HeapGraph, ObjectId, TypeId};

/// The objects of one type that would be freed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GarbageType {
    /// The full name.
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
    /// By type, most bytes first.
    pub types: Vec<GarbageType>,
    /// What `gc.garbage` holds, by type.
    pub uncollectable: Vec<GarbageType>,
}

impl Garbage {
    /// Sums up a collection.
    #[must_use]
    pub fn new(graph: &HeapGraph, collection: &Collection) -> Self {
        let finalizers = finalizer_types(graph);
        let has_finalizer = |&object: &ObjectId| {
            finalizers.get(graph.type_of(object).index()).copied().unwrap_or_default()
        };
        Self {
            objects: collection.freed().count() as u64,
            unreachable: collection.unreachable.len() as u64,
            may_be_resurrected: collection.unreachable.iter().filter(|o| has_finalizer(o)).count()
                as u64,
            types: by_type(graph, collection.freed(), |object| collection.is_unreachable(object)),
            uncollectable: by_type(graph, uncollectable(graph), |_| true),
        }
    }

    /// `sys.getsizeof` of all, in bytes.
    #[must_use]
    pub fn shallow_bytes(&self) -> u64 {
        self.types.iter().map(|row| row.shallow_bytes).sum()
    }

    /// What people read as buffers, in bytes.
    #[must_use]
    pub fn buffers(&self) -> u64 {
        self.types.iter().map(GarbageType::buffers).sum()
    }

    /// All memory of these objects, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.types.iter().map(GarbageType::bytes).sum()
    }
}

fn by_type(
    graph: &HeapGraph,
    objects: impl IntoIterator<Item = ObjectId>,
    is_unreachable: impl Fn(ObjectId) -> bool,
) -> Vec<GarbageType> {
    let mut rows: FxHashMap<TypeId, GarbageType> = FxHashMap::default();
    for object in objects {
        let ty = graph.type_of(object);
        let row = rows.entry(ty).or_insert_with(|| GarbageType {
            type_name: graph.type_name(ty).to_owned(),
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
