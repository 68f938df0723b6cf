//! `snapshot` and `histogram`.

use serde::Serialize;

use crate::analysis::histogram::{Totals, marked_types};
use crate::analysis::{GroupBy, Histogram, TypeTotals};
use crate::facts::{
    AllocatorFacts, Facts, InterpreterFacts, Pause, ProcessFacts, Timings, TornFacts,
};
use crate::graph::{Anomaly, HeapGraph};

/// The heap of one process.
#[derive(Debug, Serialize)]
pub struct HistogramJson<'a> {
    process: &'a ProcessFacts,
    interpreter: &'a InterpreterFacts,
    pause: &'a Pause,
    timings: &'a Timings,
    captured_bytes: u64,
    totals: TotalsJson,
    types: Vec<TypeJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<Vec<GroupJson>>,
    estimated_types: Vec<String>,
    inferred_types: Vec<String>,
    anomalies: Vec<AnomalyJson>,
    allocator: &'a AllocatorFacts,
    #[serde(skip_serializing_if = "Option::is_none")]
    torn: Option<TornFacts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<String>,
}

#[derive(Debug, Serialize)]
struct TotalsJson {
    objects: u64,
    gc_tracked: u64,
    gc_frozen: u64,
    shallow_bytes: u64,
    payload_bytes: u64,
    buffer_bytes: u64,
}

#[derive(Debug, Serialize)]
struct TypeJson {
    #[serde(rename = "type")]
    type_name: String,
    #[serde(flatten)]
    totals: TotalsJson,
}

/// Objects that were counted together by something else than their type.
#[derive(Debug, Serialize)]
struct GroupJson {
    name: String,
    #[serde(flatten)]
    totals: TotalsJson,
}

/// One kind of anomaly.
#[derive(Debug, Serialize)]
pub struct AnomalyJson {
    kind: String,
    count: u64,
    examples: Vec<String>,
}

impl From<&Totals> for TotalsJson {
    fn from(totals: &Totals) -> Self {
        Self {
            objects: totals.objects,
            gc_tracked: totals.gc_tracked,
            gc_frozen: totals.gc_frozen,
            shallow_bytes: totals.shallow_bytes,
            payload_bytes: totals.payload_bytes,
            buffer_bytes: totals.buffer_bytes,
        }
    }
}

impl From<&Anomaly> for AnomalyJson {
    fn from(anomaly: &Anomaly) -> Self {
        Self {
            kind: anomaly.kind.clone(),
            count: anomaly.count,
            examples: anomaly.examples.iter().map(ToString::to_string).collect(),
        }
    }
}

impl<'a> HistogramJson<'a> {
    /// The document of a heap; `output` is the snapshot file that was written.
    #[must_use]
    pub fn new(
        facts: &'a Facts,
        graph: &HeapGraph,
        histogram: &Histogram,
        output: Option<String>,
    ) -> Self {
        Self {
            process: &facts.process,
            interpreter: &facts.interpreter,
            pause: &facts.pause,
            timings: &facts.timings,
            captured_bytes: facts.captured_bytes,
            totals: (&histogram.totals).into(),
            types: histogram
                .types
                .iter()
                .map(|row| TypeJson { type_name: row.name.clone(), totals: (&row.totals).into() })
                .collect(),
            by: None,
            groups: None,
            estimated_types: marked_types(graph, |row| row.estimated),
            inferred_types: marked_types(graph, |row| row.inferred),
            allocator: &facts.allocator,
            anomalies: graph.anomalies.iter().map(Into::into).collect(),
            torn: facts.torn,
            output,
        }
    }

    /// The same with other groups, if there are any.
    #[must_use]
    pub fn with_groups(self, by: GroupBy, grouped: Option<&Histogram>) -> Self {
        let group =
            |row: &TypeTotals| GroupJson { name: row.name.clone(), totals: (&row.totals).into() };
        let groups = grouped.map(|grouped| grouped.types.iter().map(group).collect());
        Self { by: grouped.map(|_| by.name()), groups, ..self }
    }
}
