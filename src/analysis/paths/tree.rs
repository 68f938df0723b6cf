//! The shortest paths to objects as one tree: what flame graphs and profiles are drawn of.
//!
//! Alike objects are one node, as in [`Paths::group`](super::Paths::group), and what people do not
//! write (the dictionary of an instance, the module object behind its name) is folded away.

use std::hash::Hash;

use rustc_hash::FxHashMap;

use super::Paths;
use super::grouping::{Grouping, Way, WayLabel};
use super::names::free_variable;
use super::steps::{Origin, Step, is_inside_label, is_inside_type};
use crate::analysis::diff::bytes_of;
use crate::analysis::filter::Selection;
use crate::graph::{EdgeLabel, HeapGraph, Interner, RootKind, StringId};

/// The most nodes on one way. What lies deeper is one node below, so that a structure that is as deep
/// as the heap is large costs no more than another one.
const MOST_DEPTH: u32 = 128;

/// What a node is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum What {
    Root(Origin, StringId),
    /// A type, what code calls it, and the label (a text of the tree) by which the node above holds it.
    Step(u32, Option<StringId>, StringId),
    /// All that is too deep to be told apart.
    Deeper,
}

/// Objects that are reached in the same way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HeldNode {
    /// The node above; nothing for a root.
    pub parent: Option<u32>,
    /// How many objects are meant here, without those below.
    pub objects: u64,
    /// Their shallow and buffer bytes.
    pub bytes: u64,
    what: What,
}

/// A node in words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Held {
    /// A root, and what it stands for (a module).
    Root(super::PathRoot),
    /// An object.
    Step(Step),
    /// All that is too deep to be told apart.
    Deeper,
}

/// The shortest paths to some objects as a tree. A node comes behind the one above it.
#[derive(Clone, Debug)]
pub struct HeldTree<'g> {
    graph: &'g HeapGraph,
    nodes: Vec<HeldNode>,
    labels: Interner,
}

impl<'g> HeldTree<'g> {
    /// The tree of the objects that are meant.
    #[must_use]
    pub fn new(graph: &'g HeapGraph, selection: &Selection) -> Self {
        let paths = Paths::new(graph);
        let mut grouping = Grouping::new(&paths, graph, |_| false);
        let mut weights: Vec<(u64, u64)> = Vec::new();
        for object in graph.ids().filter(|&object| selection.has(object)) {
            let way = grouping.way(object) as usize;
            if weights.len() <= way {
                weights.resize(way + 1, (0, 0));
            }
            if let Some((objects, bytes)) = weights.get_mut(way) {
                *objects += 1;
                *bytes = bytes.saturating_add(bytes_of(graph, object));
            }
        }
        let ways = grouping.into_ways();
        drop(paths);
        let mut builder = Builder::new(graph, &ways);
        for (number, way) in ways.iter().enumerate() {
            let node = builder.place(way);
            let (objects, bytes) = weights.get(number).copied().unwrap_or_default();
            if let Some(node) = builder.nodes.get_mut(node as usize) {
                node.objects += objects;
                node.bytes = node.bytes.saturating_add(bytes);
            }
        }
        Self { graph, nodes: builder.nodes, labels: builder.labels }
    }

    /// All nodes, each behind the one above it.
    #[must_use]
    pub fn nodes(&self) -> &[HeldNode] {
        &self.nodes
    }

    /// A node in words.
    #[must_use]
    pub fn held(&self, node: &HeldNode) -> Held {
        let text = |id: StringId| self.graph.strings.text(id).to_owned();
        match node.what {
            What::Root(origin, name) => Held::Root(super::PathRoot { origin, name: text(name) }),
            What::Step(type_name, name, label) => Held::Step(Step {
                type_name: text(StringId(type_name)),
                label: self.labels.text(label).to_owned(),
                name: name.map(text),
            }),
            What::Deeper => Held::Deeper,
        }
    }
}

/// Puts ways into a tree, in their order: a way comes behind the one it goes on from.
struct Builder<'g> {
    graph: &'g HeapGraph,
    ways: &'g [Way],
    /// The node of each way, and the node above it.
    placed: Vec<(u32, u32)>,
    nodes: Vec<HeldNode>,
    depths: Vec<u32>,
    numbers: FxHashMap<(Option<u32>, What), u32>,
    labels: Interner,
    namespace: WayLabel,
    closure: WayLabel,
    contents: WayLabel,
}

