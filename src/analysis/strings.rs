//! Duplicate texts and bytes: what it costs that the same is there more than once.

use std::cmp::Reverse;

use rayon::prelude::*;
use rustc_hash::FxHashMap;

use super::filter::Selection;
use crate::graph::{HeapGraph, ObjectId, TypeId, UNREAD_CONTENT};

/// Objects of one class with the same contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StringGroup {
    /// Their type.
    pub ty: TypeId,
    /// How many there are: two at least.
    pub copies: u64,
    /// The shallow bytes of the largest: equal texts differ in size if some keep their UTF-8 too.
    pub bytes_each: u64,
    /// The shallow bytes of all.
    pub bytes: u64,
    /// What would be saved if all but the largest were not there.
    pub saved_bytes: u64,
    /// The one at the lowest address.
    pub example: ObjectId,
    /// Where its objects are in [`Strings::objects`].
    first: usize,
}

/// The texts or bytes of one class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StringType {
    /// The full name.
    pub type_name: String,
    /// How many objects there are whose contents are known.
    pub objects: u64,
    /// How many different contents they have.
    pub distinct: u64,
    /// Their shallow bytes.
    pub bytes: u64,
    /// What would be saved if each was there once.
    pub saved_bytes: u64,
}

/// All duplicates of a heap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Strings {
    /// What is there more than once, by what it costs.
    pub groups: Vec<StringGroup>,
    /// The classes, by what duplicates cost.
    pub types: Vec<StringType>,
    /// How many objects were left out since their contents were not read.
    pub left_out_objects: u64,
    /// The shallow bytes of these.
    pub left_out_bytes: u64,
    objects: Vec<ObjectId>,
}

/// An object, to be sorted with those that are equal to it.
type Keyed = (TypeId, u64, ObjectId);

