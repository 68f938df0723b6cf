//! `diff`.

use serde::Serialize;

use super::memory::MemoryGrowthJson;
use super::orphans::{BlocksDiffJson, blocks_diff};
use super::{RootJson, StepJson, steps};
use crate::analysis::{Diff, GroupBy, Growth, Identity, Suspect, TypeDiff};
use crate::facts::{Facts, ProcessFacts};
use crate::report::units::share;

/// The difference of heaps.
#[derive(Debug, Serialize)]
pub struct DiffJson<'a> {
    before: SideJson<'a>,
    after: SideJson<'a>,
    same_process: bool,
    types: Vec<TypeJson<'a>>,
    blocks: Vec<BlocksDiffJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<Vec<GroupJson<'a>>>,
    suspects: Vec<SuspectJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<MemoryGrowthJson<'a>>,
}

#[derive(Debug, Serialize)]
struct SideJson<'a> {
    process: &'a ProcessFacts,
    taken_at: f64,
}

#[derive(Debug, Serialize)]
struct TypeJson<'a> {
    #[serde(rename = "type")]
    type_name: &'a str,
    objects_before: u64,
    objects_after: u64,
    objects_delta: i64,
    bytes_before: u64,
    bytes_after: u64,
    bytes_delta: i64,
    new: Option<u64>,
    gone: Option<u64>,
    survived: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grew_at_every_step: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    series: Option<Vec<PointJson>>,
}

/// Objects that were counted together by something else than their type.
#[derive(Debug, Serialize)]
struct GroupJson<'a> {
    name: &'a str,
    objects_before: u64,
    objects_after: u64,
    objects_delta: i64,
    bytes_before: u64,
    bytes_after: u64,
    bytes_delta: i64,
    new: Option<u64>,
    gone: Option<u64>,
}

#[derive(Debug, Serialize)]
struct PointJson {
    objects: u64,
    bytes: u64,
}

#[derive(Debug, Serialize)]
struct SuspectJson<'a> {
    #[serde(rename = "type")]
    type_name: &'a str,
    objects_delta: i64,
    bytes_delta: i64,
    owned_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    grew_at_every_step: Option<bool>,
    #[serde(skip_serializing_if = "<[u64]>::is_empty")]
    bytes_by_step: &'a [u64],
    holds: Vec<PartJson<'a>>,
    held_by: Vec<HeldJson<'a>>,
}

/// A part of what hangs on the objects.
#[derive(Debug, Serialize)]
struct PartJson<'a> {
    path: Vec<StepJson<'a>>,
    objects: u64,
    bytes: u64,
}

#[derive(Debug, Serialize)]
struct HeldJson<'a> {
    root: RootJson<'a>,
    path: Vec<StepJson<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cycle: Vec<StepJson<'a>>,
    objects: u64,
    bytes: u64,
    share: f64,
}

impl<'a> DiffJson<'a> {
    /// The document of a difference; the series of each type only if there are more than two heaps.
    #[must_use]
    pub fn new(
        before: &'a Facts,
        after: &'a Facts,
        diff: &'a Diff,
        suspects: &'a [Suspect],
        growth: Option<&Growth>,
    ) -> Self {
        let types = diff.types.iter().map(|row| TypeJson {
            type_name: &row.name,
            objects_before: row.objects_before,
            objects_after: row.objects_after,
            objects_delta: row.objects_delta(),
            bytes_before: row.bytes_before,
            bytes_after: row.bytes_after,
            bytes_delta: row.bytes_delta(),
            new: row.new,
            gone: row.gone,
            survived: row.survived(),
            grew_at_every_step: growth.map(|growth| growth.grew_at_every_step(&row.name)),
            series: growth.map(|growth| {
                let points = growth.series(&row.name).iter();
                points.map(|&(objects, bytes)| PointJson { objects, bytes }).collect()
            }),
        });
        Self {
            before: SideJson { process: &before.process, taken_at: before.taken_at },
            after: SideJson { process: &after.process, taken_at: after.taken_at },
            same_process: diff.identity == Identity::SameProcess,
            types: types.collect(),
            blocks: blocks_diff(before, after),
            by: None,
            groups: None,
            suspects: suspects.iter().map(Into::into).collect(),
            memory: before
                .memory
                .as_ref()
                .zip(after.memory.as_ref())
                .map(|(before, after)| MemoryGrowthJson::new(before, after)),
        }
    }

    /// The same with other groups, if there are any.
    #[must_use]
    pub fn with_groups(self, by: GroupBy, grouped: Option<&'a Diff>) -> Self {
        let group = |row: &'a TypeDiff| GroupJson {
            name: &row.name,
            objects_before: row.objects_before,
            objects_after: row.objects_after,
            objects_delta: row.objects_delta(),
            bytes_before: row.bytes_before,
            bytes_after: row.bytes_after,
            bytes_delta: row.bytes_delta(),
            new: row.new,
            gone: row.gone,
        };
        let groups = grouped.map(|grouped| grouped.types.iter().map(group).collect());
        Self { by: grouped.map(|_| by.name()), groups, ..self }
    }
}

impl<'a> From<&'a Suspect> for SuspectJson<'a> {
    fn from(suspect: &'a Suspect) -> Self {
        let held = suspect.held_by.iter().map(|held| HeldJson {
            root: (&held.path.root).into(),
            path: steps(&held.path.steps),
            cycle: steps(&held.cycle),
            objects: held.objects,
            bytes: held.bytes,
            share: share(held.objects, suspect.held_objects),
        });
        Self {
            type_name: &suspect.type_name,
            objects_delta: suspect.objects_delta,
            bytes_delta: suspect.bytes_delta,
            owned_bytes: suspect.owned_bytes,
            grew_at_every_step: (!suspect.steps.is_empty()).then_some(suspect.is_steady),
            bytes_by_step: &suspect.steps,
            holds: suspect
                .holds
                .iter()
                .map(|part| PartJson {
                    path: steps(&part.path),
                    objects: part.objects,
                    bytes: part.bytes,
                })
                .collect(),
            held_by: held.collect(),
        }
    }
}
