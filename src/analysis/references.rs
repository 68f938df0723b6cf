//! Who refers to whom, the other way round.

use rustc_hash::FxHashMap;

use crate::graph::{HeapGraph, ObjectFlags, ObjectId, RootKind};

/// One reference to an object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Referrer {
    /// Who holds it.
    pub object: ObjectId,
    /// By which label.
    pub label: String,
    /// Whether the holder's `tp_traverse` is silent about it.
    pub hidden: bool,
}

/// The references to each of a few objects, found in one pass over all edges.
///
/// `most` bounds how many are kept of each; the number beside the list counts all.
#[must_use]
pub fn referrers(
    graph: &HeapGraph,
    objects: &[ObjectId],
    most: usize,
) -> FxHashMap<ObjectId, (Vec<Referrer>, u64)> {
    let mut found: FxHashMap<ObjectId, (Vec<Referrer>, u64)> =
        objects.iter().map(|&object| (object, (Vec::new(), 0))).collect();
    for holder in graph.ids() {
        let visible = graph.referents.of(holder).iter().enumerate().map(|edge| (edge, false));
        let hidden = graph.hidden_referents.of(holder).iter().enumerate().map(|edge| (edge, true));
        for ((nth, target), hidden) in visible.chain(hidden) {
            let Some((list, count)) = found.get_mut(target) else { continue };
            *count += 1;
            if list.len() < most {
                let label = if hidden {
                    graph.hidden_label(holder, nth)
                } else {
                    graph.referent_label(holder, nth)
                };
                list.push(Referrer { object: holder, label, hidden });
            }
        }
    }
    found
}

/// How many references to each object were found: from objects, and from the roots that count.
#[must_use]
pub fn found_references(graph: &HeapGraph) -> Vec<u64> {
    let mut counts = vec![0_u64; graph.len()];
    let rooted = graph.roots.iter().filter(|root| root.kind.is_counted()).map(|root| root.object);
    // The table of interned strings does not count for what it holds (`PyUnicode_InternInPlace`).
    let uncounted = graph.roots.iter().filter(|root| root.kind == RootKind::Interned);
    let uncounted: Vec<ObjectId> = uncounted.map(|root| root.object).collect();
    for holder in graph.ids().filter(|holder| !uncounted.contains(holder)) {
        let hidden = graph.hidden_referents.of(holder).iter();
        for target in graph.referents.of(holder).iter().chain(hidden) {
            if let Some(count) = counts.get_mut(target.index()) {
                *count += 1;
            }
        }
    }
    for target in rooted {
        if let Some(count) = counts.get_mut(target.index()) {
            *count += 1;
        }
    }
    counts
}

/// The refcount of an object less the references that were found; unknown for immortal ones.
#[must_use]
pub fn unexplained(graph: &HeapGraph, object: ObjectId, found: &[u64]) -> Option<i64> {
    if graph.flags_of(object).has(ObjectFlags::IMMORTAL) {
        return None;
    }
    let refcount = graph.refcounts.get(object.index()).copied().unwrap_or_default();
    let found = found.get(object.index()).copied().unwrap_or_default();
    Some(i64::from(refcount).saturating_sub_unsigned(found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::GraphBuilder;

    #[test]
    fn references_are_counted_with_roots_and_told_with_labels() {
        let mut builder = GraphBuilder::new();
        let list = builder.object(0x10, "builtins.list", 72);
        let item = builder.object(0x20, "app.Item", 48);
        builder.item(list, 0, item);
        builder.item(list, 1, item);
        builder.root(RootKind::Frame, "main (app.py:3) item", item);
        builder.root(RootKind::Interned, "", item);
        builder.refcount(item, 5);
        let graph = builder.build();
        let id = graph.find(item).unwrap();
        let found = found_references(&graph);
        assert_eq!(unexplained(&graph, id, &found), Some(2));
        let all = referrers(&graph, &[id], 1);
        let (list, count) = all.get(&id).unwrap();
        assert_eq!(*count, 2);
        assert_eq!(list.iter().map(|r| r.label.as_str()).collect::<Vec<_>>(), ["[0]"]);
    }
}
