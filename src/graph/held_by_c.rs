//! What C code alone holds: the objects that no root reaches, with more references than were found.

use super::{HeapGraph, ObjectFlags, ObjectId, Root, RootKind};

impl HeapGraph {
    /// Gives a root to each object that no root reaches and that nevertheless will not go: of kind
    /// [`RootKind::C`], its name the number of references that no object explains, or of kind
    /// [`RootKind::Runtime`] if it is immortal.
    ///
    /// What then is not reached either is held by nothing but itself: garbage, or a cycle that no
    /// collection frees. It has no root.
    pub fn root_what_c_holds(&mut self) {
        let reached = self.reached();
        let unreached = |object: &ObjectId| reached.get(object.index()) == Some(&false);
        if !reached.contains(&false) {
            return;
        }
        // No root and no object that is reached refers to these, so their own references are all.
        let mut found = vec![0_u32; self.len()];
        for holder in self.ids().filter(unreached) {
            let hidden = self.hidden_referents.of(holder).iter();
            for target in self.referents.of(holder).iter().chain(hidden) {
                if let Some(count) = found.get_mut(target.index()) {
                    *count = count.saturating_add(1);
                }
            }
        }
        for object in self.ids().filter(unreached) {
            let refcount = self.refcounts.get(object.index()).copied().unwrap_or_default();
            let explained = found.get(object.index()).copied().unwrap_or_default();
            if self.flags_of(object).has(ObjectFlags::IMMORTAL) {
                let name = self.strings.intern("immortal");
                self.roots.push(Root { kind: RootKind::Runtime, name, object, thread: None });
            } else if refcount > explained {
                let name = match refcount - explained {
                    1 => "1 reference".to_owned(),
                    many => format!("{many} references"),
                };
                let name = self.strings.intern(&name);
                self.roots.push(Root { kind: RootKind::C, name, object, thread: None });
            }
        }
    }

    /// Which objects the roots lead to. Each is marked before it is put on the stack, which
    /// therefore never holds more than there are objects.
    fn reached(&self) -> Vec<bool> {
        fn visit(object: ObjectId, reached: &mut [bool], left: &mut Vec<ObjectId>) {
            if let Some(seen) = reached.get_mut(object.index())
                && !*seen
            {
                *seen = true;
                left.push(object);
            }
        }
        let mut reached = vec![false; self.len()];
        let mut left: Vec<ObjectId> = Vec::new();
        for root in &self.roots {
            visit(root.object, &mut reached, &mut left);
        }
        while let Some(object) = left.pop() {
            let hidden = self.hidden_referents.of(object);
            for &next in self.referents.of(object).iter().chain(hidden) {
                visit(next, &mut reached, &mut left);
            }
        }
        reached
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::Addr;
    use crate::graph::{EdgeLabel, GraphBuilder};

    /// Each root as `kind name address`.
    fn roots(builder: GraphBuilder) -> Vec<String> {
        let mut graph = builder.build();
        graph.root_what_c_holds();
        let told = |root: &Root| {
            let name = graph.strings.text(root.name);
            format!("{} {name} {}", root.kind.name(), graph.addr(root.object))
        };
        graph.roots.iter().map(told).collect()
    }

    fn object(builder: &mut GraphBuilder, addr: u64, refcount: u32) -> Addr {
        let object = builder.object(addr, "app.T", 16);
        builder.refcount(object, refcount);
        object
    }

    #[test]
    fn what_has_more_references_than_were_found_is_held_by_c_code() {
        let mut b = GraphBuilder::new();
        let held = object(&mut b, 0x10, 2);
        let below = object(&mut b, 0x20, 1);
        b.attribute(held, "below", below);
        // In a cycle, with two references more than the cycle has.
        let one = object(&mut b, 0x30, 3);
        let other = object(&mut b, 0x40, 1);
        b.attribute(one, "other", other);
        b.attribute(other, "one", one);
        assert_eq!(roots(b), ["c 2 references 0x10", "c 2 references 0x30"]);
    }

    #[test]
    fn a_cycle_that_nothing_else_refers_to_has_no_root() {
        let mut b = GraphBuilder::new();
        let one = object(&mut b, 0x10, 2);
        let other = object(&mut b, 0x20, 1);
        let hanging = object(&mut b, 0x30, 2);
        b.attribute(one, "other", other);
        // A hidden reference explains as a visible one does, and two references are two.
        b.hidden_edge(other, EdgeLabel::Index(0), one);
        b.hidden_edge(other, EdgeLabel::Index(1), one);
        b.item(one, 0, hanging);
        b.item(one, 1, hanging);
        assert!(roots(b).is_empty());
    }

    #[test]
    fn what_a_root_reaches_needs_no_other_one() {
        let mut b = GraphBuilder::new();
        let module = object(&mut b, 0x10, 9);
        let value = object(&mut b, 0x20, 9);
        b.hidden_edge(module, EdgeLabel::Index(0), value);
        b.root(RootKind::Module, "app", module);
        assert_eq!(roots(b), ["module app 0x10"]);
    }

    #[test]
    fn the_immortal_is_of_the_runtime_whatever_its_count() {
        let mut b = GraphBuilder::new();
        let immortal = object(&mut b, 0x10, u32::MAX);
        b.flag(immortal, ObjectFlags::IMMORTAL);
        object(&mut b, 0x20, 0);
        assert_eq!(roots(b), ["runtime immortal 0x10"]);
    }
}
