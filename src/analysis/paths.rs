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

mod beginnings;
pub(super) mod grouping;
mod held_group;
mod names;
pub(super) mod speakers;
pub(super) mod steps;
mod tree;

use rustc_hash::{FxHashMap, FxHashSet};

use super::collection::Collection;
use super::components::Components;
use super::diff::bytes_of;
use super::grouping::Groups;
use crate::graph::{EdgeLabel, HeapGraph, ObjectFlags, ObjectId, Reference, RootKind, WAVE, Wave};
pub use beginnings::Beginnings;
use grouping::Grouping;
pub use held_group::HeldGroup;
pub use names::name_of;
use steps::{DEEPER, RawStep, ends, fold, step};
pub use steps::{HeldBy, Origin, Path, PathRoot, Step, circle_steps};
pub use tree::{Held, HeldNode, HeldTree};

/// No parent: the path begins at the object.
const NONE: u32 = u32::MAX;

/// In place of a root, for an object at which the path of what no root reaches begins.
const NO_ROOT: u32 = u32::MAX - 1;

/// How an object is reached.
#[derive(Clone, Copy, Debug)]
struct Link {
    /// The object before, or [`NONE`].
    parent: u32,
    /// Which edge of the parent (the hidden ones counted behind the others), or which root; or
    /// [`NO_ROOT`]; [`NONE`] if it is not reached.
    edge: u32,
}

