//! What `gc.collect()` would free now, without running it: the collector's own algorithm on paper
//! (`deduce_unreachable`, `Modules/gcmodule.c`, `Python/gc.c`).
//!
//! From each tracked object's reference count the references that come from tracked objects are
//! taken away. What is left comes from outside: that object, and all it reaches, is alive. The
//! others would be found unreachable. When they go, everything goes that nothing else refers to:
//! that is decided by counting down over all references, hidden ones too.
//!
//! A reference that is not known here only makes an object look more alive, so what is alive is
//! never called garbage.

use crate::graph::{
    EdgeLabel, Finalizer, HeapGraph, ObjectFlags, ObjectId, Reference, RootKind, WAVE, Wave,
};

/// What a collection would do.
#[derive(Clone, Debug, Default)]
pub struct Collection {
    fate: Vec<Fate>,
    /// The tracked objects that it would find unreachable, in the order of their addresses: with
    /// `gc.DEBUG_SAVEALL` these are kept.
    pub unreachable: Vec<ObjectId>,
    /// What would be freed because these go, in the order in which it goes, each with the object
    /// whose end is its end.
    pub along: Vec<(ObjectId, ObjectId)>,
}

/// What would become of an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Fate {
    #[default]
    Stays,
    Unreachable,
    Along,
    /// It is found unreachable, and put into `gc.garbage` for a `tp_del` of it or of what leads to it.
    Kept,
}

/// Whether the collector looks at an object: tracked, and not frozen.
fn is_looked_at(graph: &HeapGraph, object: ObjectId) -> bool {
    graph.flags_of(object).has(ObjectFlags::GC_TRACKED)
}

/// No count falls to this: the object lives as long as the process.
const IMMORTAL: i32 = i32::MAX;

impl Collection {
    /// Decides for every object.
    #[must_use]
    pub fn new(graph: &HeapGraph) -> Self {
        let mut counts: Vec<i32> = graph.ids().map(|object| count(graph, object)).collect();
        let mut reached = vec![true; graph.len()];
        let mut left = Vec::new();
        {
            let mut outside = counts.clone();
            for object in graph.ids().filter(|&object| is_looked_at(graph, object)) {
                for to in graph.referents.of(object) {
                    lower(&mut outside, *to);
                }
            }
            for object in graph.ids().filter(|&object| is_looked_at(graph, object)) {
                let from_outside = outside.get(object.index()).copied().unwrap_or_default() > 0;
                if from_outside {
                    left.push(object);
                } else if let Some(flag) = reached.get_mut(object.index()) {
                    *flag = false;
                }
            }
        }
        let (mut wave, mut objects) = (Wave::of(graph), Vec::with_capacity(WAVE));
        while !left.is_empty() {
            objects.clear();
            objects.extend(left.drain(left.len().saturating_sub(WAVE)..));
            let look = |to: ObjectId| reached.get(to.index()).copied().map_or(0, u32::from);
            for &Reference { to, .. } in wave.read(&objects, false, look) {
                if let Some(flag) = reached.get_mut(to.index())
                    && !*flag
                {
                    *flag = true;
                    left.push(to);
                }
            }
        }
        let is_unreachable = |object: &ObjectId| reached.get(object.index()) == Some(&false);
        let mut collection = Self {
            fate: vec![Fate::Stays; graph.len()],
            unreachable: graph.ids().filter(is_unreachable).collect(),
            along: Vec::new(),
        };
        collection.free(graph, &mut counts);
        collection
    }

    /// Counts down from what is unreachable to what goes with it.
    fn free(&mut self, graph: &HeapGraph, counts: &mut [i32]) {
        for &object in &self.unreachable {
            if let Some(fate) = self.fate.get_mut(object.index()) {
                *fate = Fate::Unreachable;
            }
        }
        self.keep_legacy(graph);
        let goes = |object: &ObjectId| self.fate.get(object.index()) == Some(&Fate::Unreachable);
        let mut left: Vec<ObjectId> = self.unreachable.iter().rev().copied().filter(goes).collect();
        while let Some(object) = left.pop() {
            let visible = graph.referents.of(object).iter().copied();
            let certain = certain_hidden(graph, object);
            for to in visible.chain(certain) {
                let Some(fate) = self.fate.get_mut(to.index()) else { continue };
                if *fate == Fate::Stays && lower(counts, to) == 0 {
                    *fate = Fate::Along;
                    self.along.push((to, object));
                    left.push(to);
                }
            }
        }
    }

