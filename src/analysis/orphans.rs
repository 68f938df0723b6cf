//! Orphans: live objects that nothing refers to but C code. It holds them, or has leaked them.

use rustc_hash::FxHashMap;

use crate::facts::OrphanFacts;
use crate::graph::{HeapGraph, ObjectId, Root, RootKind};

/// All orphans of a heap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Orphans {
    by_name: FxHashMap<String, OrphanFacts>,
}

/// No more addresses of a type are listed.
const MOST_EXAMPLES: usize = 4096;

impl Orphans {
    /// The objects whose only root is of kind `c` and that have no referrer but themselves.
    #[must_use]
    pub fn new(graph: &HeapGraph) -> Self {
        let mut roots: FxHashMap<ObjectId, &Root> = FxHashMap::default();
        for root in graph.roots.iter().filter(|root| root.kind == RootKind::C) {
            roots.insert(root.object, root);
        }
        // What another root holds has that for a referrer.
        for root in graph.roots.iter().filter(|root| root.kind != RootKind::C) {
            roots.remove(&root.object);
        }
        for holder in graph.ids() {
            if roots.is_empty() {
                break;
            }
            let hidden = graph.hidden_referents.of(holder).iter();
            for target in graph.referents.of(holder).iter().chain(hidden) {
                if *target != holder {
                    roots.remove(target);
                }
            }
        }
        let mut objects: Vec<(ObjectId, &Root)> = roots.into_iter().collect();
        objects.sort_unstable_by_key(|&(object, _)| object);
        let mut orphans = Self::default();
        for (object, root) in objects {
            orphans.add(one(graph, object, graph.strings.text(root.name)));
        }
        orphans
    }

    /// Adds others, such as those that only the allocator knows of.
    pub fn extend(&mut self, others: impl IntoIterator<Item = OrphanFacts>) {
        others.into_iter().for_each(|other| self.add(other));
    }

    /// By type: most lost bytes first, then most bytes, then by name.
    #[must_use]
    pub fn types(self) -> Vec<OrphanFacts> {
        let mut types: Vec<OrphanFacts> = self.by_name.into_values().collect();
        for row in &mut types {
            row.held_by.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        }
        types.sort_by(|a, b| {
            let key = |row: &OrphanFacts| {
                (row.lost_bytes, row.shallow_bytes.saturating_add(row.buffer_bytes))
            };
            key(b).cmp(&key(a)).then_with(|| a.type_name.cmp(&b.type_name))
        });
        types
    }

    fn add(&mut self, other: OrphanFacts) {
        let Some(row) = self.by_name.get_mut(&other.type_name) else {
            self.by_name.insert(other.type_name.clone(), other);
            return;
        };
        row.objects = row.objects.saturating_add(other.objects);
        row.shallow_bytes = row.shallow_bytes.saturating_add(other.shallow_bytes);
        row.buffer_bytes = row.buffer_bytes.saturating_add(other.buffer_bytes);
        row.references = row.references.saturating_add(other.references);
        // Lost ones first, and not so many that the report gets long.
        let nth = if other.lost > 0 { 0 } else { row.examples.len() };
        if row.examples.len() < MOST_EXAMPLES {
            row.examples.splice(nth..nth, other.examples);
        }
        row.lost = row.lost.saturating_add(other.lost);
        row.lost_bytes = row.lost_bytes.saturating_add(other.lost_bytes);
        for (place, count) in other.held_by {
            match row.held_by.iter_mut().find(|(name, _)| *name == place) {
                Some((_, known)) => *known = known.saturating_add(count),
                None => row.held_by.push((place, count)),
            }
        }
    }
}

/// One object; the name of its root is the place where its address stands, or else how many
/// references there are.
fn one(graph: &HeapGraph, object: ObjectId, root: &str) -> OrphanFacts {
    let shallow_bytes = graph.shallow_bytes_of(object);
    let buffer_bytes = graph.buffer_bytes.get(&object).copied().unwrap_or_default();
    // Nothing refers to it, so all references are unexplained.
    let count = graph.refcounts.get(object.index()).copied().unwrap_or_default();
    let has_place = !root.starts_with(|first: char| first.is_ascii_digit());
    let bytes = shallow_bytes.saturating_add(buffer_bytes);
    OrphanFacts {
        type_name: graph.type_name_of(object).to_owned(),
        objects: 1,
        shallow_bytes,
        buffer_bytes,
        references: count.into(),
        held_by: if has_place { vec![(root.to_owned(), 1)] } else { Vec::new() },
        lost: u64::from(!has_place),
        lost_bytes: if has_place { 0 } else { bytes },
        examples: vec![graph.addr(object).0],
    }
}
#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::GraphBuilder;

    #[test]
    fn an_orphan_has_a_root_of_c_and_no_referrer_but_itself() {
        let mut b = GraphBuilder::new();
        let lost = b.object(0x10, "builtins.str", 50);
        let held = b.object(0x20, "builtins.str", 60);
        let itself = b.object(0x30, "app.Node", 48);
        let below = b.object(0x40, "app.Node", 48);
        let twice = b.object(0x50, "app.Node", 48);
        b.root(RootKind::C, "2 references", lost);
        b.root(RootKind::C, "data of _app.so", held);
        b.refcount(lost, 2);
        b.refcount(held, 1);
        b.refcount(itself, 2);
        b.root(RootKind::C, "1 reference", itself);
        b.root(RootKind::C, "1 reference", below);
        b.root(RootKind::C, "1 reference", twice);
        b.root(RootKind::Module, "app", twice);
        b.attribute(itself, "me", itself);
        b.attribute(itself, "below", below);
        let graph = b.build();
        let types = Orphans::new(&graph).types();
        let told: Vec<_> = types
            .iter()
            .map(|row| {
                (row.type_name.as_str(), row.objects, row.lost, row.lost_bytes, row.references)
            })
            .collect();
        assert_eq!(told, [("builtins.str", 2, 1, 50, 3), ("app.Node", 1, 1, 48, 2)]);
        assert_eq!(types[0].held_by, [("data of _app.so".to_owned(), 1)]);
        assert_eq!(types[0].examples, [lost.0, held.0]);
    }
}
