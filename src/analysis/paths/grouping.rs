//! Objects that are reached in the same way, counted together.
//!
//! Linear in the objects and the paths above them: the way of an object is that of its parent and one
//! step, each way has a number, and a step that repeats itself (a linked list) adds no new one. What lies
//! very deep is told by where the depth begins, so that a structure that is as deep as the heap is large
//! has few ways, too.

use rustc_hash::FxHashMap;

use super::names::name_of;
use super::steps::{DEEPER, HeldBy, Origin, Path, PathRoot, RawStep, Step, fold};
use super::{NONE, Paths};
use crate::graph::{EdgeLabel, HeapGraph, ObjectId, RootKind, StringId};

/// The most steps of a way. What lies deeper hangs on the last of these by one step, whose label says so.
const MOST_DEPTH: u32 = 200;

/// The way of an object: the way of its parent, and a step.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Way {
    pub(super) parent: Option<u32>,
    /// Which type name.
    pub(super) type_name: u32,
    /// What code calls it.
    pub(super) name: Option<StringId>,
    pub(super) label: WayLabel,
}

/// A label without its position.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum WayLabel {
    /// A root: alike ones (of many threads, of C code) are one way.
    Root(RootKind, StringId),
    Rootless(Origin),
    /// The way begins here, though the path does not.
    Begin,
    Exact(EdgeLabel),
    Index,
    Value,
    Key,
    Member,
    Stack,
    Unknown,
    /// Any number of steps.
    Deeper,
}

/// The ways that were met, by number.
pub(in crate::analysis) struct Grouping<'a, B> {
    paths: &'a Paths,
    graph: &'a HeapGraph,
    /// Whether the ways begin at an object, whatever is above it.
    begins: B,
    ways: Vec<Way>,
    /// How many ways each goes on from.
    depths: Vec<u32>,
    numbers: FxHashMap<Way, u32>,
    of_object: Vec<u32>,
    /// `__closure__`, if any object has one: the positions behind it stand for names.
    closure: Option<EdgeLabel>,
}

impl<'a, B: Fn(ObjectId) -> bool> Grouping<'a, B> {
    pub(in crate::analysis) fn new(paths: &'a Paths, graph: &'a HeapGraph, begins: B) -> Self {
        Self {
            paths,
            graph,
            begins,
            ways: Vec::new(),
            depths: Vec::new(),
            numbers: FxHashMap::default(),
            of_object: vec![NONE; graph.len()],
            closure: graph.strings.find("__closure__").map(EdgeLabel::Attribute),
        }
    }

    /// The ways of some objects, each with its weight in bytes: most bytes first, then most objects.
    pub(in crate::analysis) fn group(
        self,
        objects: impl IntoIterator<Item = (ObjectId, u64)>,
    ) -> Vec<HeldBy> {
        let keyed = self.keyed(objects, |_| 0).into_iter();
        keyed.map(|(_, held)| held).collect()
    }

    /// The same, objects with different keys apart: each way with the key of its objects.
    pub(super) fn keyed(
        mut self,
        objects: impl IntoIterator<Item = (ObjectId, u64)>,
        key: impl Fn(ObjectId) -> usize,
    ) -> Vec<(usize, HeldBy)> {
        let mut groups: FxHashMap<(usize, u32), (u64, u64, ObjectId)> = FxHashMap::default();
        for (object, weight) in objects {
            let way = self.way(object);
            let (count, bytes, _) = groups.entry((key(object), way)).or_insert((0, 0, object));
            *count += 1;
            *bytes = bytes.saturating_add(weight);
        }
        let mut groups: Vec<_> = groups.into_iter().collect();
        groups.sort_by_key(|&((_, way), (count, bytes, example))| {
            (std::cmp::Reverse((bytes, count)), example, way)
        });
        groups
            .into_iter()
            .map(|((key, way), (objects, bytes, example))| {
                let path = self.path(way, example);
                (key, HeldBy { path, objects, bytes, example, cycle: Vec::new() })
            })
            .collect()
    }

    /// The ways that were met, by number.
    pub(super) fn into_ways(self) -> Vec<Way> {
        self.ways
    }

    fn known(&self, object: ObjectId) -> Option<u32> {
        self.of_object.get(object.index()).copied().filter(|&number| number != NONE)
    }

    /// The number of the way to an object, with those of all objects above it that are new.
    pub(super) fn way(&mut self, object: ObjectId) -> u32 {
        let mut pending = vec![object];
        let mut above = None;
        while let Some(&last) = pending.last() {
            if let Some(known) = self.known(last) {
                above = Some(known);
                pending.pop();
                break;
            }
            match self.paths.parent(last) {
                Some(parent) if !(self.begins)(last) => pending.push(parent),
                _ => break,
            }
        }
        while let Some(object) = pending.pop() {
            let number = self.extend(above, object);
            if let Some(slot) = self.of_object.get_mut(object.index()) {
                *slot = number;
            }
            above = Some(number);
        }
        above.unwrap_or(NONE)
    }

