//! `memory`.

use serde::Serialize;

use crate::facts::{Facts, InterpreterFacts, MemoryFacts, MemoryPart, ProcessFacts};

/// Where the memory of a process is.
#[derive(Debug, Serialize)]
pub struct MemoryJson<'a> {
    process: &'a ProcessFacts,
    interpreter: &'a InterpreterFacts,
    verdict: Vec<String>,
    #[serde(flatten)]
    memory: &'a MemoryFacts,
}

impl<'a> MemoryJson<'a> {
    /// The document of one process; `verdict` is what it means, in words.
    #[must_use]
    pub const fn new(facts: &'a Facts, memory: &'a MemoryFacts, verdict: Vec<String>) -> Self {
        Self { process: &facts.process, interpreter: &facts.interpreter, verdict, memory }
    }
}

/// How the parts of the memory changed, for `diff`.
#[derive(Debug, Serialize)]
pub struct MemoryGrowthJson<'a> {
    rss_bytes_before: Option<u64>,
    rss_bytes_after: Option<u64>,
    parts: Vec<PartJson<'a>>,
}

#[derive(Debug, Serialize)]
struct PartJson<'a> {
    name: &'a str,
    bytes_before: u64,
    bytes_after: u64,
}

impl<'a> MemoryGrowthJson<'a> {
    /// Of two heaps.
    #[must_use]
    pub fn new(before: &'a MemoryFacts, after: &'a MemoryFacts) -> Self {
        let part = |part: &'a MemoryPart| PartJson {
            name: &part.name,
            bytes_before: before.part(&part.name),
            bytes_after: part.bytes,
        };
        Self {
            rss_bytes_before: before.rss_bytes,
            rss_bytes_after: after.rss_bytes,
            parts: after.parts.iter().map(part).collect(),
        }
    }
}
