//! What hangs on the objects of reference cycles, and which object of a cycle speaks for it.

use rustc_hash::FxHashMap;

use super::components::all_referents;
use super::diff::bytes_of;
use crate::graph::{HeapGraph, ObjectFlags, ObjectId};

/// The bytes of what some objects lead to, as far as `allowed`: everything counts for the object that
/// leads to it by the fewest steps.
pub(super) fn hanging(
    graph: &HeapGraph,
    from: impl Iterator<Item = ObjectId>,
    allowed: impl Fn(ObjectId) -> bool,
) -> FxHashMap<ObjectId, u64> {
    let mut queue: Vec<ObjectId> = from.collect();
    let mut owner: FxHashMap<ObjectId, ObjectId> =
        queue.iter().map(|&object| (object, object)).collect();
    let mut held: FxHashMap<ObjectId, u64> = FxHashMap::default();
    let mut next = 0;
    while let Some(&object) = queue.get(next) {
        next += 1;
        let Some(&first) = owner.get(&object) else { continue };
        for to in all_referents(graph, object) {
            if allowed(to) && !owner.contains_key(&to) {
                owner.insert(to, first);
                let sum = held.entry(first).or_default();
                *sum = sum.saturating_add(bytes_of(graph, to));
                queue.push(to);
            }
        }
    }
    held
}

/// The object at which a cycle is told: of a class of its own; the one on which most hangs; the hub;
/// the bigger one; by name, so that cycles of the same shape begin alike.
pub(super) fn speaker(
    graph: &HeapGraph,
    members: &[ObjectId],
    held: &FxHashMap<ObjectId, u64>,
) -> Option<ObjectId> {
    /// A hub of more edges is no more of a hub.
    const MOST_EDGES: usize = 16;
    let held_by = |object: ObjectId| held.get(&object).copied().unwrap_or_default();
    members.iter().copied().max_by_key(|&member| {
        let name = graph.type_name_of(member);
        let own = !name.starts_with("builtins.");
        // What hangs on an instance's dictionary hangs on the instance.
        let names = all_referents(graph, member);
        let names = names.filter(|&to| graph.flags_of(to).has(ObjectFlags::NAMESPACE));
        let along = names.map(held_by).fold(held_by(member), u64::saturating_add);
        let degree = all_referents(graph, member).take(MOST_EDGES).count();
        (own, along, degree, graph.shallow_bytes_of(member), name, member)
    })
}