impl Strings {
    /// Finds those among the objects that are meant; nothing if the heap was read without numbering the contents.
    #[must_use]
    pub fn new(graph: &HeapGraph, selection: &Selection) -> Option<Self> {
        if graph.content_hashes.is_empty() {
            return None;
        }
        let mut strings = Self::default();
        let mut all: Vec<Keyed> = Vec::with_capacity(graph.content_hashes.entries());
        for object in graph.ids().filter(|&object| selection.has(object)) {
            match graph.content_hashes.get(object) {
                None => {}
                Some(UNREAD_CONTENT) => {
                    strings.left_out_objects += 1;
                    let bytes = graph.shallow_bytes_of(object);
                    strings.left_out_bytes = strings.left_out_bytes.saturating_add(bytes);
                }
                Some(hash) => all.push((graph.type_of(object), hash, object)),
            }
        }
        all.par_sort_unstable();
        let mut types: FxHashMap<TypeId, StringType> = FxHashMap::default();
        for equal in all.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            strings.add(graph, equal, &mut types);
        }
        // The heap may have several types of one name.
        let mut by_name: FxHashMap<String, StringType> = FxHashMap::default();
        for (ty, found) in types {
            let type_name = graph.type_name(ty).to_owned();
            let sum = by_name.entry(type_name.clone()).or_default();
            *sum = StringType {
                type_name,
                objects: sum.objects + found.objects,
                distinct: sum.distinct + found.distinct,
                bytes: sum.bytes.saturating_add(found.bytes),
                saved_bytes: sum.saved_bytes.saturating_add(found.saved_bytes),
            };
        }
        strings.types = by_name.into_values().collect();
        strings.types.sort_by(|a, b| {
            (Reverse(a.saved_bytes), &a.type_name).cmp(&(Reverse(b.saved_bytes), &b.type_name))
        });
        strings.groups.sort_by_key(|group| (Reverse(group.saved_bytes), group.example));
        Some(strings)
    }

    /// Adds all objects of one class and one content.
    fn add(
        &mut self,
        graph: &HeapGraph,
        equal: &[Keyed],
        types: &mut FxHashMap<TypeId, StringType>,
    ) {
        let Some(&(ty, _, example)) = equal.first() else { return };
        let sizes = equal.iter().map(|&(_, _, object)| graph.shallow_bytes_of(object));
        let bytes = sizes.clone().fold(0, u64::saturating_add);
        let bytes_each = sizes.max().unwrap_or_default();
        let saved_bytes = bytes.saturating_sub(bytes_each);
        let copies = equal.len() as u64;
        let sum = types.entry(ty).or_default();
        sum.objects += copies;
        sum.distinct += 1;
        sum.bytes = sum.bytes.saturating_add(bytes);
        sum.saved_bytes = sum.saved_bytes.saturating_add(saved_bytes);
        if copies > 1 {
            let first = self.objects.len();
            self.objects.extend(equal.iter().map(|&(_, _, object)| object));
            self.groups.push(StringGroup {
                ty,
                copies,
                bytes_each,
                bytes,
                saved_bytes,
                example,
                first,
            });
        }
    }

    /// The objects of a group, by address.
    #[must_use]
    pub fn objects(&self, group: &StringGroup) -> &[ObjectId] {
        let copies = usize::try_from(group.copies).unwrap_or(usize::MAX);
        self.objects.get(group.first..group.first.saturating_add(copies)).unwrap_or_default()
    }

    /// What would be saved in all.
    #[must_use]
    pub fn saved_bytes(&self) -> u64 {
        self.types.iter().fold(0, |sum, ty| sum.saturating_add(ty.saved_bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::Addr;
    use crate::graph::GraphBuilder;

    fn heap() -> HeapGraph {
        let mut b = GraphBuilder::new();
        for (at, name, bytes, hash) in [
            (0x10, "builtins.str", 50, 7),
            (0x20, "builtins.str", 60, 7),
            (0x30, "builtins.str", 50, 7),
            (0x40, "builtins.str", 90, 8),
            (0x50, "builtins.bytes", 50, 7),
            (0x60, "app.Name", 80, 7),
            (0x70, "app.Name", 80, 7),
            (0x80, "builtins.str", 1000, UNREAD_CONTENT),
            (0x90, "builtins.str", 1000, UNREAD_CONTENT),
        ] {
            let object = b.object(at, name, bytes);
            b.content_hash(object, hash);
        }
        b.object(0xa0, "builtins.int", 28);
        b.build()
    }

    #[test]
    fn equal_contents_of_one_class_are_one_group() {
        let graph = heap();
        let strings = Strings::new(&graph, &Selection::all()).unwrap();
        let told = strings.groups.iter().map(|group| {
            let objects = strings.objects(group).iter().map(|&object| graph.addr(object).0);
            let name = graph.type_name(group.ty);
            (name, group.bytes_each, group.saved_bytes, objects.collect::<Vec<_>>())
        });
        let expected = [
            ("builtins.str", 60, 100, vec![0x10, 0x20, 0x30]),
            ("app.Name", 80, 80, vec![0x60, 0x70]),
        ];
        assert_eq!(told.collect::<Vec<_>>(), expected);
        let types = strings.types.iter();
        let types = types.map(|ty| (ty.type_name.as_str(), ty.objects, ty.distinct, ty.bytes));
        let expected =
            [("builtins.str", 4, 2, 250), ("app.Name", 2, 1, 160), ("builtins.bytes", 1, 1, 50)];
        assert_eq!(types.collect::<Vec<_>>(), expected);
        assert_eq!((strings.saved_bytes(), strings.left_out_objects), (180, 2));
        assert_eq!((strings.left_out_bytes, strings.groups[0].example), (2000, ObjectId(0)));
        assert_eq!(graph.addr(ObjectId(0)), Addr(0x10));
    }

    #[test]
    fn without_numbers_nothing_is_known() {
        let mut b = GraphBuilder::new();
        b.object(0x10, "builtins.str", 50);
        assert_eq!(Strings::new(&b.build(), &Selection::all()), None);
    }
}
