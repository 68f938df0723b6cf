//! The second pass: all objects are known and numbered, and become the rows of a graph.

use std::sync::Arc;

use rayon::prelude::*;
use rustc_hash::FxHashMap;

use super::discover::Discovered;
use super::gc_lists::{FROZEN, Tracked};
use super::roots::RawRoot;
use super::shapes::{RawShapes, ShapeBuilder, ShapeResolver};
use super::types::{TypeCache, Types};
use crate::addr::Addr;
use crate::cpython::layout::features::HAVE_GC;
use crate::cpython::object::{Count, EdgeSink, Label, Objects, Run, Sight, TypeInfo};
use crate::graph::{
    Anomalies, Csr, HeapGraph, ObjectFlags, ObjectId, Root, RootKind, ShapeId, TypeId, TypeRow,
};
use crate::target::memory::Memory;

/// The objects that one task decodes.
const CHUNK: usize = 1 << 15;

/// The rows of one chunk of objects.
#[derive(Default)]
struct Rows {
    types: Vec<Addr>,
    infos: FxHashMap<Addr, Arc<TypeInfo>>,
    shallow_bytes: Vec<u64>,
    refcounts: Vec<u32>,
    flags: Vec<ObjectFlags>,
    referents: Csr,
    hidden: Csr,
    shapes_of: Vec<u32>,
    hidden_shapes_of: Vec<u32>,
    buffers: Vec<(ObjectId, u64)>,
    payloads: Vec<(ObjectId, u64)>,
    values: Vec<(ObjectId, String)>,
    estimated: Vec<Addr>,
    shapes: RawShapes,
    anomalies: Anomalies,
}

/// What the rows are made from.
pub(super) struct Build<'a, 'o, M> {
    pub(super) objects: &'a Objects<'o, M>,
    pub(super) types: &'a Types,
    pub(super) discovered: &'a Discovered,
    pub(super) tracked: &'a Tracked,
    /// Whether the contents of texts and numbers are wanted.
    pub(super) values: bool,
}

impl<M: Memory> Build<'_, '_, M> {
    /// Makes the graph.
    pub(super) fn run(&self, roots: &[RawRoot]) -> HeapGraph {
        self.discovered.objects.seal();
        let addrs = self.discovered.objects.addrs();
        let chunks: Vec<Rows> = addrs
            .par_chunks(CHUNK)
            .enumerate()
            .map(|(nth, chunk)| self.rows(chunk, nth * CHUNK))
            .collect();
        self.join(addrs, chunks, roots)
    }

    /// Decodes one chunk of objects.
    fn rows(&self, addrs: &[Addr], first: usize) -> Rows {
        let mut rows = Rows::default();
        let mut types = TypeCache::new(self.types);
        let mut edges = Edges::default();
        for (nth, &object) in addrs.iter().enumerate() {
            let id = ObjectId::from_index(first + nth);
            edges.clear();
            match types.of(self.objects, object) {
                Ok(ty) => {
                    let ty = Arc::clone(ty);
                    self.row(object, id, &ty, &mut types, &mut rows, &mut edges);
                }
                Err(error) => {
                    // Discovery keeps only objects whose type resolves.
                    rows.anomalies.note(error.kind(), object);
                    rows.types.push(Addr::NULL);
                    rows.shallow_bytes.push(0);
                    rows.refcounts.push(0);
                    rows.flags.push(ObjectFlags::default());
                }
            }
            rows.referents.push(edges.visited.drain(..));
            rows.hidden.push(edges.hidden.drain(..));
            let shape = edges.shape.finish(&mut rows.shapes);
            rows.shapes_of.push(shape);
            let shape = edges.hidden_shape.finish(&mut rows.shapes);
            rows.hidden_shapes_of.push(shape);
        }
        rows
    }

    /// Decodes one object.
    fn row(
        &self,
        object: Addr,
        id: ObjectId,
        ty: &Arc<TypeInfo>,
        types: &mut TypeCache<'_>,
        rows: &mut Rows,
        edges: &mut Edges,
    ) {
        let (refcount, flags) = self.header(object);
        rows.refcounts.push(refcount);
        rows.flags.push(flags);
        rows.types.push(ty.addr);
        rows.infos.entry(ty.addr).or_insert_with(|| Arc::clone(ty));
        let size = self.objects.size(object, ty).unwrap_or_else(|error| {
            rows.anomalies.note(error.kind(), object);
            crate::cpython::object::Size {
                shallow: ty.tp_basicsize,
                estimated: true,
                ..Default::default()
            }
        });
        rows.shallow_bytes.push(size.shallow);
        if size.payload > 0 {
            rows.payloads.push((id, size.payload));
        }
        if size.buffer > 0 {
            rows.buffers.push((id, size.buffer));
        }
        if size.estimated && rows.estimated.last() != Some(&ty.addr) {
            rows.estimated.push(ty.addr);
        }
        let namespace = flags.has(ObjectFlags::NAMESPACE);
        let mut sink = Numbered { build: self, edges };
        // An object whose references cannot all be read was noted when it was discovered.
        let _ = self.objects.referents(object, ty, namespace, &mut sink);
        if ty.is_scanned() {
            self.scan(object, ty, types, &mut sink);
        }
        if self.values
            && let Some(text) = self.objects.value_text(object, ty)
        {
            rows.values.push((id, text));
        }
    }

