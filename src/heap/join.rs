//! Decoded chunks, in the order of their addresses, become the columns of one graph.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::build::Rows;
use super::shapes::ShapeResolver;
use crate::addr::Addr;
use crate::cpython::object::{Objects, TypeInfo};
use crate::cpython::tracemalloc::{TraceFrame, TraceTable};
use crate::graph::{HeapGraph, Line, ObjectId, ShapeId, SiteId, TypeId, TypeRow};
use crate::target::memory::Memory;

/// A graph that chunks are appended to. Its types are numbered as they come until all are known.
pub(super) struct Joint<'a, 'o, M> {
    resolver: ShapeResolver<'a, 'o, M>,
    graph: HeapGraph,
    infos: Vec<Arc<TypeInfo>>,
    numbers: FxHashMap<Addr, TypeId>,
    estimated: FxHashSet<Addr>,
    inferred: FxHashSet<Addr>,
    objects: &'a Objects<'o, M>,
    traces: Option<&'a TraceTable>,
    sites: FxHashMap<Addr, Option<SiteId>>,
    /// Memory that several objects share and that one of them owns.
    owned: FxHashSet<Addr>,
}

impl<'a, 'o, M: Memory> Joint<'a, 'o, M> {
    /// A graph without rows, with room for so many.
    pub(super) fn new(
        objects: &'a Objects<'o, M>,
        traces: Option<&'a TraceTable>,
        rows: usize,
    ) -> Self {
        let mut graph = HeapGraph::default();
        // What cannot be reserved at once grows by and by.
        let _ = graph.shallow_bytes.try_reserve_exact(rows);
        graph.object_types.reserve_exact(rows);
        graph.refcounts.reserve_exact(rows);
        graph.flags.reserve_exact(rows);
        Self {
            resolver: ShapeResolver::new(objects),
            graph,
            infos: Vec::new(),
            numbers: FxHashMap::default(),
            estimated: FxHashSet::default(),
            inferred: FxHashSet::default(),
            objects,
            traces,
            sites: FxHashMap::default(),
            owned: FxHashSet::default(),
        }
    }

    /// Notes where objects were allocated; each traceback is read once.
    fn allocations(&mut self, tracebacks: &[(ObjectId, Addr)]) {
        let Some(traces) = self.traces else { return };
        let graph = &mut self.graph;
        for &(object, traceback) in tracebacks {
            let site = *self.sites.entry(traceback).or_insert_with(|| {
                let frames = traces.frames(self.objects, traceback);
                let line = |frame: &TraceFrame| (graph.strings.intern(&frame.file), frame.line);
                let lines: Vec<Line> = frames.iter().map(line).collect();
                graph.allocations.intern(&lines)
            });
            if let Some(site) = site {
                graph.allocations.push_at(object, site);
            }
        }
    }

    /// Appends the rows of the next chunk.
    pub(super) fn append(&mut self, rows: Rows) {
        self.allocations(&rows.tracebacks);
        for (addr, info) in rows.infos {
            self.numbers.entry(addr).or_insert_with(|| {
                self.infos.push(info);
                TypeId::from_index(self.infos.len() - 1)
            });
        }
        self.estimated.extend(rows.estimated);
        self.inferred.extend(rows.inferred);
        let graph = &mut self.graph;
        let number = |ty: &Addr| self.numbers.get(ty).copied().unwrap_or_default();
        graph.object_types.extend(rows.types.iter().map(number));
        graph.shallow_bytes.extend(rows.shallow_bytes);
        graph.refcounts.extend(rows.refcounts);
        graph.flags.extend(rows.flags);
        graph.referents.append(&rows.referents);
        graph.hidden_referents.append(&rows.hidden);
        graph.buffer_bytes.extend(rows.buffers);
        graph.payload_bytes.extend(rows.payloads);
        // What is shared is owned once: by the first of those that keep it.
        for (object, at, bytes) in rows.shared_buffers {
            if self.owned.insert(at) {
                let sum = graph.buffer_bytes.entry(object).or_default();
                *sum = sum.saturating_add(bytes);
            }
        }
        for (object, text) in rows.values {
            let text = graph.strings.intern(&text);
            graph.values.insert(object, text);
        }
        for (object, bytes) in rows.spare_bytes {
            graph.spare_bytes.push_at(object, bytes);
        }
        for (object, finalizer) in rows.finalizers {
            graph.finalizers.push_at(object, finalizer);
        }
        for (weak, referent) in rows.weak_referents {
            graph.weak_referents.push_at(weak, referent);
        }
        for (object, number) in rows.content_hashes {
            graph.content_hashes.push_at(object, number);
        }
        for (object, name) in rows.names {
            let name = graph.strings.intern(&name);
            graph.names.insert(object, name);
        }
        let shapes: Vec<ShapeId> = rows
            .shapes
            .shapes
            .iter()
            .map(|raw| self.resolver.resolve(raw, &mut graph.shapes, &mut graph.strings))
            .collect();
        let shape = |nth: u32| shapes.get(nth as usize).copied().unwrap_or_default();
        graph.shapes_of.extend(rows.shapes_of.into_iter().map(shape));
        graph.hidden_shapes_of.extend(rows.hidden_shapes_of.into_iter().map(shape));
        graph.anomalies.merge(&rows.anomalies);
    }

    /// The graph of the objects at these addresses, which are all that were appended. Its types are
    /// in the order of their addresses.
    pub(super) fn finish(self, addrs: Vec<Addr>) -> HeapGraph {
        let mut graph = self.graph;
        graph.addrs = addrs;
        graph.referents.shrink_to_fit();
        graph.hidden_referents.shrink_to_fit();
        graph.shapes_of.shrink_to_fit();
        graph.content_hashes.shrink_to_fit();
        graph.spare_bytes.shrink_to_fit();
        graph.finalizers.shrink_to_fit();
        graph.weak_referents.shrink_to_fit();
        graph.hidden_shapes_of.shrink_to_fit();
        let mut infos: Vec<(usize, Arc<TypeInfo>)> = self.infos.into_iter().enumerate().collect();
        infos.sort_by_key(|(_, info)| info.addr);
        let mut renumbered = vec![TypeId::default(); infos.len()];
        for (new, (old, info)) in infos.iter().enumerate() {
            if let Some(slot) = renumbered.get_mut(*old) {
                *slot = TypeId::from_index(new);
            }
            graph.types.push(TypeRow {
                addr: info.addr,
                name: graph.strings.intern(&info.name),
                estimated: self.estimated.contains(&info.addr),
                inferred: self.inferred.contains(&info.addr),
            });
        }
        for ty in &mut graph.object_types {
            *ty = renumbered.get(ty.index()).copied().unwrap_or_default();
        }
        graph
    }
}
