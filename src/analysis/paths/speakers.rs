//! What no root reaches: which object of each component speaks for it.
//!
//! Every object of a cycle holds the others, so any of them could be where paths begin. One object of
//! every component that no other one refers to is chosen, alike in cycles of the same shape.

use crate::analysis::components::{Components, all_referents};
use crate::analysis::hanging::{hanging, speaker};
use crate::graph::{HeapGraph, ObjectId};

/// The object that speaks for each component without a referrer outside it.
pub(in crate::analysis) fn of(graph: &HeapGraph, components: &Components) -> Vec<ObjectId> {
    let mut held = vec![false; components.len()];
    let numbers = 0..u32::try_from(components.len()).unwrap_or(u32::MAX);
    for number in numbers.clone() {
        for &member in components.members(number) {
            for to in all_referents(graph, member) {
                if let Some(there) = components.of(to).filter(|&there| there != number)
                    && let Some(flag) = held.get_mut(there as usize)
                {
                    *flag = true;
                }
            }
        }
    }
    let is_held = |number: u32| held.get(number as usize).copied().unwrap_or_default();
    let firsts = || numbers.clone().filter(|&number| !is_held(number));
    let cycles = firsts().filter(|&number| components.members(number).len() > 1);
    let members = cycles.flat_map(|number| components.members(number).iter().copied());
    let along = hanging(graph, members, |to| components.of(to).is_some());
    let mut speakers: Vec<ObjectId> =
        firsts().filter_map(|number| speaker(graph, components.members(number), &along)).collect();
    speakers.sort_unstable();
    speakers
}
