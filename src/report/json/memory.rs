//! `memory`.

use serde::Serialize;

use crate::facts::{Facts, InterpreterFacts, MemoryFacts, ProcessFacts};

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
