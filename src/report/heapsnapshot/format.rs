//! The words of the format: the fields of a node and of an edge, and the kinds of both.

use serde::Serialize;

/// The fields of a node: the number of the first one of a node is what edges lead to.
pub(super) const NODE_FIELDS: [&str; 7] =
    ["type", "name", "id", "self_size", "edge_count", "trace_node_id", "detachedness"];
/// The types of nodes, in V8's order: DevTools goes by the names, other readers by the numbers.
pub(super) const NODE_TYPES: [&str; 15] = [
    "hidden",
    "array",
    "string",
    "object",
    "code",
    "closure",
    "regexp",
    "number",
    "native",
    "synthetic",
    "concatenated string",
    "sliced string",
    "symbol",
    "bigint",
    "object shape",
];
pub(super) const EDGE_FIELDS: [&str; 3] = ["type", "name_or_index", "to_node"];
pub(super) const EDGE_TYPES: [&str; 7] =
    ["context", "element", "property", "internal", "hidden", "shortcut", "weak"];
/// What a node is: its number in [`NODE_TYPES`].
#[derive(Clone, Copy)]
pub(super) enum NodeType {
    String = 2,
    Object = 3,
    Code = 4,
    Closure = 5,
    Number = 7,
    Native = 8,
    Synthetic = 9,
}

/// What an edge is: its number in [`EDGE_TYPES`].
#[derive(Clone, Copy)]
pub(super) enum EdgeType {
    Context = 0,
    Element = 1,
    Property = 2,
    Internal = 3,
    Hidden = 4,
}

#[derive(Serialize)]
pub(super) struct Head {
    pub(super) meta: Meta,
    pub(super) node_count: u64,
    pub(super) edge_count: u64,
    pub(super) trace_function_count: u64,
}

#[derive(Serialize)]
pub(super) struct Meta {
    pub(super) node_fields: [&'static str; 7],
    pub(super) node_types: (
        [&'static str; 15],
        &'static str,
        &'static str,
        &'static str,
        &'static str,
        &'static str,
        &'static str,
    ),
    pub(super) edge_fields: [&'static str; 3],
    pub(super) edge_types: ([&'static str; 7], &'static str, &'static str),
    pub(super) trace_function_info_fields: [&'static str; 6],
    pub(super) trace_node_fields: [&'static str; 5],
    pub(super) sample_fields: [&'static str; 2],
    pub(super) location_fields: [&'static str; 4],
}

pub(super) const META: Meta = Meta {
    node_fields: NODE_FIELDS,
    node_types: (NODE_TYPES, "string", "number", "number", "number", "number", "number"),
    edge_fields: EDGE_FIELDS,
    edge_types: (EDGE_TYPES, "string_or_number", "node"),
    trace_function_info_fields: [
        "function_id",
        "name",
        "script_name",
        "script_id",
        "line",
        "column",
    ],
    trace_node_fields: ["id", "function_info_index", "count", "size", "children"],
    sample_fields: ["timestamp_us", "last_assigned_id"],
    location_fields: ["object_index", "script_id", "line", "column"],
};
