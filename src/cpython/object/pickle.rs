//! `Pickler` and `Unpickler` (`Modules/_pickle.c`).

use super::size::{EMPTY_BYTES, POINTER};
use super::{DecodeError, Objects};
use crate::addr::Addr;
use crate::target::memory::Memory;

impl<M: Memory> Objects<'_, M> {
    /// `_pickle.Pickler.__sizeof__`: the memo's table and the buffer.
    pub(super) fn pickler_bytes(&self, object: Addr) -> Result<u64, DecodeError> {
        /// `sizeof(PyMemoTable)`, the offset of `mt_allocated` in it, `sizeof(PyMemoEntry)`.
        const TABLE: u64 = 32;
        const ALLOCATED: u64 = 16;
        const ENTRY: u64 = 16;
        let at = &self.layout.at.pickler;
        let mut bytes = 0_u64;
        if let Some(memo) = self.reference(object + at.memo)? {
            bytes = TABLE + self.memory.u64(memo + ALLOCATED)?.saturating_mul(ENTRY);
        }
        if let Some(buffer) = self.reference(object + at.output_buffer)? {
            let len = u64::try_from(self.ob_size(buffer)?).unwrap_or(0);
            bytes = bytes.saturating_add(len).saturating_add(EMPTY_BYTES);
        }
        Ok(bytes)
    }

    /// `_pickle.Unpickler.__sizeof__`: memo, marks and three C strings.
    pub(super) fn unpickler_bytes(&self, object: Addr) -> Result<u64, DecodeError> {
        let at = &self.layout.at.unpickler;
        let mut bytes = 0_u64;
        if !self.memory.addr(object + at.memo)?.is_null() {
            let size = self.memory.u64(object + at.memo_size)?;
            bytes = bytes.saturating_add(size.saturating_mul(POINTER));
        }
        if !self.memory.addr(object + at.marks)?.is_null() {
            let size = self.memory.u64(object + at.marks_size)?;
            bytes = bytes.saturating_add(size.saturating_mul(POINTER));
        }
        for text in [at.input_line, at.encoding, at.errors] {
            if let Some(text) = self.reference(object + text)? {
                bytes = bytes.saturating_add(self.c_text(text)?.len() as u64 + 1);
            }
        }
        Ok(bytes)
    }
}
