//! The second pass: all objects are known and numbered, and are decoded into rows.

use std::sync::Arc;

use rayon::prelude::*;
use rustc_hash::FxHashMap;

use super::contents::Contents;
use super::discover::Discovered;
use super::gc_lists::{FROZEN, Tracked};
use super::join::Joint;
use super::recover::OLDEST;
use super::roots::RawRoot;
use super::shapes::{RawShapes, ShapeBuilder};
use super::types::{TypeCache, Types};
use crate::addr::Addr;
use crate::cpython::layout::features::HAVE_GC;
use crate::cpython::object::{
    ArrowClasses, Count, EdgeSink, Finalization, Label, Objects, Run, Sight, TypeInfo,
};
use crate::cpython::tracemalloc::TraceTable;
use crate::graph::{Anomalies, Csr, Finalizer, HeapGraph, ObjectFlags, ObjectId, Root};
use crate::target::memory::Memory;

/// The objects that one task decodes.
const CHUNK: usize = 1 << 15;
/// The chunks that each thread decodes before they are joined.
const CHUNKS_PER_THREAD: usize = 8;

/// The rows of one chunk of objects.
#[derive(Default)]
pub(super) struct Rows {
    pub(super) types: Vec<Addr>,
    pub(super) infos: FxHashMap<Addr, Arc<TypeInfo>>,
    pub(super) shallow_bytes: Vec<u64>,
    pub(super) refcounts: Vec<u32>,
    pub(super) flags: Vec<ObjectFlags>,
    pub(super) referents: Csr,
    pub(super) hidden: Csr,
    pub(super) shapes_of: Vec<u32>,
    pub(super) hidden_shapes_of: Vec<u32>,
    pub(super) buffers: Vec<(ObjectId, u64)>,
    pub(super) payloads: Vec<(ObjectId, u64)>,
    pub(super) values: Vec<(ObjectId, String)>,
    pub(super) content_hashes: Vec<(ObjectId, u64)>,
    pub(super) names: Vec<(ObjectId, String)>,
    pub(super) spare_bytes: Vec<(ObjectId, u64)>,
    pub(super) finalizers: Vec<(ObjectId, Finalizer)>,
    pub(super) weak_referents: Vec<(ObjectId, ObjectId)>,
    /// Objects, memory that they share with others, and how much that is, in bytes.
    pub(super) shared_buffers: Vec<(ObjectId, Addr, u64)>,
    /// Objects and where their tracebacks are.
    pub(super) tracebacks: Vec<(ObjectId, Addr)>,
    /// Types with objects whose size is an estimate.
    pub(super) estimated: Vec<Addr>,
    /// Types with objects whose references are guessed.
    pub(super) inferred: Vec<Addr>,
    pub(super) shapes: RawShapes,
    pub(super) anomalies: Anomalies,
}

/// What the rows are made from.
pub(super) struct Build<'a, 'o, M> {
    pub(super) objects: &'a Objects<'o, M>,
    pub(super) types: &'a Types,
    pub(super) discovered: &'a Discovered,
    pub(super) tracked: &'a Tracked,
    /// Whether the contents of texts and numbers are wanted.
    pub(super) values: bool,
    /// What numbers the contents of texts and bytes, if they are wanted.
    pub(super) contents: Option<&'a Contents>,
    /// The classes of Arrow's C++ objects.
    pub(super) arrow: ArrowClasses,
    /// Where blocks were allocated, if that is known.
    pub(super) traces: Option<&'a TraceTable>,
}

impl<M: Memory> Build<'_, '_, M> {
    /// Makes the graph.
    pub(super) fn run(&self, roots: &[RawRoot]) -> HeapGraph {
        let count = self.discovered.objects.seal();
        let addrs = self.discovered.objects.addrs(count);
        let mut joint = Joint::new(self.objects, self.traces, addrs.len());
        // A few chunks at a time: what is decoded but not joined yet exists twice.
        let batch = CHUNK * rayon::current_num_threads() * CHUNKS_PER_THREAD;
        for (nth, batch_addrs) in addrs.chunks(batch).enumerate() {
            let chunks: Vec<Rows> = batch_addrs
                .par_chunks(CHUNK)
                .enumerate()
                .map(|(in_batch, chunk)| self.rows(chunk, nth * batch + in_batch * CHUNK))
                .collect();
            chunks.into_iter().for_each(|rows| joint.append(rows));
        }
        let mut graph = joint.finish(addrs);
        self.add_roots(roots, &mut graph);
        graph
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
        let (refcount, mut flags) = self.header(object);
        if self.tracked.broken && self.is_tracked_by_header(object, ty, flags) {
            flags = flags.with(ObjectFlags::GC_TRACKED).with_generation(OLDEST);
        }
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
        if sink.edges.guessed && rows.inferred.last() != Some(&ty.addr) {
            rows.inferred.push(ty.addr);
        }
        if ty.is_scanned() {
            for (at, bytes) in self.objects.arrow_buffers(object, ty, &self.arrow) {
                rows.shared_buffers.push((id, at, bytes));
            }
            self.scan(object, ty, types, &mut sink);
        }
        if self.values
            && let Some(text) = self.objects.value_text(object, ty)
        {
            rows.values.push((id, text));
        }
        let number = |contents: &Contents| contents.number(self.objects, object, ty);
        if let Some(number) = self.contents.and_then(number) {
            rows.content_hashes.push((id, number));
        }
        if let Some(name) = self.objects.code_name(object, ty) {
            rows.names.push((id, name));
        }
        self.end_of(object, id, ty, types, rows);
        // What cannot be read was noted with its size.
        if self.contents.is_some()
            && let Ok(Some(bytes)) = self.objects.spare_bytes(object, ty)
        {
            rows.spare_bytes.push((id, bytes));
        }
        let block = object - self.objects.block_offset(ty);
        let traceback = |traces: &TraceTable| traces.traceback_of(self.objects.memory, block);
        if let Some(traceback) = self.traces.and_then(traceback) {
            rows.tracebacks.push((id, traceback));
        }
    }