    /// What is found in the memory of an object of an unknown C type. Where its own code says what it
    /// visits, that is taken for more only if the collector would not care about it.
    fn scan(
        &self,
        object: Addr,
        ty: &TypeInfo,
        types: &mut TypeCache<'_>,
        sink: &mut Numbered<'_, '_, '_, '_, M>,
    ) {
        /// An object with more references is a container in C, whose items its code visits.
        const MOST_VISITED: usize = 256;
        let followed = self.objects.is_followed(object, ty);
        if followed && sink.edges.visited.len() > MOST_VISITED {
            return;
        }
        let visits = self.objects.is_gc(object, ty) && ty.has_traverse;
        let sight = if visits && !followed { Sight::Visited } else { Sight::Hidden };
        let _ = self.objects.scan(object, ty, |offset, word| {
            let Some(id) = self.discovered.objects.rank(word).map(ObjectId) else { return };
            let is_told = sink.edges.visited.contains(&id) || sink.edges.hidden.contains(&id);
            let mut is_collected = || types.of(self.objects, word).is_ok_and(|ty| ty.has(HAVE_GC));
            if !followed || (!is_told && !is_collected()) {
                sink.edge(sight, word, Label::Inferred(offset));
            }
        });
    }

    /// Reference count and small facts.
    fn header(&self, object: Addr) -> (u32, ObjectFlags) {
        let mut flags = ObjectFlags::default();
        let refcount = match self.objects.ref_count(object) {
            Ok(Count::Of(count)) => count,
            Ok(Count::Immortal) => {
                flags = flags.with(ObjectFlags::IMMORTAL);
                u32::MAX
            }
            Err(_) => 0,
        };
        for (generation, set) in self.tracked.generations.iter().enumerate() {
            if set.contains(object) {
                flags = match generation {
                    FROZEN => flags.with(ObjectFlags::GC_FROZEN),
                    _ => flags
                        .with(ObjectFlags::GC_TRACKED)
                        .with_generation(u8::try_from(generation).unwrap_or(0)),
                };
                break;
            }
        }
        if self.discovered.namespaces.contains(object) {
            flags = flags.with(ObjectFlags::NAMESPACE);
        }
        (refcount, flags)
    }

    /// Puts the chunks together.
    fn join(&self, addrs: Vec<Addr>, chunks: Vec<Rows>, roots: &[RawRoot]) -> HeapGraph {
        let mut graph = HeapGraph { addrs, ..HeapGraph::default() };
        let type_ids = self.type_rows(&chunks, &mut graph);
        let objects = graph.addrs.len();
        // Columns that grow by doubling would hold twice what they need at the worst moment.
        graph.object_types.reserve_exact(objects);
        graph.shallow_bytes.reserve_exact(objects);
        graph.refcounts.reserve_exact(objects);
        graph.flags.reserve_exact(objects);
        graph.shapes_of.reserve_exact(objects);
        graph.hidden_shapes_of.reserve_exact(objects);
        let edges = chunks.iter().map(|rows| rows.referents.edges()).sum();
        graph.referents = Csr::with_capacity(graph.addrs.len(), edges);
        let edges = chunks.iter().map(|rows| rows.hidden.edges()).sum();
        graph.hidden_referents = Csr::with_capacity(graph.addrs.len(), edges);
        let mut resolver = ShapeResolver::new(self.objects);
        for rows in chunks {
            let ids = rows.types.iter().map(|ty| type_ids.get(ty).copied().unwrap_or_default());
            graph.object_types.extend(ids);
            graph.shallow_bytes.extend(rows.shallow_bytes);
            graph.refcounts.extend(rows.refcounts);
            graph.flags.extend(rows.flags);
            graph.referents.append(&rows.referents);
            graph.hidden_referents.append(&rows.hidden);
            graph.buffer_bytes.extend(rows.buffers);
            graph.payload_bytes.extend(rows.payloads);
            for (object, text) in rows.values {
                let text = graph.strings.intern(&text);
                graph.values.insert(object, text);
            }
            let shapes: Vec<ShapeId> = rows
                .shapes
                .shapes
                .iter()
                .map(|raw| resolver.resolve(raw, &mut graph.shapes, &mut graph.strings))
                .collect();
            let shape = |nth: u32| shapes.get(nth as usize).copied().unwrap_or_default();
            graph.shapes_of.extend(rows.shapes_of.into_iter().map(shape));
            graph.hidden_shapes_of.extend(rows.hidden_shapes_of.into_iter().map(shape));
            graph.anomalies.merge(&rows.anomalies);
        }
        self.add_roots(roots, &mut graph);
        graph
    }

