//! Paths in words: what they begin with, and the objects on the way.

use super::names::{free_variable, name_of};
use crate::graph::{HeapGraph, ObjectFlags, ObjectId, RootKind};

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
    /// What code calls it, of functions, frames and the like, and of classes
    /// ([`HeapGraph::names`](crate::graph::HeapGraph::names)).
    pub name: Option<String>,
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
    /// Their shallow and buffer bytes; for a suspect, with what hangs on them.
    pub bytes: u64,
    /// One of them.
    pub example: ObjectId,
    /// If no root reaches them: the shortest reference cycle through the first object of
    /// the path, which is its first and last step; empty if that object is in none.
    pub cycle: Vec<Step>,
}

/// A step, not yet folded: whether it is a namespace is decided by the flag.
pub(super) fn step(graph: &HeapGraph, object: ObjectId, label: String) -> RawStep {
    RawStep {
        step: Step {
            type_name: graph.type_name_of(object).to_owned(),
            label,
            name: name_of(graph, object).map(|name| graph.strings.text(name).to_owned()),
        },
        namespace: graph.flags_of(object).has(ObjectFlags::NAMESPACE),
    }
}

/// The label of a step that stands for any number of steps.
pub(super) const DEEPER: &str = "…";

/// The two ends of a list of objects of which not all are told: a path may be as long as the heap is
/// large.
pub(super) fn ends<T>(objects: &[T]) -> (&[T], &[T]) {
    const MOST_HEAD: usize = 200;
    const MOST_TAIL: usize = 100;
    if objects.len() <= MOST_HEAD + MOST_TAIL {
        return (objects, &[]);
    }
    let (head, rest) = objects.split_at(MOST_HEAD);
    (head, rest.split_at(rest.len() - MOST_TAIL).1)
}

/// A circle of references in words: its first object is repeated as the last step, with the label
/// that leads back to it. With `folded` the dictionaries of instances are left out. Of a very long circle
/// both ends are told.
#[must_use]
pub fn circle_steps(graph: &HeapGraph, circle: &[(ObjectId, usize)], folded: bool) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut label = String::new();
    let (head, tail) = ends(circle);
    for (nth, &(at, edge)) in head.iter().chain(tail).enumerate() {
        if nth == head.len() {
            label = DEEPER.to_owned();
        }
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
        true => fold_hops(steps.into_iter()),
        false => steps.into_iter().map(|raw| raw.step).collect(),
    }
}

/// A step and whether it is the dictionary of an instance, class or module.
pub(super) struct RawStep {
    pub(super) step: Step,
    pub(super) namespace: bool,
}

/// Folds what people do not write; and the first object, if the root that holds it stands for it.
pub(super) fn fold(raw: impl Iterator<Item = RawStep>, origin: Origin) -> Vec<Step> {
    let mut raw = raw.peekable();
    let is_frame = |first: &RawStep| first.step.type_name == "builtins.frame";
    match origin {
        Origin::Root(RootKind::Module) => {
            raw.next();
        }
        // Up to 3.10 the frames of a thread are objects.
        Origin::Root(RootKind::Frame) if raw.peek().is_some_and(is_frame) => {
            let first = raw.next();
            if raw.peek().is_none() {
                return first.into_iter().map(|raw| raw.step).collect();
            }
        }
        _ => {}
    }
    fold_hops(raw)
}

/// Leaves out the objects on the way that people do not write: `self.rows` is no dictionary, a
/// variable of an enclosing function no tuple of cells.
fn fold_hops(raw: impl Iterator<Item = RawStep>) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut raw = raw.peekable();
    while let Some(current) = raw.next() {
        let next = raw.peek().map(|next| next.step.label.as_str());
        if let Some(next) = next
            && (is_names(&current, next) || is_inside(&current.step))
        {
            continue;
        }
        steps.push(current.step);
        fold_closure(&mut steps);
    }
    steps
}

/// Whether an object is the dictionary of the attribute behind it.
fn is_names(current: &RawStep, next: &str) -> bool {
    current.namespace && current.step.label == ".__dict__" && next.starts_with('.')
}

/// Whether an object is only the inside of the one before it, whose items are its items: the
/// dictionary of an `lru_cache`, what a `mappingproxy` shows, the tree of a context.
fn is_inside(step: &Step) -> bool {
    is_inside_label(&step.label) || is_inside_type(&step.type_name)
}

/// See [`is_inside`].
pub(super) fn is_inside_label(label: &str) -> bool {
    matches!(label, "<cache>" | "<mapping>" | "<ctx_vars>" | "<h_root>")
}

/// See [`is_inside`].
pub(super) fn is_inside_type(type_name: &str) -> bool {
    type_name.starts_with("builtins.hamt_")
}

/// `function.__closure__ → tuple[0] → cell.cell_contents → X` becomes `function closure name → X`.
fn fold_closure(steps: &mut Vec<Step>) {
    let [.., function, tuple, cell, last] = steps.as_slice() else { return };
    let is_closure = tuple.label == ".__closure__" && last.label == ".cell_contents";
    let Some(nth) = cell.label.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) else {
        return;
    };
    if !is_closure {
        return;
    }
    let name = nth.parse().ok().and_then(|nth| free_variable(function.name.as_deref()?, nth));
    let label = format!("closure {}", name.unwrap_or("*"));
    let last = Step { label, ..last.clone() };
    steps.truncate(steps.len() - 3);
    steps.push(last);
}
