//! `containers` in the document of `strings`.

use serde::Serialize;

use super::{RootJson, StepJson, steps};
use crate::analysis::Path;
use crate::analysis::containers::{Containers, Sum};
use crate::graph::HeapGraph;

/// Containers that cost more than what they hold.
#[derive(Debug, Serialize)]
pub struct ContainersJson<'a> {
    types: Vec<TypeJson>,
    same_keys: Vec<SameKeysJson<'a>>,
    instances: Vec<InstancesJson<'a>>,
}

#[derive(Debug, Serialize)]
struct TypeJson {
    #[serde(rename = "type")]
    type_name: &'static str,
    objects: u64,
    shallow_bytes: u64,
    empty: SumJson,
    single_item: SumJson,
    over_allocated: SpareJson,
}

#[derive(Debug, Serialize)]
struct SumJson {
    objects: u64,
    shallow_bytes: u64,
}

#[derive(Debug, Serialize)]
struct SpareJson {
    objects: u64,
    spare_bytes: u64,
}

#[derive(Debug, Serialize)]
struct SameKeysJson<'a> {
    keys: u64,
    dicts: u64,
    shallow_bytes: u64,
    saved_bytes: u64,
    example: String,
    root: RootJson<'a>,
    steps: Vec<StepJson<'a>>,
}

#[derive(Debug, Serialize)]
struct InstancesJson<'a> {
    #[serde(rename = "type")]
    type_name: &'a str,
    dicts: u64,
    shallow_bytes: u64,
    saved_bytes: u64,
    example: String,
}

impl<'a> ContainersJson<'a> {
    /// The fields; `held_by` is how the first dictionary of each group with the same keys is held.
    #[must_use]
    pub fn new(graph: &'a HeapGraph, containers: &'a Containers, held_by: &'a [Path]) -> Self {
        let sum = |sum: Sum| SumJson { objects: sum.objects, shallow_bytes: sum.bytes };
        let types = containers.types.iter().map(|ty| TypeJson {
            type_name: ty.type_name,
            objects: ty.all.objects,
            shallow_bytes: ty.all.bytes,
            empty: sum(ty.empty),
            single_item: sum(ty.single),
            over_allocated: SpareJson { objects: ty.spare.objects, spare_bytes: ty.spare.bytes },
        });
        let example = |objects: &[_]| {
            objects.first().map_or_else(String::new, |&object| graph.addr(object).to_string())
        };
        let groups = containers.same_keys.iter().zip(held_by);
        let same_keys = groups.map(|(group, path)| SameKeysJson {
            keys: group.keys,
            dicts: group.dicts.objects,
            shallow_bytes: group.dicts.bytes,
            saved_bytes: group.saved_bytes,
            example: example(&group.objects),
            root: (&path.root).into(),
            steps: steps(&path.steps),
        });
        let instances = containers.instances.iter().map(|class| InstancesJson {
            type_name: graph.type_name(class.ty),
            dicts: class.dicts.objects,
            shallow_bytes: class.dicts.bytes,
            saved_bytes: class.saved_bytes,
            example: graph.addr(class.example).to_string(),
        });
        Self {
            types: types.collect(),
            same_keys: same_keys.collect(),
            instances: instances.collect(),
        }
    }
}