impl<'g> Builder<'g> {
    fn new(graph: &'g HeapGraph, ways: &'g [Way]) -> Self {
        let attribute = |name: &str| {
            let label = graph.strings.find(name).map(EdgeLabel::Attribute);
            label.map_or(WayLabel::Unknown, WayLabel::Exact)
        };
        Self {
            graph,
            ways,
            placed: Vec::with_capacity(ways.len()),
            nodes: Vec::new(),
            depths: Vec::new(),
            numbers: FxHashMap::default(),
            labels: Interner::default(),
            namespace: attribute("__dict__"),
            closure: attribute("__closure__"),
            contents: attribute("cell_contents"),
        }
    }

    /// Finds the node of the next way.
    fn place(&mut self, way: &Way) -> u32 {
        let (node, above) = match way.parent {
            None => self.root(way),
            Some(parent) => self.below(way, parent),
        };
        self.placed.push((node, above));
        node
    }

    /// A way that begins at a root: it is the root itself where that stands for the object.
    fn root(&mut self, way: &Way) -> (u32, u32) {
        let (origin, name) = match way.label {
            WayLabel::Root(kind, name) => (Origin::Root(kind), name),
            WayLabel::Rootless(origin) => (origin, StringId(u32::MAX)),
            _ => (Origin::Uncollectable, StringId(u32::MAX)),
        };
        let root = self.node(None, What::Root(origin, name));
        let stands_for = match origin {
            Origin::Root(RootKind::Module) => true,
            // Up to 3.10 the frames of a thread are objects.
            Origin::Root(RootKind::Frame) => self.type_name(way) == "builtins.frame",
            _ => false,
        };
        if stands_for {
            return (root, root);
        }
        let label = self.labels.intern("");
        (self.node(Some(root), What::Step(way.type_name, way.name, label)), root)
    }

    fn below(&mut self, way: &Way, parent: u32) -> (u32, u32) {
        if let Some((above, label)) = self.in_closure(way, parent) {
            return (self.node(Some(above), What::Step(way.type_name, way.name, label)), above);
        }
        let (node, over) = self.placed.get(parent as usize).copied().unwrap_or_default();
        let text = super::grouping::label_text(self.graph, way.label);
        let is_folded = self.ways.get(parent as usize).is_some_and(|parent| {
            self.is_names(parent) && text.starts_with('.') || self.is_inside(parent)
        });
        let above = if is_folded { over } else { node };
        let label = self.labels.intern(&text);
        (self.node(Some(above), What::Step(way.type_name, way.name, label)), above)
    }

    /// What a cell of a function's closure holds: it hangs on the function, by the variable's name.
    fn in_closure(&mut self, way: &Way, parent: u32) -> Option<(u32, StringId)> {
        let cell = self.ways.get(parent as usize)?;
        let tuple = self.ways.get(cell.parent? as usize)?;
        if way.label != self.contents || tuple.label != self.closure {
            return None;
        }
        let (function, _) = self.placed.get(tuple.parent? as usize).copied()?;
        let name = self.ways.get(tuple.parent? as usize)?.name;
        let nth = match cell.label {
            WayLabel::Exact(EdgeLabel::Index(nth)) => Some(nth as usize),
            _ => None,
        };
        let variable = name.zip(nth).and_then(|(name, nth)| {
            free_variable(self.graph.strings.text(name), nth).map(str::to_owned)
        });
        let label = format!("closure {}", variable.as_deref().unwrap_or("*"));
        Some((function, self.labels.intern(&label)))
    }

    fn type_name(&self, way: &Way) -> &'g str {
        self.graph.strings.text(StringId(way.type_name))
    }

    fn is_names(&self, way: &Way) -> bool {
        way.label == self.namespace && self.type_name(way) == "builtins.dict"
    }

    fn is_inside(&self, way: &Way) -> bool {
        is_inside_type(self.type_name(way))
            || match way.label {
                WayLabel::Exact(EdgeLabel::Field(name)) => {
                    is_inside_label(&format!("<{}>", self.graph.strings.text(name)))
                }
                _ => false,
            }
    }

    /// The number of a node, which is added if it is new and not too deep.
    fn node(&mut self, parent: Option<u32>, what: What) -> u32 {
        let depth = parent.and_then(|parent| self.depths.get(parent as usize)).copied();
        let depth = depth.map_or(0, |depth| depth + 1);
        let what = match (depth.cmp(&MOST_DEPTH), parent) {
            (std::cmp::Ordering::Less, _) => what,
            (std::cmp::Ordering::Equal, _) => What::Deeper,
            (std::cmp::Ordering::Greater, Some(parent)) => return parent,
            (std::cmp::Ordering::Greater, None) => what,
        };
        let next = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        let number = *self.numbers.entry((parent, what)).or_insert(next);
        if number == next {
            self.nodes.push(HeldNode { parent, objects: 0, bytes: 0, what });
            self.depths.push(depth);
        }
        number
    }
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
