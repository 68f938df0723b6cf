//! Who retains how much: the top of the dominator tree, and sums by type and module.

use rustc_hash::{FxHashMap, FxHashSet};

use super::dominators::{Children, Dominators};
use super::filter::Selection;
use super::grouping::Groups;
use crate::graph::{EdgeLabel, HeapGraph, ObjectFlags, ObjectId, RootKind, TypeId};

/// An object of the dominator tree, with what it dominates.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RetainedNode {
    /// The object, or the biggest of alike ones.
    pub object: ObjectId,
    /// How many alike ones are told together: of one type, reached in the same way.
    pub count: u64,
    /// How it is reached: the root that holds it, or the label by which its dominator refers to it;
    /// empty where several ways lead to it.
    pub label: String,
    /// Their own shallow and buffer bytes.
    pub own_bytes: u64,
    /// What would be freed with it.
    pub retained_bytes: u64,
    /// What it dominates directly, most bytes first; only what is told of it.
    pub children: Vec<RetainedNode>,
}

/// Retained bytes of a group of objects.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RetainedGroup {
    /// The type or module.
    pub name: String,
    /// How many objects.
    pub objects: u64,
    /// Their own shallow and buffer bytes.
    pub own_bytes: u64,
    /// What they retain; what one of them retains through another one counts once.
    pub retained_bytes: u64,
}

/// How much of the tree is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cut {
    /// The fewest bytes of a node.
    pub min_bytes: u64,
    /// The most nodes on one level below another one.
    pub width: usize,
    /// How many levels.
    pub depth: usize,
    /// Whether alike objects are told together.
    pub merge: bool,
}

/// The tree below an object (nothing: below the root), cut to what matters.
#[must_use]
pub fn tree(
    graph: &HeapGraph,
    dominators: &Dominators,
    below: Option<ObjectId>,
    cut: Cut,
) -> Vec<RetainedNode> {
    let tree = Tree::new(graph, dominators);
    let children: Vec<Child> = tree.children(below);
    tree.level(children, cut)
}

/// The trees of the objects that are meant and that no other one of these dominates.
#[must_use]
pub fn trees(
    graph: &HeapGraph,
    dominators: &Dominators,
    selection: &Selection,
    cut: Cut,
) -> Vec<RetainedNode> {
    // An object comes behind the one that dominates it.
    let mut covered = vec![false; graph.len()];
    let mut tops = Vec::new();
    for object in dominators.in_order() {
        let above = dominators.dominator(object);
        let is_below = above.is_some_and(|above| covered.get(above.index()) == Some(&true));
        let is_meant = selection.has(object);
        if let Some(flag) = covered.get_mut(object.index()) {
            *flag = is_below || is_meant;
        }
        if is_meant && !is_below {
            tops.push(Child { object, above: None, label: None });
        }
    }
    tops.sort_by_key(|top| (std::cmp::Reverse(dominators.retained_bytes(top.object)), top.object));
    Tree::new(graph, dominators).level(tops, cut)
}

/// An object of the tree, and how the one that dominates it refers to it.
#[derive(Clone, Copy)]
struct Child {
    object: ObjectId,
    above: Option<ObjectId>,
    label: Option<EdgeLabel>,
}

/// What objects of one level are put together by.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Alike {
    ty: TypeId,
    label: Option<EdgeLabel>,
    root: Option<u32>,
    /// Where objects stay apart.
    object: Option<ObjectId>,
}

/// The dominator tree from above, and the roots by the objects they hold.
struct Tree<'a> {
    graph: &'a HeapGraph,
    dominators: &'a Dominators,
    children: Children<'a>,
    roots: FxHashMap<ObjectId, (u32, u32)>,
    /// The module of each dictionary of names: its frames refer to it, too.
    modules: FxHashMap<ObjectId, u32>,
}

impl<'a> Tree<'a> {
    fn new(graph: &'a HeapGraph, dominators: &'a Dominators) -> Self {
        let mut roots: FxHashMap<ObjectId, (u32, u32)> = FxHashMap::default();
        let mut modules = FxHashMap::default();
        for (number, root) in (0..).zip(&graph.roots) {
            roots.entry(root.object).or_insert((number, 0)).1 += 1;
            if root.kind == RootKind::Module {
                for &names in graph.referents.of(root.object) {
                    if graph.flags_of(names).has(ObjectFlags::NAMESPACE) {
                        modules.entry(names).or_insert(number);
                    }
                }
            }
        }
        Self { graph, dominators, children: dominators.children(), roots, modules }
    }

    /// What an object dominates directly, most bytes first.
    fn children(&self, above: Option<ObjectId>) -> Vec<Child> {
        let children = self.children.of(above);
        let Some(owner) = above else {
            let child = |object| Child { object, above: None, label: None };
            return children.into_iter().map(child).collect();
        };
        // One pass over the edges, however many children there are.
        let mut labels: FxHashMap<ObjectId, EdgeLabel> = FxHashMap::default();
        let graph = self.graph;
        let columns = [
            (&graph.referents, &graph.shapes_of),
            (&graph.hidden_referents, &graph.hidden_shapes_of),
        ];
        for (edges, shapes_of) in columns {
            let shape = shapes_of.get(owner.index()).copied().unwrap_or_default();
            for (&to, label) in edges.of(owner).iter().zip(graph.shapes.labels(shape)) {
                labels.entry(to).or_insert(label);
            }
        }
        children
            .into_iter()
            .map(|object| Child { object, above, label: labels.get(&object).copied() })
            .collect()
    }

