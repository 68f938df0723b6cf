//! Why objects are alive: the shortest path to each from the best root that reaches it.
//!
//! One breadth-first walk over all edges, hidden ones too, in three rounds: from modules and
//! frames, then from the states of threads and interpreters and what is static, last from what C
//! code holds. What a round has reached stays as it is, so a path from a module is preferred to a
//! shorter one from an interpreter's state. A module's names are as near as the module, so that
//! they win over the globals of a frame.
//!
//! What no root reaches is held by reference cycles alone. Its paths begin at one object of each
//! cycle that nothing else refers to.

pub(super) mod speakers;

use rustc_hash::{FxHashMap, FxHashSet};

use super::collection::Collection;
use super::components::Components;
use super::diff::bytes_of;
use crate::graph::{EdgeLabel, HeapGraph, ObjectFlags, ObjectId, RootKind, StringId};

/// What keeps the first object of a path.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Origin {
    /// A root.
    Root(RootKind),
    /// No root: a collection would free it.
    Garbage,
    /// No root, and yet no collection frees it: a reference of the cycle is hidden from the
    /// collector, or the cycle was frozen.
    Uncollectable,
}

impl Origin {
    /// The word for it in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Root(kind) => kind.name(),
            Self::Garbage => "garbage",
            Self::Uncollectable => "uncollectable",
        }
    }

    /// Whether no root reaches what begins here.
    #[must_use]
    pub const fn is_rootless(self) -> bool {
        matches!(self, Self::Garbage | Self::Uncollectable)
    }
}

/// Where a path begins.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct PathRoot {
    /// What keeps its first object.
    pub origin: Origin,
    /// The name of the root, if there is one.
    pub name: String,
}

/// One object of a path.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Step {
    /// The full name of its type.
    pub type_name: String,
    /// The label by which the one before refers to it; empty at a root.
    pub label: String,
}

/// How an object is reached. The root stands for the module object itself, and the `__dict__` of
/// an instance or module is folded into the attribute behind it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Path {
    /// Where it begins.
    pub root: PathRoot,
    /// The objects from the root to the object itself.
    pub steps: Vec<Step>,
}

/// Objects that are reached in the same way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HeldBy {
    /// The way, positions written as `[*]`.
    pub path: Path,
    /// How many objects are reached so.
    pub objects: u64,
    /// Their shallow and buffer bytes.
    pub bytes: u64,
    /// One of them.
    pub example: ObjectId,
    /// If no root reaches them: the shortest reference cycle through the first object of
    /// the path, which is its first and last step; empty if that object is in none.
    pub cycle: Vec<Step>,
}

/// No parent: the path begins at the object.
const NONE: u32 = u32::MAX;

/// In place of a root, for an object at which the path of what no root reaches begins.
const NO_ROOT: u32 = u32::MAX - 1;

/// The shortest path to every object, as a tree.
#[derive(Clone, Debug)]
pub struct Paths {
    /// The object before, or [`NONE`].
    parents: Vec<u32>,
    /// Which edge of the parent (the hidden ones counted behind the others), or which root; or
    /// [`NO_ROOT`].
    edges: Vec<u32>,
    /// The cycles that no root reaches.
    components: Components,
    /// Of the objects with [`NO_ROOT`], those that a collection would free.
    freed: FxHashSet<ObjectId>,
}

/// The round in which a root's objects are reached.
const fn round(kind: RootKind) -> u8 {
    match kind {
        RootKind::Module | RootKind::Frame => 0,
        RootKind::C => 2,
        _ => 1,
    }
}

