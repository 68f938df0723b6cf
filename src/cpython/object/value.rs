//! The contents of objects that are plain data, for those who ask for them.

use super::{Objects, TypeInfo};
use crate::addr::Addr;
use crate::cpython::layout::OB_SIZE;
use crate::cpython::layout::features::LongLength;
use crate::target::memory::Memory;

/// The longest text that is kept of a value, in characters.
const MAX_CHARS: usize = 120;

impl<M: Memory> Objects<'_, M> {
    /// Whether an object is a `str` and not of a subclass, whose keys would be data.
    #[must_use]
    pub fn is_exact_str(&self, object: Addr) -> bool {
        let at = &self.layout.at.ty;
        let name = self
            .type_at(object)
            .and_then(|ty| Ok(self.memory.addr(ty + at.tp_name)?))
            .and_then(|name| self.c_text(name));
        name.is_ok_and(|name| name == "str") && self.is_str(object).unwrap_or(false)
    }

    /// The contents of a text or number, in short; nothing for anything else.
    #[must_use]
    pub fn value_text(&self, object: Addr, ty: &TypeInfo) -> Option<String> {
        match ty.native_name.as_ref() {
            "str" => {
                let text = self.text(object).ok()?;
                let mut short: String = text.chars().take(MAX_CHARS).collect();
                if short.len() < text.len() {
                    short.push('…');
                }
                Some(format!("{short:?}"))
            }
            "bytes" => {
                let content = self.content(object, ty).ok()??;
                let shown = content.length.min(MAX_CHARS as u64);
                let more = if shown < content.length { "…" } else { "" };
                let bytes = self.memory.bytes(content.range.start, shown as usize).ok()?;
                Some(format!("b\"{}{more}\"", bytes.escape_ascii()))
            }
            "float" => {
                /// `ob_fval`, right behind the header.
                const OB_FVAL: u64 = 16;
                let bits = self.memory.u64(object + OB_FVAL).ok()?;
                Some(format!("{:?}", f64::from_bits(bits)))
            }
            "int" | "bool" => self.int_text(object),
            _ => None,
        }
    }

    /// An `int` of up to two digits, which is up to 2^60.
    fn int_text(&self, object: Addr) -> Option<String> {
        match self.int_value(object) {
            Some(value) => Some(value.to_string()),
            None => Some(format!("int of {} digits", self.int_digits(object)?.0)),
        }
    }

    /// The value of an `int` below 2^60 and above -2^60.
    #[must_use]
    pub fn int_value(&self, object: Addr) -> Option<i64> {
        /// `ob_digit` is at the same place in all versions.
        const OB_DIGIT: u64 = 24;
        let (digits, negative) = self.int_digits(object)?;
        let digit = |nth: u64| self.memory.u32(object + OB_DIGIT + nth * 4).map(i64::from).ok();
        let value = match digits {
            0 => 0,
            1 => digit(0)?,
            2 => digit(0)? | digit(1)? << 30,
            _ => return None,
        };
        Some(if negative { -value } else { value })
    }

    /// How many digits an `int` has, and whether it is negative.
    fn int_digits(&self, object: Addr) -> Option<(u64, bool)> {
        let word = self.memory.i64(object + OB_SIZE).ok()?;
        Some(match self.layout.has.long_length {
            LongLength::Tag => (word.cast_unsigned() >> 3, word & 3 == 2),
            LongLength::SignedSize | LongLength::SignedSizeOfOne => (word.unsigned_abs(), word < 0),
        })
    }
}
