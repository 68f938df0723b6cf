//! A snapshot: the heap at one instant and what is known about the process, in memory or as one
//! Parquet file (`docs/snapshot-format.md`). A file is as hostile as a target: all that it claims
//! is checked before it is believed.

mod allocations;
mod checksum;
mod columns;
mod decode;
mod encode;
mod error;
mod footer;
mod label_runs;
mod label_texts;
mod load;
mod name;
mod pipeline;
mod plan;
mod save;
#[cfg(test)]
mod tests;

pub use error::SnapshotError;
pub use load::load;
pub use name::{default_name, numbered};
pub use save::save;

use crate::facts::Facts;
use crate::graph::HeapGraph;

/// The heap at one instant, and what is known about the process it was read from.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// All that is known besides the objects.
    pub facts: Facts,
    /// The objects and who refers to whom.
    pub graph: HeapGraph,
}
