//! The dictionary of a type, and what an interpreter keeps for static types.

use super::type_object::RawType;
use super::{DecodeError, Known, Objects};
use crate::addr::Addr;
use crate::cpython::layout::features::StaticTypeDict;
use crate::target::memory::Memory;

impl<M: Memory> Objects<'_, M> {
    /// The dictionary of a type, wherever the version keeps it.
    ///
    /// # Errors
    /// The type cannot be read.
    pub fn type_dict(&self, ty: Addr, tp_flags: u64) -> Result<Option<Addr>, DecodeError> {
        if let Some(dict) = self.reference(ty + self.layout.at.ty.tp_dict)? {
            return Ok(Some(dict));
        }
        let at = &self.layout.at.static_type_state;
        match (self.static_type_state(ty, tp_flags)?, at.tp_dict) {
            (Some(state), Some(tp_dict)) => self.reference(state + tp_dict),
            _ => Ok(None),
        }
    }

    /// What an interpreter keeps for a static built-in type, from 3.12 on
    /// (`_PyStaticType_GetState`).
    pub(super) fn static_type_state(
        &self,
        ty: Addr,
        tp_flags: u64,
    ) -> Result<Option<Addr>, DecodeError> {
        /// `_Py_TPFLAGS_STATIC_BUILTIN`.
        const STATIC_BUILTIN: u64 = 1 << 1;
        /// `_Py_MAX_MANAGED_STATIC_BUILTIN_TYPES`: behind them count those of extensions.
        const MAX_BUILTIN: u64 = 200;
        /// More than both have.
        const MAX_INDEX: u64 = 1024;
        let Known { interpreter, .. } = self.known;
        let at = &self.layout.at;
        let (Some(types), Some(size), Some(type_)) = (
            at.interpreter.types_builtins,
            at.static_type_state.sizeof,
            at.static_type_state.type_,
        ) else {
            return Ok(None);
        };
        if self.layout.has.static_type_dict != StaticTypeDict::InInterpreter
            || tp_flags & STATIC_BUILTIN == 0
            || interpreter.is_null()
        {
            return Ok(None);
        }
        let index = self.memory.u64(ty + at.ty.tp_subclasses)?.wrapping_sub(1);
        if index >= MAX_INDEX {
            return Ok(None);
        }
        // From 3.13 on counts of the initialised ones stand before the arrays; the state says
        // whose it is, so the right place shows itself.
        let mut places = vec![(types, index), (types + 8, index)];
        if let (Some(extensions), Some(index)) =
            (at.interpreter.types_for_extensions, index.checked_sub(MAX_BUILTIN))
        {
            places.extend([0, 8, 16].map(|skip| (extensions + skip, index)));
        }
        for (array, index) in places {
            let state = interpreter + array + index * size;
            if self.memory.addr(state + type_)? == ty {
                return Ok(Some(state));
            }
        }
        Ok(None)
    }

    /// Whether the dictionary of a class has a name.
    pub(super) fn defines(&self, ty: Addr, raw: &RawType, name: &str) -> Result<bool, DecodeError> {
        match self.type_dict(ty, raw.flags)? {
            Some(dict) => Ok(self.dict_get(dict, name)?.is_some()),
            None => Ok(false),
        }
    }
}
