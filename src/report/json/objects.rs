//! `objects` (JSON Lines) and `show`.

use std::io;

use serde::Serialize;
use serde_json::Value;

use crate::analysis::references::Referrer;
use crate::facts::Facts;
use crate::graph::{Csr, HeapGraph, ObjectFlags, ObjectId, ShapeColumn};
use crate::report::text;

/// One object.
#[derive(Debug, Serialize)]
pub struct ObjectJson<'a> {
    address: String,
    #[serde(rename = "type")]
    type_name: &'a str,
    gc_tracked: bool,
    gc_frozen: bool,
    generation: Option<u8>,
    immortal: bool,
    refcount: u32,
    unexplained_refs: Option<i64>,
    shallow_bytes: u64,
    payload_bytes: u64,
    buffer_bytes: u64,
    referents: Vec<String>,
    labels: Vec<String>,
    hidden_referents: Vec<String>,
    hidden_labels: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    spare_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allocated_at: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    traceback: Vec<LineJson<'a>>,
}

/// A line of a program.
#[derive(Debug, Serialize)]
struct LineJson<'a> {
    file: &'a str,
    line: u32,
}

impl<'a> ObjectJson<'a> {
    /// An object; `found` counts the references that were found to each.
    #[must_use]
    pub fn new(graph: &'a HeapGraph, object: ObjectId, found: &[u64]) -> Self {
        let flags = graph.flags_of(object);
        let tracked = flags.has(ObjectFlags::GC_TRACKED);
        Self {
            address: graph.addr(object).to_string(),
            type_name: graph.type_name_of(object),
            gc_tracked: tracked,
            gc_frozen: flags.has(ObjectFlags::GC_FROZEN),
            generation: tracked.then(|| flags.generation()),
            immortal: flags.has(ObjectFlags::IMMORTAL),
            refcount: graph.refcounts.get(object.index()).copied().unwrap_or_default(),
            unexplained_refs: graph.unexplained_references(object, found),
            shallow_bytes: graph.shallow_bytes_of(object),
            payload_bytes: graph.payload_bytes.get(&object).copied().unwrap_or_default(),
            buffer_bytes: graph.buffer_bytes.get(&object).copied().unwrap_or_default(),
            referents: addresses(graph, graph.referents.of(object)),
            labels: labels(graph, object, &graph.referents, &graph.shapes_of),
            hidden_referents: addresses(graph, graph.hidden_referents.of(object)),
            hidden_labels: labels(graph, object, &graph.hidden_referents, &graph.hidden_shapes_of),
            value: graph.values.get(&object).map(|&value| graph.strings.text(value)),
            spare_bytes: graph.spare_bytes.get(object),
            allocated_at: text::allocation::of(graph, object),
            traceback: traceback(graph, object),
        }
    }
}

impl ObjectJson<'_> {
    /// The columns of a table of objects.
    pub const COLUMNS: [&'static str; 18] = [
        "address",
        "type",
        "gc_tracked",
        "gc_frozen",
        "generation",
        "immortal",
        "refcount",
        "unexplained_refs",
        "shallow_bytes",
        "payload_bytes",
        "buffer_bytes",
        "referents",
        "labels",
        "hidden_referents",
        "hidden_labels",
        "value",
        "spare_bytes",
        "allocated_at",
    ];

    /// The object as a row of such a table; what it does not have is empty, lists are JSON.
    ///
    /// # Errors
    /// It cannot be written as JSON.
    pub fn cells(&self) -> io::Result<Vec<String>> {
        let document = serde_json::to_value(self)?;
        let cell = |column: &&str| match document.get(column) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        Ok(Self::COLUMNS.iter().map(cell).collect())
    }
}

/// The lines that allocated an object, the innermost first.
fn traceback(graph: &HeapGraph, object: ObjectId) -> Vec<LineJson<'_>> {
    let site = graph.allocations.site_of(object).into_iter();
    let lines = site.flat_map(|site| graph.allocations.lines(site));
    lines.map(|&(file, line)| LineJson { file: graph.strings.text(file), line }).collect()
}

fn addresses(graph: &HeapGraph, objects: &[ObjectId]) -> Vec<String> {
    objects.iter().map(|&object| graph.addr(object).to_string()).collect()
}

/// The labels of all edges of one kind, as many as there are edges.
fn labels(graph: &HeapGraph, object: ObjectId, edges: &Csr, shapes: &ShapeColumn) -> Vec<String> {
    let shape = shapes.get(object.index()).copied().unwrap_or_default();
    let mut labels = graph.shapes.labels(shape);
    edges.of(object).iter().map(|_| graph.label_text(object, labels.next())).collect()
}

/// One object and who holds it.
#[derive(Debug, Serialize)]
pub struct ShowJson<'a> {
    object: ObjectJson<'a>,
    referrers: Vec<ReferrerJson<'a>>,
    roots: Vec<super::RootJson<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    native_holders: Vec<super::native::NativeHolderJson<'a>>,
}

#[derive(Debug, Serialize)]
struct ReferrerJson<'a> {
    address: String,
    #[serde(rename = "type")]
    type_name: &'a str,
    label: &'a str,
    hidden: bool,
}

impl<'a> ShowJson<'a> {
    /// The document of an object.
    #[must_use]
    pub fn new(
        (facts, graph): (&'a Facts, &'a HeapGraph),
        object: ObjectId,
        found: &[u64],
        referrers: &'a [Referrer],
    ) -> Self {
        let roots = graph.roots.iter().filter(|root| root.object == object);
        Self {
            object: ObjectJson::new(graph, object, found),
            referrers: referrers
                .iter()
                .map(|referrer| ReferrerJson {
                    address: graph.addr(referrer.object).to_string(),
                    type_name: graph.type_name_of(referrer.object),
                    label: &referrer.label,
                    hidden: referrer.hidden,
                })
                .collect(),
            roots: roots
                .map(|root| super::RootJson {
                    kind: root.kind.name(),
                    name: graph.strings.text(root.name),
                })
                .collect(),
            native_holders: super::native::NativeHolderJson::all(facts, graph, object),
        }
    }
}