impl Paths {
    /// Walks the heap.
    #[must_use]
    pub fn new(graph: &HeapGraph) -> Self {
        let mut paths = Self {
            parents: vec![NONE; graph.len()],
            edges: vec![NONE; graph.len()],
            components: Components::default(),
            freed: FxHashSet::default(),
        };
        let mut queue: Vec<ObjectId> = Vec::new();
        paths.modules(graph, &mut queue);
        for this_round in 0..=2 {
            let roots = graph.roots.iter().enumerate();
            for (index, root) in roots.filter(|(_, root)| round(root.kind) == this_round) {
                paths.reach(root.object, NONE, index, &mut queue);
            }
            paths.spread(graph, &mut queue);
        }
        if graph.ids().any(|object| !paths.is_met(object)) {
            paths.rootless(graph, &mut queue);
        }
        paths
    }

    /// Reaches what no root does, from one object of each cycle that nothing else refers to.
    fn rootless(&mut self, graph: &HeapGraph, queue: &mut Vec<ObjectId>) {
        let components = Components::new(graph, |object| !self.is_met(object));
        let speakers = speakers::of(graph, &components);
        self.components = components;
        let collection = Collection::new(graph);
        for object in speakers {
            self.reach(object, NONE, NO_ROOT as usize, queue);
            if collection.is_freed(object) {
                self.freed.insert(object);
            }
        }
        self.spread(graph, queue);
    }

    /// Reaches all modules and then their dictionaries, before any frame does.
    fn modules(&mut self, graph: &HeapGraph, queue: &mut Vec<ObjectId>) {
        let modules = graph.roots.iter().enumerate();
        let modules = modules.filter(|(_, root)| root.kind == RootKind::Module);
        for (index, root) in modules.clone() {
            self.reach(root.object, NONE, index, queue);
        }
        for (_, root) in modules {
            for (nth, &to) in graph.referents.of(root.object).iter().enumerate() {
                let is_names = graph.flags_of(to).has(ObjectFlags::NAMESPACE);
                if is_names && graph.referent_label(root.object, nth) == ".__dict__" {
                    self.reach(to, root.object.0, nth, queue);
                }
            }
        }
    }

    /// Reaches all that the queued objects lead to, and empties the queue.
    fn spread(&mut self, graph: &HeapGraph, queue: &mut Vec<ObjectId>) {
        let mut next = 0;
        while let Some(&object) = queue.get(next) {
            next += 1;
            let hidden = graph.hidden_referents.of(object);
            for (nth, &to) in graph.referents.of(object).iter().chain(hidden).enumerate() {
                self.reach(to, object.0, nth, queue);
            }
        }
        queue.clear();
    }

    /// The shortest reference cycle through the object at which the path to `object` begins; empty
    /// if a root reaches it, or if it is in none.
    #[must_use]
    pub fn cycle(&self, graph: &HeapGraph, object: ObjectId) -> Vec<Step> {
        let first = self.objects_to(object).first().copied().unwrap_or(object);
        circle_steps(graph, &self.components.circle(graph, first), true)
    }

    /// Notes how an object is reached, unless it was before.
    fn reach(&mut self, object: ObjectId, parent: u32, edge: usize, queue: &mut Vec<ObjectId>) {
        let slots = (self.parents.get_mut(object.index()), self.edges.get_mut(object.index()));
        if let (Some(parent_slot), Some(edge_slot)) = slots
            && *edge_slot == NONE
        {
            *parent_slot = parent;
            *edge_slot = u32::try_from(edge).unwrap_or(NO_ROOT);
            queue.push(object);
        }
    }

    /// Whether the walk has come to the object.
    fn is_met(&self, object: ObjectId) -> bool {
        self.edges.get(object.index()).is_some_and(|&edge| edge != NONE)
    }

    /// The object before this one on its path.
    #[must_use]
    pub fn parent(&self, object: ObjectId) -> Option<ObjectId> {
        self.parents.get(object.index()).copied().filter(|&id| id != NONE).map(ObjectId)
    }

