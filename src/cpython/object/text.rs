//! `str` objects and C strings, as text (`Objects/unicodeobject.c`).

use super::{DecodeError, Objects, Size};
use crate::addr::Addr;
use crate::target::memory::Memory;

/// The bit-field `state` of a `str`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct State {
    /// 1, 2 or 4 bytes a character; 0 for a string that was not made ready (up to 3.11).
    pub(super) kind: u64,
    /// The text follows the header.
    pub(super) compact: bool,
    /// All characters are below 128.
    pub(super) ascii: bool,
    /// The text is there (always, from 3.12 on).
    pub(super) ready: bool,
}

impl State {
    pub(super) fn of(bits: u32, has_wstr: bool) -> Self {
        Self {
            kind: u64::from(bits >> 2 & 7),
            compact: bits >> 5 & 1 != 0,
            ascii: bits >> 6 & 1 != 0,
            ready: !has_wstr || bits >> 7 & 1 != 0,
        }
    }
}

impl<M: Memory> Objects<'_, M> {
    /// The state of a `str`.
    pub(super) fn str_state(&self, object: Addr) -> Result<State, DecodeError> {
        let at = &self.layout.at.ascii;
        Ok(State::of(self.memory.u32(object + at.state)?, at.wstr.is_some()))
    }

    /// Where the characters of a `str` are.
    pub(super) fn str_data(&self, object: Addr, state: State) -> Result<Addr, DecodeError> {
        let at = &self.layout.at;
        Ok(match (state.compact, state.ascii) {
            (true, true) => object + at.ascii.sizeof,
            (true, false) => object + at.compact_unicode.sizeof,
            (false, _) => self.memory.addr(object + at.unicode.data)?,
        })
    }

    /// The text of a `str`, cut off behind `limits.name_bytes` bytes. The object must have been
    /// found to be one.
    ///
    /// # Errors
    /// Its bytes cannot be read, or its header makes no sense.
    pub fn text(&self, object: Addr) -> Result<String, DecodeError> {
        let state = self.str_state(object)?;
        let length = self.memory.u64(object + self.layout.at.ascii.length)?;
        let what = "the header of a str";
        if !matches!(state.kind, 1 | 2 | 4) {
            return Err(DecodeError::Implausible { what, addr: object, value: state.kind });
        }
        let bytes = length.checked_mul(state.kind);
        let Some(bytes) = bytes.and_then(|bytes| usize::try_from(bytes).ok()) else {
            return Err(DecodeError::Implausible { what, addr: object, value: length });
        };
        let limit = self.limits.name_bytes & !3;
        let data = self.str_data(object, state)?;
        let data = self.memory.bytes(data, bytes.min(limit))?;
        Ok(match state.kind {
            1 => data.iter().copied().map(char::from).collect(),
            2 => {
                let units = data.as_chunks::<2>().0.iter().map(|unit| u16::from_le_bytes(*unit));
                units.map(|unit| char::from_u32(unit.into()).unwrap_or('\u{FFFD}')).collect()
            }
            _ => {
                let units = data.as_chunks::<4>().0.iter().map(|unit| u32::from_le_bytes(*unit));
                units.map(|unit| char::from_u32(unit).unwrap_or('\u{FFFD}')).collect()
            }
        })
    }

    /// The text of a C string, cut off behind `limits.name_bytes` bytes.
    ///
    /// # Errors
    /// Its bytes cannot be read.
    pub fn c_text(&self, at: Addr) -> Result<String, DecodeError> {
        let mut text = Vec::new();
        let mut from = at;
        while text.len() < self.limits.name_bytes {
            // Up to the end of a 64-byte line, so that no read crosses into an unmapped page.
            let mut line = [0_u8; 64];
            let len = usize::try_from(64 - from.0 % 64).unwrap_or(64);
            let Some(line) = line.get_mut(..len) else { break };
            self.memory.read(from, line)?;
            if let Some(end) = line.iter().position(|&byte| byte == 0) {
                text.extend(line.iter().take(end));
                break;
            }
            text.extend_from_slice(line);
            from = from + len as u64;
        }
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Where a `str` keeps its text as UTF-8, if it does (`PyUnicode_UTF8`).
    pub(super) fn utf8_at(&self, object: Addr) -> Result<Addr, DecodeError> {
        let state = self.str_state(object)?;
        if state.compact && state.ascii {
            return Ok(object + self.layout.at.ascii.sizeof);
        }
        Ok(self.memory.addr(object + self.layout.at.compact_unicode.utf8)?)
    }

    /// `str.__sizeof__` (`unicode_sizeof`, `Objects/unicodeobject.c`).
    pub(super) fn str_size(&self, object: Addr) -> Result<Size, DecodeError> {
        let at = &self.layout.at;
        let state = self.str_state(object)?;
        let length = self.memory.u64(object + at.ascii.length)?;
        let text = length.saturating_add(1).saturating_mul(state.kind);
        let is_compact_ascii = state.compact && state.ascii;
        let data = match (state.compact, state.ready) {
            (false, false) => Addr::NULL,
            _ => self.str_data(object, state)?,
        };
        let mut shallow = match (state.compact, state.ascii) {
            (true, true) => at.ascii.sizeof.saturating_add(length).saturating_add(1),
            (true, false) => at.compact_unicode.sizeof.saturating_add(text),
            (false, _) if data.is_null() => at.unicode.sizeof,
            (false, _) => at.unicode.sizeof.saturating_add(text),
        };
        if let (Some(wstr), Some(wstr_length)) = (at.ascii.wstr, at.compact_unicode.wstr_length) {
            let wide = self.memory.addr(object + wstr)?;
            if !wide.is_null() && (!state.ready || wide != data) {
                let length = match is_compact_ascii {
                    true => length,
                    false => self.memory.u64(object + wstr_length)?,
                };
                shallow = shallow.saturating_add(length.saturating_add(1).saturating_mul(4));
            }
        }
        if !is_compact_ascii {
            let utf8 = self.memory.addr(object + at.compact_unicode.utf8)?;
            if !utf8.is_null() && utf8 != data {
                let length = self.memory.u64(object + at.compact_unicode.utf8_length)?;
                shallow = shallow.saturating_add(length).saturating_add(1);
            }
        }
        Ok(Size { shallow, ..Size::default() })
    }
}
