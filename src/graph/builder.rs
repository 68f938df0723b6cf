//! A graph from objects and edges in any order, for heaps that are made by hand.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::{
    Allocations, Anomalies, Csr, EdgeLabel, Finalizer, HeapGraph, Interner, LabelRun, ObjectFlags,
    ObjectId, Root, RootKind, Shapes, SiteId, StringId, TypeId, TypeRow,
};
use crate::addr::Addr;

/// What is known of one object before the rows are sorted.
#[derive(Debug, Clone, Default)]
struct Draft {
    ty: TypeId,
    shallow_bytes: u64,
    refcount: u32,
    flags: ObjectFlags,
    buffer_bytes: u64,
    payload_bytes: u64,
    referents: Vec<(EdgeLabel, Addr)>,
    hidden: Vec<(EdgeLabel, Addr)>,
    value: Option<StringId>,
    content_hash: Option<u64>,
    name: Option<StringId>,
    site: Option<SiteId>,
    spare_bytes: Option<u64>,
    finalizer: Option<Finalizer>,
    weak_referent: Option<Addr>,
}

/// Collects objects and edges by address and puts them into rows.
///
/// Edges to addresses at which no object is added are left out.
#[derive(Debug, Clone, Default)]
pub struct GraphBuilder {
    objects: BTreeMap<Addr, Draft>,
    types: Vec<TypeRow>,
    type_ids: FxHashMap<StringId, TypeId>,
    roots: Vec<(RootKind, StringId, Addr)>,
    strings: Interner,
    allocations: Allocations,
    anomalies: Anomalies,
}

impl GraphBuilder {
    /// A graph without objects.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an object of a type (by full name) with its shallow size in bytes. An object that is
    /// there already gets the new type and size and keeps the rest.
    pub fn object(&mut self, addr: u64, type_name: &str, shallow_bytes: u64) -> Addr {
        let ty = self.type_id(type_name);
        let draft = self.objects.entry(Addr(addr)).or_default();
        draft.ty = ty;
        draft.shallow_bytes = shallow_bytes;
        Addr(addr)
    }

    /// The number of a text, for labels.
    pub fn intern(&mut self, text: &str) -> StringId {
        self.strings.intern(text)
    }

    /// Adds a reference that `tp_traverse` visits.
    pub fn edge(&mut self, from: Addr, label: EdgeLabel, to: Addr) {
        if let Some(draft) = self.objects.get_mut(&from) {
            draft.referents.push((label, to));
        }
    }

    /// Adds a reference that `tp_traverse` does not visit.
    pub fn hidden_edge(&mut self, from: Addr, label: EdgeLabel, to: Addr) {
        if let Some(draft) = self.objects.get_mut(&from) {
            draft.hidden.push((label, to));
        }
    }

    /// Adds a reference by an attribute.
    pub fn attribute(&mut self, from: Addr, name: &str, to: Addr) {
        let name = self.strings.intern(name);
        self.edge(from, EdgeLabel::Attribute(name), to);
    }

    /// Adds an item of a sequence.
    pub fn item(&mut self, from: Addr, index: u32, to: Addr) {
        self.edge(from, EdgeLabel::Index(index), to);
    }

    /// Adds an entry of a dictionary whose keys are data: value and key, as CPython visits them.
    pub fn entry(&mut self, dict: Addr, entry: u32, key: Addr, value: Addr) {
        self.edge(dict, EdgeLabel::Value(entry), value);
        self.edge(dict, EdgeLabel::Key(entry), key);
    }

    /// Adds a reference from outside the heap.
    pub fn root(&mut self, kind: RootKind, name: &str, object: Addr) {
        let name = self.strings.intern(name);
        self.roots.push((kind, name, object));
    }

    /// Sets the reference count of an object.
    pub fn refcount(&mut self, object: Addr, refcount: u32) {
        if let Some(draft) = self.objects.get_mut(&object) {
            draft.refcount = refcount;
        }
    }

    /// Adds facts about an object (bits of [`ObjectFlags`]).
    pub fn flag(&mut self, object: Addr, flag: u8) {
        if let Some(draft) = self.objects.get_mut(&object) {
            draft.flags = draft.flags.with(flag);
        }
    }

    /// Sets the memory that an object owns and `getsizeof` does not count, in bytes.
    pub fn buffer(&mut self, object: Addr, bytes: u64) {
        if let Some(draft) = self.objects.get_mut(&object) {
            draft.buffer_bytes = bytes;
        }
    }

    /// Sets the part of the shallow size that lies in a block of its own, in bytes.
    pub fn payload(&mut self, object: Addr, bytes: u64) {
        if let Some(draft) = self.objects.get_mut(&object) {
            draft.payload_bytes = bytes;
        }
    }

    /// Sets what C code does at the end of an object.
    pub fn finalizer(&mut self, object: Addr, finalizer: Finalizer) {
        if let Some(draft) = self.objects.get_mut(&object) {
            draft.finalizer = Some(finalizer);
        }
    }

    /// Sets what a weak reference leads to.
    pub fn weak_referent(&mut self, weak: Addr, referent: Addr) {
        if let Some(draft) = self.objects.get_mut(&weak) {
            draft.weak_referent = Some(referent);
        }
    }

    /// Sets the contents of an object that is plain data.
    pub fn value(&mut self, object: Addr, text: &str) {
        let value = self.strings.intern(text);
        if let Some(draft) = self.objects.get_mut(&object) {
            draft.value = Some(value);
        }
    }

    /// Sets the number of the contents of a text or bytes object.
    pub fn content_hash(&mut self, object: Addr, hash: u64) {
        if let Some(draft) = self.objects.get_mut(&object) {
            draft.content_hash = Some(hash);
        }
    }