    /// What has a `tp_del` is not freed, and neither is what it leads to (`move_legacy_finalizers`).
    fn keep_legacy(&mut self, graph: &HeapGraph) {
        if graph.finalizers.is_empty() {
            return;
        }
        let is_legacy =
            |object: &ObjectId| graph.finalizers.get(*object) == Some(Finalizer::Legacy);
        let mut left: Vec<ObjectId> = self.unreachable.iter().copied().filter(is_legacy).collect();
        while let Some(object) = left.pop() {
            if let Some(fate) = self.fate.get_mut(object.index())
                && *fate == Fate::Unreachable
            {
                *fate = Fate::Kept;
                left.extend(graph.referents.of(object));
            }
        }
    }

    /// Whether the collector would find the object unreachable.
    #[must_use]
    pub fn is_unreachable(&self, object: ObjectId) -> bool {
        matches!(self.fate.get(object.index()), Some(Fate::Unreachable | Fate::Kept))
    }

    /// Whether the object would be freed, found unreachable or along with what is.
    #[must_use]
    pub fn is_freed(&self, object: ObjectId) -> bool {
        matches!(self.fate.get(object.index()), Some(Fate::Unreachable | Fate::Along))
    }

    /// What would be found unreachable, and be put into `gc.garbage` instead of being freed.
    pub fn kept(&self) -> impl Iterator<Item = ObjectId> + '_ {
        let is_kept = |object: &ObjectId| self.fate.get(object.index()) == Some(&Fate::Kept);
        self.unreachable.iter().copied().filter(is_kept)
    }

    /// All that would be freed.
    pub fn freed(&self) -> impl Iterator<Item = ObjectId> + '_ {
        let found = self.unreachable.iter().copied().filter(|&object| self.is_freed(object));
        found.chain(self.along.iter().map(|&(object, _)| object))
    }
}

/// The references that an object's count speaks of.
fn count(graph: &HeapGraph, object: ObjectId) -> i32 {
    if graph.flags_of(object).has(ObjectFlags::IMMORTAL) {
        return IMMORTAL;
    }
    let count = graph.refcounts.get(object.index()).copied().unwrap_or_default();
    i32::try_from(count).unwrap_or(IMMORTAL)
}

/// Takes one reference away; gives how many are left.
fn lower(counts: &mut [i32], object: ObjectId) -> i32 {
    match counts.get_mut(object.index()) {
        Some(count) if *count != IMMORTAL => {
            *count -= 1;
            *count
        }
        _ => IMMORTAL,
    }
}

/// The hidden references of an object that a rule knows. What was only found by scanning may be
/// borrowed, and counting it would free what lives.
pub(super) fn certain_hidden(
    graph: &HeapGraph,
    object: ObjectId,
) -> impl Iterator<Item = ObjectId> + '_ {
    let shape = graph.hidden_shapes_of.get(object.index()).copied().unwrap_or_default();
    let labels = graph.shapes.labels(shape);
    let hidden = graph.hidden_referents.of(object).iter().copied();
    hidden
        .zip(labels)
        .filter(|(_, label)| !matches!(label, EdgeLabel::Inferred(_) | EdgeLabel::Native(_)))
        .map(|(to, _)| to)
}

