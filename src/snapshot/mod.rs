//! A heap at one instant.

use crate::facts::Facts;
use crate::graph::HeapGraph;

/// A heap at one instant, from whichever source.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// What is known besides the objects.
    pub facts: Facts,
    /// The objects.
    pub graph: HeapGraph,
}
