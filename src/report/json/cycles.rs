//! The document of `cycles`.

use serde::Serialize;

use super::finalizers::{FinalizerJson, finalizers};
use super::{StepJson, steps};
use crate::analysis::circles::CyclesOf;
use crate::analysis::{CycleGroup, GroupBy};
use crate::facts::{Facts, ProcessFacts};
use crate::graph::HeapGraph;

/// The reference cycles.
#[derive(Debug, Serialize)]
pub struct CyclesJson<'a> {
    process: &'a ProcessFacts,
    cycles: Vec<CycleJson<'a>>,
}

#[derive(Debug, Serialize)]
struct CycleJson<'a> {
    shape: Vec<StepJson<'a>>,
    state: &'static str,
    count: u64,
    objects: u64,
    shallow_bytes: u64,
    retained_bytes: u64,
    has_finalizer: bool,
    finalizers: Vec<FinalizerJson<'a>>,
    is_code: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    hidden_edge: Option<&'a str>,
    example: String,
}

impl<'a> CyclesJson<'a> {
    /// The document of one heap.
    #[must_use]
    pub fn new(facts: &'a Facts, graph: &HeapGraph, groups: &'a [CycleGroup]) -> Self {
        Self { process: &facts.process, cycles: CycleJson::all(graph, groups) }
    }
}

impl<'a> CycleJson<'a> {
    fn all(graph: &HeapGraph, groups: &'a [CycleGroup]) -> Vec<Self> {
        let cycle = |group: &'a CycleGroup| CycleJson {
            shape: steps(&group.shape),
            state: group.state.name(),
            count: group.count,
            objects: group.objects,
            shallow_bytes: group.shallow_bytes,
            retained_bytes: group.retained_bytes,
            has_finalizer: group.has_del(),
            finalizers: finalizers(&group.finalizers),
            is_code: group.is_code,
            hidden_edge: group.hidden_edge.as_deref(),
            example: graph.addr(group.example).to_string(),
        };
        groups.iter().map(cycle).collect()
    }
}

/// The reference cycles of each group apart.
#[derive(Debug, Serialize)]
pub struct CyclesByJson<'a> {
    process: &'a ProcessFacts,
    by: &'static str,
    groups: Vec<GroupJson<'a>>,
}

/// Cycles that have something in common.
#[derive(Debug, Serialize)]
struct GroupJson<'a> {
    name: &'a str,
    count: u64,
    objects: u64,
    shallow_bytes: u64,
    retained_bytes: u64,
    cycles: Vec<CycleJson<'a>>,
}

impl<'a> CyclesByJson<'a> {
    /// The document of one heap.
    #[must_use]
    pub fn new(facts: &'a Facts, graph: &HeapGraph, by: GroupBy, found: &'a [CyclesOf]) -> Self {
        let group = |of: &'a CyclesOf| GroupJson {
            name: &of.name,
            count: of.count(),
            objects: of.objects(),
            shallow_bytes: of.shallow_bytes(),
            retained_bytes: of.retained_bytes(),
            cycles: CycleJson::all(graph, &of.cycles),
        };
        Self { process: &facts.process, by: by.name(), groups: found.iter().map(group).collect() }
    }
}