    fn at(&self, number: Option<u32>) -> Option<Way> {
        number.and_then(|number| self.ways.get(number as usize)).copied()
    }

    /// The number of a way and one more step.
    fn extend(&mut self, above: Option<u32>, object: ObjectId) -> u32 {
        let types = &self.graph.types;
        let row = types.get(self.graph.type_of(object).index());
        let (type_name, name) = (row.map_or(NONE, |row| row.name.0), name_of(self.graph, object));
        let depth = above.and_then(|above| self.depths.get(above as usize)).copied();
        let way = match (depth.unwrap_or_default(), self.at(above)) {
            (MOST_DEPTH.., Some(last)) => {
                let parent = if last.label == WayLabel::Deeper { last.parent } else { above };
                Way { parent, type_name, name, label: WayLabel::Deeper }
            }
            _ => Way { parent: above, type_name, name, label: self.label(above, object) },
        };
        let same = |other: &Way| {
            (other.type_name, other.name, other.label) == (way.type_name, way.name, way.label)
        };
        if let (Some(number), Some(last)) = (above, self.at(above)) {
            // A step like the one before, or like the one before that and so on in turn (an
            // instance and its dictionary): the way goes round and stays the same.
            if same(&last) {
                return number;
            }
            if let Some(second) = self.at(last.parent)
                && same(&second)
                && let Some(third) = self.at(second.parent)
                && (third.type_name, third.label) == (last.type_name, last.label)
                && let Some(round) = last.parent
            {
                return round;
            }
        }
        let next = u32::try_from(self.ways.len()).unwrap_or(NONE);
        let number = *self.numbers.entry(way).or_insert(next);
        if number == next {
            self.ways.push(way);
            self.depths.push(depth.map_or(0, |depth| (depth + 1).min(MOST_DEPTH + 1)));
        }
        number
    }

    /// How an object is reached, without its position.
    fn label(&self, above: Option<u32>, object: ObjectId) -> WayLabel {
        let label = self.paths.label(self.graph, object);
        match (label, above) {
            (Some(_), None) => WayLabel::Begin,
            (None, None) => match self.graph.roots.get(self.paths.edge(object) as usize) {
                Some(row) => WayLabel::Root(row.kind, row.name),
                None => WayLabel::Rootless(self.paths.root(self.graph, object).origin),
            },
            (None, Some(_)) => WayLabel::Unknown,
            (Some((_, label)), Some(_)) => match label {
                EdgeLabel::Index(_)
                    if self.closure.is_some()
                        && self.at(above).map(|way| way.label)
                            == self.closure.map(WayLabel::Exact) =>
                {
                    WayLabel::Exact(label)
                }
                EdgeLabel::Index(_) => WayLabel::Index,
                EdgeLabel::Value(_) => WayLabel::Value,
                EdgeLabel::Key(_) => WayLabel::Key,
                EdgeLabel::Member(_) => WayLabel::Member,
                EdgeLabel::Stack(_) => WayLabel::Stack,
                exact => WayLabel::Exact(exact.without_position()),
            },
        }
    }

    /// A way in words.
    fn path(&self, number: u32, example: ObjectId) -> Path {
        let mut ways = Vec::new();
        let mut at = Some(number);
        while let Some(way) = self.at(at) {
            ways.push(way);
            at = way.parent;
        }
        ways.reverse();
        let text = |id: StringId| self.graph.strings.text(id).to_owned();
        let (root, begins) = match ways.first().map(|way| way.label) {
            Some(WayLabel::Root(kind, name)) => {
                (PathRoot { origin: Origin::Root(kind), name: text(name) }, false)
            }
            Some(WayLabel::Rootless(origin)) => (PathRoot { origin, name: String::new() }, false),
            label => {
                let first = self.paths.first(example);
                (self.paths.root(self.graph, first), label == Some(WayLabel::Begin))
            }
        };
        let raw = ways.iter().map(|way| {
            let type_name = text(StringId(way.type_name));
            let label = label_text(self.graph, way.label);
            let namespace = type_name == "builtins.dict" && label == ".__dict__";
            RawStep { step: Step { type_name, label, name: way.name.map(text) }, namespace }
        });
        // A way that begins below the root has nothing that the root stands for.
        let origin = if begins { Origin::Uncollectable } else { root.origin };
        Path { steps: fold(raw, origin), root }
    }
}

/// The label of a way in words.
pub(super) fn label_text(graph: &HeapGraph, label: WayLabel) -> String {
    match label {
        WayLabel::Root(..) | WayLabel::Rootless(_) | WayLabel::Begin => String::new(),
        // Named labels need no owner: only dictionary entries do, and they have no position.
        WayLabel::Exact(label) => graph.label_text(ObjectId::default(), Some(label)),
        WayLabel::Index | WayLabel::Value => "[*]".to_owned(),
        WayLabel::Key => "key *".to_owned(),
        WayLabel::Member => "{*}".to_owned(),
        WayLabel::Stack => "stack[*]".to_owned(),
        WayLabel::Unknown => "?".to_owned(),
        WayLabel::Deeper => DEEPER.to_owned(),
    }
}
