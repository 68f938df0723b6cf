//! At which of several snapshots of one process each object came, of those that have stayed.

use std::cmp::Ordering;

use super::diff::Identity;
use crate::addr::Addr;
use crate::graph::{HeapGraph, Interner, ObjectId, StringId};

/// The objects of the newest heap, and when each of them came: 14 bytes an object.
#[derive(Clone, Debug, Default)]
pub struct Lineage {
    heaps: usize,
    addrs: Vec<Addr>,
    types: Vec<StringId>,
    born: Vec<u16>,
    names: Interner,
}

impl Lineage {
    /// Adds the next heap. An object has stayed if its address and type are the same; the allocator
    /// reuses addresses, so it may be another one all the same.
    pub fn push(&mut self, graph: &HeapGraph, identity: Identity) {
        let step = u16::try_from(self.heaps).unwrap_or(u16::MAX);
        let names: Vec<StringId> =
            graph.types.iter().map(|row| self.names.intern(graph.strings.text(row.name))).collect();
        let type_of = |object| names.get(graph.type_of(object).index()).copied();
        let types: Vec<StringId> =
            graph.ids().map(|object| type_of(object).unwrap_or_default()).collect();
        let mut born = vec![step; graph.len()];
        if identity == Identity::SameProcess {
            let mut old = 0;
            for (new, &addr) in graph.addrs.iter().enumerate() {
                while self.addrs.get(old).is_some_and(|before| before.cmp(&addr) == Ordering::Less)
                {
                    old += 1;
                }
                let is_same =
                    self.addrs.get(old) == Some(&addr) && self.types.get(old) == types.get(new);
                if let (true, Some(&before), Some(slot)) =
                    (is_same, self.born.get(old), born.get_mut(new))
                {
                    *slot = before;
                }
            }
        }
        self.addrs.clone_from(&graph.addrs);
        self.types = types;
        self.born = born;
        self.heaps += 1;
    }

    /// How many steps lie between the heaps.
    #[must_use]
    pub const fn steps(&self) -> usize {
        self.heaps.saturating_sub(1)
    }

    /// With which heap an object of the newest one came; 0 is the first.
    #[must_use]
    pub fn born(&self, object: ObjectId) -> usize {
        self.born.get(object.index()).copied().unwrap_or_default().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::GraphBuilder;

    fn heap(objects: &[(u64, &str)]) -> HeapGraph {
        let mut builder = GraphBuilder::new();
        for &(addr, name) in objects {
            builder.object(addr, name, 16);
        }
        builder.build()
    }

    #[test]
    fn an_object_is_as_old_as_the_first_heap_since_which_it_is_there() {
        let mut lineage = Lineage::default();
        lineage.push(
            &heap(&[(0x10, "app.A"), (0x20, "app.B"), (0x30, "app.A")]),
            Identity::SameProcess,
        );
        lineage.push(
            &heap(&[(0x10, "app.A"), (0x30, "app.C"), (0x40, "app.B")]),
            Identity::SameProcess,
        );
        let last = heap(&[(0x10, "app.A"), (0x20, "app.B"), (0x30, "app.C"), (0x40, "app.B")]);
        lineage.push(&last, Identity::SameProcess);
        let born: Vec<usize> = last.ids().map(|object| lineage.born(object)).collect();
        assert_eq!((lineage.steps(), born), (2, vec![0, 2, 1, 1]));
    }
}
