//! The document of `garbage`.

use serde::Serialize;

use super::finalizers::{FinalizerJson, finalizers};
use crate::analysis::GroupBy;
use crate::analysis::garbage::{Garbage, GarbageType};
use crate::facts::{Facts, GenerationFacts, ProcessFacts};

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
