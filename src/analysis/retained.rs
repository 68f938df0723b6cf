//! Who retains how much: the top of the dominator tree, and sums by type and module.

use rustc_hash::{FxHashMap, FxHashSet};

use super::dominators::{Children, Dominators};
use crate::graph::{HeapGraph, ObjectId, RootKind, StringId};

/// An object of the dominator tree, with what it dominates.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RetainedNode {
    /// The object.
    pub object: ObjectId,
    /// How it is reached: the root that holds it, or the label by which its dominator refers to it;
    /// empty where several ways lead to it.
    pub label: String,
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
}

/// The tree below an object (nothing: below the root), cut to what matters.
#[must_use]
pub fn tree(
    graph: &HeapGraph,
    dominators: &Dominators,
    below: Option<ObjectId>,
    cut: Cut,
) -> Vec<RetainedNode> {
    level(graph, dominators, &dominators.children(), below, cut)
}

/// One level, and those below it: no deeper than the cut, which is a handful.
fn level(
    graph: &HeapGraph,
    dominators: &Dominators,
    children: &Children<'_>,
    below: Option<ObjectId>,
    cut: Cut,
) -> Vec<RetainedNode> {
    let big = children
        .of(below)
        .into_iter()
        .take(cut.width)
        .filter(|&child| dominators.retained_bytes(child) >= cut.min_bytes);
    big.map(|object| {
        let deeper = Cut { depth: cut.depth.saturating_sub(1), ..cut };
        RetainedNode {
            object,
            label: label(graph, below, object),
            retained_bytes: dominators.retained_bytes(object),
            children: match deeper.depth {
                0 => Vec::new(),
                _ => level(graph, dominators, children, Some(object), deeper),
            },
        }
    })
    .collect()
}

/// How an object is reached from its dominator.
fn label(graph: &HeapGraph, above: Option<ObjectId>, object: ObjectId) -> String {
    match above {
        None => {
            let mut roots = graph.roots.iter().filter(|root| root.object == object);
            match (roots.next(), roots.next()) {
                (Some(root), None) => {
                    let kind = root.kind.name().replace('_', " ");
                    format!("{kind} {}", graph.strings.text(root.name))
                }
                (Some(root), Some(_)) => format!("{} and others", root.kind.name()),
                (None, _) => module_of(graph, object).unwrap_or_default(),
            }
        }
        Some(above) => {
            let visible = graph.referents.of(above).iter().position(|&to| to == object);
            let hidden = || graph.hidden_referents.of(above).iter().position(|&to| to == object);
            match visible {
                Some(nth) => graph.referent_label(above, nth),
                None => hidden().map(|nth| graph.hidden_label(above, nth)).unwrap_or_default(),
            }
        }
    }
}

/// The module whose names a dictionary holds: its frames refer to it, too.
fn module_of(graph: &HeapGraph, object: ObjectId) -> Option<String> {
    let modules = graph.roots.iter().filter(|root| root.kind == RootKind::Module);
    let mut owners = modules.filter(|root| graph.referents.of(root.object).contains(&object));
    Some(format!("module {}", graph.strings.text(owners.next()?.name)))
}

/// By what objects are grouped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GroupBy {
    /// The full name of the type.
    Type,
    /// The module that defines the type.
    Module,
}

/// Retained bytes by type or module, most first.
#[must_use]
pub fn groups(graph: &HeapGraph, dominators: &Dominators, by: GroupBy) -> Vec<RetainedGroup> {
    let key = |object: ObjectId| {
        let name = graph.types.get(graph.type_of(object).index()).map(|row| row.name);
        name.unwrap_or_default()
    };
    let mut keys: FxHashMap<StringId, u32> = FxHashMap::default();
    let mut groups: Vec<RetainedGroup> = Vec::new();
    let mut by_name: FxHashMap<String, u32> = FxHashMap::default();
    // The groups above each object, as a list of the nearest of each: an object counts for its group
    // only if no object of that group dominates it.
    let mut above: FxHashSet<(ObjectId, u32)> = FxHashSet::default();
    let mut number = |object: ObjectId, groups: &mut Vec<RetainedGroup>| {
        let name = key(object);
        *keys.entry(name).or_insert_with(|| {
            let text = graph.strings.text(name);
            let text = match by {
                GroupBy::Type => text,
                GroupBy::Module => text.rsplit_once('.').map_or("builtins", |(module, _)| module),
            };
            let next = u32::try_from(groups.len()).unwrap_or(u32::MAX);
            *by_name.entry(text.to_owned()).or_insert_with(|| {
                groups.push(RetainedGroup {
                    name: text.to_owned(),
                    objects: 0,
                    own_bytes: 0,
                    retained_bytes: 0,
                });
                next
            })
        })
    };
    for object in dominators.in_order() {
        let group = number(object, &mut groups);
        let bytes = super::diff::bytes_of(graph, object);
        let retained = dominators.retained_bytes(object);
        // Only what retains more than itself can hide another one of its group.
        let nested = is_nested(dominators, object, group, &above);
        if retained > bytes {
            above.insert((object, group));
        }
        if let Some(row) = groups.get_mut(group as usize) {
            row.objects += 1;
            row.own_bytes = row.own_bytes.saturating_add(bytes);
            if !nested {
                row.retained_bytes = row.retained_bytes.saturating_add(retained);
            }
        }
    }
    groups.sort_by(|a, b| (b.retained_bytes, &a.name).cmp(&(a.retained_bytes, &b.name)));
    groups
}

/// Whether an object of the same group dominates an object. Deep trees are looked up only so far:
/// beyond that an object counts again, which is an upper bound.
fn is_nested(
    dominators: &Dominators,
    object: ObjectId,
    group: u32,
    above: &FxHashSet<(ObjectId, u32)>,
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
