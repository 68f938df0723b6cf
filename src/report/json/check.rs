//! The document of `check`.

use serde::Serialize;

use super::why::PathJson;
use crate::analysis::verdict::Outcome;
use crate::facts::Facts;
use crate::graph::HeapGraph;

/// A verdict.
#[derive(Debug, Serialize)]
pub struct CheckJson<'a> {
    ok: bool,
    rules: usize,
    failures: Vec<FailureJson<'a>>,
}

#[derive(Debug, Serialize)]
struct FailureJson<'a> {
    rule: String,
    found: u64,
    limit: u64,
    held_by: Vec<PathJson<'a>>,
}

impl<'a> CheckJson<'a> {
    /// The document of a heap's rules.
    #[must_use]
    pub fn new(facts: &'a Facts, graph: &'a HeapGraph, outcomes: &'a [Outcome]) -> Self {
        let failure = |outcome: &'a Outcome| FailureJson {
            rule: outcome.rule.text(),
            found: outcome.found,
            limit: outcome.rule.limit(),
            held_by: PathJson::all(facts, graph, &outcome.held_by),
        };
        let failures: Vec<_> =
            outcomes.iter().filter(|outcome| !outcome.holds).map(failure).collect();
        Self { ok: failures.is_empty(), rules: outcomes.len(), failures }
    }
}
