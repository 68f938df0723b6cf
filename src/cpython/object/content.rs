//! The contents of texts and bytes: where they are and how long, without reading them.

use super::{DecodeError, Objects, TypeInfo};
use crate::addr::{Addr, AddrRange};
use crate::cpython::layout::features::{BYTES_SUBCLASS, UNICODE_SUBCLASS};
use crate::target::memory::Memory;

/// The contents of a `str` or of `bytes`, as they lie in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Content {
    /// The bytes of a character (1, 2 or 4); 0 for `bytes`. A text is stored with the fewest that do
    /// (`PyUnicode_KIND`), so equal texts are stored alike.
    pub kind: u8,
    /// What `len()` says.
    pub length: u64,
    /// Where the bytes are.
    pub range: AddrRange,
}

impl<M: Memory> Objects<'_, M> {
    /// The contents of an object of `str`, `bytes` or a class derived from one of them; nothing for
    /// anything else.
    ///
    /// # Errors
    /// Its header cannot be read or cannot be right, or its text was not made ready (up to 3.11).
    pub fn content(&self, object: Addr, ty: &TypeInfo) -> Result<Option<Content>, DecodeError> {
        match ty.native_name.as_ref() {
            "str" => self.str_content(object).map(Some),
            "bytes" => self.bytes_content(object).map(Some),
            _ => Ok(None),
        }
    }

    /// The contents of an object whose type was not resolved; nothing for what is no text or bytes.
    ///
    /// # Errors
    /// As [`Objects::content`].
    pub fn content_by_flags(&self, object: Addr) -> Result<Option<Content>, DecodeError> {
        let ty = self.type_at(object)?;
        let flags = self.memory.u64(ty + self.layout.at.ty.tp_flags)?;
        match (flags & UNICODE_SUBCLASS != 0, flags & BYTES_SUBCLASS != 0) {
            (true, false) => self.str_content(object).map(Some),
            (false, true) => self.bytes_content(object).map(Some),
            _ => Ok(None),
        }
    }

    fn str_content(&self, object: Addr) -> Result<Content, DecodeError> {
        let what = "the header of a str";
        let implausible = |value| DecodeError::Implausible { what, addr: object, value };
        let state = self.str_state(object)?;
        let length = self.memory.u64(object + self.layout.at.ascii.length)?;
        let kind = match state.kind {
            1 | 2 | 4 if state.ready => state.kind,
            other => return Err(implausible(other)),
        };
        let bytes = length.checked_mul(kind).ok_or_else(|| implausible(length))?;
        let start = self.str_data(object, state)?;
        let end = start.0.checked_add(bytes).ok_or_else(|| implausible(length))?;
        let range = AddrRange::new(start, Addr(end));
        Ok(Content { kind: u8::try_from(kind).unwrap_or(0), length, range })
    }

    fn bytes_content(&self, object: Addr) -> Result<Content, DecodeError> {
        let what = "the length of bytes";
        let implausible = |value| DecodeError::Implausible { what, addr: object, value };
        let size = self.ob_size(object)?;
        let length = u64::try_from(size).map_err(|_| implausible(size.cast_unsigned()))?;
        let start = object + self.layout.at.bytes.ob_sval;
        let end = start.0.checked_add(length).ok_or_else(|| implausible(length))?;
        Ok(Content { kind: 0, length, range: AddrRange::new(start, Addr(end)) })
    }
}
