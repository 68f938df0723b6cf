//! Reading single objects by name, for what is told of threads and tasks.

use std::sync::Arc;

use super::types::Types;
use crate::addr::Addr;
use crate::cpython::layout::OBJECT_SIZE;
use crate::cpython::object::{FrameView, Objects, TypeInfo};
use crate::facts::{FrameFacts, LocalFacts};
use crate::target::memory::Memory;

/// Reads objects by name, with their types.
pub(super) struct Reader<'a, 'o, M> {
    pub(super) objects: &'a Objects<'o, M>,
    pub(super) types: &'a Types,
}

/// A frame before it is told.
pub(super) struct RawFrame {
    pub(super) view: FrameView,
    pub(super) function: String,
    pub(super) file: String,
    pub(super) line: Option<u32>,
    pub(super) locals: Vec<(String, Addr)>,
    /// The objects on its evaluation stack that `with` and `try` blocks are sure to have left there.
    pub(super) blocks: Vec<Addr>,
}

impl RawFrame {
    /// The value of a local variable.
    pub(super) fn local(&self, name: &str) -> Option<Addr> {
        self.locals.iter().find(|(found, _)| found == name).map(|&(_, object)| object)
    }

    /// The name of its function without the names that that is defined in: those are known from 3.11
    /// on only.
    pub(super) fn name(&self) -> &str {
        self.function.rsplit('.').next().unwrap_or(&self.function)
    }

    /// The last part of its file's path.
    pub(super) fn file_name(&self) -> &str {
        self.file.rsplit('/').next().unwrap_or(&self.file)
    }

    /// Turns it into facts.
    pub(super) fn tell(&self) -> FrameFacts {
        let local = |(name, object): &(String, Addr)| LocalFacts {
            name: name.clone(),
            address: object.to_string(),
        };
        FrameFacts {
            function: self.function.clone(),
            file: self.file.clone(),
            line: self.line,
            locals: self.locals.iter().map(local).collect(),
        }
    }
}

impl<M: Memory> Reader<'_, '_, M> {
    pub(super) fn frame(&self, view: FrameView) -> RawFrame {
        let place = self.objects.code_place(view.code);
        let (function, file, first) = place.unwrap_or_else(|_| ("?".into(), "?".into(), 0));
        let line = self.objects.frame_line(view.at, view.code);
        let line = line.unwrap_or_else(|_| u32::try_from(first).ok());
        RawFrame {
            view,
            function,
            file,
            line,
            locals: self.locals(view),
            blocks: self.objects.block_stack(view.at, view.code).unwrap_or_default(),
        }
    }

    /// The local variables of a frame. Of one that an inner function uses too, the frame has a cell:
    /// people mean what is in that.
    fn locals(&self, view: FrameView) -> Vec<(String, Addr)> {
        /// `ob_ref` of `PyCellObject`, its only field.
        const OB_REF: u64 = OBJECT_SIZE;
        let locals = self.objects.frame_locals(view).unwrap_or_default();
        let content = |(name, object): (String, Addr)| {
            if self.type_of(object).is_some_and(|ty| ty.name == "builtins.cell") {
                return Some((name, self.objects.reference(object + OB_REF).ok()??));
            }
            Some((name, object))
        };
        locals.into_iter().filter_map(content).collect()
    }

    /// What is known of the type of an object.
    pub(super) fn type_of(&self, object: Addr) -> Option<Arc<TypeInfo>> {
        let ty = self.objects.type_at(object).ok()?;
        self.types.resolve(self.objects, ty).ok()
    }

    /// The full name of an object's type.
    pub(super) fn type_name(&self, object: Addr) -> Option<String> {
        Some(self.type_of(object)?.name.clone())
    }

    /// The full names of a class and of all that it is derived from (`tp_mro`).
    pub(super) fn base_names(&self, ty: Addr) -> Vec<String> {
        /// No class has more bases.
        const MOST_BASES: u64 = 1 << 12;
        let at = &self.objects.layout.at;
        let Ok(mro) = self.objects.memory.addr(ty + at.ty.tp_mro) else { return Vec::new() };
        let len = self.len(mro).unwrap_or_default().min(MOST_BASES);
        let mut names = Vec::new();
        let each = |_, base| {
            names.extend(self.types.resolve(self.objects, base).ok().map(|ty| ty.name.clone()));
        };
        let _ = self.objects.words(mro + at.tuple.ob_item, len, "the bases of a class", each);
        names
    }

    /// An attribute of an instance.
    pub(super) fn attribute(&self, object: Addr, name: &str) -> Option<Addr> {
        let ty = self.type_of(object)?;
        if let Some(found) = self.objects.attribute(object, &ty, name).ok()? {
            return Some(found);
        }
        // The dictionary may be a field of the C code that the class is derived from.
        let offset = u64::try_from(ty.tp_dictoffset).ok().filter(|&offset| offset > 0)?;
        let dict = self.objects.reference(object + offset).ok()??;
        self.objects.dict_get(dict, name).ok()?
    }

    /// An attribute that is not `None`.
    pub(super) fn some_attribute(&self, object: Addr, name: &str) -> Option<Addr> {
        self.attribute(object, name).filter(|&value| !self.is_none(value))
    }

    /// Whether an object is `None`.
    pub(super) fn is_none(&self, object: Addr) -> bool {
        self.type_name(object).is_some_and(|name| name == "builtins.NoneType")
    }

    /// The text of a `str`.
    pub(super) fn text(&self, object: Addr) -> Option<String> {
        self.objects.is_exact_str(object).then(|| self.objects.text(object).ok())?
    }

    /// An attribute that is a `str`.
    pub(super) fn text_attribute(&self, object: Addr, name: &str) -> Option<String> {
        self.text(self.attribute(object, name)?)
    }

    /// An attribute that is a small positive `int`.
    pub(super) fn int_attribute(&self, object: Addr, name: &str) -> Option<u64> {
        let value = self.attribute(object, name)?;
        let is_int = self
            .type_of(value)
            .is_some_and(|ty| matches!(ty.name.as_str(), "builtins.int" | "builtins.bool"));
        let value = is_int.then(|| self.objects.int_value(value)).flatten()?;
        u64::try_from(value).ok()
    }

    /// How many items a `list`, `tuple` or `deque` has.
    pub(super) fn len(&self, object: Addr) -> Option<u64> {
        u64::try_from(self.objects.ob_size(object).ok()?).ok()
    }
}
