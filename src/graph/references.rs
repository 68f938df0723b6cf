//! References counted: those that were found, against those that an object has.

use super::{HeapGraph, ObjectFlags, ObjectId, Root, RootKind};

impl HeapGraph {
    /// How many references to each object were found: from objects, and from the roots that count.
    #[must_use]
    pub fn found_references(&self) -> Vec<u64> {
        let mut counts = vec![0_u64; self.len()];
        let rooted = self.roots.iter().filter(|root| root.kind.is_counted());
        let rooted = rooted.map(|root| root.object);
        // The table of interned strings does not count for what it holds (`PyUnicode_InternInPlace`).
        let uncounted = self.roots.iter().filter(|root| root.kind == RootKind::Interned);
        let uncounted: Vec<ObjectId> = uncounted.map(|root| root.object).collect();
        for holder in self.ids().filter(|holder| !uncounted.contains(holder)) {
            let hidden = self.hidden_referents.of(holder).iter();
            for target in self.referents.of(holder).iter().chain(hidden) {
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

    /// The refcount of an object less the references that were `found`; unknown for immortal ones.
    #[must_use]
    pub fn unexplained_references(&self, object: ObjectId, found: &[u64]) -> Option<i64> {
        if self.flags_of(object).has(ObjectFlags::IMMORTAL) {
            return None;
        }
        let refcount = self.refcounts.get(object.index()).copied().unwrap_or_default();
        let found = found.get(object.index()).copied().unwrap_or_default();
        Some(i64::from(refcount).saturating_sub_unsigned(found))
    }

    /// Adds those roots of which it is not known whether they count, as far as their objects have
    /// references that nothing else explains: what is only pointed to may go at any time.
    pub fn root_if_unexplained(&mut self, doubtful: Vec<Root>) {
        let objects: Vec<ObjectId> = doubtful.iter().map(|root| root.object).collect();
        let mut left = self.unexplained(&objects);
        for root in doubtful {
            if let Some(references) = left.get_mut(&root.object)
                && *references > 0
            {
                *references -= 1;
                self.roots.push(root);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::graph::{GraphBuilder, ObjectFlags, Root, RootKind};

    #[test]
    fn a_doubtful_root_is_believed_as_often_as_the_count_has_a_reference_for_it() {
        let mut builder = GraphBuilder::new();
        let list = builder.object(0x10, "builtins.list", 72);
        let item = builder.object(0x20, "app.Item", 48);
        let borrowed = builder.object(0x30, "app.Item", 48);
        let fixed = builder.object(0x40, "app.Item", 48);
        builder.item(list, 0, item);
        builder.item(list, 1, borrowed);
        builder.refcount(item, 3);
        builder.refcount(borrowed, 1);
        builder.refcount(fixed, u32::MAX);
        builder.flag(fixed, ObjectFlags::IMMORTAL);
        let mut graph = builder.build();
        let name = graph.strings.intern("pending call");
        let root = |object| Root {
            kind: RootKind::Interpreter,
            name,
            object: graph.find(object).unwrap(),
            thread: None,
        };
        let doubtful = [item, item, item, borrowed, fixed].map(root).to_vec();
        graph.root_if_unexplained(doubtful);
        let rooted: Vec<_> = graph.roots.iter().map(|root| graph.addr(root.object)).collect();
        assert_eq!(rooted, [item, item]);
    }
}
