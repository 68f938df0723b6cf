//! The references of several objects, read together: memory is waited for once for all of them, and not
//! once for each. On a heap that is larger than the processor's caches a walk spends its time waiting.

use super::{HeapGraph, ObjectId};

/// How many objects are read together: enough to hide the wait, few enough for the nearest cache.
pub const WAVE: usize = 128;

/// A reference, as a walk meets it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reference {
    /// Whose it is.
    pub from: ObjectId,
    /// Which one of it; hidden ones are counted behind the others.
    pub nth: u32,
    /// What it leads to.
    pub to: ObjectId,
}

/// An object with its references and its hidden ones.
type Row<'g> = (ObjectId, &'g [ObjectId], &'g [ObjectId]);

/// The references of several objects, in their order.
#[derive(Clone, Debug)]
pub struct Wave<'g> {
    graph: &'g HeapGraph,
    rows: Vec<Row<'g>>,
    references: Vec<Reference>,
}

impl<'g> Wave<'g> {
    /// Reads from a heap.
    #[must_use]
    pub const fn of(graph: &'g HeapGraph) -> Self {
        Self { graph, rows: Vec::new(), references: Vec::new() }
    }

    /// Reads the references of some objects, hidden ones too if `hidden`, and then what `look` reads of
    /// the objects that they lead to, so that it is at hand.
    pub fn read(
        &mut self,
        objects: &[ObjectId],
        hidden: bool,
        look: impl Fn(ObjectId) -> u32,
    ) -> &[Reference] {
        // Where each row lies is looked up first: the rows themselves are then waited for together.
        let graph = self.graph;
        self.rows.clear();
        self.references.clear();
        self.rows.extend(objects.iter().map(|&object| {
            let behind: &[ObjectId] = if hidden { graph.hidden_referents.of(object) } else { &[] };
            (object, graph.referents.of(object), behind)
        }));
        for &(from, visible, behind) in &self.rows {
            let numbered = (0..).zip(visible.iter().chain(behind));
            self.references.extend(numbered.map(|(nth, &to)| Reference { from, nth, to }));
        }
        let looked = self.references.iter().fold(0, |all, reference| all ^ look(reference.to));
        std::hint::black_box(looked);
        &self.references
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{EdgeLabel, GraphBuilder};

    #[test]
    fn all_references_come_in_the_order_of_the_objects_hidden_ones_last() {
        let mut builder = GraphBuilder::new();
        let addrs: Vec<_> =
            (0..300).map(|nth| builder.object(0x1000 + nth * 16, "app.T", 16)).collect();
        for (nth, &from) in addrs.iter().enumerate() {
            builder.hidden_edge(from, EdgeLabel::Index(9), addrs[(nth + 2) % 300]);
            if nth % 3 == 0 {
                builder.item(from, 0, addrs[(nth + 1) % 300]);
            }
        }
        let graph = builder.build();
        let objects: Vec<ObjectId> = graph.ids().collect();
        let mut wave = Wave::of(&graph);
        let all = wave.read(&objects, true, |to| to.0);
        let mut expected = Vec::new();
        for nth in 0..300_u32 {
            let from = ObjectId(nth);
            if nth % 3 == 0 {
                expected.push(Reference { from, nth: 0, to: ObjectId((nth + 1) % 300) });
            }
            let behind = u32::from(nth % 3 == 0);
            expected.push(Reference { from, nth: behind, to: ObjectId((nth + 2) % 300) });
        }
        assert_eq!(all, expected);
        assert_eq!(wave.read(&objects, false, |_| 0).len(), 100);
        assert!(wave.read(&[], true, |_| 0).is_empty());
    }
}
