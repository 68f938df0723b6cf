//! Rules that a heap must keep: how many objects of a type, how many more than before, how much
//! garbage.

use super::collection::Collection;
use super::filter::Selection;
use super::garbage::Garbage;
use super::grouping::Groups;
use super::lookup::{LookupError, find_type};
use super::paths::{HeldBy, Paths};
use crate::graph::{HeapGraph, ObjectId};

/// A rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Rule {
    /// At most so many objects of a type.
    Max {
        /// The type, by the last parts of its name.
        type_name: String,
        /// The limit.
        objects: u64,
    },
    /// At most so many objects of a type more than in the baseline.
    MaxGrowth {
        /// The type, by the last parts of its name.
        type_name: String,
        /// The limit.
        objects: u64,
    },
    /// At most so many bytes that wait for the collector.
    MaxGarbage {
        /// The limit.
        bytes: u64,
    },
}

impl Rule {
    /// The rule as it is written on the command line.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Max { type_name, objects } => format!("--max {type_name}={objects}"),
            Self::MaxGrowth { type_name, objects } => format!("--max-growth {type_name}={objects}"),
            Self::MaxGarbage { bytes } => format!("--max-garbage {bytes}"),
        }
    }

    /// What it allows.
    #[must_use]
    pub const fn limit(&self) -> u64 {
        match self {
            Self::Max { objects, .. } | Self::MaxGrowth { objects, .. } => *objects,
            Self::MaxGarbage { bytes } => *bytes,
        }
    }
}

/// What became of a rule.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The rule.
    pub rule: Rule,
    /// What was found.
    pub found: u64,
    /// Whether it holds.
    pub holds: bool,
    /// If not: the ways in which the objects are held, most bytes first.
    pub held_by: Vec<HeldBy>,
}

/// A heap, and which of its objects count.
#[derive(Clone, Copy)]
pub struct Meant<'a> {
    /// The heap.
    pub graph: &'a HeapGraph,
    /// The objects that count.
    pub selection: &'a Selection,
}

/// Holds the objects that are meant of a heap to rules. A type that has no objects has none of them:
/// that is no error.
///
/// # Errors
/// A name fits several types.
pub fn check(
    heap: Meant<'_>,
    baseline: Option<Meant<'_>>,
    rules: &[Rule],
) -> Result<Vec<Outcome>, LookupError> {
    let Meant { graph, selection } = heap;
    let mut outcomes = Vec::with_capacity(rules.len());
    // Both cost a walk over the heap, so only if a rule needs them.
    let mut paths = None;
    for rule in rules {
        let (found, objects) = match rule {
            Rule::Max { type_name, .. } => {
                let objects = objects_of(heap, type_name)?;
                (objects.len() as u64, objects)
            }
            Rule::MaxGrowth { type_name, .. } => {
                let objects = objects_of(heap, type_name)?;
                let before = match baseline {
                    Some(baseline) => objects_of(baseline, type_name)?.len() as u64,
                    None => 0,
                };
                ((objects.len() as u64).saturating_sub(before), objects)
            }
            Rule::MaxGarbage { .. } => {
                let collection = Collection::new(graph);
                let types = Groups::by_type(graph);
                let bytes = Garbage::grouped(graph, &collection, &types, selection).bytes();
                let mut objects = collection.unreachable;
                objects.retain(|&object| selection.has(object));
                (bytes, objects)
            }
        };
        let holds = found <= rule.limit();
        let held_by = if holds {
            Vec::new()
        } else {
            let paths = paths.get_or_insert_with(|| Paths::new(graph));
            let groups = paths.group(graph, objects).into_iter();
            groups.map(|held| HeldBy { cycle: paths.cycle(graph, held.example), ..held }).collect()
        };
        outcomes.push(Outcome { rule: rule.clone(), found, holds, held_by });
    }
    Ok(outcomes)
}

/// The objects of a type that are meant; none if there is no such type.
fn objects_of(heap: Meant<'_>, type_name: &str) -> Result<Vec<ObjectId>, LookupError> {
    let Meant { graph, selection } = heap;
    match find_type(graph, type_name) {
        Ok(found) => Ok(found.objects(graph).filter(|&object| selection.has(object)).collect()),
        Err(LookupError::NoType { .. }) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{GraphBuilder, ObjectFlags, RootKind};

    fn heap(sessions: u64) -> HeapGraph {
        let mut builder = GraphBuilder::new();
        let cache = builder.object(0x100, "builtins.list", 72);
        builder.root(RootKind::Module, "app", cache);
        for nth in 0..sessions {
            let session = builder.object(0x1000 + nth * 0x40, "app.Session", 48);
            builder.item(cache, u32::try_from(nth).unwrap(), session);
        }
        let lost = builder.object(0x200, "app.Lost", 1000);
        builder.flag(lost, ObjectFlags::GC_TRACKED);
        builder.refcount(lost, 1);
        builder.item(lost, 0, lost);
        builder.build()
    }

    fn max(objects: u64) -> Rule {
        Rule::Max { type_name: "Session".to_owned(), objects }
    }

    #[test]
    fn rules_hold_up_to_their_limit_and_not_beyond() {
        let (graph, before) = (heap(5), heap(3));
        let growth = |objects| Rule::MaxGrowth { type_name: "app.Session".to_owned(), objects };
        let garbage = |bytes| Rule::MaxGarbage { bytes };
        let unknown = Rule::Max { type_name: "Nothing".to_owned(), objects: 0 };
        let rules = [max(5), max(4), growth(2), growth(1), garbage(1000), garbage(999), unknown];
        let all = Selection::all();
        let heap = |graph| Meant { graph, selection: &all };
        let outcomes = check(heap(&graph), Some(heap(&before)), &rules).unwrap();
        let told: Vec<_> = outcomes.iter().map(|outcome| (outcome.found, outcome.holds)).collect();
        assert_eq!(
            told,
            [(5, true), (5, false), (2, true), (2, false), (1000, true), (1000, false), (0, true)]
        );
        assert!(outcomes.iter().all(|outcome| outcome.holds == outcome.held_by.is_empty()));
    }

    #[test]
    fn only_what_is_meant_counts_in_both_heaps() {
        let (graph, before) = (heap(5), heap(3));
        let low = |graph: &HeapGraph| {
            Selection::of(graph, |object| (0x1000..0x10c0).contains(&graph.addr(object).0))
        };
        let (now, then) = (low(&graph), low(&before));
        let growth = Rule::MaxGrowth { type_name: "Session".to_owned(), objects: 0 };
        let rules = [max(3), max(2), growth, Rule::MaxGarbage { bytes: 0 }];
        let heap = Meant { graph: &graph, selection: &now };
        let baseline = Meant { graph: &before, selection: &then };
        let outcomes = check(heap, Some(baseline), &rules).unwrap();
        let told: Vec<_> = outcomes.iter().map(|outcome| (outcome.found, outcome.holds)).collect();
        assert_eq!(told, [(3, true), (3, false), (0, true), (0, true)]);
    }
}
