//! What `ctypes` keeps for its types: a `StgDict` up to 3.12, a `StgInfo` behind the metatype's
//! instance from 3.13 on (`Modules/_ctypes/_ctypes.c`).

use super::{DecodeError, EdgeSink, Label, Objects, Sight, TypeInfo};
use crate::addr::Addr;
use crate::target::memory::Memory;

impl<M: Memory> Objects<'_, M> {
    /// Where the `StgInfo` of a `ctypes` type is: right behind the structure of its metatype's base.
    pub(super) fn stg_info(&self, object: Addr, ty: &TypeInfo) -> Option<Addr> {
        let size = self.layout.at.stg_info.sizeof?;
        let heap_type = self.layout.at.heap_type.sizeof;
        (ty.tp_basicsize >= heap_type + size).then(|| object + heap_type)
    }

    /// `CType_Type_traverse`.
    pub(super) fn stg_info_referents(
        &self,
        object: Addr,
        ty: &TypeInfo,
        sink: &mut impl EdgeSink,
    ) -> Result<(), DecodeError> {
        let Some(info) = self.stg_info(object, ty) else { return Ok(()) };
        let at = &self.layout.at.stg_info;
        let fields = [
            (at.proto, "proto"),
            (at.argtypes, "argtypes"),
            (at.converters, "converters"),
            (at.restype, "restype"),
            (at.checker, "checker"),
            (at.module, "module"),
            (at.pointer_type, "pointer_type"),
        ];
        for (offset, name) in fields {
            self.optional_field(info, offset, Sight::Visited, Label::Field(name), sink)?;
        }
        Ok(())
    }

    /// What a `StgDict` owns besides its entries; no `tp_traverse` of its own visits it.
    pub(super) fn stg_dict_referents(
        &self,
        object: Addr,
        sink: &mut impl EdgeSink,
    ) -> Result<(), DecodeError> {
        let at = &self.layout.at.stg_dict;
        let fields = [
            (at.proto, "proto"),
            (at.argtypes, "argtypes"),
            (at.converters, "converters"),
            (at.restype, "restype"),
            (at.checker, "checker"),
        ];
        for (offset, name) in fields {
            self.optional_field(object, offset, Sight::Hidden, Label::Field(name), sink)?;
        }
        Ok(())
    }

    /// The bytes that a type's format string and shape take (`StgDict_sizeof`).
    pub(super) fn stg_extra_bytes(
        &self,
        info: Addr,
        format: Option<u64>,
        ndim: Option<u64>,
    ) -> Result<u64, DecodeError> {
        let mut bytes = 0;
        if let Some(format) = format
            && let Some(text) = self.reference(info + format)?
        {
            bytes += self.c_text(text)?.len() as u64 + 1;
        }
        if let Some(ndim) = ndim {
            bytes += u64::from(self.memory.u32(info + ndim)?.min(64)) * 8;
        }
        Ok(bytes)
    }
}
