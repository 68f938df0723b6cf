//! What code calls an object of its own: code objects and classes.

use super::{DecodeError, Native, Objects, TypeInfo};
use crate::addr::Addr;
use crate::cpython::layout::features::HEAPTYPE;
use crate::target::memory::Memory;

/// `CO_FAST_FREE` (`Include/internal/pycore_code.h`): a variable of an enclosing function.
const CO_FAST_FREE: u8 = 0x80;

/// More names than a function has that people read.
const MOST_FREE: u64 = 64;

impl<M: Memory> Objects<'_, M> {
    /// The name of an object: of code `function (file:line)`, and behind it in brackets the variables
    /// of enclosing functions that it uses, in the order of its closure; of a class its full name;
    /// nothing for anything else.
    #[must_use]
    pub fn code_name(&self, object: Addr, ty: &TypeInfo) -> Option<String> {
        match ty.native {
            Native::Code => {
                let (function, file, line) = self.code_place(object).ok()?;
                let free = self.free_variables(object).unwrap_or_default();
                let place = format!("{function} ({file}:{line})");
                Some(match free.as_slice() {
                    [] => place,
                    names => format!("{place} [{}]", names.join(", ")),
                })
            }
            Native::Type | Native::ForeignType | Native::CTypesType => {
                let raw = self.read_raw_type(object).ok()?;
                let tp_name = self.c_text(raw.name_at).ok()?;
                self.type_name(object, &raw, &tp_name, raw.flags & HEAPTYPE != 0).ok()
            }
            _ => None,
        }
    }

    /// The variables of enclosing functions that a code object uses (`co_freevars`).
    fn free_variables(&self, code: Addr) -> Result<Vec<String>, DecodeError> {
        let at = &self.layout.at.code;
        let (names, kinds) = match (at.co_localsplusnames, at.co_localspluskinds, at.co_freevars) {
            (Some(names), Some(kinds), _) => (names, Some(kinds)),
            (_, _, Some(names)) => (names, None),
            _ => return Ok(Vec::new()),
        };
        let names = self.memory.addr(code + names)?;
        if names.is_null() {
            return Ok(Vec::new());
        }
        let len = self.item_count(names, "the names of a code object")?;
        let mut free = Vec::new();
        for nth in 0..len {
            if let Some(kinds) = kinds {
                let kinds = self.memory.addr(code + kinds)?;
                // `ob_sval`, where the bytes of a `bytes` object begin.
                let kind = self.memory.u8(kinds + self.layout.at.bytes.ob_sval + nth)?;
                if kind & CO_FAST_FREE == 0 {
                    continue;
                }
            }
            if free.len() as u64 >= MOST_FREE {
                break;
            }
            let name = self.memory.addr(names + self.layout.at.tuple.ob_item + nth * 8)?;
            free.push(if self.is_str(name)? { self.text(name)? } else { "?".to_owned() });
        }
        Ok(free)
    }
}
