//! Who refers to whom, the other way round.

use rustc_hash::FxHashMap;

use crate::graph::{HeapGraph, ObjectId};

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{GraphBuilder, RootKind};

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
        let found = graph.found_references();
        assert_eq!(graph.unexplained_references(id, &found), Some(2));
        let all = referrers(&graph, &[id], 1);
        let (list, count) = all.get(&id).unwrap();
        assert_eq!(*count, 2);
        assert_eq!(list.iter().map(|r| r.label.as_str()).collect::<Vec<_>>(), ["[0]"]);
    }
}