    /// The objects of the path to an object, from the one that the root holds. No path is longer
    /// than the heap has objects, and parents are reached before their children.
    #[must_use]
    pub fn objects_to(&self, object: ObjectId) -> Vec<ObjectId> {
        let mut objects = vec![object];
        let mut at = object;
        while let Some(parent) = self.parent(at) {
            objects.push(parent);
            at = parent;
        }
        objects.reverse();
        objects
    }

    /// The label of the edge by which an object is reached; nothing at a root.
    fn label(&self, graph: &HeapGraph, object: ObjectId) -> Option<(ObjectId, EdgeLabel)> {
        let parent = self.parent(object)?;
        let nth = self.edges.get(object.index()).map(|&edge| edge as usize)?;
        let visible = graph.referents.of(parent).len();
        let (shapes_of, nth) = match nth.checked_sub(visible) {
            None => (&graph.shapes_of, nth),
            Some(nth) => (&graph.hidden_shapes_of, nth),
        };
        let shape = shapes_of.get(parent.index()).copied().unwrap_or_default();
        Some((parent, graph.shapes.label(shape, nth)?))
    }

    /// The root at the beginning of the path through `first`.
    fn root(&self, graph: &HeapGraph, first: ObjectId) -> PathRoot {
        let edge = self.edges.get(first.index()).copied().unwrap_or(NONE);
        match graph.roots.get(edge as usize) {
            Some(root) => PathRoot {
                origin: Origin::Root(root.kind),
                name: graph.strings.text(root.name).to_owned(),
            },
            None if self.freed.contains(&first) => {
                PathRoot { origin: Origin::Garbage, name: String::new() }
            }
            None => PathRoot { origin: Origin::Uncollectable, name: String::new() },
        }
    }

    /// The path to one object, with the positions as they are.
    #[must_use]
    pub fn to(&self, graph: &HeapGraph, object: ObjectId) -> Path {
        let (root, steps) = self.hops(graph, object);
        Path { steps: fold(steps, root.origin), root }
    }

    /// The same with every object on the way, dictionaries of instances too.
    #[must_use]
    pub fn raw_to(&self, graph: &HeapGraph, object: ObjectId) -> Path {
        let (root, steps) = self.hops(graph, object);
        Path { steps: steps.into_iter().map(|raw| raw.step).collect(), root }
    }

    fn hops(&self, graph: &HeapGraph, object: ObjectId) -> (PathRoot, Vec<RawStep>) {
        let objects = self.objects_to(object);
        let first = objects.first().copied().unwrap_or(object);
        let root = self.root(graph, first);
        let mut steps = Vec::with_capacity(objects.len());
        for &at in &objects {
            let label = match self.label(graph, at) {
                Some((owner, label)) => graph.label_text(owner, Some(label)),
                None if self.parent(at).is_some() => "?".to_owned(),
                None => String::new(),
            };
            steps.push(step(graph, at, label));
        }
        (root, steps)
    }

    /// The ways in which some objects are reached: most bytes first, then most objects.
    ///
    /// Linear in the objects and the paths above them: the way of an object is that of its parent
    /// and one step, each way has a number, and a step that repeats itself (a linked list) adds no
    /// new one.
    #[must_use]
    pub fn group(
        &self,
        graph: &HeapGraph,
        objects: impl IntoIterator<Item = ObjectId>,
    ) -> Vec<HeldBy> {
        Grouping::new(self, graph).group(objects)
    }
}

/// A step, not yet folded: whether it is a namespace is decided by the flag.
fn step(graph: &HeapGraph, object: ObjectId, label: String) -> RawStep {
    RawStep {
        step: Step { type_name: graph.type_name_of(object).to_owned(), label },
        namespace: graph.flags_of(object).has(ObjectFlags::NAMESPACE),
    }
}