    /// What happens at the end of an object, and for a weak reference to what it leads.
    fn end_of(
        &self,
        object: Addr,
        id: ObjectId,
        ty: &TypeInfo,
        types: &mut TypeCache<'_>,
        rows: &mut Rows,
    ) {
        match self.objects.finalization(object, ty) {
            Ok(None) => {}
            Ok(Some(finalization)) => rows.finalizers.push((id, finalizer(finalization))),
            Err(error) => rows.anomalies.note(error.kind(), object),
        }
        // One that has lost its object leads to `None` instead.
        if let Ok(Some(referent)) = self.objects.weak_referent(object, ty)
            && let Some(referent_id) = self.discovered.objects.rank(referent).map(ObjectId)
            && types.of(self.objects, referent).is_ok_and(|ty| &*ty.native_name != "NoneType")
        {
            rows.weak_referents.push((id, referent_id));
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
        let followed = !sink.edges.guessed;
        if followed && sink.edges.visited.len() > MOST_VISITED {
            return;
        }
        let sight = if followed { Sight::Hidden } else { Sight::Visited };
        let _ = self.objects.scan(object, ty, |offset, word| {
            let Some(id) = self.discovered.objects.rank(word).map(ObjectId) else { return };
            let is_told = sink.edges.visited.contains(&id) || sink.edges.hidden.contains(&id);
            let mut is_collected = || types.of(self.objects, word).is_ok_and(|ty| ty.has(HAVE_GC));
            if !followed || (!is_told && !is_collected()) {
                sink.edge(sight, word, Label::Inferred(offset));
            }
        });
    }

    /// Whether the collector's header says that an object is tracked (`_PyObject_GC_IS_TRACKED`),
    /// though no list led to it: the lists are torn.
    fn is_tracked_by_header(&self, object: Addr, ty: &TypeInfo, flags: ObjectFlags) -> bool {
        let known = flags.has(ObjectFlags::GC_TRACKED) || flags.has(ObjectFlags::GC_FROZEN);
        let head = object - self.objects.layout.gc_head_size;
        !known
            && self.objects.is_gc(object, ty)
            && self.objects.memory.addr(head).is_ok_and(|next| !next.without_tag(3).is_null())
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

    /// The roots whose objects were found, and what C code holds beside them.
    fn add_roots(&self, roots: &[RawRoot], graph: &mut HeapGraph) {
        let mut doubtful = Vec::new();
        for root in roots {
            if let Some(object) = self.discovered.objects.rank(root.target).map(ObjectId) {
                let name = graph.strings.intern(&root.name);
                let found = Root { kind: root.kind, name, object, thread: root.thread };
                match root.is_doubtful {
                    true => doubtful.push(found),
                    false => graph.roots.push(found),
                }
            }
        }
        graph.root_if_unexplained(doubtful);
        graph.root_what_c_holds();
    }
}

const fn finalizer(finalization: Finalization) -> Finalizer {
    match finalization {
        Finalization::Suspended => Finalizer::Generator,
        Finalization::NeverAwaited => Finalizer::Coroutine,
        Finalization::Hook => Finalizer::Hook,
        Finalization::Open => Finalizer::File,
        Finalization::PendingTask => Finalizer::Task,
        Finalization::UnretrievedException => Finalizer::Future,
        Finalization::Code => Finalizer::C,
        Finalization::Legacy => Finalizer::Legacy,
    }
}

/// The edges of the object that is being decoded.
#[derive(Default)]
struct Edges {
    visited: Vec<ObjectId>,
    hidden: Vec<ObjectId>,
    shape: ShapeBuilder,
    hidden_shape: ShapeBuilder,
    /// What it visits is not known from its own code.
    guessed: bool,
}

impl Edges {
    fn clear(&mut self) {
        self.visited.clear();
        self.hidden.clear();
        self.guessed = false;
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

    fn guessed(&mut self) {
        self.edges.guessed = true;
    }
}
