//! The document of `strings`.

use serde::Serialize;

use super::containers::ContainersJson;
use super::{RootJson, StepJson, steps};
use crate::analysis::Path;
use crate::analysis::strings::{StringGroup, StringType, Strings};
use crate::facts::{Facts, ProcessFacts};
use crate::graph::HeapGraph;

/// Duplicate texts and bytes.
#[derive(Debug, Serialize)]
pub struct StringsJson<'a> {
    process: &'a ProcessFacts,
    /// Null if the snapshot does not know which contents are equal.
    totals: Option<TotalsJson>,
    groups: Vec<GroupJson<'a>>,
    types: Vec<TypeJson<'a>>,
    containers: ContainersJson<'a>,
}

#[derive(Debug, Serialize)]
struct TotalsJson {
    objects: u64,
    distinct: u64,
    shallow_bytes: u64,
    saved_bytes: u64,
    left_out: LeftOutJson,
}

#[derive(Debug, Serialize)]
struct LeftOutJson {
    objects: u64,
    shallow_bytes: u64,
}

#[derive(Debug, Serialize)]
struct GroupJson<'a> {
    #[serde(rename = "type")]
    type_name: &'a str,
    copies: u64,
    bytes_each: u64,
    shallow_bytes: u64,
    saved_bytes: u64,
    example: String,
    root: RootJson<'a>,
    steps: Vec<StepJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    addresses: Option<Vec<String>>,
}

#[derive(Debug, Serialize)]
struct TypeJson<'a> {
    #[serde(rename = "type")]
    type_name: &'a str,
    objects: u64,
    distinct: u64,
    shallow_bytes: u64,
    saved_bytes: u64,
}

impl<'a> StringsJson<'a> {
    /// The document; `held_by` is how the example of each group is held.
    #[must_use]
    pub fn new(
        facts: &'a Facts,
        graph: &'a HeapGraph,
        strings: Option<&'a Strings>,
        held_by: &'a [Path],
        addresses: bool,
        containers: ContainersJson<'a>,
    ) -> Self {
        let totals = strings.map(|strings| TotalsJson {
            objects: strings.types.iter().map(|ty| ty.objects).sum(),
            distinct: strings.types.iter().map(|ty| ty.distinct).sum(),
            shallow_bytes: strings.types.iter().map(|ty| ty.bytes).fold(0, u64::saturating_add),
            saved_bytes: strings.saved_bytes(),
            left_out: LeftOutJson {
                objects: strings.left_out_objects,
                shallow_bytes: strings.left_out_bytes,
            },
        });
        let group = |(group, path): (&'a StringGroup, &'a Path)| GroupJson {
            type_name: graph.type_name(group.ty),
            copies: group.copies,
            bytes_each: group.bytes_each,
            shallow_bytes: group.bytes,
            saved_bytes: group.saved_bytes,
            example: graph.addr(group.example).to_string(),
            root: (&path.root).into(),
            steps: steps(&path.steps),
            value: graph.values.get(&group.example).map(|&value| graph.strings.text(value)),
            addresses: strings.filter(|_| addresses).map(|strings| {
                let objects = strings.objects(group).iter();
                objects.map(|&object| graph.addr(object).to_string()).collect()
            }),
        };
        let ty = |ty: &'a StringType| TypeJson {
            type_name: &ty.type_name,
            objects: ty.objects,
            distinct: ty.distinct,
            shallow_bytes: ty.bytes,
            saved_bytes: ty.saved_bytes,
        };
        let groups = strings.map_or(&[][..], |strings| strings.groups.as_slice());
        let types = strings.map_or(&[][..], |strings| strings.types.as_slice());
        Self {
            process: &facts.process,
            totals,
            groups: groups.iter().zip(held_by).map(group).collect(),
            types: types.iter().map(ty).collect(),
            containers,
        }
    }
}
