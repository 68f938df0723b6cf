//! Functions, code objects, modules, types and weak references.

use super::{DecodeError, EdgeSink, Label, Name, Objects, Run, Sight};
use crate::addr::Addr;
use crate::cpython::layout::{FieldRole, NativeField};
use crate::target::memory::Memory;

/// The label of an attribute that we name.
const fn attribute(name: &'static str) -> Label {
    Label::Attribute(Name::Known(name))
}

impl<M: Memory> Objects<'_, M> {
    /// The code of a function of Python code.
    #[must_use]
    pub fn function_code(&self, function: Addr) -> Option<Addr> {
        self.reference(function + self.layout.at.function.func_code).ok()?
    }

    /// The cell of a variable that a function of Python code closes over, by name.
    #[must_use]
    pub fn closure_cell(&self, function: Addr, name: &str) -> Option<Addr> {
        /// No function closes over more.
        const MOST_CELLS: u64 = 1 << 12;
        let closure = self.reference(function + self.layout.at.function.func_closure).ok()??;
        let code = self.function_code(function)?;
        let at = &self.layout.at;
        // Names of free variables come last, in the order of the cells.
        let names = at.code.co_freevars.or(at.code.co_localsplusnames)?;
        let names = self.memory.addr(code + names).ok()?;
        let what = "the cells of a function";
        let cells = self.item_count(closure, what).ok()?.min(MOST_CELLS);
        let first = self.item_count(names, what).ok()?.checked_sub(cells)?;
        let item =
            |tuple: Addr, nth: u64| self.memory.addr(tuple + at.tuple.ob_item + nth * 8).ok();
        let named = |nth: &u64| {
            let found = item(names, first + nth).and_then(|found| self.text(found).ok());
            found.is_some_and(|found| found == name)
        };
        (0..cells).find(named).and_then(|nth| item(closure, nth))
    }

    /// The object that a method is bound to.
    #[must_use]
    pub fn method_self(&self, method: Addr) -> Option<Addr> {
        self.reference(method + self.layout.at.method.im_self).ok()?
    }

    /// References in the fields of a table.
    pub(super) fn fields_referents(
        &self,
        object: Addr,
        fields: &[NativeField],
        sink: &mut impl EdgeSink,
    ) -> Result<(), DecodeError> {
        for field in fields {
            let sight = match field.role {
                FieldRole::Visited => Sight::Visited,
                FieldRole::Hidden => Sight::Hidden,
            };
            let label = match (field.is_dict, field.attribute) {
                (true, _) => Label::Namespace("__dict__"),
                (false, Some("__globals__")) => Label::Namespace("__globals__"),
                (false, Some("__builtins__")) => Label::Namespace("__builtins__"),
                (false, Some("__kwdefaults__")) => Label::Namespace("__kwdefaults__"),
                (false, Some("__annotations__")) => Label::Namespace("__annotations__"),
                (false, Some("keywords")) => Label::Namespace("keywords"),
                (false, Some(name)) => attribute(name),
                (false, None) => Label::Field(field.name),
            };
            self.field(object + field.offset, sight, label, sink)?;
        }
        Ok(())
    }

    /// What a code object owns. It is not known to the collector.
    pub(super) fn code_referents(
        &self,
        object: Addr,
        sink: &mut impl EdgeSink,
    ) -> Result<(), DecodeError> {
        let at = &self.layout.at.code;
        let fields = [
            (Some(at.co_consts), "co_consts"),
            (Some(at.co_names), "co_names"),
            (Some(at.co_filename), "co_filename"),
            (Some(at.co_name), "co_name"),
            (at.co_qualname, "co_qualname"),
            (at.co_linetable, "co_linetable"),
            (at.co_lnotab, "co_lnotab"),
            (at.co_exceptiontable, "co_exceptiontable"),
            (at.co_code, "co_code"),
            (at._co_code, "_co_code"),
            (at.co_varnames, "co_varnames"),
            (at.co_freevars, "co_freevars"),
            (at.co_cellvars, "co_cellvars"),
            (at.co_localsplusnames, "co_localsplusnames"),
            (at.co_localspluskinds, "co_localspluskinds"),
        ];
        for (offset, name) in fields {
            self.optional_field(object, offset, Sight::Hidden, attribute(name), sink)?;
        }
        let Some(cached) = at._co_cached else { return Ok(()) };
        if let Some(cached) = self.reference(object + cached)? {
            let at = &self.layout.at.code_cache;
            let fields = [
                (at._co_code, "co_code"),
                (at._co_varnames, "co_varnames"),
                (at._co_cellvars, "co_cellvars"),
                (at._co_freevars, "co_freevars"),
            ];
            for (offset, name) in fields {
                self.optional_field(cached, offset, Sight::Hidden, attribute(name), sink)?;
            }
        }
        Ok(())
    }

    /// `meth_traverse` (`Objects/methodobject.c`).
    pub(super) fn c_function_referents(
        &self,
        object: Addr,
        sink: &mut impl EdgeSink,
    ) -> Result<(), DecodeError> {
        /// `METH_METHOD`: a `PyCMethodObject`, which knows its class.
        const METH_METHOD: u32 = 0x200;
        /// Where `ml_flags` is in a `PyMethodDef`.
        const ML_FLAGS: u64 = 16;
        let at = &self.layout.at.c_function;
        self.field(object + at.m_self, Sight::Visited, attribute("__self__"), sink)?;
        self.field(object + at.m_module, Sight::Visited, attribute("__module__"), sink)?;
        let Some(mm_class) = self.layout.at.c_method.mm_class else { return Ok(()) };
        let method = self.memory.addr(object + at.m_ml)?;
        if self.memory.u32(method + ML_FLAGS)? & METH_METHOD != 0 {
            self.field(object + mm_class, Sight::Visited, Label::Field("mm_class"), sink)?;
        }
        Ok(())
    }

    /// The cells of a function's closure, by the names of their variables, are those of the tuple;
    /// a cell has one reference (`cell_traverse`, `Objects/cellobject.c`).
    pub(super) fn cell_referents(
        &self,
        object: Addr,
        sink: &mut impl EdgeSink,
    ) -> Result<(), DecodeError> {
        /// `ob_ref` of a `PyCellObject`, right behind the header.
        const OB_REF: u64 = 16;
        self.field(object + OB_REF, Sight::Visited, attribute("cell_contents"), sink)
    }

    /// Every word of a module's state that may be a reference, with its offset there. Only C code
    /// knows which are; its `m_traverse` visits them.
    pub(super) fn scan_module_state(
        &self,
        object: Addr,
        mut each: impl FnMut(u32, Addr),
    ) -> Result<(), DecodeError> {
        /// `m_size` of a `PyModuleDef`, behind its base, name and documentation.
        const M_SIZE: u64 = 56;
        /// The largest state that is searched, in bytes: those of the standard library are below 8 KiB.
        const MAX_STATE: u64 = 1 << 16;
        let at = &self.layout.at.module;
        let Some(state) = self.reference(object + at.md_state)? else { return Ok(()) };
        let size = match (at.md_state_size, at.md_def) {
            (Some(size), _) => self.memory.i64(object + size)?,
            (None, Some(def)) => match self.reference(object + def)? {
                Some(def) => self.memory.i64(def + M_SIZE)?,
                None => 0,
            },
            (None, None) => 0,
        };
        let size = u64::try_from(size).unwrap_or(0).min(MAX_STATE);
        self.words(state, size / 8, "the state of a module", |nth, word| each(nth * 8, word))
    }

    /// `module_traverse` (`Objects/moduleobject.c`), without the module's state.
    pub(super) fn module_referents(
        &self,
        object: Addr,
        sink: &mut impl EdgeSink,
    ) -> Result<(), DecodeError> {
        let at = &self.layout.at.module;
        self.field(object + at.md_dict, Sight::Visited, Label::Namespace("__dict__"), sink)?;
        self.field(object + at.md_name, Sight::Hidden, attribute("__name__"), sink)
    }

    /// `type_traverse` (`Objects/typeobject.c`) for types on the heap. Others are not known to the
    /// collector, and what they own may be in the interpreter.
    pub(super) fn type_referents(
        &self,
        object: Addr,
        sink: &mut impl EdgeSink,
    ) -> Result<(), DecodeError> {
        let at = &self.layout.at.ty;
        let flags = self.memory.u64(object + at.tp_flags)?;
        let heap = self.is_heap_type(object);
        let see = if heap { Sight::Visited } else { Sight::Hidden };
        self.field(object + at.tp_mro, see, attribute("__mro__"), sink)?;
        self.field(object + at.tp_bases, see, attribute("__bases__"), sink)?;
        self.field(object + at.tp_base, see, attribute("__base__"), sink)?;
        self.field(object + at.tp_cache, see, Label::Field("tp_cache"), sink)?;
        if heap {
            let heap_type = &self.layout.at.heap_type;
            self.field(object + at.tp_dict, see, Label::Namespace("__dict__"), sink)?;
            self.optional_field(object, heap_type.ht_module, see, Label::Field("ht_module"), sink)?;
            let hide = Sight::Hidden;
            self.field(object + heap_type.ht_name, hide, attribute("__name__"), sink)?;
            self.field(object + heap_type.ht_qualname, hide, attribute("__qualname__"), sink)?;
            self.field(object + heap_type.ht_slots, hide, attribute("__slots__"), sink)?;
            self.field(object + at.tp_subclasses, hide, Label::Field("tp_subclasses"), sink)?;
            return self.cached_keys_referents(object, sink);
        }
        if let Some(dict) = self.type_dict(object, flags)? {
            sink.edge(Sight::Hidden, dict, Label::Namespace("__dict__"));
        }
        if let Some(dict) = self.subclasses_dict(object, flags)? {
            sink.edge(Sight::Hidden, dict, Label::Field("tp_subclasses"));
        }
        Ok(())
    }

    /// The dictionary of weak references to a type's subclasses.
    fn subclasses_dict(&self, ty: Addr, flags: u64) -> Result<Option<Addr>, DecodeError> {
        let at = match (
            self.static_type_state(ty, flags)?,
            self.layout.at.static_type_state.tp_subclasses,
        ) {
            (Some(state), Some(tp_subclasses)) => state + tp_subclasses,
            _ => ty + self.layout.at.ty.tp_subclasses,
        };
        // In a static type of 3.12 or later whose state was not found this is a small number.
        Ok(self.reference(at)?.filter(|dict| dict.0 > 0x1000))
    }

    /// Whether a type is on the heap, and its subclasses.
    ///
    /// # Errors
    /// The type or its dictionary of subclasses cannot be read.
    pub fn subclasses(&self, ty: Addr) -> Result<(bool, Vec<Addr>), DecodeError> {
        let flags = self.memory.u64(ty + self.layout.at.ty.tp_flags)?;
        let mut subclasses = Vec::new();
        if let Some(dict) = self.subclasses_dict(ty, flags)? {
            let at = self.layout.at.weak_reference.wr_object;
            self.dict_entries(dict, |entry| {
                if let Ok(class) = self.memory.addr(entry.value + at)
                    && self.is_type(class)
                {
                    subclasses.push(class);
                }
            })?;
        }
        Ok((self.is_heap_type(ty), subclasses))
    }

    /// Whether there is a type at an address, by the flags of what is there as its type.
    fn is_type(&self, object: Addr) -> bool {
        use crate::cpython::layout::features::TYPE_SUBCLASS;
        let flags = self
            .type_at(object)
            .and_then(|ty| Ok(self.memory.u64(ty + self.layout.at.ty.tp_flags)?));
        !object.is_null() && flags.is_ok_and(|flags| flags & TYPE_SUBCLASS != 0)
    }

    /// The names of attributes that the instances of a class share.
    fn cached_keys_referents(
        &self,
        object: Addr,
        sink: &mut impl EdgeSink,
    ) -> Result<(), DecodeError> {
        let at = object + self.layout.at.heap_type.ht_cached_keys;
        let Some(keys) = self.reference(at)? else { return Ok(()) };
        let view = self.dict_keys(keys)?;
        for nth in 0..view.nentries {
            if let Some(key) = view.key_at(self.memory, nth)?.non_null() {
                let nth = u32::try_from(nth).unwrap_or(u32::MAX);
                sink.in_run(Sight::Hidden, key, Run::Keys, nth);
            }
        }
        Ok(())
    }

    /// `memory_traverse` (`Objects/memoryobject.c`): the buffer's owner is borrowed.
    pub(super) fn memory_view_referents(
        &self,
        object: Addr,
        sink: &mut impl EdgeSink,
    ) -> Result<(), DecodeError> {
        let at = &self.layout.at.memory_view;
        self.field(object + at.mbuf, Sight::Visited, Label::Field("mbuf"), sink)
    }

    /// `mbuf_traverse` (`Objects/memoryobject.c`).
    pub(super) fn managed_buffer_referents(
        &self,
        object: Addr,
        sink: &mut impl EdgeSink,
    ) -> Result<(), DecodeError> {
        /// `obj` of a `Py_buffer`, behind `buf`.
        const BUFFER_OBJ: u64 = 8;
        let at = object + self.layout.at.managed_buffer.master + BUFFER_OBJ;
        self.field(at, Sight::Visited, attribute("obj"), sink)
    }
}
