//! Code objects (`Objects/codeobject.c`).

use super::size::POINTER;
use super::{DecodeError, Objects, TypeInfo};
use crate::addr::Addr;
use crate::target::memory::Memory;

impl<M: Memory> Objects<'_, M> {
    /// `code.__sizeof__` (`Objects/codeobject.c`).
    pub(super) fn code_size(&self, object: Addr, ty: &TypeInfo) -> Result<u64, DecodeError> {
        let at = &self.layout.at.code;
        let mut size = self.generic_size(object, ty)?.shallow;
        if ty.tp_itemsize > 0 {
            size = size.saturating_add(7) & !7;
        }
        if let (Some(cell2arg), Some(cellvars)) = (at.co_cell2arg, at.co_cellvars)
            && !self.memory.addr(object + cell2arg)?.is_null()
            && let Some(cellvars) = self.reference(object + cellvars)?
        {
            size += self.item_count(cellvars, "the cells of a code object")?.min(1 << 20) * POINTER;
        }
        if let (Some(map), Some(code)) = (at.co_opcache_map, at.co_code)
            && !self.memory.addr(object + map)?.is_null()
            && let Some(code) = self.reference(object + code)?
        {
            size += self.item_count(code, "the length of a code object")?.min(1 << 32) / 2;
        }
        if let (Some(opcache), Some(count)) = (at.co_opcache, at.co_opcache_size)
            && !self.memory.addr(object + opcache)?.is_null()
        {
            /// `sizeof(_PyOpcache)`.
            const OPCACHE: u64 = 32;
            size += u64::from(self.memory.u8(object + count)?) * OPCACHE;
        }
        if let Some(extra) = self.reference(object + at.co_extra)? {
            let len = self.memory.u64(extra)?.min(256);
            size += 2 * POINTER + len.saturating_sub(1) * POINTER;
        }
        Ok(size)
    }
}
