//! Where objects were allocated, in words.

use crate::graph::{HeapGraph, Line, ObjectId};

/// How a process is made to keep book.
pub const HOW_TO_TRACE: &str = "-X tracemalloc=10, tracemalloc.start(10)";

/// `/app/views.py:12`.
#[must_use]
pub fn line(graph: &HeapGraph, (file, line): Line) -> String {
    format!("{}:{line}", graph.strings.text(file))
}

/// The line that allocated an object, if it is known.
#[must_use]
pub fn of(graph: &HeapGraph, object: ObjectId) -> Option<String> {
    graph.allocations.line_of(object).map(|at| line(graph, at))
}
