//! What runs when objects go: `__del__`, callbacks of weak references, and what C code has left to do.
//!
//! Of a weak reference the callback is called if the weak reference itself stays (`handle_weakrefs`,
//! `Python/gc.c`): one that is part of the same garbage is cleared without a word. `weakref.finalize` is a weak
//! reference with such a callback.

use rustc_hash::FxHashMap;

use super::components::all_referents;
use super::paths::name_of;
use crate::graph::{
    EdgeLabel, Finalizer, HeapGraph, ObjectFlags, ObjectId, ShapeColumn, StringId, TypeRow,
};

/// What runs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum FinalizerKind {
    /// The `__del__` of a class: it may bring the object back to life.
    Del,
    /// The callback of a weak reference.
    WeakCallback,
    /// A function that `weakref.finalize` was given.
    WeakFinalize,
    /// C code.
    Native(Finalizer),
}

impl FinalizerKind {
    /// The word for it in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Del => "__del__",
            Self::WeakCallback => "weakref_callback",
            Self::WeakFinalize => "weakref_finalize",
            Self::Native(finalizer) => finalizer.name(),
        }
    }
}

/// What runs of one kind and name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FinalizerRow {
    /// What it is.
    pub kind: FinalizerKind,
    /// What has it: the class, or the function that runs where that has a name.
    pub name: String,
    /// How often it runs.
    pub count: u64,
}

/// What would run at the end of each object of a heap.
#[derive(Debug)]
pub struct Finalizers<'g> {
    graph: &'g HeapGraph,
    /// For each type, whether it has a `__del__`.
    del: Vec<bool>,
    /// The weak references with callbacks that lead to an object.
    weak: FxHashMap<ObjectId, Vec<ObjectId>>,
    /// The functions that `weakref.finalize` was given, by the weak references that it made.
    finalize: FxHashMap<ObjectId, ObjectId>,
    callback: Option<StringId>,
}

impl<'g> Finalizers<'g> {
    /// Looks at the classes and weak references of a heap.
    #[must_use]
    pub fn new(graph: &'g HeapGraph) -> Self {
        let callback = graph.strings.find("__callback__");
        let mut weak: FxHashMap<ObjectId, Vec<ObjectId>> = FxHashMap::default();
        if !graph.weak_referents.is_empty() {
            for object in graph.ids() {
                if let Some(to) = graph.weak_referents.get(object)
                    && attribute(graph, object, callback).is_some()
                {
                    weak.entry(to).or_default().push(object);
                }
            }
        }
        let finalize = if weak.is_empty() { FxHashMap::default() } else { finalize(graph) };
        Self { graph, del: del_types(graph), weak, finalize, callback }
    }

    /// Whether the class of an object has a `__del__`.
    #[must_use]
    pub fn has_del(&self, object: ObjectId) -> bool {
        self.del.get(self.graph.type_of(object).index()).copied().unwrap_or_default()
    }

    /// Gives `each` what runs when an object goes, and its name; `goes` says of a weak reference
    /// whether it is found to be garbage with it.
    pub fn of(
        &self,
        object: ObjectId,
        goes: impl Fn(ObjectId) -> bool,
        mut each: impl FnMut(FinalizerKind, &str),
    ) {
        let graph = self.graph;
        let named = |object| name_of(graph, object).map(|name| graph.strings.text(name));
        if self.has_del(object) {
            each(FinalizerKind::Del, graph.type_name_of(object));
        }
        if let Some(finalizer) = graph.finalizers.get(object) {
            let name = named(object).unwrap_or_else(|| graph.type_name_of(object));
            each(FinalizerKind::Native(finalizer), name);
        }
        for &weak in self.weak.get(&object).into_iter().flatten().filter(|&&weak| !goes(weak)) {
            let (kind, code) = match self.finalize.get(&weak) {
                Some(&function) => (FinalizerKind::WeakFinalize, Some(function)),
                None => (FinalizerKind::WeakCallback, attribute(graph, weak, self.callback)),
            };
            let code = code.unwrap_or(weak);
            each(kind, named(code).unwrap_or_else(|| graph.type_name_of(code)));
        }
    }

    /// The same of many objects, the most frequent first.
    #[must_use]
    pub fn summed(
        &self,
        objects: impl IntoIterator<Item = ObjectId>,
        goes: impl Fn(ObjectId) -> bool,
    ) -> Vec<FinalizerRow> {
        let mut counts: FxHashMap<(FinalizerKind, String), u64> = FxHashMap::default();
        for object in objects {
            self.of(object, &goes, |kind, name| {
                *counts.entry((kind, name.to_owned())).or_default() += 1;
            });
        }
        rows(counts)
    }
}

