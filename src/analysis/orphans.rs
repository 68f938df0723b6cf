//! Orphans: live objects that nothing refers to but C code. It holds them, or has leaked them.

use rustc_hash::FxHashMap;

use crate::graph::{HeapGraph, ObjectId, Root, RootKind};

/// The orphans of one type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrphanType {
    /// The full name.
    pub type_name: String,
    /// How many there are.
    pub objects: u64,
    /// `sys.getsizeof` of all.
    pub shallow_bytes: u64,
    /// Memory that they own beside that.
    pub buffer_bytes: u64,
    /// References that no object explains, of all together.
    pub references: u64,
    /// Those whose address stands in memory of C code, by the place, most first.
    pub held_by: Vec<(String, u64)>,
    /// The rest: their address stands nowhere, so that they are most likely leaked.
    pub lost: u64,
    /// `sys.getsizeof` of the rest, and the memory that it owns beside that.
    pub lost_bytes: u64,
    /// One of them, a lost one if there is any.
    pub example: ObjectId,
}

/// All orphans of a heap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Orphans {
    /// By type: most lost bytes first, then most bytes, then by name.
    pub types: Vec<OrphanType>,
}

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
        let mut types: FxHashMap<&str, OrphanType> = FxHashMap::default();
        for (object, root) in objects {
            let name = graph.type_name_of(object);
            let row = types.entry(name).or_insert_with(|| OrphanType::empty(name, object));
            row.add(graph, object, graph.strings.text(root.name));
        }
        let mut types: Vec<OrphanType> = types.into_values().collect();
        for row in &mut types {
            row.held_by.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        }
        types.sort_by(|a, b| {
            let key = |row: &OrphanType| (row.lost_bytes, row.shallow_bytes + row.buffer_bytes);
            key(b).cmp(&key(a)).then_with(|| a.type_name.cmp(&b.type_name))
        });
        Self { types }
    }
}

impl OrphanType {
    fn empty(name: &str, example: ObjectId) -> Self {
        Self {
            type_name: name.to_owned(),
            objects: 0,
            shallow_bytes: 0,
            buffer_bytes: 0,
            references: 0,
            held_by: Vec::new(),
            lost: 0,
            lost_bytes: 0,
            example,
        }
    }

    /// Adds an object; the name of its root is the place where its address stands, or else how many
    /// references there are.
    fn add(&mut self, graph: &HeapGraph, object: ObjectId, root: &str) {
        let shallow = graph.shallow_bytes_of(object);
        let buffer = graph.buffer_bytes.get(&object).copied().unwrap_or_default();
        self.objects += 1;
        self.shallow_bytes = self.shallow_bytes.saturating_add(shallow);
        self.buffer_bytes = self.buffer_bytes.saturating_add(buffer);
        // Nothing refers to it, so all references are unexplained.
        let count = graph.refcounts.get(object.index()).copied().unwrap_or_default();
        self.references = self.references.saturating_add(count.into());
        let has_place = !root.starts_with(|first: char| first.is_ascii_digit());
        match has_place {
            true => match self.held_by.iter_mut().find(|(name, _)| name == root) {
                Some((_, count)) => *count += 1,
                None => self.held_by.push((root.to_owned(), 1)),
            },
            false => {
                if self.lost == 0 {
                    self.example = object;
                }
                self.lost += 1;
                self.lost_bytes = self.lost_bytes.saturating_add(shallow).saturating_add(buffer);
            }
        }
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
        let orphans = Orphans::new(&graph);
        let told: Vec<_> = orphans
            .types
            .iter()
            .map(|row| {
                (row.type_name.as_str(), row.objects, row.lost, row.lost_bytes, row.references)
            })
            .collect();
        assert_eq!(told, [("builtins.str", 2, 1, 50, 3), ("app.Node", 1, 1, 48, 2)]);
        assert_eq!(orphans.types[0].held_by, [("data of _app.so".to_owned(), 1)]);
        assert_eq!(graph.addr(orphans.types[0].example), lost);
    }
}
