//! Which rows go into which row group, and whether a graph can be written at all.

use std::ops::Range;

use super::columns::{EDGES_PER_GROUP, ROWS_PER_GROUP};
use super::error::Fault;
use crate::graph::{Csr, HeapGraph, ObjectFlags, ObjectId};

/// What the rows of a row group are. A group never mixes the kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowKind {
    /// Objects; the row number is the object's.
    Object,
    /// Roots, behind the objects.
    Root,
}

impl RowKind {
    /// The word in the column `kind` and in the metadata.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Root => "root",
        }
    }

    /// The kind of that word.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        [Self::Object, Self::Root].into_iter().find(|kind| kind.name() == name)
    }
}

/// One row group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RowGroup {
    pub(super) kind: RowKind,
    /// The rows, counted among those of the kind.
    pub(super) rows: Range<usize>,
}

/// The row groups of a graph, in their order in the file.
pub(super) fn row_groups(graph: &HeapGraph) -> Vec<RowGroup> {
    let mut groups = Vec::new();
    let mut add = |kind, rows: Range<usize>| {
        if !rows.is_empty() {
            groups.push(RowGroup { kind, rows });
        }
    };
    let (mut start, mut edges) = (0, 0);
    for object in graph.ids() {
        edges += graph.referents.of(object).len() + graph.hidden_referents.of(object).len();
        let end = object.index() + 1;
        if end - start >= ROWS_PER_GROUP || edges >= EDGES_PER_GROUP {
            add(RowKind::Object, start..end);
            (start, edges) = (end, 0);
        }
    }
    add(RowKind::Object, start..graph.len());
    for start in (0..graph.roots.len()).step_by(ROWS_PER_GROUP) {
        add(RowKind::Root, start..graph.roots.len().min(start + ROWS_PER_GROUP));
    }
    groups
}

/// Checks that the columns of a graph agree, so that what is written can be loaded.
pub(super) fn check(graph: &HeapGraph) -> Result<(), Fault> {
    let objects = graph.len();
    let wrong = |what: &str| Err(Fault::Inconsistent(what.to_owned()));
    if u32::try_from(objects).is_err() {
        return wrong("more than 2^32 - 1 objects");
    }
    for (column, rows) in [
        ("object_types", graph.object_types.len()),
        ("shallow_bytes", graph.shallow_bytes.len()),
        ("refcounts", graph.refcounts.len()),
        ("flags", graph.flags.len()),
        ("referents", graph.referents.objects()),
        ("hidden_referents", graph.hidden_referents.objects()),
        ("shapes_of", graph.shapes_of.len()),
        ("hidden_shapes_of", graph.hidden_shapes_of.len()),
    ] {
        if rows != objects {
            return Err(Fault::Inconsistent(format!("{rows} {column} of {objects} objects")));
        }
    }
    if !graph.addrs.is_sorted_by(|a, b| a < b) {
        return wrong("addresses are not in ascending order");
    }
    if graph.object_types.iter().any(|ty| ty.index() >= graph.types.len()) {
        return wrong("an object of a type that is not there");
    }
    if graph.flags.iter().any(|flags| flags.0 & !KNOWN_FLAGS != 0) {
        return wrong("flags that the format has no column for");
    }
    let is_there = |object: &ObjectId| object.index() < objects;
    let all_there = |edges: &Csr| graph.ids().all(|object| edges.of(object).iter().all(is_there));
    if !all_there(&graph.referents) || !all_there(&graph.hidden_referents) {
        return wrong("a referent that is not there");
    }
    if !graph.roots.iter().all(|root| is_there(&root.object)) {
        return wrong("a root of an object that is not there");
    }
    let extras = graph.buffer_bytes.keys().chain(graph.payload_bytes.keys());
    if !extras.chain(graph.values.keys()).chain(graph.names.keys()).all(is_there) {
        return wrong("bytes or a value of an object that is not there");
    }
    Ok(())
}

/// The flags that have a column, the two bits of the generation included.
const KNOWN_FLAGS: u8 = ObjectFlags(
    ObjectFlags::GC_TRACKED
        | ObjectFlags::GC_FROZEN
        | ObjectFlags::IMMORTAL
        | ObjectFlags::NAMESPACE,
)
.with_generation(3)
.0;