/// Counts as rows, the most frequent first.
pub(super) fn rows(counts: FxHashMap<(FinalizerKind, String), u64>) -> Vec<FinalizerRow> {
    let row = |((kind, name), count)| FinalizerRow { kind, name, count };
    let mut rows: Vec<FinalizerRow> = counts.into_iter().map(row).collect();
    rows.sort_by(|a, b| (b.count, a.kind, &a.name).cmp(&(a.count, b.kind, &b.name)));
    rows
}

/// What an object refers to by an attribute.
fn attribute(graph: &HeapGraph, object: ObjectId, name: Option<StringId>) -> Option<ObjectId> {
    let wanted = EdgeLabel::Attribute(name?);
    let find = |shapes: &ShapeColumn, edges: &[ObjectId]| {
        let shape = shapes.get(object.index()).copied().unwrap_or_default();
        edges.get(graph.shapes.labels(shape).position(|label| label == wanted)?).copied()
    };
    find(&graph.shapes_of, graph.referents.of(object))
        .or_else(|| find(&graph.hidden_shapes_of, graph.hidden_referents.of(object)))
}

/// What `weakref.finalize._registry` holds (`Lib/weakref.py`): a weak reference and a function each.
fn finalize(graph: &HeapGraph) -> FxHashMap<ObjectId, ObjectId> {
    let (weakref, func) = (graph.strings.find("weakref"), graph.strings.find("func"));
    let is_info = |row: &TypeRow| graph.strings.text(row.name) == "weakref.finalize._Info";
    let infos: Vec<bool> = graph.types.iter().map(is_info).collect();
    let is_info =
        |object: &ObjectId| infos.get(graph.type_of(*object).index()).copied().unwrap_or_default();
    if !infos.contains(&true) {
        return FxHashMap::default();
    }
    let pair = |info| Some((attribute(graph, info, weakref)?, attribute(graph, info, func)?));
    graph.ids().filter(is_info).filter_map(pair).collect()
}

/// For each type, whether it or a base of it in Python defines `__del__`.
fn del_types(graph: &HeapGraph) -> Vec<bool> {
    let Some(name) = graph.strings.find("__del__") else { return vec![false; graph.types.len()] };
    // Types of C code with a `tp_finalize` have a wrapper of it under that name.
    let has_name = |dict: ObjectId| {
        let value = attribute(graph, dict, Some(name));
        value.is_some_and(|value| graph.type_name_of(value) != "builtins.wrapper_descriptor")
    };
    let defines = |class: ObjectId| {
        all_referents(graph, class)
            .any(|to| graph.flags_of(to).has(ObjectFlags::NAMESPACE) && has_name(to))
    };
    let is_del = |row: &TypeRow| {
        let Some(class) = graph.find(row.addr) else { return false };
        // The classes in its `__mro__`.
        let bases = all_referents(graph, class)
            .filter(|&to| graph.type_name_of(to) == "builtins.tuple")
            .flat_map(|tuple| all_referents(graph, tuple).collect::<Vec<_>>());
        defines(class) || bases.collect::<Vec<_>>().into_iter().any(defines)
    };
    graph.types.iter().map(is_del).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::Addr;
    use crate::graph::GraphBuilder;

    #[test]
    fn a_callback_runs_unless_its_weak_reference_goes_too() {
        let mut b = GraphBuilder::new();
        let node = b.object(0x100, "app.Node", 48);
        let callback = b.object(0x200, "builtins.function", 136);
        let weak = [0x300, 0x400, 0x500, 0x600].map(|at| b.object(at, "weakref.ReferenceType", 72));
        for (nth, weak) in weak.into_iter().enumerate() {
            b.weak_referent(weak, node);
            if nth != 2 {
                b.attribute(weak, "__callback__", callback);
            }
        }
        b.name(callback, "gone (app.py:7)");
        let info = b.object(0x700, "weakref.finalize._Info", 80);
        let cleanup = b.object(0x800, "builtins.function", 136);
        b.name(cleanup, "cleanup (app.py:9)");
        b.attribute(info, "weakref", weak[3]);
        b.attribute(info, "func", cleanup);
        b.finalizer(node, Finalizer::C);
        let graph = b.build();
        let id = |addr: Addr| graph.find(addr).unwrap();
        let finalizers = Finalizers::new(&graph);
        let told = |goes: &[Addr]| -> Vec<String> {
            let goes: Vec<ObjectId> = goes.iter().map(|&addr| id(addr)).collect();
            let rows = finalizers.summed([id(node)], |weak| goes.contains(&weak));
            rows.iter().map(|r| format!("{} {} {}", r.count, r.kind.name(), r.name)).collect()
        };
        assert_eq!(
            told(&[]),
            [
                "2 weakref_callback gone (app.py:7)",
                "1 weakref_finalize cleanup (app.py:9)",
                "1 c app.Node",
            ]
        );
        assert_eq!(
            told(&[weak[0], weak[3]]),
            ["1 weakref_callback gone (app.py:7)", "1 c app.Node"]
        );
    }
}
