//! What `ctypes` keeps for its types: a `StgDict` up to 3.12, a `StgInfo` behind the metatype's
//! instance from 3.13 on (`Modules/_ctypes/_ctypes.c`).

use super::{DecodeError, EdgeSink, Label, Objects, Sight, TypeInfo};
use crate::addr::Addr;
use crate::cpython::layout::structures::StgInfo;
use crate::target::memory::Memory;

/// Where a description keeps what it allocated.
pub(super) struct StgBuffers {
    pub(super) format: Option<u64>,
    pub(super) ndim: Option<u64>,
    pub(super) ffi_type_pointer: Option<u64>,
    pub(super) length: Option<u64>,
}

impl<M: Memory> Objects<'_, M> {
    /// Where the `StgInfo` of a `ctypes` type is: right behind the structure of its metatype's base.
    pub(super) fn stg_info(&self, object: Addr, ty: &TypeInfo) -> Option<Addr> {
        /// `PyObject_GetTypeData` aligns what a type adds to its base.
        const ALIGNMENT: u64 = 16;
        let size = self.layout.at.stg_info.sizeof?;
        let start = self.layout.at.heap_type.sizeof.next_multiple_of(ALIGNMENT);
        (ty.tp_basicsize >= start + size).then(|| object + start)
    }

    /// `CType_Type_traverse`.
    pub(super) fn stg_info_referents(
        &self,
        object: Addr,
        ty: &TypeInfo,
        sink: &mut impl EdgeSink,
    ) -> Result<(), DecodeError> {
        let Some(info) = self.stg_info(object, ty) else {
            return self.pointer_type_referents(object, ty, sink);
        };
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

    /// What a pointer type points to: kept in the dictionary of the type and visited by the type
    /// (`CDataType_traverse`, up to 3.12).
    fn pointer_type_referents(
        &self,
        object: Addr,
        ty: &TypeInfo,
        sink: &mut impl EdgeSink,
    ) -> Result<(), DecodeError> {
        if ty.native_name.as_ref() != "_ctypes.PyCPointerType" {
            return Ok(());
        }
        let Some(dict) = self.reference(object + self.layout.at.ty.tp_dict)? else {
            return Ok(());
        };
        // The abstract base has a plain dictionary.
        let name = self.memory.addr(self.type_at(dict)? + self.layout.at.ty.tp_name)?;
        if self.c_text(name)? != "StgDict" {
            return Ok(());
        }
        let label = Label::Field("proto");
        self.optional_field(dict, self.layout.at.stg_dict.proto, Sight::Visited, label, sink)
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

    /// The bytes that a type's format string, shape and fields take (`PyCStgDict_sizeof`, from 3.13
    /// on `CType_Type_sizeof`).
    pub(super) fn stg_extra_bytes(&self, info: Addr, at: &StgBuffers) -> Result<u64, DecodeError> {
        /// `elements` of an `ffi_type`, behind its size, alignment and kind.
        const ELEMENTS: u64 = 16;
        let mut bytes = 0_u64;
        if let Some(format) = at.format
            && let Some(text) = self.reference(info + format)?
        {
            bytes += self.c_text(text)?.len() as u64 + 1;
        }
        if let Some(ndim) = at.ndim {
            bytes += u64::from(self.memory.u32(info + ndim)?.min(64)) * 8;
        }
        if let (Some(ffi_type), Some(length)) = (at.ffi_type_pointer, at.length)
            && self.reference(info + ffi_type + ELEMENTS)?.is_some()
        {
            let fields = self.memory.u64(info + length)?.saturating_add(1);
            bytes = bytes.saturating_add(fields.saturating_mul(8));
        }
        Ok(bytes)
    }

    /// A type of `ctypes`: from 3.13 on the metatype has a `__sizeof__` of its own.
    pub(super) fn ctypes_type_size(&self, object: Addr, ty: &TypeInfo) -> Result<u64, DecodeError> {
        let StgInfo { format, ndim, ffi_type_pointer, length, .. } = self.layout.at.stg_info;
        let buffers = StgBuffers { format, ndim, ffi_type_pointer, length };
        match self.stg_info(object, ty) {
            Some(info) => Ok(ty.tp_basicsize + self.stg_extra_bytes(info, &buffers)?),
            None => self.type_size(object),
        }
    }
}
