//! How many objects of each type there are, and how big they are.

use rustc_hash::FxHashMap;

use super::filter::Selection;
use super::grouping::Groups;
use crate::graph::{HeapGraph, ObjectFlags, ObjectId};

/// By what the types are sorted, most first; ties by the other, then by name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum SortBy {
    /// Shallow bytes and the buffers outside them.
    #[default]
    Bytes,
    /// Objects.
    Count,
}

/// The sums over some objects.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    /// Objects.
    pub objects: u64,
    /// Those that `gc.get_objects()` would return.
    pub gc_tracked: u64,
    /// Those in the permanent generation.
    pub gc_frozen: u64,
    /// The sum of `sys.getsizeof`, in bytes.
    pub shallow_bytes: u64,
    /// Memory that the objects own and `getsizeof` does not count, in bytes.
    pub buffer_bytes: u64,
    /// The part of the shallow bytes that lies in blocks of its own, in bytes.
    pub payload_bytes: u64,
}

impl Totals {
    /// All memory, every byte once.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.shallow_bytes.saturating_add(self.buffer_bytes)
    }

    /// What the column `buffers` shows: the memory in blocks beside the objects, in bytes.
    #[must_use]
    pub const fn buffers(&self) -> u64 {
        self.payload_bytes.saturating_add(self.buffer_bytes)
    }

    /// Adds the sums over other objects. Sizes are read from a target and may be any number.
    pub const fn add(&mut self, other: &Self) {
        self.objects = self.objects.saturating_add(other.objects);
        self.gc_tracked = self.gc_tracked.saturating_add(other.gc_tracked);
        self.gc_frozen = self.gc_frozen.saturating_add(other.gc_frozen);
        self.shallow_bytes = self.shallow_bytes.saturating_add(other.shallow_bytes);
        self.buffer_bytes = self.buffer_bytes.saturating_add(other.buffer_bytes);
        self.payload_bytes = self.payload_bytes.saturating_add(other.payload_bytes);
    }
}

/// The sums over the objects of all types of one name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TypeTotals {
    /// The full name of the type.
    pub name: String,
    /// The sums.
    pub totals: Totals,
}

/// All types of a heap.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Histogram {
    /// One row a name, sorted.
    pub types: Vec<TypeTotals>,
    /// The sums over all objects.
    pub totals: Totals,
}

impl Histogram {
    /// Counts the objects of a heap.
    #[must_use]
    pub fn new(graph: &HeapGraph, sort: SortBy) -> Self {
        let mut by_type = vec![Totals::default(); graph.types.len()];
        let columns = graph.object_types.iter().zip(graph.shallow_bytes.iter()).zip(&graph.flags);
        for ((ty, shallow_bytes), flags) in columns {
            if let Some(totals) = by_type.get_mut(ty.index()) {
                totals.add(&Totals {
                    objects: 1,
                    gc_tracked: u64::from(flags.has(ObjectFlags::GC_TRACKED)),
                    gc_frozen: u64::from(flags.has(ObjectFlags::GC_FROZEN)),
                    shallow_bytes,
                    ..Totals::default()
                });
            }
        }
        for (&object, &bytes) in &graph.buffer_bytes {
            if let Some(totals) = by_type.get_mut(graph.type_of(object).index()) {
                totals.buffer_bytes = totals.buffer_bytes.saturating_add(bytes);
            }
        }
        for (&object, &bytes) in &graph.payload_bytes {
            if let Some(totals) = by_type.get_mut(graph.type_of(object).index()) {
                totals.payload_bytes = totals.payload_bytes.saturating_add(bytes);
            }
        }
        let mut by_name: FxHashMap<&str, Totals> = FxHashMap::default();
        for (row, totals) in graph.types.iter().zip(&by_type).filter(|(_, t)| t.objects > 0) {
            by_name.entry(graph.strings.text(row.name)).or_default().add(totals);
        }
        Self::sorted(by_name.into_iter(), sort)
    }

    /// Counts the objects that are meant, by their groups.
    #[must_use]
    pub fn grouped(
        graph: &HeapGraph,
        groups: &Groups,
        selection: &Selection,
        sort: SortBy,
    ) -> Self {
        let mut totals = vec![Totals::default(); groups.len()];
        for object in graph.ids().filter(|&object| selection.has(object)) {
            if let Some(row) = totals.get_mut(groups.of(graph, object)) {
                let flags = graph.flags_of(object);
                let bytes = |column: &FxHashMap<ObjectId, u64>| {
                    column.get(&object).copied().unwrap_or_default()
                };
                row.add(&Totals {
                    objects: 1,
                    gc_tracked: u64::from(flags.has(ObjectFlags::GC_TRACKED)),
                    gc_frozen: u64::from(flags.has(ObjectFlags::GC_FROZEN)),
                    shallow_bytes: graph.shallow_bytes_of(object),
                    buffer_bytes: bytes(&graph.buffer_bytes),
                    payload_bytes: bytes(&graph.payload_bytes),
                });
            }
        }
        let names = groups.names().iter().map(String::as_str);
        Self::sorted(names.zip(totals).filter(|(_, totals)| totals.objects > 0), sort)
    }

    fn sorted<'n>(rows: impl Iterator<Item = (&'n str, Totals)>, sort: SortBy) -> Self {
        let mut all = Totals::default();
        let mut types: Vec<TypeTotals> = rows
            .map(|(name, totals)| {
                all.add(&totals);
                TypeTotals { name: name.to_owned(), totals }
            })
            .collect();
        sort_types(&mut types, sort);
        Self { types, totals: all }
    }

    /// The histogram of several heaps together.
    #[must_use]
    pub fn sum<'h>(heaps: impl IntoIterator<Item = &'h Self>, sort: SortBy) -> Self {
        let mut by_name: FxHashMap<&str, Totals> = FxHashMap::default();
        let mut all = Totals::default();
        for heap in heaps {
            all.add(&heap.totals);
            for row in &heap.types {
                by_name.entry(&row.name).or_default().add(&row.totals);
            }
        }
        let rows = by_name.into_iter();
        let rows = rows.map(|(name, totals)| TypeTotals { name: name.to_owned(), totals });
        let mut types: Vec<TypeTotals> = rows.collect();
        sort_types(&mut types, sort);
        Self { types, totals: all }
    }
}

fn sort_types(types: &mut [TypeTotals], sort: SortBy) {
    let key = |row: &TypeTotals| match sort {
        SortBy::Bytes => (row.totals.bytes(), row.totals.objects),
        SortBy::Count => (row.totals.objects, row.totals.bytes()),
    };
    types.sort_by(|a, b| key(b).cmp(&key(a)).then_with(|| a.name.cmp(&b.name)));
}

/// The names of the types with objects for which `marked` holds, sorted, each once.
#[must_use]
pub fn marked_types(
    graph: &HeapGraph,
    marked: impl Fn(&crate::graph::TypeRow) -> bool,
) -> Vec<String> {
    let mut names: Vec<String> = graph
        .types
        .iter()
        .filter(|row| marked(row))
        .map(|row| graph.strings.text(row.name).to_owned())
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}
