//! References that are counted and that nothing known explains.

use rayon::prelude::*;
use rustc_hash::FxHashMap;

use super::{HeapGraph, ObjectFlags, ObjectId, RootKind};

impl HeapGraph {
    /// How many references each of some objects has that neither another object nor a root that
    /// counts explains. Of what is immortal no reference is counted, so none is unexplained. The
    /// table of interned strings does not count for what it holds, though it is an object.
    #[must_use]
    pub fn unexplained(&self, of: &[ObjectId]) -> FxHashMap<ObjectId, u32> {
        /// Objects whose edges one task looks at.
        const CHUNK: usize = 1 << 16;
        if of.is_empty() {
            return FxHashMap::default();
        }
        // Most edges lead elsewhere, which one bit tells.
        let mut asked = vec![0_u64; self.len().div_ceil(64)];
        for object in of {
            if let Some(word) = asked.get_mut(object.index() / 64) {
                *word |= 1 << (object.index() % 64);
            }
        }
        let is_asked = |object: &ObjectId| {
            asked
                .get(object.index() / 64)
                .is_some_and(|word| word >> (object.index() % 64) & 1 != 0)
        };
        let tables: Vec<ObjectId> = self.rooted_by(|kind| kind == RootKind::Interned).collect();
        let starts: Vec<usize> = (0..self.len()).step_by(CHUNK).collect();
        let count = |start: &usize| {
            let mut explained = FxHashMap::<ObjectId, u32>::default();
            for nth in *start..self.len().min(start + CHUNK) {
                let holder = ObjectId::from_index(nth);
                if tables.contains(&holder) {
                    continue;
                }
                let hidden = self.hidden_referents.of(holder);
                for target in self.referents.of(holder).iter().chain(hidden) {
                    if is_asked(target) {
                        *explained.entry(*target).or_default() += 1;
                    }
                }
            }
            explained
        };
        let counted: Vec<_> = starts.par_iter().map(count).collect();
        let mut explained = FxHashMap::<ObjectId, u32>::default();
        for (object, count) in counted.into_iter().flatten() {
            let sum = explained.entry(object).or_default();
            *sum = sum.saturating_add(count);
        }
        for object in self.rooted_by(RootKind::is_counted).filter(is_asked) {
            let sum = explained.entry(object).or_default();
            *sum = sum.saturating_add(1);
        }
        let left = |&object: &ObjectId| {
            let explained = explained.get(&object).copied().unwrap_or_default();
            let counted = self.refcounts.get(object.index()).copied().unwrap_or_default();
            let is_immortal = self.flags_of(object).has(ObjectFlags::IMMORTAL);
            (object, if is_immortal { 0 } else { counted.saturating_sub(explained) })
        };
        of.iter().map(left).collect()
    }

    /// The objects of the roots of some kinds, as often as they are roots.
    fn rooted_by(&self, kind: impl Fn(RootKind) -> bool) -> impl Iterator<Item = ObjectId> {
        self.roots.iter().filter(move |root| kind(root.kind)).map(|root| root.object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{EdgeLabel, GraphBuilder};

    #[test]
    fn what_objects_and_roots_hold_is_explained() {
        let mut b = GraphBuilder::new();
        let mut object = |addr, refcount| {
            let object = b.object(addr, "app.T", 16);
            b.refcount(object, refcount);
            object
        };
        let [holder, held, table, immortal] =
            [object(0x10, 1), object(0x20, 7), object(0x30, 1), object(0x40, 9)];
        b.attribute(holder, "one", held);
        b.hidden_edge(holder, EdgeLabel::Index(0), held);
        b.item(table, 0, held);
        b.root(RootKind::Frame, "f local", held);
        b.root(RootKind::C, "1 reference", held);
        b.root(RootKind::Interned, "interned strings", table);
        b.flag(immortal, ObjectFlags::IMMORTAL);
        let graph = b.build();
        let ids: Vec<ObjectId> = graph.ids().collect();
        let left = graph.unexplained(&ids);
        // Of seven, two are the holder's and one is the frame's; the table and C code do not count.
        assert_eq!([0, 1, 2, 3].map(|nth| left[&ids[nth]]), [1, 4, 1, 0]);
    }
}