    /// The table of types, in the order of their addresses.
    fn type_rows(&self, chunks: &[Rows], graph: &mut HeapGraph) -> FxHashMap<Addr, TypeId> {
        let mut infos: Vec<&Arc<TypeInfo>> =
            chunks.iter().flat_map(|rows| rows.infos.values()).collect();
        infos.sort_by_key(|info| info.addr);
        infos.dedup_by_key(|info| info.addr);
        let mut estimated: Vec<Addr> =
            chunks.iter().flat_map(|rows| rows.estimated.iter().copied()).collect();
        estimated.sort_unstable();
        let mut ids = FxHashMap::default();
        for info in infos {
            ids.insert(info.addr, TypeId::from_index(graph.types.len()));
            graph.types.push(TypeRow {
                addr: info.addr,
                name: graph.strings.intern(&info.name),
                estimated: estimated.binary_search(&info.addr).is_ok(),
                inferred: self.objects.is_inferred(info),
            });
        }
        ids
    }

    /// The roots whose objects were found, and the tracked objects that nothing refers to.
    fn add_roots(&self, roots: &[RawRoot], graph: &mut HeapGraph) {
        for root in roots {
            if let Some(object) = self.discovered.objects.rank(root.target).map(ObjectId) {
                let name = graph.strings.intern(&root.name);
                graph.roots.push(Root { kind: root.kind, name, object });
            }
        }
        let name = graph.strings.intern("tracked by the collector");
        let reached = reached(graph);
        for object in graph.ids() {
            let flags = graph.flags_of(object);
            let tracked = flags.has(ObjectFlags::GC_TRACKED | ObjectFlags::GC_FROZEN);
            if tracked && !reached.get(object.index()).copied().unwrap_or(true) {
                graph.roots.push(Root { kind: RootKind::Collector, name, object });
            }
        }
    }
}

/// Which objects the roots lead to. Each is marked before it is put on the stack, which therefore
/// never holds more than there are objects.
fn reached(graph: &HeapGraph) -> Vec<bool> {
    fn visit(object: ObjectId, reached: &mut [bool], left: &mut Vec<ObjectId>) {
        if let Some(seen) = reached.get_mut(object.index())
            && !*seen
        {
            *seen = true;
            left.push(object);
        }
    }
    let mut reached = vec![false; graph.len()];
    let mut left: Vec<ObjectId> = Vec::new();
    for root in &graph.roots {
        visit(root.object, &mut reached, &mut left);
    }
    while let Some(object) = left.pop() {
        for &next in graph.referents.of(object) {
            visit(next, &mut reached, &mut left);
        }
        for &next in graph.hidden_referents.of(object) {
            visit(next, &mut reached, &mut left);
        }
    }
    reached
}

/// The edges of the object that is being decoded.
#[derive(Default)]
struct Edges {
    visited: Vec<ObjectId>,
    hidden: Vec<ObjectId>,
    shape: ShapeBuilder,
    hidden_shape: ShapeBuilder,
}

impl Edges {
    fn clear(&mut self) {
        self.visited.clear();
        self.hidden.clear();
    }
}

/// Turns addresses into numbers; what is no object has none, and makes no edge.
struct Numbered<'b, 'a, 'o, 'e, M> {
    build: &'b Build<'a, 'o, M>,
    edges: &'e mut Edges,
}

impl<M: Memory> EdgeSink for Numbered<'_, '_, '_, '_, M> {
    fn edge(&mut self, sight: Sight, target: Addr, label: Label) {
        let Some(id) = self.build.discovered.objects.rank(target).map(ObjectId) else { return };
        match sight {
            Sight::Visited => {
                self.edges.visited.push(id);
                self.edges.shape.push(label);
            }
            Sight::Hidden => {
                self.edges.hidden.push(id);
                self.edges.hidden_shape.push(label);
            }
        }
    }

    fn in_run(&mut self, sight: Sight, target: Addr, run: Run, nth: u32) {
        let Some(id) = self.build.discovered.objects.rank(target).map(ObjectId) else { return };
        match sight {
            Sight::Visited => {
                self.edges.visited.push(id);
                self.edges.shape.push_run(run, nth);
            }
            Sight::Hidden => {
                self.edges.hidden.push(id);
                self.edges.hidden_shape.push_run(run, nth);
            }
        }
    }
}
