//! A heap as Chrome DevTools, node and memlab read one: V8's heap snapshot, written row by row.
//!
//! V8 has no description of the format but its writer (`HeapSnapshotJSONSerializer`,
//! `src/profiler/heap-snapshot-generator.cc`) and DevTools' reader
//! (`front_end/entrypoints/heap_snapshot_worker`). What matters to us:
//!
//! - All numbers are read as 32 bits. A size that has more is cut into several nodes.
//! - The root is the first node. What hangs on it is of type `synthetic`, or else all that only other
//!   nodes reach has no distance in DevTools.
//! - Edges of type `weak` and `shortcut` do not keep anything alive there, so we write none.
//! - The strings come last, and are written once.

use std::io::{self, Write};

use rustc_hash::{FxHashMap, FxHashSet};
use serde::Serialize;

use crate::analysis::Paths;
use crate::analysis::paths::name_of;
use crate::graph::{EdgeLabel, HeapGraph, ObjectId, RootKind, ShapeColumn, StringId};

/// The fields of a node: the number of the first one of a node is what edges lead to.
const NODE_FIELDS: [&str; 7] =
    ["type", "name", "id", "self_size", "edge_count", "trace_node_id", "detachedness"];
/// The types of nodes, in V8's order: DevTools goes by the names, other readers by the numbers.
const NODE_TYPES: [&str; 15] = [
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
const EDGE_FIELDS: [&str; 3] = ["type", "name_or_index", "to_node"];
const EDGE_TYPES: [&str; 7] =
    ["context", "element", "property", "internal", "hidden", "shortcut", "weak"];
/// The most bytes of one node.
const MOST_BYTES: u64 = 1 << 31;
/// The most nodes that the memory of objects with more than that is cut into: all that a process can have mapped
/// (128 TiB). A hostile target may claim more.
const MOST_PIECES: u64 = 1 << 16;

/// What a node is: its number in [`NODE_TYPES`].
#[derive(Clone, Copy)]
enum NodeType {
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
enum EdgeType {
    Context = 0,
    Element = 1,
    Property = 2,
    Internal = 3,
    Hidden = 4,
}

#[derive(Serialize)]
struct Head {
    meta: Meta,
    node_count: u64,
    edge_count: u64,
    trace_function_count: u64,
}

#[derive(Serialize)]
struct Meta {
    node_fields: [&'static str; 7],
    node_types: (
        [&'static str; 15],
        &'static str,
        &'static str,
        &'static str,
        &'static str,
        &'static str,
        &'static str,
    ),
    edge_fields: [&'static str; 3],
    edge_types: ([&'static str; 7], &'static str, &'static str),
    trace_function_info_fields: [&'static str; 6],
    trace_node_fields: [&'static str; 5],
    sample_fields: [&'static str; 2],
    location_fields: [&'static str; 4],
}

const META: Meta = Meta {
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

/// Writes a heap.
///
/// # Errors
/// Those of the writer.
pub fn write(out: &mut dyn Write, graph: &HeapGraph) -> io::Result<()> {
    let groups = groups(graph);
    let mut writer = Writer {
        graph,
        first_object: 1 + groups.len() as u64,
        ids: Ids::new(graph),
        strings: Strings::new(graph),
        pieces: Pieces::new(graph),
        is_first: true,
    };
    let memory: u64 = graph.ids().map(|object| writer.pieces.of(object).count() as u64).sum();
    let objects = graph.len() as u64;
    let held: u64 = groups.iter().map(|group| group.held.len() as u64).sum();
    let references = (graph.referents.edges() + graph.hidden_referents.edges()) as u64;
    let head = Head {
        meta: META,
        node_count: writer.first_object + objects + memory,
        edge_count: groups.len() as u64 + held + references + memory,
        trace_function_count: 0,
    };
    out.write_all(b"{\"snapshot\":")?;
    serde_json::to_writer(&mut *out, &head)?;
    out.write_all(b",\n\"nodes\":[")?;
    writer.nodes(out, &groups)?;
    out.write_all(b"],\n\"edges\":[")?;
    writer.is_first = true;
    writer.edges(out, &groups, writer.first_object + objects)?;
    out.write_all(b"],\n\"trace_function_infos\":[],\n\"trace_tree\":[],\n\"samples\":[],\n")?;
    out.write_all(b"\"locations\":[],\n\"strings\":[")?;
    writer.strings.write(out)?;
    out.write_all(b"]}\n")
}

/// What one kind of root holds, or what no root does.
struct Group {
    name: &'static str,
    held: Vec<(ObjectId, StringId)>,
}

/// What hangs on the root: a node for each kind of root that there is.
fn groups(graph: &HeapGraph) -> Vec<Group> {
    let kinds = [
        (RootKind::Module, "(modules)"),
        (RootKind::Frame, "(running frames)"),
        (RootKind::Thread, "(states of threads)"),
        (RootKind::Interpreter, "(state of the interpreter)"),
        (RootKind::StaticType, "(static types)"),
        (RootKind::Interned, "(interned strings)"),
        (RootKind::Runtime, "(runtime)"),
        (RootKind::C, "(C code)"),
    ];
    let of_kind = |(kind, name)| Group {
        name,
        held: graph
            .roots
            .iter()
            .filter(|root| root.kind == kind && root.object.index() < graph.len())
            .map(|root| (root.object, root.name))
            .collect(),
    };
    let mut groups: Vec<Group> = kinds.into_iter().map(of_kind).collect();
    let (mut garbage, mut uncollectable) = (Vec::new(), Vec::new());
    for (object, is_freed) in Paths::new(graph).rootless_beginnings() {
        let list = if is_freed { &mut garbage } else { &mut uncollectable };
        list.push((object, StringId(u32::MAX)));
    }
    groups.push(Group { name: "(garbage)", held: garbage });
    groups.push(Group { name: "(uncollectable)", held: uncollectable });
    groups.retain(|group| !group.held.is_empty());
    groups
}

/// The part of an object's shallow bytes that its own node has.
fn own_bytes(graph: &HeapGraph, object: ObjectId) -> u64 {
    graph.shallow_bytes_of(object).min(MOST_BYTES)
}

/// The memory of objects that nodes of their own have: what `getsizeof` does not count, and what is too
/// much for one node.
struct Pieces<'g> {
    graph: &'g HeapGraph,
    /// The objects that claim more than there can be: a node has what fits into it, and the rest is left out.
    beyond: FxHashSet<ObjectId>,
}

impl<'g> Pieces<'g> {
    fn new(graph: &'g HeapGraph) -> Self {
        let mut pieces = Self { graph, beyond: FxHashSet::default() };
        let mut left = MOST_PIECES;
        for object in graph.ids() {
            let wanted: u64 =
                pieces.bytes(object).into_iter().map(|bytes| bytes.div_ceil(MOST_BYTES)).sum();
            if wanted > 1 {
                match left.checked_sub(wanted) {
                    Some(rest) => left = rest,
                    None => drop(pieces.beyond.insert(object)),
                }
            }
        }
        pieces
    }

    /// What is outside the object, and what is too much for its own node.
    fn bytes(&self, object: ObjectId) -> [u64; 2] {
        let buffer = self.graph.buffer_bytes.get(&object).copied().unwrap_or_default();
        [buffer, self.graph.shallow_bytes_of(object) - own_bytes(self.graph, object)]
    }

    /// The bytes of each node that an object has besides its own.
    fn of(&self, object: ObjectId) -> impl Iterator<Item = u64> + use<> {
        let is_beyond = !self.beyond.is_empty() && self.beyond.contains(&object);
        self.bytes(object).into_iter().flat_map(move |bytes| {
            let bytes = if is_beyond { bytes.min(MOST_BYTES) } else { bytes };
            let pieces = bytes.div_ceil(MOST_BYTES);
            (0..pieces).map(move |nth| (bytes - nth * MOST_BYTES).min(MOST_BYTES))
        })
    }
}

struct Writer<'g> {
    graph: &'g HeapGraph,
    /// How many nodes are before those of the objects.
    first_object: u64,
    ids: Ids<'g>,
    strings: Strings<'g>,
    pieces: Pieces<'g>,
    is_first: bool,
}

impl<'g> Writer<'g> {
    fn nodes(&mut self, out: &mut dyn Write, groups: &[Group]) -> io::Result<()> {
        let graph = self.graph;
        let name = self.strings.own("");
        let id = self.ids.fresh();
        self.node(out, NodeType::Synthetic, name, id, 0, groups.len())?;
        for group in groups {
            let name = self.strings.own(group.name);
            let id = self.ids.fresh();
            self.node(out, NodeType::Synthetic, name, id, 0, group.held.len())?;
        }
        for object in graph.ids() {
            let references =
                graph.referents.of(object).len() + graph.hidden_referents.of(object).len();
            let edges = references + self.pieces.of(object).count();
            let (ty, name) = self.name(object);
            let id = self.ids.of_object(object);
            self.node(out, ty, name, id, own_bytes(graph, object), edges)?;
        }
        for object in graph.ids() {
            let id = self.ids.of_object(object);
            for (nth, bytes) in self.pieces.of(object).enumerate() {
                let name = format!("(memory of {})", graph.type_name_of(object));
                let name = self.strings.own(&name);
                let id = if nth == 0 { id ^ 1 } else { self.ids.fresh() };
                self.node(out, NodeType::Native, name, id, bytes, 0)?;
            }
        }
        Ok(())
    }

    fn node(
        &mut self,
        out: &mut dyn Write,
        ty: NodeType,
        name: u32,
        id: u32,
        bytes: u64,
        edges: usize,
    ) -> io::Result<()> {
        let separator = if std::mem::take(&mut self.is_first) { "" } else { "\n," };
        write!(out, "{separator}{},{name},{id},{bytes},{edges},0,0", ty as u8)
    }

    /// The type of an object's node, and its name: what DevTools counts together.
    fn name(&mut self, object: ObjectId) -> (NodeType, u32) {
        let graph = self.graph;
        let type_name = graph.type_name_of(object);
        let named = graph.names.get(&object).copied();
        match (type_name, graph.values.get(&object), named) {
            ("builtins.str" | "builtins.bytes", Some(&value), _) => {
                (NodeType::String, self.strings.of_graph(value))
            }
            (_, Some(&value), _) => (NodeType::Number, self.strings.of_graph(value)),
            ("builtins.code", _, Some(name)) => (NodeType::Code, self.strings.of_graph(name)),
            ("builtins.function", _, _) => match name_of(graph, object) {
                Some(name) => (NodeType::Closure, self.strings.of_graph(name)),
                None => (NodeType::Object, self.type_name(object)),
            },
            _ => (NodeType::Object, self.type_name(object)),
        }
    }

    fn type_name(&mut self, object: ObjectId) -> u32 {
        match self.graph.types.get(self.graph.type_of(object).index()) {
            Some(row) => self.strings.of_graph(row.name),
            None => self.strings.own("?"),
        }
    }

    fn edges(&mut self, out: &mut dyn Write, groups: &[Group], memory: u64) -> io::Result<()> {
        for nth in 1..=groups.len() as u64 {
            self.edge(out, (EdgeType::Element, nth), nth)?;
        }
        for group in groups {
            for (nth, &(object, name)) in group.held.iter().enumerate() {
                let label = match self.graph.strings.text(name) {
                    "" => (EdgeType::Element, nth as u64),
                    _ => (EdgeType::Property, self.strings.of_graph(name).into()),
                };
                self.edge(out, label, self.first_object + u64::from(object.0))?;
            }
        }
        let graph = self.graph;
        let mut next = memory;
        for object in graph.ids() {
            self.references(out, object, graph.referents.of(object), &graph.shapes_of)?;
            let hidden = graph.hidden_referents.of(object);
            self.references(out, object, hidden, &graph.hidden_shapes_of)?;
            for _ in self.pieces.of(object) {
                let label = (EdgeType::Internal, self.strings.own("memory").into());
                self.edge(out, label, next)?;
                next += 1;
            }
        }
        Ok(())
    }

    fn references(
        &mut self,
        out: &mut dyn Write,
        object: ObjectId,
        referents: &[ObjectId],
        shapes: &ShapeColumn,
    ) -> io::Result<()> {
        let graph = self.graph;
        let shape = shapes.get(object.index()).copied().unwrap_or_default();
        let mut labels = graph.shapes.labels(shape);
        for &to in referents {
            let label = self.label(object, labels.next());
            self.edge(out, label, self.first_object + u64::from(to.0))?;
        }
        Ok(())
    }

    /// A label as V8 has it: a position is a number, so that a million items need no million texts.
    fn label(&mut self, owner: ObjectId, label: Option<EdgeLabel>) -> (EdgeType, u64) {
        let strings = &mut self.strings;
        match label {
            None => (EdgeType::Internal, strings.own("?").into()),
            Some(EdgeLabel::Attribute(name)) => (EdgeType::Property, strings.of_graph(name).into()),
            Some(EdgeLabel::Field(name)) => (EdgeType::Internal, strings.of_graph(name).into()),
            Some(EdgeLabel::Local(name) | EdgeLabel::Cell(name)) => {
                (EdgeType::Context, strings.of_graph(name).into())
            }
            Some(EdgeLabel::Value(entry)) => match self.graph.value_of_key(owner, entry) {
                Some(value) => (EdgeType::Property, strings.of_graph(value).into()),
                None => (EdgeType::Element, entry.into()),
            },
            Some(EdgeLabel::Index(nth) | EdgeLabel::Member(nth)) => (EdgeType::Element, nth.into()),
            Some(EdgeLabel::Key(_)) => (EdgeType::Internal, strings.own("key").into()),
            Some(EdgeLabel::Stack(_)) => (EdgeType::Internal, strings.own("stack").into()),
            Some(EdgeLabel::Inferred(offset)) => (EdgeType::Hidden, offset.into()),
        }
    }

    /// Writes an edge to the n-th node.
    fn edge(&mut self, out: &mut dyn Write, label: (EdgeType, u64), node: u64) -> io::Result<()> {
        let separator = if std::mem::take(&mut self.is_first) { "" } else { "\n," };
        let to = node * NODE_FIELDS.len() as u64;
        write!(out, "{separator}{},{},{to}", label.0 as u8, label.1)
    }
}

/// The numbers of nodes. V8's stay the same from one snapshot to the next, and DevTools compares
/// snapshots by them; so ours are made of addresses: 31 bits of the sixteenth part (no two objects are
/// nearer), and a bit that tells an object (1, as in V8) from the memory that it owns. Of objects that
/// are a multiple of 32 GiB apart all but the first get a number that is free.
struct Ids<'g> {
    graph: &'g HeapGraph,
    /// The 31 bits of each object, ascending.
    taken: Vec<u32>,
    /// What objects got instead of their own.
    instead: FxHashMap<ObjectId, u32>,
    next: u32,
}

/// The bits that a number has without its last one.
const KEY: u64 = (1 << 31) - 1;

impl<'g> Ids<'g> {
    fn new(graph: &'g HeapGraph) -> Self {
        let mut taken: Vec<u32> = graph.ids().map(|object| key(graph, object)).collect();
        taken.sort_unstable();
        let pairs = taken.iter().zip(taken.iter().skip(1));
        let shared: FxHashSet<u32> =
            pairs.filter(|(one, other)| one == other).map(|(&one, _)| one).collect();
        let mut ids = Self { graph, taken, instead: FxHashMap::default(), next: 0 };
        if !shared.is_empty() {
            let mut given = FxHashSet::default();
            for object in graph.ids() {
                let key = key(graph, object);
                if shared.contains(&key) && !given.insert(key) {
                    let key = ids.free();
                    ids.instead.insert(object, key);
                }
            }
        }
        ids
    }

    /// 31 bits that no object has.
    fn free(&mut self) -> u32 {
        loop {
            self.next = self.next.wrapping_add(1);
            if self.taken.binary_search(&self.next).is_err() {
                return self.next;
            }
        }
    }

    /// The number of a node that is neither an object nor the memory of one.
    fn fresh(&mut self) -> u32 {
        self.free() << 1
    }

    /// The number of an object; that of its memory is one less.
    fn of_object(&self, object: ObjectId) -> u32 {
        let instead = self.instead.get(&object).copied();
        instead.unwrap_or_else(|| key(self.graph, object)) << 1 | 1
    }
}

#[allow(clippy::cast_possible_truncation, reason = "these are the bits that are meant")]
fn key(graph: &HeapGraph, object: ObjectId) -> u32 {
    (graph.addr(object).0 >> 4 & KEY) as u32
}

/// The texts that are used, each once, in the order of their numbers.
struct Strings<'g> {
    graph: &'g HeapGraph,
    /// The number of each text of the graph, or [`u32::MAX`].
    of_graph: Vec<u32>,
    own: FxHashMap<String, u32>,
    order: Vec<Text>,
}

enum Text {
    Graph(StringId),
    Own(String),
}

impl<'g> Strings<'g> {
    fn new(graph: &'g HeapGraph) -> Self {
        let of_graph = vec![u32::MAX; graph.strings.len()];
        Self { graph, of_graph, own: FxHashMap::default(), order: Vec::new() }
    }

    fn number(&self) -> u32 {
        u32::try_from(self.order.len()).unwrap_or(u32::MAX)
    }

    /// The number of a text of the graph.
    fn of_graph(&mut self, id: StringId) -> u32 {
        let number = self.number();
        let Some(slot) = self.of_graph.get_mut(id.index()) else { return self.own("?") };
        if *slot == u32::MAX {
            *slot = number;
            self.order.push(Text::Graph(id));
        }
        *slot
    }

    /// The number of a text of ours.
    fn own(&mut self, text: &str) -> u32 {
        if let Some(&number) = self.own.get(text) {
            return number;
        }
        let number = self.number();
        self.order.push(Text::Own(text.to_owned()));
        self.own.insert(text.to_owned(), number);
        number
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        for (nth, text) in self.order.iter().enumerate() {
            if nth > 0 {
                out.write_all(b",\n")?;
            }
            let text = match text {
                Text::Graph(id) => self.graph.strings.text(*id),
                Text::Own(text) => text,
            };
            serde_json::to_writer(&mut *out, text)?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "heapsnapshot_tests.rs"]
mod tests;
