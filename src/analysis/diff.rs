//! What changed between two heaps.

use std::cmp::Ordering;

use rustc_hash::FxHashMap;

use super::filter::Selection;
use super::grouping::Groups;
use crate::graph::{HeapGraph, ObjectId};

/// Whether two heaps are of the same process, so that an address means the same in both.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Identity {
    /// The same process at two instants: objects are compared by address.
    SameProcess,
    /// Two processes: only numbers can be compared.
    OtherProcess,
}

/// The change of one type.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TypeDiff {
    /// The full name.
    pub name: String,
    /// Objects in the first heap.
    pub objects_before: u64,
    /// Objects in the second.
    pub objects_after: u64,
    /// Shallow and buffer bytes in the first heap.
    pub bytes_before: u64,
    /// Shallow and buffer bytes in the second.
    pub bytes_after: u64,
    /// Objects that are only in the second; unknown between two processes.
    pub new: Option<u64>,
    /// Objects that were only in the first; unknown between two processes.
    pub gone: Option<u64>,
}

impl TypeDiff {
    /// How many objects more there are.
    #[must_use]
    pub const fn objects_delta(&self) -> i64 {
        self.objects_after.cast_signed().wrapping_sub(self.objects_before.cast_signed())
    }

    /// How many bytes more there are.
    #[must_use]
    pub const fn bytes_delta(&self) -> i64 {
        self.bytes_after.cast_signed().wrapping_sub(self.bytes_before.cast_signed())
    }

    /// Objects at the same address and of the same type in both. The allocator reuses addresses,
    /// so this is an upper bound.
    #[must_use]
    pub fn survived(&self) -> Option<u64> {
        self.new.map(|new| self.objects_after.saturating_sub(new))
    }

    /// Whether the type differs at all.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        self.objects_before != self.objects_after
            || self.bytes_before != self.bytes_after
            || self.new.is_some_and(|new| new > 0)
            || self.gone.is_some_and(|gone| gone > 0)
    }
}

/// The difference of two heaps.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diff {
    /// How the objects were compared.
    pub identity: Identity,
    /// The types that changed: most growth in bytes first, then in objects, then by name.
    pub types: Vec<TypeDiff>,
    /// The objects that are only in the second heap, by its numbers; empty between two processes.
    pub new: Vec<ObjectId>,
    /// The objects in both that became bigger, by the numbers of the second heap, and by how many
    /// bytes; empty between two processes.
    pub grown: Vec<(ObjectId, u64)>,
}

/// One of the heaps: its objects, how they are grouped, and which of them are meant.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// The heap.
    pub graph: &'a HeapGraph,
    /// What is counted together.
    pub groups: &'a Groups,
    /// What is counted at all.
    pub selection: &'a Selection,
}

/// Names of two heaps under common numbers.
struct Names<'n> {
    names: Vec<&'n str>,
    before: Vec<usize>,
    after: Vec<usize>,
}

impl<'n> Names<'n> {
    fn new(before: impl Iterator<Item = &'n str>, after: impl Iterator<Item = &'n str>) -> Self {
        let mut names = Vec::new();
        let mut numbers: FxHashMap<&'n str, usize> = FxHashMap::default();
        let mut number = |name: &'n str| {
            *numbers.entry(name).or_insert_with(|| {
                names.push(name);
                names.len() - 1
            })
        };
        let before = before.map(&mut number).collect();
        let after = after.map(&mut number).collect();
        Self { names, before, after }
    }

    /// The names of the types of two heaps.
    fn of_types(before: &'n HeapGraph, after: &'n HeapGraph) -> Self {
        fn types(graph: &HeapGraph) -> impl Iterator<Item = &str> {
            graph.types.iter().map(|row| graph.strings.text(row.name))
        }
        Self::new(types(before), types(after))
    }
}

/// Shallow bytes and the buffer bytes that they do not contain.
#[must_use]
pub fn bytes_of(graph: &HeapGraph, object: ObjectId) -> u64 {
    let buffer = graph.buffer_bytes.get(&object).copied().unwrap_or_default();
    graph.shallow_bytes_of(object).saturating_add(buffer)
}

