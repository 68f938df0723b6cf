//! Objects of C types that no rule describes: their own `tp_traverse` is followed
//! ([`crate::cpython::emulate`]), and says exactly what the collector would see. Only what cannot be
//! followed is left to the scan of the walk.

use super::{DecodeError, EdgeSink, Label, Name, Native, Objects, Run, Sight, Slot, TypeInfo};
use crate::addr::Addr;
use crate::cpython::layout::OBJECT_SIZE;
use crate::target::memory::Memory;

/// The references that rules know of an object, to name those that its code visits.
#[derive(Default)]
struct Known(Vec<(Sight, Addr, Label)>);

impl EdgeSink for Known {
    fn edge(&mut self, sight: Sight, target: Addr, label: Label) {
        self.0.push((sight, target, label));
    }

    fn in_run(&mut self, sight: Sight, target: Addr, _: Run, nth: u32) {
        self.0.push((sight, target, Label::Inferred(nth)));
    }
}

impl Known {
    /// The label of one reference to a target, which is taken out.
    fn take(&mut self, target: Addr) -> Option<Label> {
        let nth = self.0.iter().position(|&(_, known, _)| known == target)?;
        Some(self.0.swap_remove(nth).2)
    }
}

impl<M: Memory> Objects<'_, M> {
    /// What the C part of an object visits, by its own code: nothing if it has none, and none if that
    /// cannot be followed.
    fn visited_by_code(&self, object: Addr, ty: &TypeInfo) -> Option<Vec<Addr>> {
        let mut visited = Vec::new();
        if self.is_gc(object, ty) && ty.has_traverse && !ty.native_traverse.is_null() {
            let visit = |target: Addr| visited.extend(target.non_null());
            self.code?.traverse(self.memory, ty.native_traverse, object, visit).ok()?;
        }
        Some(visited)
    }

    /// The references of an object of an unknown C type, of a module, or of a metatype in C.
    pub(super) fn foreign_referents(
        &self,
        object: Addr,
        ty: &TypeInfo,
        sink: &mut impl EdgeSink,
    ) -> Result<(), DecodeError> {
        let Some(visited) = self.visited_by_code(object, ty) else {
            sink.guessed();
            self.instance_referents(object, ty, sink)?;
            return self.foreign_rule(object, ty, sink);
        };
        let mut known = Known::default();
        if ty.is_python_class {
            self.attribute_referents(object, ty, sink)?;
            // A heap type's own code, if it has any, visits the type (`subtype_traverse`,
            // `Objects/typeobject.c`).
            if !ty.native_is_heap || ty.native_traverse.is_null() {
                self.class_referent(ty, sink);
            }
        } else {
            self.instance_referents(object, ty, &mut known)?;
        }
        self.foreign_rule(object, ty, &mut known)?;
        for target in visited {
            let label = known.take(target);
            let label = label.unwrap_or_else(|| match target == ty.addr {
                true => Label::Attribute(Name::Known("__class__")),
                false => self.place_of(object, ty, target),
            });
            sink.edge(Sight::Visited, target, label);
        }
        // What is owned all the same, though the code does not say so.
        for (_, target, label) in known.0 {
            sink.edge(Sight::Hidden, target, label);
        }
        Ok(())
    }

    /// What is known of such an object without its code.
    fn foreign_rule(
        &self,
        object: Addr,
        ty: &TypeInfo,
        sink: &mut impl EdgeSink,
    ) -> Result<(), DecodeError> {
        match ty.native {
            Native::Module => self.module_referents(object, sink),
            Native::ForeignType => self.type_referents(object, sink),
            _ => Ok(()),
        }
    }

    /// Where in an object a reference is: by the name of a member, else by its offset.
    fn place_of(&self, object: Addr, ty: &TypeInfo, target: Addr) -> Label {
        /// Instances are searched no further; what their code visits behind this has no place.
        const MAX_WORDS: u64 = 512;
        let native = self.native_base(ty);
        let is_it = |offset: u64| self.memory.addr(object + offset).is_ok_and(|at| at == target);
        let named = ty.members.iter().find(|member| is_it(member.offset));
        if let Some(&Slot { name, .. }) = named {
            return Label::Attribute(Name::CStr(name));
        }
        let mut offsets = (OBJECT_SIZE..native.tp_basicsize).step_by(8).take(MAX_WORDS as usize);
        match offsets.find(|&offset| is_it(offset)) {
            Some(offset) => Label::Inferred(u32::try_from(offset).unwrap_or(u32::MAX)),
            None => Label::Field("…"),
        }
    }
}