    /// Sets what code calls an object.
    pub fn name(&mut self, object: Addr, text: &str) {
        let name = self.strings.intern(text);
        if let Some(draft) = self.objects.get_mut(&object) {
            draft.name = Some(name);
        }
    }

    /// Sets by how many bytes a container is larger than a copy of it would be.
    pub fn spare(&mut self, object: Addr, bytes: u64) {
        if let Some(draft) = self.objects.get_mut(&object) {
            draft.spare_bytes = Some(bytes);
        }
    }

    /// Sets where an object was allocated, the line that did it first.
    pub fn allocated(&mut self, object: Addr, lines: &[(&str, u32)]) {
        let lines: Vec<_> =
            lines.iter().map(|&(file, line)| (self.strings.intern(file), line)).collect();
        let site = self.allocations.intern(&lines);
        if let Some(draft) = self.objects.get_mut(&object) {
            draft.site = site;
        }
    }

    /// Marks a type: its sizes are estimates, or its referents were found by scanning.
    pub fn mark_type(&mut self, type_name: &str, estimated: bool, inferred: bool) {
        let ty = self.type_id(type_name);
        if let Some(row) = self.types.get_mut(ty.index()) {
            row.estimated |= estimated;
            row.inferred |= inferred;
        }
    }

    /// Notes an anomaly.
    pub fn anomaly(&mut self, kind: &str, at: Addr) {
        self.anomalies.note(kind, at);
    }

    /// The row of a type, which is added if it is new.
    fn type_id(&mut self, type_name: &str) -> TypeId {
        let name = self.strings.intern(type_name);
        let types = &mut self.types;
        *self.type_ids.entry(name).or_insert_with(|| {
            let id = TypeId::from_index(types.len());
            types.push(TypeRow { addr: Addr::NULL, name, estimated: false, inferred: false });
            id
        })
    }

    /// The graph, its rows in the order of the addresses.
    #[must_use]
    pub fn build(self) -> HeapGraph {
        let ids: FxHashMap<Addr, ObjectId> = self
            .objects
            .keys()
            .enumerate()
            .map(|(row, &addr)| (addr, ObjectId::from_index(row)))
            .collect();
        let mut graph = HeapGraph {
            types: self.types,
            strings: self.strings,
            anomalies: self.anomalies,
            allocations: self.allocations,
            ..HeapGraph::default()
        };
        for (&addr, draft) in &self.objects {
            let id = ObjectId::from_index(graph.addrs.len());
            graph.addrs.push(addr);
            graph.object_types.push(draft.ty);
            graph.shallow_bytes.push(draft.shallow_bytes);
            graph.refcounts.push(draft.refcount);
            graph.flags.push(draft.flags);
            let shape = push_edges(&ids, &draft.referents, &mut graph.referents, &mut graph.shapes);
            graph.shapes_of.push(shape);
            let shape =
                push_edges(&ids, &draft.hidden, &mut graph.hidden_referents, &mut graph.shapes);
            graph.hidden_shapes_of.push(shape);
            if draft.buffer_bytes > 0 {
                graph.buffer_bytes.insert(id, draft.buffer_bytes);
            }
            if draft.payload_bytes > 0 {
                graph.payload_bytes.insert(id, draft.payload_bytes);
            }
            if let Some(value) = draft.value {
                graph.values.insert(id, value);
            }
            if let Some(hash) = draft.content_hash {
                graph.content_hashes.push_at(id, hash);
            }
            if let Some(name) = draft.name {
                graph.names.insert(id, name);
            }
            if let Some(bytes) = draft.spare_bytes {
                graph.spare_bytes.push_at(id, bytes);
            }
            if let Some(finalizer) = draft.finalizer {
                graph.finalizers.push_at(id, finalizer);
            }
            if let Some(&referent) = draft.weak_referent.and_then(|at| ids.get(&at)) {
                graph.weak_referents.push_at(id, referent);
            }
            if let Some(site) = draft.site {
                graph.allocations.push_at(id, site);
            }
        }
        let rooted = self.roots.iter().filter_map(|&(kind, name, addr)| {
            ids.get(&addr).map(|&object| Root { kind, name, object, thread: None })
        });
        graph.roots = rooted.collect();
        graph
    }
}

/// Appends the edges of the next object and gives the number of their labels.
fn push_edges(
    ids: &FxHashMap<Addr, ObjectId>,
    edges: &[(EdgeLabel, Addr)],
    csr: &mut Csr,
    shapes: &mut Shapes,
) -> super::ShapeId {
    let known: Vec<(LabelRun, ObjectId)> = edges
        .iter()
        .filter_map(|&(label, to)| ids.get(&to).map(|&id| (LabelRun::One(label), id)))
        .collect();
    csr.push(known.iter().map(|&(_, id)| id));
    let runs: Vec<LabelRun> = known.iter().map(|&(run, _)| run).collect();
    shapes.intern(&runs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted_by_address_and_edges_follow_them() {
        let mut builder = GraphBuilder::new();
        let list = builder.object(0x30, "builtins.list", 56);
        let item = builder.object(0x10, "builtins.int", 28);
        builder.item(list, 0, item);
        builder.item(list, 1, Addr(0x99));
        builder.root(RootKind::Module, "app", list);
        let graph = builder.build();
        assert_eq!(graph.addrs, [Addr(0x10), Addr(0x30)]);
        assert_eq!(graph.referents.of(ObjectId(1)), [ObjectId(0)]);
        assert_eq!(graph.referent_label(ObjectId(1), 0), "[0]");
        assert_eq!(graph.roots.first().map(|root| root.object), Some(ObjectId(1)));
    }
}