    /// One level, and those below it: no deeper than the cut, which is a handful.
    fn level(&self, children: Vec<Child>, cut: Cut) -> Vec<RetainedNode> {
        let mut numbers: FxHashMap<Alike, usize> = FxHashMap::default();
        let mut groups: Vec<(u64, Vec<Child>)> = Vec::new();
        for child in children {
            let root = self.roots.get(&child.object).map(|&(root, _)| root);
            let root = root.or_else(|| self.modules.get(&child.object).copied());
            let alike = Alike {
                ty: self.graph.type_of(child.object),
                label: child.label.map(EdgeLabel::without_position),
                root: root.filter(|_| child.above.is_none()),
                object: (!cut.merge).then_some(child.object),
            };
            let next = groups.len();
            let number = *numbers.entry(alike).or_insert(next);
            if number == next {
                groups.push((0, Vec::new()));
            }
            if let Some((bytes, members)) = groups.get_mut(number) {
                *bytes = bytes.saturating_add(self.dominators.retained_bytes(child.object));
                members.push(child);
            }
        }
        // Members come most bytes first, so the first of each is the biggest.
        groups.sort_by_key(|(bytes, members)| {
            (std::cmp::Reverse(*bytes), members.first().map(|child| child.object))
        });
        let big = groups.into_iter().take(cut.width).filter(|&(bytes, _)| bytes >= cut.min_bytes);
        big.filter_map(|(bytes, members)| self.node(bytes, &members, cut)).collect()
    }

    fn node(&self, bytes: u64, members: &[Child], cut: Cut) -> Option<RetainedNode> {
        let first = *members.first()?;
        let deeper = Cut { depth: cut.depth.saturating_sub(1), ..cut };
        let below = match deeper.depth {
            0 => Vec::new(),
            _ => {
                let mut below: Vec<Child> =
                    members.iter().flat_map(|member| self.children(Some(member.object))).collect();
                if members.len() > 1 {
                    let bytes = |child: &Child| self.dominators.retained_bytes(child.object);
                    below.sort_by_key(|child| (std::cmp::Reverse(bytes(child)), child.object));
                }
                self.level(below, deeper)
            }
        };
        let own = members.iter().map(|child| super::diff::bytes_of(self.graph, child.object));
        Some(RetainedNode {
            object: first.object,
            count: members.len() as u64,
            label: self.label(first, members.len() > 1),
            own_bytes: own.fold(0, u64::saturating_add),
            retained_bytes: bytes,
            children: below,
        })
    }

    /// How an object is reached from the one that dominates it.
    fn label(&self, child: Child, many: bool) -> String {
        let graph = self.graph;
        if let Some(above) = child.above {
            return match child.label {
                Some(label) if many && label.without_position() != EdgeLabel::Index(0) => {
                    let text = graph.label_text(above, Some(label));
                    if matches!(label, EdgeLabel::Value(_)) { "[*]".to_owned() } else { text }
                }
                Some(EdgeLabel::Index(_)) if many => "[*]".to_owned(),
                Some(label) => graph.label_text(above, Some(label)),
                None => String::new(),
            };
        }
        let told = |number: u32| {
            let root = graph.roots.get(number as usize)?;
            let kind = root.kind.name().replace('_', " ");
            Some(format!("{kind} {}", graph.strings.text(root.name)))
        };
        match self.roots.get(&child.object) {
            Some(&(number, 1)) => told(number).unwrap_or_default(),
            Some(&(number, _)) => {
                let kind = graph.roots.get(number as usize).map_or("", |root| root.kind.name());
                format!("{kind} and others")
            }
            None if self.dominators.is_rootless(child.object) => "no root".to_owned(),
            None => self.modules.get(&child.object).and_then(|&n| told(n)).unwrap_or_default(),
        }
    }
}

/// Retained bytes of the objects that are meant by their groups, most first.
#[must_use]
pub fn groups(
    graph: &HeapGraph,
    dominators: &Dominators,
    groups: &Groups,
    selection: &Selection,
) -> Vec<RetainedGroup> {
    let mut rows: Vec<RetainedGroup> = groups
        .names()
        .iter()
        .map(|name| RetainedGroup {
            name: name.clone(),
            objects: 0,
            own_bytes: 0,
            retained_bytes: 0,
        })
        .collect();
    // The groups above each object, as a list of the nearest of each: an object counts for its group
    // only if no object of that group dominates it.
    let mut above: FxHashSet<(ObjectId, usize)> = FxHashSet::default();
    for object in dominators.in_order().filter(|&object| selection.has(object)) {
        let group = groups.of(graph, object);
        let bytes = super::diff::bytes_of(graph, object);
        let retained = dominators.retained_bytes(object);
        // Only what retains more than itself can hide another one of its group.
        let nested = is_nested(dominators, object, group, &above);
        if retained > bytes {
            above.insert((object, group));
        }
        if let Some(row) = rows.get_mut(group) {
            row.objects += 1;
            row.own_bytes = row.own_bytes.saturating_add(bytes);
            if !nested {
                row.retained_bytes = row.retained_bytes.saturating_add(retained);
            }
        }
    }
    rows.retain(|row| row.objects > 0);
    rows.sort_by(|a, b| (b.retained_bytes, &a.name).cmp(&(a.retained_bytes, &b.name)));
    rows
}

/// Whether an object of the same group dominates an object. Deep trees are looked up only so far:
/// beyond that an object counts again, which is an upper bound.
fn is_nested(
    dominators: &Dominators,
    object: ObjectId,
    group: usize,
    above: &FxHashSet<(ObjectId, usize)>,
) -> bool {
    const DEEPEST: usize = 256;
    let mut at = object;
    for _ in 0..DEEPEST {
        match dominators.dominator(at) {
            Some(next) if above.contains(&(next, group)) => return true,
            Some(next) => at = next,
            None => return false,
        }
    }
    false
}
