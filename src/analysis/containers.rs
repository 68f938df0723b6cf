//! Containers that cost more than what they hold: with room to spare, empty, with a single item, or
//! dictionaries that all have the same keys and could be objects with slots.

use std::cmp::Reverse;

use rustc_hash::FxHashMap;

use super::filter::Selection;
use crate::graph::{EdgeLabel, HeapGraph, ObjectFlags, ObjectId, TypeId, UNREAD_CONTENT};

/// What an object with slots takes besides them: its header and the collector's, in bytes.
const SLOTTED_BYTES: u64 = 32;
/// A slot, in bytes.
const SLOT: u64 = 8;
/// Fewer dictionaries with the same keys are not told.
const FEW: u64 = 2;

/// How many, and their shallow bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// How many.
    pub objects: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Sum {
    const fn add(&mut self, bytes: u64) {
        self.objects += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// The containers of one type: `dict`, `list`, `set` or `frozenset`, without classes derived from them
/// and without the dictionaries of modules, classes and instances.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerType {
    /// The full name.
    pub type_name: &'static str,
    /// All of them.
    pub all: Sum,
    /// Those without items.
    pub empty: Sum,
    /// Those with one item.
    pub single: Sum,
    /// Those that are larger than a copy would be, and the bytes by which they are.
    pub spare: Sum,
}

/// Dictionaries with the same texts as keys, in the same order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SameKeys {
    /// How many keys.
    pub keys: u64,
    /// How many dictionaries, and their shallow bytes.
    pub dicts: Sum,
    /// What would be saved if each was an object with slots.
    pub saved_bytes: u64,
    /// The dictionaries, by address.
    pub objects: Vec<ObjectId>,
}

/// The instances of a class that have a dictionary of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instances {
    /// The class.
    pub ty: TypeId,
    /// How many dictionaries, and their shallow bytes.
    pub dicts: Sum,
    /// What would be saved if the class had slots for the attributes.
    pub saved_bytes: u64,
    /// The instance at the lowest address.
    pub example: ObjectId,
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Containers {
    /// By type.
    pub types: Vec<ContainerType>,
    /// Dictionaries with the same keys, by what could be saved; none where nothing could.
    pub same_keys: Vec<SameKeys>,
    /// Instances with dictionaries, by what could be saved.
    pub instances: Vec<Instances>,
}

/// The types that are told.
const TYPES: [&str; 4] = ["builtins.dict", "builtins.list", "builtins.set", "builtins.frozenset"];

impl Containers {
    /// Looks at the containers that are meant, and at the dictionaries of such instances.
    #[must_use]
    pub fn new(graph: &HeapGraph, selection: &Selection) -> Self {
        let mut types = TYPES.map(|type_name| ContainerType { type_name, ..Default::default() });
        let kind_of: Vec<Option<usize>> = (0..graph.types.len())
            .map(|ty| {
                TYPES.iter().position(|&name| graph.type_name(TypeId::from_index(ty)) == name)
            })
            .collect();
        let mut by_keys: FxHashMap<Box<[u64]>, Vec<ObjectId>> = FxHashMap::default();
        let mut keys = Vec::new();
        let mut by_class: FxHashMap<TypeId, Instances> = FxHashMap::default();
        for object in graph.ids().filter(|&object| selection.has(object)) {
            let kind = kind_of.get(graph.type_of(object).index()).copied().flatten();
            let Some(kind) = kind else {
                instance(graph, object, &mut by_class);
                continue;
            };
            if graph.flags_of(object).has(ObjectFlags::NAMESPACE) {
                continue;
            }
            let is_dict = kind == 0;
            let items =
                if is_dict { entries(graph, object) } else { graph.referents.of(object).len() };
            let bytes = graph.shallow_bytes_of(object);
            if let Some(sum) = types.get_mut(kind) {
                sum.all.add(bytes);
                match items {
                    0 => sum.empty.add(bytes),
                    1 => sum.single.add(bytes),
                    _ => {}
                }
                if let Some(spare) = graph.spare_bytes.get(object) {
                    sum.spare.add(spare);
                }
            }
            if is_dict && text_keys(graph, object, &mut keys) {
                match by_keys.get_mut(keys.as_slice()) {
                    Some(same) => same.push(object),
                    None => {
                        by_keys.insert(keys.as_slice().into(), vec![object]);
                    }
                }
            }
        }
        Self {
            types: types.into_iter().filter(|ty| ty.all.objects > 0).collect(),
            same_keys: same_keys(graph, by_keys),
            instances: instances(by_class),
        }
    }
}

/// How many entries a dictionary has: its keys are visited with their values, or owned besides.
fn entries(graph: &HeapGraph, dict: ObjectId) -> usize {
    match graph.hidden_referents.of(dict).len() {
        0 => graph.referents.of(dict).len() / 2,
        keys => keys,
    }
}

/// The keys of a dictionary as numbers, if all are texts that are there: equal ones have equal numbers.
/// Keys of records are nearly always one and the same object, and else have equal contents.
fn text_keys(graph: &HeapGraph, dict: ObjectId, numbers: &mut Vec<u64>) -> bool {
    numbers.clear();
    let keys = graph.hidden_referents.of(dict);
    numbers.extend(keys.iter().filter(|&&key| graph.type_name_of(key) == "builtins.str").map(
        |&key| match graph.content_hashes.get(key) {
            None | Some(UNREAD_CONTENT) => u64::from(key.0),
            Some(content) => content,
        },
    ));
    !keys.is_empty() && numbers.len() == keys.len()
}

