//! What changed between two heaps.

use std::cmp::Ordering;

use rustc_hash::FxHashMap;

use crate::graph::{HeapGraph, ObjectId, TypeId};

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

/// The types of two heaps under common numbers.
struct Names<'g> {
    names: Vec<&'g str>,
    of_before: Vec<usize>,
    of_after: Vec<usize>,
}

impl<'g> Names<'g> {
    fn new(before: &'g HeapGraph, after: &'g HeapGraph) -> Self {
        let mut names = Vec::new();
        let mut numbers: FxHashMap<&'g str, usize> = FxHashMap::default();
        let mut number = |graph: &'g HeapGraph| -> Vec<usize> {
            let texts = graph.types.iter().map(|row| graph.strings.text(row.name));
            texts
                .map(|name| {
                    *numbers.entry(name).or_insert_with(|| {
                        names.push(name);
                        names.len() - 1
                    })
                })
                .collect()
        };
        let of_before = number(before);
        let of_after = number(after);
        Self { names, of_before, of_after }
    }

    fn before(&self, ty: TypeId) -> Option<usize> {
        self.of_before.get(ty.index()).copied()
    }

    fn after(&self, ty: TypeId) -> Option<usize> {
        self.of_after.get(ty.index()).copied()
    }
}

/// Shallow bytes and the buffer bytes that they do not contain.
#[must_use]
pub fn bytes_of(graph: &HeapGraph, object: ObjectId) -> u64 {
    let buffer = graph.buffer_bytes.get(&object).copied().unwrap_or_default();
    graph.shallow_bytes_of(object).saturating_add(buffer)
}

impl Diff {
    /// Compares two heaps.
    #[must_use]
    pub fn new(before: &HeapGraph, after: &HeapGraph, identity: Identity) -> Self {
        let names = Names::new(before, after);
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
        for object in before.ids() {
            let number = names.before(before.type_of(object));
            if let Some(row) = number.and_then(|number| types.get_mut(number)) {
                row.objects_before += 1;
                row.bytes_before = row.bytes_before.saturating_add(bytes_of(before, object));
            }
        }
        for object in after.ids() {
            let number = names.after(after.type_of(object));
            if let Some(row) = number.and_then(|number| types.get_mut(number)) {
                row.objects_after += 1;
                row.bytes_after = row.bytes_after.saturating_add(bytes_of(after, object));
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
    fn compare(&mut self, before: &HeapGraph, after: &HeapGraph, names: &Names<'_>) {
        let mut old = before.ids().peekable();
        let mut young = after.ids().peekable();
        loop {
            let order = match (old.peek(), young.peek()) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(&a), Some(&b)) => before.addr(a).cmp(&after.addr(b)),
            };
            let gone = if order.is_le() { old.next() } else { None };
            let new = if order.is_ge() { young.next() } else { None };
            let gone_type = gone.and_then(|object| names.before(before.type_of(object)));
            let new_type = new.and_then(|object| names.after(after.type_of(object)));
            if let (Some(a), Some(b), true) = (gone, new, gone_type == new_type) {
                let grown = bytes_of(after, b).saturating_sub(bytes_of(before, a));
                if grown > 0 {
                    self.grown.push((b, grown));
                }
                continue;
            }
            if let Some(row) = gone_type.and_then(|number| self.types.get_mut(number)) {
                row.gone = row.gone.map(|count| count + 1);
            }
            if let Some(row) = new_type.and_then(|number| self.types.get_mut(number)) {
                row.new = row.new.map(|count| count + 1);
            }
            self.new.extend(new);
        }
    }
}

#[cfg(test)]
#[path = "diff/tests.rs"]
mod tests;
