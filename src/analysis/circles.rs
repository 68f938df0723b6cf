//! Reference cycles, grouped by shape: what people call a cycle is one circle of named references
//! within a strongly connected component.
//!
//! Most components of a healthy heap are the interpreter's own: a class and its `__mro__`, a function
//! and its module. They are one big knot, which is told in one line. What matters are cycles that
//! nothing but themselves holds.

use rustc_hash::FxHashMap;

use super::collection::Collection;
use super::components::Components;
use super::diff::bytes_of;
use super::filter::Selection;
use super::finalizers::{FinalizerKind, FinalizerRow, Finalizers};
use super::grouping::Groups;
use super::hanging::{hanging, speaker};
use super::paths::{Step, circle_steps};
use super::stuck::Stuck;
use crate::graph::{EdgeLabel, HeapGraph, ObjectId, ShapeColumn, StringId};

/// Whether a cycle is garbage.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum State {
    /// A collection would free it.
    Garbage,
    /// Nothing holds it, and no collection will ever free it: the collector does not see one of its
    /// references, or has put it into `gc.garbage`.
    Uncollectable,
    /// Something else holds it.
    Alive,
}

impl State {
    /// The word of the contract.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Garbage => "garbage",
            Self::Uncollectable => "uncollectable",
            Self::Alive => "alive",
        }
    }
}

/// Cycles of one shape.
#[derive(Clone, Debug)]
pub struct CycleGroup {
    /// One circle: the first step is repeated as the last, with the label that leads back.
    pub shape: Vec<Step>,
    /// Whether they are garbage.
    pub state: State,
    /// How many components have this shape.
    pub count: u64,
    /// The objects in them.
    pub objects: u64,
    /// Their shallow bytes.
    pub shallow_bytes: u64,
    /// What would be freed with them, themselves included (shallow and buffer bytes); of cycles that
    /// are alive only their own.
    pub retained_bytes: u64,
    /// The hidden reference that the collector does not see, if that is why they stay.
    pub hidden_edge: Option<String>,
    /// What runs when their objects go, the most frequent first.
    pub finalizers: Vec<FinalizerRow>,
    /// Whether they are of modules, classes and functions alone, as every program has them.
    pub is_code: bool,
    /// The object at which the circle of one of them begins.
    pub example: ObjectId,
}

/// Whether the dictionary hops of circles are told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hops {
    /// `self.rows`, as people write it.
    Folded,
    /// Every object on the way.
    All,
}

/// One component before it is grouped.
struct Cycle {
    speaker: ObjectId,
    state: State,
    objects: u64,
    shallow_bytes: u64,
    retained_bytes: u64,
    finalizers: Vec<FinalizerRow>,
    is_code: bool,
}

/// The cycles of a heap that have an object that is meant: garbage and uncollectable ones first, most bytes first.
#[must_use]
pub fn cycles(
    graph: &HeapGraph,
    collection: &Collection,
    selection: &Selection,
    hops: Hops,
) -> Vec<CycleGroup> {
    found(graph, collection, selection, hops, |_| 0).remove(&0).unwrap_or_default()
}

/// Cycles whose first objects have something in common.
#[derive(Clone, Debug)]
pub struct CyclesOf {
    /// What that is: a type, a module, what their paths begin with, a thread, a line.
    pub name: String,
    /// The cycles, in the order of [`cycles`].
    pub cycles: Vec<CycleGroup>,
}

impl CyclesOf {
    fn sum(&self, of: impl Fn(&CycleGroup) -> u64) -> u64 {
        self.cycles.iter().map(of).fold(0, u64::saturating_add)
    }

    /// How many cycles there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.sum(|group| group.count)
    }

    /// How many objects are in them.
    #[must_use]
    pub fn objects(&self) -> u64 {
        self.sum(|group| group.objects)
    }

    /// The shallow bytes of these.
    #[must_use]
    pub fn shallow_bytes(&self) -> u64 {
        self.sum(|group| group.shallow_bytes)
    }

    /// What would be freed with them, as [`CycleGroup::retained_bytes`] counts it.
    #[must_use]
    pub fn retained_bytes(&self) -> u64 {
        self.sum(|group| group.retained_bytes)
    }
}

