//! `co_exceptiontable` (from 3.11 on, `Objects/exception_handling_notes.txt`): which instructions an
//! exception leaves for which handler.

use super::{DecodeError, Objects};
use crate::addr::Addr;
use crate::cpython::layout::OB_SIZE;
use crate::target::memory::Memory;

/// An entry of the table. Instructions are counted in units from the beginning of the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Handler {
    /// The first instruction that it is for.
    start: u64,
    /// How many units it is for.
    len: u64,
    /// The first instruction of the handler.
    pub(super) target: u64,
    /// How many words of the stack an exception leaves.
    pub(super) depth: u64,
    /// Whether the number of the instruction is put above them, below the exception.
    pub(super) with_instruction: bool,
}

impl<M: Memory> Objects<'_, M> {
    /// The bytes of a code object's exception table; none if this version has no such table.
    pub(super) fn exception_table(&self, code: Addr) -> Result<Vec<u8>, DecodeError> {
        /// The longest table that is read, in bytes.
        const MAX_TABLE: u64 = 1 << 22;
        let at = &self.layout.at;
        let Some(offset) = at.code.co_exceptiontable else { return Ok(Vec::new()) };
        let table = self.memory.addr(code + offset)?;
        let len = self.memory.u64(table + OB_SIZE)?;
        if len > MAX_TABLE {
            let what = "the exception table of a code object";
            return Err(DecodeError::Implausible { what, addr: code, value: len });
        }
        let len = usize::try_from(len).unwrap_or(0);
        Ok(self.memory.bytes(table + at.bytes.ob_sval, len)?)
    }
}

/// The entries of a table: start, length, target, and depth with a bit, each in pieces of six bits,
/// the highest first.
pub(super) fn handlers(table: &[u8]) -> impl Iterator<Item = Handler> {
    let mut bytes = table.iter();
    let mut number = move || {
        let mut value = 0_u64;
        for _ in 0..6 {
            let byte = bytes.next()?;
            value = value << 6 | u64::from(byte & 63);
            if byte & 64 == 0 {
                break;
            }
        }
        Some(value)
    };
    std::iter::from_fn(move || {
        let (start, len, target, depth) = (number()?, number()?, number()?, number()?);
        let with_instruction = depth & 1 != 0;
        Some(Handler { start, len, target, depth: depth >> 1, with_instruction })
    })
}

/// The entry that covers an instruction.
pub(super) fn handler_of(table: &[u8], instruction: u64) -> Option<Handler> {
    let covers = |handler: &Handler| {
        handler.start <= instruction && instruction < handler.start.saturating_add(handler.len)
    };
    handlers(table).find(covers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_depth_of_a_handler_is_that_of_the_entry_that_covers_the_instruction() {
        // Instructions 2 to 5 unwind to depth 1; 70 to 71 (two bytes) to depth 3.
        let table = [0x80 | 2, 4, 9, 2, 0x80 | 64 | 1, 6, 2, 12, 7];
        let at = |at| handler_of(&table, at).map(|handler| (handler.target, handler.depth));
        let (first, second) = (Some((9, 1)), Some((12, 3)));
        let expected = [None, first, first, None, second, second, None];
        assert_eq!([1, 2, 5, 6, 70, 71, 72].map(at), expected);
        let all: Vec<_> = handlers(&table).map(|one| (one.target, one.with_instruction)).collect();
        assert_eq!(all, [(9, false), (12, true)]);
    }

    proptest::proptest! {
        #[test]
        fn no_exception_table_makes_it_panic(table: Vec<u8>, at: u64) {
            let _ = handler_of(&table, at);
        }
    }
}