impl Diff {
    /// Compares two heaps, by type.
    #[must_use]
    pub fn new(before: &HeapGraph, after: &HeapGraph, identity: Identity) -> Self {
        let all = Selection::all();
        let [of_before, of_after] = [before, after].map(Groups::by_type);
        let before = Side { graph: before, groups: &of_before, selection: &all };
        let after = Side { graph: after, groups: &of_after, selection: &all };
        Self::grouped(before, after, identity)
    }

    /// Compares the objects of two heaps that are meant, by their groups.
    #[must_use]
    pub fn grouped(before: Side<'_>, after: Side<'_>, identity: Identity) -> Self {
        let texts = |side: Side<'_>| -> Vec<String> { side.groups.names().to_vec() };
        let (of_before, of_after) = (texts(before), texts(after));
        let names =
            Names::new(of_before.iter().map(String::as_str), of_after.iter().map(String::as_str));
        let known = (identity == Identity::SameProcess).then_some(0);
        let mut types: Vec<TypeDiff> = names
            .names
            .iter()
            .map(|&name| TypeDiff {
                name: name.to_owned(),
                new: known,
                gone: known,
                ..TypeDiff::default()
            })
            .collect();
        for object in before.meant() {
            if let Some(row) = before.group(&names.before, object).and_then(|n| types.get_mut(n)) {
                row.objects_before += 1;
                row.bytes_before = row.bytes_before.saturating_add(bytes_of(before.graph, object));
            }
        }
        for object in after.meant() {
            if let Some(row) = after.group(&names.after, object).and_then(|n| types.get_mut(n)) {
                row.objects_after += 1;
                row.bytes_after = row.bytes_after.saturating_add(bytes_of(after.graph, object));
            }
        }
        let mut diff = Self { identity, types, new: Vec::new(), grown: Vec::new() };
        if identity == Identity::SameProcess {
            diff.compare(before, after, &names);
        }
        diff.types.retain(TypeDiff::is_changed);
        diff.types.sort_by(|a, b| {
            let key = |row: &TypeDiff| (row.bytes_delta(), row.objects_delta());
            key(b).cmp(&key(a)).then_with(|| a.name.cmp(&b.name))
        });
        diff
    }

    /// Compares object by object: both columns of addresses ascend, so one pass over each will do.
    fn compare(&mut self, before: Side<'_>, after: Side<'_>, names: &Names<'_>) {
        let types = Names::of_types(before.graph, after.graph);
        let number = |types: &[usize], graph: &HeapGraph, object: ObjectId| {
            types.get(graph.type_of(object).index()).copied()
        };
        let mut old = before.graph.ids().peekable();
        let mut young = after.graph.ids().peekable();
        loop {
            let order = match (old.peek(), young.peek()) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(&a), Some(&b)) => before.graph.addr(a).cmp(&after.graph.addr(b)),
            };
            let gone = if order.is_le() { old.next() } else { None };
            let new = if order.is_ge() { young.next() } else { None };
            if let (Some(a), Some(b)) = (gone, new)
                && number(&types.before, before.graph, a) == number(&types.after, after.graph, b)
            {
                let grown = bytes_of(after.graph, b).saturating_sub(bytes_of(before.graph, a));
                if grown > 0 && after.selection.has(b) {
                    self.grown.push((b, grown));
                }
                continue;
            }
            let gone = gone.filter(|&object| before.selection.has(object));
            let new = new.filter(|&object| after.selection.has(object));
            let gone_group = gone.and_then(|object| before.group(&names.before, object));
            let new_group = new.and_then(|object| after.group(&names.after, object));
            if let Some(row) = gone_group.and_then(|number| self.types.get_mut(number)) {
                row.gone = row.gone.map(|count| count + 1);
            }
            if let Some(row) = new_group.and_then(|number| self.types.get_mut(number)) {
                row.new = row.new.map(|count| count + 1);
            }
            self.new.extend(new);
        }
    }
}

impl Side<'_> {
    /// The objects that are meant.
    fn meant(&self) -> impl Iterator<Item = ObjectId> + '_ {
        self.graph.ids().filter(|&object| self.selection.has(object))
    }

    /// The common number of the group of an object.
    fn group(&self, numbers: &[usize], object: ObjectId) -> Option<usize> {
        numbers.get(self.groups.of(self.graph, object)).copied()
    }
}

#[cfg(test)]
#[path = "diff/tests.rs"]
mod tests;