/// A circle of references in words: its first object is repeated as the last step, with the label
/// that leads back to it. With `folded` the dictionaries of instances are left out.
#[must_use]
pub fn circle_steps(graph: &HeapGraph, circle: &[(ObjectId, usize)], folded: bool) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut label = String::new();
    for &(at, edge) in circle {
        steps.push(step(graph, at, std::mem::take(&mut label)));
        label = match edge.checked_sub(graph.referents.of(at).len()) {
            None => graph.referent_label(at, edge),
            Some(nth) => graph.hidden_label(at, nth),
        };
    }
    if let Some(&(first, _)) = circle.first() {
        steps.push(step(graph, first, label));
    }
    match folded {
        true => fold_dicts(steps.into_iter()),
        false => steps.into_iter().map(|raw| raw.step).collect(),
    }
}

/// A step and whether it is the dictionary of an instance, class or module.
struct RawStep {
    step: Step,
    namespace: bool,
}

/// Folds `.__dict__` into the attribute behind it, and the module object into its root.
fn fold(raw: Vec<RawStep>, origin: Origin) -> Vec<Step> {
    let is_module = origin == Origin::Root(RootKind::Module);
    fold_dicts(raw.into_iter().skip(usize::from(is_module)))
}

/// Folds `.__dict__` into the attribute behind it.
fn fold_dicts(raw: impl Iterator<Item = RawStep>) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut raw = raw.peekable();
    while let Some(current) = raw.next() {
        let is_hop = current.namespace && current.step.label == ".__dict__";
        let folds = is_hop && raw.peek().is_some_and(|next| next.step.label.starts_with('.'));
        if !folds {
            steps.push(current.step);
        }
    }
    steps
}

/// The way of an object: the way of its parent, and a step.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Way {
    parent: Option<u32>,
    /// Which type name, or for a root which root.
    type_name: u32,
    label: WayLabel,
}

/// A label without its position.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum WayLabel {
    Root(u32),
    HeldByC(StringId),
    Rootless(Origin),
    Exact(EdgeLabel),
    Index,
    Value,
    Key,
    Member,
    Stack,
    Unknown,
}

/// The ways that were met, by number.
struct Grouping<'a> {
    paths: &'a Paths,
    graph: &'a HeapGraph,
    ways: Vec<Way>,
    numbers: FxHashMap<Way, u32>,
    of_object: FxHashMap<ObjectId, u32>,
}

impl<'a> Grouping<'a> {
    fn new(paths: &'a Paths, graph: &'a HeapGraph) -> Self {
        Self {
            paths,
            graph,
            ways: Vec::new(),
            numbers: FxHashMap::default(),
            of_object: FxHashMap::default(),
        }
    }

    fn group(mut self, objects: impl IntoIterator<Item = ObjectId>) -> Vec<HeldBy> {
        let mut groups: FxHashMap<u32, (u64, u64, ObjectId)> = FxHashMap::default();
        for object in objects {
            let way = self.way(object);
            let (count, bytes, _) = groups.entry(way).or_insert((0, 0, object));
            *count += 1;
            *bytes = bytes.saturating_add(bytes_of(self.graph, object));
        }
        let mut groups: Vec<(u32, (u64, u64, ObjectId))> = groups.into_iter().collect();
        groups.sort_by_key(|&(way, (count, bytes, example))| {
            (std::cmp::Reverse((bytes, count)), example, way)
        });
        groups
            .into_iter()
            .map(|(way, (objects, bytes, example))| HeldBy {
                path: self.path(way, example),
                objects,
                bytes,
                example,
                cycle: Vec::new(),
            })
            .collect()
    }

    /// The number of the way to an object, with those of all objects above it that are new.
    fn way(&mut self, object: ObjectId) -> u32 {
        let mut pending = vec![object];
        let mut above = None;
        while let Some(&last) = pending.last() {
            if let Some(&known) = self.of_object.get(&last) {
                above = Some(known);
                pending.pop();
                break;
            }
            match self.paths.parent(last) {
                Some(parent) => pending.push(parent),
                None => break,
            }
        }
        while let Some(object) = pending.pop() {
            let number = self.extend(above, object);
            self.of_object.insert(object, number);
            above = Some(number);
        }
        above.unwrap_or(NONE)
    }