/// The shortest path to every object, as a tree.
#[derive(Clone, Debug)]
pub struct Paths {
    links: Vec<Link>,
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
            links: vec![Link { parent: NONE, edge: NONE }; graph.len()],
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
        let mut wave = Wave::of(graph);
        while next < queue.len() {
            let end = queue.len().min(next + WAVE);
            let objects = queue.get(next..end).unwrap_or_default();
            let references = wave.read(objects, true, |to| self.edge(to));
            next = end;
            for &Reference { from, nth, to } in references {
                self.reach(to, from.0, nth as usize, queue);
            }
        }
        queue.clear();
    }

    /// The shortest reference cycle through the object at which the path to `object` begins; empty
    /// if a root reaches it, or if it is in none.
    #[must_use]
    pub fn cycle(&self, graph: &HeapGraph, object: ObjectId) -> Vec<Step> {
        let first = self.first(object);
        circle_steps(graph, &self.components.circle(graph, first), true)
    }

    /// Notes how an object is reached, unless it was before.
    fn reach(&mut self, object: ObjectId, parent: u32, edge: usize, queue: &mut Vec<ObjectId>) {
        if let Some(link) = self.links.get_mut(object.index())
            && link.edge == NONE
        {
            *link = Link { parent, edge: u32::try_from(edge).unwrap_or(NO_ROOT) };
            queue.push(object);
        }
    }

    /// Whether the walk has come to the object.
    fn is_met(&self, object: ObjectId) -> bool {
        self.edge(object) != NONE
    }

    /// Which edge of its parent, or which root, reaches an object.
    fn edge(&self, object: ObjectId) -> u32 {
        self.links.get(object.index()).map_or(NONE, |link| link.edge)
    }

    /// The object before this one on its path.
    #[must_use]
    pub fn parent(&self, object: ObjectId) -> Option<ObjectId> {
        let parent = self.links.get(object.index())?.parent;
        (parent != NONE).then_some(ObjectId(parent))
    }

    /// The object at which the path to an object begins.
    fn first(&self, object: ObjectId) -> ObjectId {
        let mut first = object;
        while let Some(parent) = self.parent(first) {
            first = parent;
        }
        first
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
    pub(super) fn label(
        &self,
        graph: &HeapGraph,
        object: ObjectId,
    ) -> Option<(ObjectId, EdgeLabel)> {
        let parent = self.parent(object)?;
        let nth = self.edge(object) as usize;
        let visible = graph.referents.of(parent).len();
        let (shapes_of, nth) = match nth.checked_sub(visible) {
            None => (&graph.shapes_of, nth),
            Some(nth) => (&graph.hidden_shapes_of, nth),
        };
        let shape = shapes_of.get(parent.index()).copied().unwrap_or_default();
        Some((parent, graph.shapes.label(shape, nth)?))
    }

    /// The root at the beginning of the path through `first`.
    pub(super) fn root(&self, graph: &HeapGraph, first: ObjectId) -> PathRoot {
        match graph.roots.get(self.edge(first) as usize) {
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

    /// The objects at which the paths of what no root reaches begin, and whether a collection would free
    /// them.
    pub fn rootless_beginnings(&self) -> impl Iterator<Item = (ObjectId, bool)> + '_ {
        let numbered = self.links.iter().enumerate();
        let firsts = numbered.filter(|(_, link)| link.parent == NONE && link.edge == NO_ROOT);
        firsts.map(|(index, _)| ObjectId::from_index(index)).map(|o| (o, self.freed.contains(&o)))
    }

    /// The thread whose frame or state holds the first object of a path, by its identifier.
    pub(super) fn root_thread(&self, graph: &HeapGraph, first: ObjectId) -> Option<u64> {
        graph.roots.get(self.edge(first) as usize)?.thread
    }

    /// The path to one object, with the positions as they are. Of a very long one both ends are told.
    #[must_use]
    pub fn to(&self, graph: &HeapGraph, object: ObjectId) -> Path {
        let (root, steps) = self.hops(graph, object);
        Path { steps: fold(steps.into_iter(), root.origin), root }
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
        let (head, tail) = ends(&objects);
        let mut steps = Vec::with_capacity(head.len() + tail.len());
        for (nth, &at) in head.iter().chain(tail).enumerate() {
            let label = match self.label(graph, at) {
                Some(_) if nth == head.len() => DEEPER.to_owned(),
                Some((owner, label)) => graph.label_text(owner, Some(label)),
                None if self.parent(at).is_some() => "?".to_owned(),
                None => String::new(),
            };
            steps.push(step(graph, at, label));
        }
        (root, steps)
    }

    /// The ways in which some objects are reached: most bytes first, then most objects.
    #[must_use]
    pub fn group(
        &self,
        graph: &HeapGraph,
        objects: impl IntoIterator<Item = ObjectId>,
    ) -> Vec<HeldBy> {
        let weighed = objects.into_iter().map(|object| (object, bytes_of(graph, object)));
        Grouping::new(self, graph, |_| false).group(weighed)
    }

    /// The same, and with each way that no root reaches the cycle that keeps it.
    #[must_use]
    pub fn holders(
        &self,
        graph: &HeapGraph,
        objects: impl IntoIterator<Item = ObjectId>,
    ) -> Vec<HeldBy> {
        let groups = self.group(graph, objects);
        groups.into_iter().map(|held| self.with_cycle(graph, held)).collect()
    }

    /// The same for each group of the objects: the group with most bytes first.
    #[must_use]
    pub fn holders_by(
        &self,
        graph: &HeapGraph,
        objects: impl IntoIterator<Item = ObjectId>,
        groups: &Groups,
    ) -> Vec<HeldGroup> {
        let weighed = objects.into_iter().map(|object| (object, bytes_of(graph, object)));
        let ways = Grouping::new(self, graph, |_| false);
        let mut found: Vec<HeldGroup> = Vec::new();
        let mut places: FxHashMap<usize, usize> = FxHashMap::default();
        for (group, held) in ways.keyed(weighed, |object| groups.of(graph, object)) {
            let place = *places.entry(group).or_insert_with(|| {
                found.push(HeldGroup::named(groups.name(group)));
                found.len() - 1
            });
            if let Some(found) = found.get_mut(place) {
                found.add(self.with_cycle(graph, held));
            }
        }
        found.sort_by_key(|group| std::cmp::Reverse((group.bytes, group.objects)));
        found
    }

    /// A way with the cycle that keeps it, if no root does.
    #[must_use]
    pub fn with_cycle(&self, graph: &HeapGraph, held: HeldBy) -> HeldBy {
        let is_rootless = held.path.root.origin.is_rootless();
        let cycle = if is_rootless { self.cycle(graph, held.example) } else { Vec::new() };
        HeldBy { cycle, ..held }
    }
}

#[cfg(test)]
#[path = "paths/tests.rs"]
mod tests;
