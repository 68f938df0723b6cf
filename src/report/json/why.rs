//! The document of `why`.

use serde::Serialize;

use super::native::NativeHolderJson;
use super::{RootJson, StepJson, steps};
use crate::analysis::{GroupBy, HeldBy, HeldGroup};
use crate::facts::{Facts, ProcessFacts};
use crate::graph::HeapGraph;
use crate::report::text;
use crate::report::units::share;

/// How objects are held.
#[derive(Debug, Serialize)]
pub struct WhyJson<'a> {
    process: &'a ProcessFacts,
    paths: Vec<PathJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<Vec<GroupJson<'a>>>,
}

/// Objects that have something in common.
#[derive(Debug, Serialize)]
struct GroupJson<'a> {
    name: &'a str,
    objects: u64,
    bytes: u64,
    share: f64,
    paths: Vec<PathJson<'a>>,
}

/// A way in which objects are held.
#[derive(Debug, Serialize)]
pub struct PathJson<'a> {
    objects: u64,
    bytes: u64,
    share: f64,
    root: RootJson<'a>,
    steps: Vec<StepJson<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cycle: Vec<StepJson<'a>>,
    example: String,
    /// Where in native memory the address of the example stands.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    native_holders: Vec<NativeHolderJson<'a>>,
    /// Where the example was allocated.
    #[serde(skip_serializing_if = "Option::is_none")]
    allocated_at: Option<String>,
}

impl<'a> PathJson<'a> {
    /// All ways of some objects.
    #[must_use]
    pub fn all(facts: &'a Facts, graph: &'a HeapGraph, held_by: &'a [HeldBy]) -> Vec<Self> {
        let objects = held_by.iter().map(|held| held.objects).sum();
        let path = |held: &'a HeldBy| Self {
            objects: held.objects,
            bytes: held.bytes,
            share: share(held.objects, objects),
            root: (&held.path.root).into(),
            steps: steps(&held.path.steps),
            cycle: steps(&held.cycle),
            example: graph.addr(held.example).to_string(),
            native_holders: NativeHolderJson::all(facts, graph, held.example),
            allocated_at: text::allocation::of(graph, held.example),
        };
        held_by.iter().map(path).collect()
    }
}

impl<'a> WhyJson<'a> {
    /// The document of some objects.
    #[must_use]
    pub fn new(facts: &'a Facts, graph: &'a HeapGraph, held_by: &'a [HeldBy]) -> Self {
        let paths = PathJson::all(facts, graph, held_by);
        Self { process: &facts.process, paths, by: None, groups: None }
    }

    /// The same with the ways of each group apart.
    #[must_use]
    pub fn with_groups(
        self,
        facts: &'a Facts,
        graph: &'a HeapGraph,
        by: GroupBy,
        groups: &'a [HeldGroup],
    ) -> Self {
        let objects = groups.iter().map(|group| group.objects).sum();
        let group = |group: &'a HeldGroup| GroupJson {
            name: &group.name,
            objects: group.objects,
            bytes: group.bytes,
            share: share(group.objects, objects),
            paths: PathJson::all(facts, graph, &group.held_by),
        };
        Self { by: Some(by.name()), groups: Some(groups.iter().map(group).collect()), ..self }
    }
}
