//! Tracebacks as text: a JSON list of `[file, line]`, the line that allocated first.

use crate::graph::{HeapGraph, Line, ObjectId, SiteId};

/// `file:line` of the line that allocated an object.
pub(super) fn line(graph: &HeapGraph, object: ObjectId) -> Option<String> {
    let (file, line) = graph.allocations.line_of(object)?;
    Some(format!("{}:{line}", graph.strings.text(file)))
}

/// The text of a traceback.
pub(super) fn encode(graph: &HeapGraph, site: SiteId) -> Result<String, String> {
    let lines = graph.allocations.lines(site).iter();
    let lines: Vec<(&str, u32)> =
        lines.map(|&(file, line)| (graph.strings.text(file), line)).collect();
    serde_json::to_string(&lines).map_err(|error| error.to_string())
}

/// The traceback of a text, which must have a line.
pub(super) fn decode(text: &str, graph: &mut HeapGraph) -> Result<SiteId, String> {
    let wrong = |error: String| format!("the traceback {text:?}: {error}");
    let lines: Vec<(String, u32)> =
        serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
    let lines: Vec<Line> =
        lines.into_iter().map(|(file, line)| (graph.strings.intern(&file), line)).collect();
    graph.allocations.intern(&lines).ok_or_else(|| wrong("it has no line".to_owned()))
}