fn same_keys(graph: &HeapGraph, by_keys: FxHashMap<Box<[u64]>, Vec<ObjectId>>) -> Vec<SameKeys> {
    let groups = by_keys.into_values().filter(|objects| objects.len() as u64 >= FEW);
    let mut groups: Vec<SameKeys> = groups
        .filter_map(|objects| {
            let mut dicts = Sum::default();
            objects.iter().for_each(|&dict| dicts.add(graph.shallow_bytes_of(dict)));
            let keys = entries(graph, *objects.first()?) as u64;
            let slotted = dicts.objects.saturating_mul(SLOTTED_BYTES + SLOT * keys);
            // What a copy would save is told elsewhere.
            let spare = objects
                .iter()
                .filter_map(|&dict| graph.spare_bytes.get(dict))
                .fold(0, u64::saturating_add);
            let saved_bytes = dicts.bytes.saturating_sub(slotted).saturating_sub(spare);
            (saved_bytes > 0).then_some(SameKeys { keys, dicts, saved_bytes, objects })
        })
        .collect();
    groups.sort_by_key(|group| (Reverse(group.saved_bytes), group.objects.first().copied()));
    groups
}

/// Adds the dictionary of an instance to those of its class.
fn instance(graph: &HeapGraph, object: ObjectId, by_class: &mut FxHashMap<TypeId, Instances>) {
    let ty = graph.type_of(object);
    let shape = graph.shapes_of.get(object.index()).copied().unwrap_or_default();
    for (nth, &to) in graph.referents.of(object).iter().enumerate() {
        if !graph.flags_of(to).has(ObjectFlags::NAMESPACE) {
            continue;
        }
        let label = graph.shapes.label(shape, nth);
        let is_own = matches!(label, Some(EdgeLabel::Attribute(name)) if graph.strings.text(name) == "__dict__");
        let name = graph.type_name(ty);
        if !is_own || name == "builtins.module" || name == "builtins.type" {
            continue;
        }
        let bytes = graph.shallow_bytes_of(to);
        let saved = bytes.saturating_sub(SLOT * entries(graph, to) as u64);
        let sum = by_class.entry(ty).or_insert(Instances {
            ty,
            dicts: Sum::default(),
            saved_bytes: 0,
            example: object,
        });
        sum.dicts.add(bytes);
        sum.saved_bytes = sum.saved_bytes.saturating_add(saved);
    }
}

fn instances(by_class: FxHashMap<TypeId, Instances>) -> Vec<Instances> {
    let classes = by_class.into_values();
    let mut classes: Vec<Instances> =
        classes.filter(|class| class.dicts.objects >= FEW && class.saved_bytes > 0).collect();
    classes.sort_by_key(|class| (Reverse(class.saved_bytes), class.example));
    classes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::GraphBuilder;

    #[test]
    fn what_containers_cost_beyond_their_items_is_told() {
        let mut b = GraphBuilder::new();
        let [id, name] = [b.object(0x10, "builtins.str", 51), b.object(0x20, "builtins.str", 53)];
        for n in 0..3 {
            let row = b.object(0x100 + n * 0x10, "builtins.dict", 184);
            b.hidden_edge(row, EdgeLabel::Key(0), id);
            b.hidden_edge(row, EdgeLabel::Key(1), name);
        }
        let other = b.object(0x200, "builtins.dict", 184);
        b.hidden_edge(other, EdgeLabel::Key(0), name);
        b.object(0x210, "builtins.dict", 64);
        let list = b.object(0x300, "builtins.list", 120);
        b.item(list, 0, id);
        b.spare(list, 56);
        for n in 0..2 {
            let one = b.object(0x400 + n * 0x20, "app.Row", 48);
            let dict = b.object(0x410 + n * 0x20, "builtins.dict", 104);
            b.flag(dict, ObjectFlags::NAMESPACE);
            b.attribute(one, "__dict__", dict);
            b.attribute(dict, "id", id);
            b.hidden_edge(dict, EdgeLabel::Key(0), name);
        }
        let graph = b.build();
        let found = Containers::new(&graph, &Selection::all());
        let [dicts, lists] = &found.types[..] else { panic!("{:?}", found.types) };
        assert_eq!(
            (dicts.all, dicts.empty),
            (Sum { objects: 5, bytes: 800 }, Sum { objects: 1, bytes: 64 })
        );
        assert_eq!((dicts.single.objects, dicts.spare.objects), (1, 0));
        assert_eq!((lists.single.objects, lists.spare), (1, Sum { objects: 1, bytes: 56 }));
        let [rows] = &found.same_keys[..] else { panic!("{:?}", found.same_keys) };
        assert_eq!((rows.keys, rows.dicts.objects, rows.saved_bytes), (2, 3, 3 * (184 - 48)));
        let [instances] = &found.instances[..] else { panic!("{:?}", found.instances) };
        assert_eq!((instances.dicts.objects, instances.saved_bytes), (2, 2 * 96));
        assert_eq!(graph.type_name(instances.ty), "app.Row");
    }
}
