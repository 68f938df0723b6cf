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

mod format;
mod ids;
mod pieces;
mod strings;

use std::io::{self, Write};

use format::{EdgeType, Head, META, NODE_FIELDS, NodeType};
use ids::Ids;
use pieces::{Pieces, own_bytes};
use strings::Strings;

use crate::analysis::Paths;
use crate::analysis::paths::name_of;
use crate::graph::{EdgeLabel, HeapGraph, ObjectId, RootKind, ShapeColumn, StringId};

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
            Some(EdgeLabel::Native(_)) => (EdgeType::Internal, strings.own("native block").into()),
        }
    }

    /// Writes an edge to the n-th node.
    fn edge(&mut self, out: &mut dyn Write, label: (EdgeType, u64), node: u64) -> io::Result<()> {
        let separator = if std::mem::take(&mut self.is_first) { "" } else { "\n," };
        let to = node * NODE_FIELDS.len() as u64;
        write!(out, "{separator}{},{},{to}", label.0 as u8, label.1)
    }
}

#[cfg(test)]
mod tests;