    /// The number of a way and one more step.
    fn extend(&mut self, above: Option<u32>, object: ObjectId) -> u32 {
        let type_name =
            self.graph.types.get(self.graph.type_of(object).index()).map_or(NONE, |row| row.name.0);
        let label = match (self.paths.label(self.graph, object), above) {
            (None, None) => {
                let root = self.paths.edges.get(object.index()).copied().unwrap_or(NONE);
                match self.graph.roots.get(root as usize) {
                    // Each object has a root of its own: alike ones are one way.
                    Some(row) if row.kind == RootKind::C => WayLabel::HeldByC(row.name),
                    Some(_) => WayLabel::Root(root),
                    None => WayLabel::Rootless(self.paths.root(self.graph, object).origin),
                }
            }
            (None, Some(_)) => WayLabel::Unknown,
            (Some((_, label)), _) => match label {
                EdgeLabel::Index(_) => WayLabel::Index,
                EdgeLabel::Value(_) => WayLabel::Value,
                EdgeLabel::Key(_) => WayLabel::Key,
                EdgeLabel::Member(_) => WayLabel::Member,
                EdgeLabel::Stack(_) => WayLabel::Stack,
                exact => WayLabel::Exact(exact),
            },
        };
        let same = |way: &Way| way.type_name == type_name && way.label == label;
        let at = |number: Option<u32>| number.and_then(|n| self.ways.get(n as usize)).copied();
        if let (Some(number), Some(last)) = (above, at(above)) {
            // A step like the one before, or like the one before that and so on in turn (an
            // instance and its dictionary): the way goes round and stays the same.
            if same(&last) {
                return number;
            }
            if let Some(second) = at(last.parent)
                && same(&second)
                && let Some(third) = at(second.parent)
                && (third.type_name, third.label) == (last.type_name, last.label)
                && let Some(round) = last.parent
            {
                return round;
            }
        }
        let way = Way { parent: above, type_name, label };
        let next = u32::try_from(self.ways.len()).unwrap_or(NONE);
        let number = *self.numbers.entry(way).or_insert(next);
        if number == next {
            self.ways.push(way);
        }
        number
    }

    /// A way in words.
    fn path(&self, number: u32, example: ObjectId) -> Path {
        let mut ways = Vec::new();
        let mut at = Some(number);
        while let Some(way) = at.and_then(|number| self.ways.get(number as usize)) {
            ways.push(*way);
            at = way.parent;
        }
        ways.reverse();
        let objects = self.paths.objects_to(example);
        let first = objects.first().copied().unwrap_or(example);
        let root = self.paths.root(self.graph, first);
        let raw = ways
            .iter()
            .map(|way| {
                let type_name = self.graph.strings.text(StringId(way.type_name));
                let label = self.label_text(way.label);
                let namespace = type_name == "builtins.dict" && label == ".__dict__";
                RawStep { step: Step { type_name: type_name.to_owned(), label }, namespace }
            })
            .collect();
        Path { steps: fold(raw, root.origin), root }
    }

    fn label_text(&self, label: WayLabel) -> String {
        match label {
            WayLabel::Root(_) | WayLabel::HeldByC(_) | WayLabel::Rootless(_) => String::new(),
            // Named labels need no owner: only dictionary entries do, and they have no position.
            WayLabel::Exact(label) => self.graph.label_text(ObjectId::default(), Some(label)),
            WayLabel::Index | WayLabel::Value => "[*]".to_owned(),
            WayLabel::Key => "key *".to_owned(),
            WayLabel::Member => "{*}".to_owned(),
            WayLabel::Stack => "stack[*]".to_owned(),
            WayLabel::Unknown => "?".to_owned(),
        }
    }
}

#[cfg(test)]
#[path = "paths/tests.rs"]
mod tests;
