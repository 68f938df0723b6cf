//! The documents of `garbage` and `cycles`.

use serde::Serialize;

use super::{StepJson, steps};
use crate::analysis::finalizers::FinalizerRow;
use crate::analysis::garbage::{Garbage, GarbageType};
use crate::analysis::{CycleGroup, GroupBy};
use crate::facts::{Facts, GenerationFacts, ProcessFacts};
use crate::graph::HeapGraph;

/// What a collection would free.
#[derive(Debug, Serialize)]
pub struct GarbageJson<'a> {
    process: &'a ProcessFacts,
    objects: u64,
    unreachable: u64,
    may_be_resurrected: u64,
    finalizers: Vec<FinalizerJson<'a>>,
    shallow_bytes: u64,
    buffer_bytes: u64,
    types: Vec<TypeJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<Vec<GroupJson<'a>>>,
    uncollectable: Vec<TypeJson<'a>>,
    generations: &'a [GenerationFacts],
    gc_enabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    addresses: Option<Vec<String>>,
}

#[derive(Debug, Serialize)]
struct TypeJson<'a> {
    #[serde(rename = "type")]
    type_name: &'a str,
    objects: u64,
    unreachable: u64,
    shallow_bytes: u64,
    payload_bytes: u64,
    buffer_bytes: u64,
}

/// What runs when objects go.
#[derive(Debug, Serialize)]
struct FinalizerJson<'a> {
    kind: &'static str,
    name: &'a str,
    count: u64,
}

fn finalizers(rows: &[FinalizerRow]) -> Vec<FinalizerJson<'_>> {
    rows.iter()
        .map(|row| FinalizerJson { kind: row.kind.name(), name: &row.name, count: row.count })
        .collect()
}

/// Objects that were counted together by something else than their type.
#[derive(Debug, Serialize)]
struct GroupJson<'a> {
    name: &'a str,
    objects: u64,
    unreachable: u64,
    shallow_bytes: u64,
    payload_bytes: u64,
    buffer_bytes: u64,
}

impl<'a> GarbageJson<'a> {
    /// The document of one heap; `addresses` are those of the unreachable objects, if wanted.
    #[must_use]
    pub fn new(facts: &'a Facts, garbage: &'a Garbage, addresses: Option<Vec<String>>) -> Self {
        Self {
            process: &facts.process,
            objects: garbage.objects,
            unreachable: garbage.unreachable,
            may_be_resurrected: garbage.may_be_resurrected,
            finalizers: finalizers(&garbage.finalizers),
            shallow_bytes: garbage.shallow_bytes(),
            buffer_bytes: garbage
                .types
                .iter()
                .map(|row| row.buffer_bytes)
                .fold(0, u64::saturating_add),
            types: garbage.types.iter().map(type_row).collect(),
            by: None,
            groups: None,
            uncollectable: garbage.uncollectable.iter().map(type_row).collect(),
            generations: &facts.generations,
            gc_enabled: facts.gc_enabled,
            addresses,
        }
    }

    /// The same with other groups, if there are any.
    #[must_use]
    pub fn with_groups(self, by: GroupBy, grouped: Option<&'a Garbage>) -> Self {
        let group = |row: &'a GarbageType| GroupJson {
            name: &row.type_name,
            objects: row.objects,
            unreachable: row.unreachable,
            shallow_bytes: row.shallow_bytes,
            payload_bytes: row.payload_bytes,
            buffer_bytes: row.buffer_bytes,
        };
        let groups = grouped.map(|grouped| grouped.types.iter().map(group).collect());
        Self { by: grouped.map(|_| by.name()), groups, ..self }
    }
}

fn type_row(row: &GarbageType) -> TypeJson<'_> {
    TypeJson {
        type_name: &row.type_name,
        objects: row.objects,
        unreachable: row.unreachable,
        shallow_bytes: row.shallow_bytes,
        payload_bytes: row.payload_bytes,
        buffer_bytes: row.buffer_bytes,
    }
}

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
        Self { process: &facts.process, cycles: groups.iter().map(cycle).collect() }
    }
}