/// The contents of `gc.garbage`: what a collection found and could not free.
#[must_use]
pub fn uncollectable(graph: &HeapGraph) -> Vec<ObjectId> {
    let is_list = |name| graph.strings.text(name) == "gc.garbage";
    let mut objects: Vec<ObjectId> = graph
        .roots
        .iter()
        .filter(|root| root.kind == RootKind::Interpreter && is_list(root.name))
        .flat_map(|root| graph.referents.of(root.object).iter().copied())
        .collect();
    objects.sort_unstable();
    objects.dedup();
    objects
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::GraphBuilder;

    fn tracked(
        builder: &mut GraphBuilder,
        addr: u64,
        name: &str,
        refcount: u32,
    ) -> crate::addr::Addr {
        let object = builder.object(addr, name, 64);
        builder.flag(object, ObjectFlags::GC_TRACKED);
        builder.refcount(object, refcount);
        object
    }

    fn addrs(graph: &HeapGraph, objects: impl IntoIterator<Item = ObjectId>) -> Vec<u64> {
        objects.into_iter().map(|object| graph.addr(object).0).collect()
    }

    #[test]
    fn a_cycle_that_nothing_else_refers_to_goes_with_what_hangs_on_it() {
        let mut builder = GraphBuilder::new();
        let frame = tracked(&mut builder, 0x100, "pandas.DataFrame", 1);
        let accessor = tracked(&mut builder, 0x200, "app.Accessor", 1);
        builder.attribute(frame, "ww", accessor);
        builder.attribute(accessor, "_dataframe", frame);
        // An array that the collector does not know, and the base that it is a view of.
        let view = builder.object(0x300, "numpy.ndarray", 112);
        builder.refcount(view, 1);
        builder.attribute(frame, "values", view);
        let base = builder.object(0x400, "numpy.ndarray", 800);
        builder.refcount(base, 1);
        let name = builder.intern("base");
        builder.hidden_edge(view, EdgeLabel::Attribute(name), base);
        // What is referred to from elsewhere too stays, and so does what was only found by scanning.
        let shared = builder.object(0x500, "builtins.str", 50);
        builder.refcount(shared, 2);
        builder.attribute(frame, "name", shared);
        let scanned = builder.object(0x600, "builtins.bytes", 50);
        builder.refcount(scanned, 1);
        builder.hidden_edge(view, EdgeLabel::Inferred(16), scanned);
        let graph = builder.build();
        let collection = Collection::new(&graph);
        assert_eq!(addrs(&graph, collection.unreachable.iter().copied()), [0x100, 0x200]);
        assert_eq!(addrs(&graph, collection.along.iter().map(|&(o, _)| o)), [0x300, 0x400]);
    }

    #[test]
    fn what_is_held_from_outside_or_by_what_is_stays() {
        let mut builder = GraphBuilder::new();
        let held = tracked(&mut builder, 0x100, "app.A", 2);
        let other = tracked(&mut builder, 0x200, "app.B", 1);
        builder.attribute(held, "b", other);
        builder.attribute(other, "a", held);
        // A frozen object is not looked at, so what it refers to is held.
        let frozen = builder.object(0x300, "app.F", 64);
        builder.flag(frozen, ObjectFlags::GC_FROZEN);
        builder.refcount(frozen, 1);
        let of_frozen = tracked(&mut builder, 0x400, "app.G", 1);
        builder.attribute(frozen, "g", of_frozen);
        builder.attribute(of_frozen, "f", frozen);
        // An immortal object does not go.
        let immortal = tracked(&mut builder, 0x500, "app.I", 0);
        builder.flag(immortal, ObjectFlags::IMMORTAL);
        let graph = builder.build();
        assert_eq!(Collection::new(&graph).freed().count(), 0);
    }

    #[test]
    fn what_has_a_tp_del_is_found_and_never_freed() {
        let mut builder = GraphBuilder::new();
        let [before, legacy, below] =
            [0x100, 0x200, 0x300].map(|at| tracked(&mut builder, at, "app.T", 1));
        builder.attribute(before, "next", legacy);
        builder.attribute(legacy, "next", below);
        builder.attribute(below, "next", legacy);
        builder.refcount(legacy, 2);
        builder.attribute(before, "me", before);
        builder.finalizer(legacy, Finalizer::Legacy);
        let graph = builder.build();
        let collection = Collection::new(&graph);
        assert_eq!(addrs(&graph, collection.unreachable.iter().copied()), [0x100, 0x200, 0x300]);
        assert_eq!(addrs(&graph, collection.freed()), [0x100]);
        assert_eq!(addrs(&graph, collection.kept()), [0x200, 0x300]);
    }

    #[test]
    fn an_edge_that_is_not_known_makes_nothing_garbage() {
        // Of a cycle of three, with any one edge left out, nothing goes.
        for missing in 0..4 {
            let mut builder = GraphBuilder::new();
            let objects: Vec<_> =
                (1..4).map(|nth| tracked(&mut builder, nth * 0x100, "app.T", 1)).collect();
            for nth in (0..3).filter(|&nth| nth != missing) {
                builder.item(objects[nth], 0, objects[(nth + 1) % 3]);
            }
            let graph = builder.build();
            let expected = if missing == 3 { 3 } else { 0 };
            assert_eq!(Collection::new(&graph).unreachable.len(), expected, "{missing}");
        }
    }
}