/// The same, those of each group of their first objects apart: groups with garbage first, most bytes
/// first, those of code alone last.
#[must_use]
pub fn cycles_by(
    graph: &HeapGraph,
    collection: &Collection,
    selection: &Selection,
    hops: Hops,
    groups: &Groups,
) -> Vec<CyclesOf> {
    let found = found(graph, collection, selection, hops, |object| groups.of(graph, object));
    let named = |(key, cycles)| CyclesOf { name: groups.name(key).to_owned(), cycles };
    let mut all: Vec<CyclesOf> = found.into_iter().map(named).collect();
    all.sort_by(|a, b| {
        let order = |of: &CyclesOf| {
            let first = of.cycles.first();
            let rank = first.map(|first| (first.state == State::Alive, first.is_code));
            (rank, std::cmp::Reverse(of.retained_bytes()))
        };
        order(a).cmp(&order(b)).then_with(|| a.name.cmp(&b.name))
    });
    all
}

/// The cycles of each group of objects: `key` is that of the first object of a cycle.
fn found(
    graph: &HeapGraph,
    collection: &Collection,
    selection: &Selection,
    hops: Hops,
    key: impl Fn(ObjectId) -> usize,
) -> FxHashMap<usize, Vec<CycleGroup>> {
    let components = Components::new(graph, |_| true);
    let is_cyclic = |object: ObjectId| {
        components.of(object).is_some_and(|number| components.is_cyclic(graph, number))
    };
    let dead = collection.unreachable.iter().copied().filter(|&object| is_cyclic(object));
    let held = hanging(graph, dead, |object| collection.is_freed(object));
    let stuck = Stuck::new(graph, collection);
    let finalizers = Finalizers::new(graph);
    let mut groups: FxHashMap<usize, FxHashMap<(State, Vec<Step>), CycleGroup>> =
        FxHashMap::default();
    for number in 0..u32::try_from(components.len()).unwrap_or(u32::MAX) {
        let members = components.members(number);
        if !members.iter().any(|&member| selection.has(member))
            || !components.is_cyclic(graph, number)
        {
            continue;
        }
        let Some(speaker) = speaker(graph, members, &held) else { continue };
        let state = match () {
            () if members.iter().all(|&object| stuck.is_stuck(object)) => State::Uncollectable,
            () if members.iter().any(|&object| collection.is_unreachable(object)) => State::Garbage,
            () => State::Alive,
        };
        let own =
            members.iter().map(|&object| bytes_of(graph, object)).fold(0, u64::saturating_add);
        let along = members
            .iter()
            .filter_map(|member| held.get(member))
            .copied()
            .fold(0, u64::saturating_add);
        let cycle = Cycle {
            speaker,
            state,
            objects: members.len() as u64,
            shallow_bytes: members
                .iter()
                .map(|&object| graph.shallow_bytes_of(object))
                .fold(0, u64::saturating_add),
            retained_bytes: own.saturating_add(along),
            finalizers: {
                let goes = |weak| components.of(weak) == Some(number);
                finalizers.summed(members.iter().copied(), |weak| {
                    collection.is_unreachable(weak) || goes(weak)
                })
            },
            is_code: state == State::Alive && is_code(graph, members),
        };
        let groups = groups.entry(key(speaker)).or_default();
        add(graph, &components, cycle, hops, groups);
    }
    groups.into_iter().map(|(key, groups)| (key, sorted(groups.into_values().collect()))).collect()
}

/// Garbage and uncollectable ones first, code last, most bytes first.
fn sorted(mut groups: Vec<CycleGroup>) -> Vec<CycleGroup> {
    groups.sort_by_key(|group| {
        let bytes = std::cmp::Reverse(group.retained_bytes);
        (
            group.state == State::Alive,
            group.is_code,
            bytes,
            std::cmp::Reverse(group.objects),
            group.example,
        )
    });
    groups
}

