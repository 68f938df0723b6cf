//! What no root reaches: which object of each component speaks for it.
//!
//! Every object of a cycle holds the others, so any of them could be where paths begin. One object of
//! every component that no other one refers to is chosen, alike in cycles of the same shape.

use rustc_hash::FxHashMap;

use crate::analysis::components::{Components, all_referents};
use crate::graph::{HeapGraph, ObjectId};

/// The object that speaks for each component without a referrer outside it.
pub(in crate::analysis) fn of(graph: &HeapGraph, components: &Components) -> Vec<ObjectId> {
    let mut held = vec![false; components.len()];
    let mut degree: FxHashMap<ObjectId, u32> = FxHashMap::default();
    let numbers = 0..u32::try_from(components.len()).unwrap_or(u32::MAX);
    for number in numbers.clone() {
        for &member in components.members(number) {
            for to in all_referents(graph, member) {
                match components.of(to) {
                    Some(there) if there == number => *degree.entry(to).or_default() += 1,
                    Some(there) => {
                        if let Some(flag) = held.get_mut(there as usize) {
                            *flag = true;
                        }
                    }
                    None => {}
                }
            }
        }
    }
    let is_held = |number: u32| held.get(number as usize).copied().unwrap_or_default();
    let mut speakers: Vec<ObjectId> = numbers
        .filter(|&number| !is_held(number))
        .filter_map(|number| {
            // A class of its own, then the hub, then the bigger one, then by name: cycles of the
            // same shape are spoken for by the same type.
            let members = components.members(number).iter().copied();
            members.max_by_key(|&member| {
                let name = graph.type_name_of(member);
                let own = !name.starts_with("builtins.");
                let degree = degree.get(&member).copied().unwrap_or_default();
                (own, degree, graph.shallow_bytes_of(member), name, member)
            })
        })
        .collect();
    speakers.sort_unstable();
    speakers
}