/// Adds a component to the group of its shape.
fn add(
    graph: &HeapGraph,
    components: &Components,
    cycle: Cycle,
    hops: Hops,
    groups: &mut FxHashMap<(State, Vec<Step>), CycleGroup>,
) {
    let circle = components.circle(graph, cycle.speaker);
    let hidden = circle.iter().find_map(|&(object, nth)| {
        let nth = nth.checked_sub(graph.referents.of(object).len())?;
        let label = graph.hidden_label(object, nth);
        Some(format!("{} {label}", graph.type_name_of(object)))
    });
    let shape = circle_steps(graph, &circle, hops == Hops::Folded);
    let shape: Vec<Step> = shape.into_iter().map(without_position).collect();
    let group = groups.entry((cycle.state, shape.clone())).or_insert_with(|| CycleGroup {
        shape,
        state: cycle.state,
        count: 0,
        objects: 0,
        shallow_bytes: 0,
        retained_bytes: 0,
        hidden_edge: None,
        finalizers: Vec::new(),
        is_code: cycle.is_code,
        example: cycle.speaker,
    });
    group.count += 1;
    group.objects += cycle.objects;
    group.shallow_bytes = group.shallow_bytes.saturating_add(cycle.shallow_bytes);
    group.retained_bytes = group.retained_bytes.saturating_add(cycle.retained_bytes);
    add_finalizers(&mut group.finalizers, cycle.finalizers);
    group.is_code &= cycle.is_code;
    if cycle.state == State::Uncollectable {
        group.hidden_edge = group.hidden_edge.take().or(hidden);
    }
}

impl CycleGroup {
    /// Whether a class in them has a `__del__`, which may bring them back to life.
    #[must_use]
    pub fn has_del(&self) -> bool {
        self.finalizers.iter().any(|row| row.kind == FinalizerKind::Del)
    }
}

/// Adds what runs for one component to what runs for all of its shape.
fn add_finalizers(all: &mut Vec<FinalizerRow>, more: Vec<FinalizerRow>) {
    for row in more {
        match all.iter_mut().find(|known| (known.kind, &known.name) == (row.kind, &row.name)) {
            Some(known) => known.count += row.count,
            None => all.push(row),
        }
    }
    all.sort_by(|a, b| (b.count, a.kind, &a.name).cmp(&(a.count, b.kind, &b.name)));
}

/// `[17]` becomes `[*]`: cycles that differ by positions only have one shape. Keys of dictionaries
/// keep their types.
fn without_position(step: Step) -> Step {
    let is_index = step.label.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let label = match is_index {
        Some(inner) if inner.bytes().all(|byte| byte.is_ascii_digit()) => "[*]".to_owned(),
        Some(inner) if inner.contains(" #") => "[*]".to_owned(),
        _ => step.label,
    };
    Step { label, ..step }
}

/// Whether a component is the knot of modules, classes and functions, or a class and what describes
/// it.
fn is_code(graph: &HeapGraph, members: &[ObjectId]) -> bool {
    let mro = graph.strings.find("__mro__");
    // What a class on the heap visits, a static one owns without saying so.
    let has = |shapes: &ShapeColumn, object: ObjectId, name: StringId| {
        let shape = shapes.get(object.index()).copied().unwrap_or_default();
        graph.shapes.labels(shape).any(|label| label == EdgeLabel::Attribute(name))
    };
    let is_class = |object: ObjectId| {
        mro.is_some_and(|mro| {
            has(&graph.shapes_of, object, mro) || has(&graph.hidden_shapes_of, object, mro)
        })
    };
    let is_builtin = |object: ObjectId| graph.type_name_of(object).starts_with("builtins.");
    let is = |object: ObjectId, name: &str| graph.type_name_of(object) == name;
    members.iter().any(|&member| is(member, "builtins.module"))
        || members.iter().all(|&member| is_builtin(member) || is_class(member))
            && members.iter().any(|&member| is_class(member) || is(member, "builtins.function"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::grouping::{GroupBy, Known};
    use crate::graph::{GraphBuilder, ObjectFlags};

    #[test]
    fn cycles_of_each_module_are_apart_and_add_up_to_all() {
        let mut builder = GraphBuilder::new();
        for (nth, name) in ["shop.Cart", "shop.Cart", "mail.Letter"].into_iter().enumerate() {
            let object = builder.object(0x1000 * (nth as u64 + 1), name, 64);
            builder.flag(object, ObjectFlags::GC_TRACKED);
            builder.refcount(object, 1);
            builder.item(object, 0, object);
        }
        let graph = builder.build();
        let groups = Groups::new(&graph, GroupBy::Module, Known::default()).unwrap();
        let (collection, all) = (Collection::new(&graph), Selection::all());
        let found = cycles_by(&graph, &collection, &all, Hops::Folded, &groups);
        let told: Vec<_> =
            found.iter().map(|of| (of.name.as_str(), of.count(), of.retained_bytes())).collect();
        assert_eq!(told, [("shop", 2, 128), ("mail", 1, 64)]);
        let whole = cycles(&graph, &collection, &all, Hops::Folded);
        assert_eq!(whole.iter().map(|group| group.count).sum::<u64>(), 3);
    }
}
