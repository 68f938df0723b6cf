//! The line that a frame is at (`PyCode_Addr2Line`, `Objects/codeobject.c`).

use super::{DecodeError, Objects};
use crate::addr::Addr;
use crate::cpython::layout::OB_SIZE;
use crate::cpython::layout::features::{Frames, LineTable};
use crate::target::memory::Memory;

/// The longest line table that is read, in bytes: a generated function of a million lines has less.
const MAX_TABLE: u64 = 16 << 20;
/// The size of an instruction unit, in bytes.
const UNIT: i64 = 2;

impl<M: Memory> Objects<'_, M> {
    /// The line that a frame is at; nothing if its code does not say, or it has not started.
    ///
    /// # Errors
    /// The frame, its code or its line table cannot be read.
    pub fn frame_line(&self, frame: Addr, code: Addr) -> Result<Option<u32>, DecodeError> {
        match self.instruction_offset(frame, code)? {
            Some(instruction) => self.code_line(code, instruction),
            None => Ok(None),
        }
    }

    /// The line of an instruction, by where it is in its code, in bytes.
    ///
    /// # Errors
    /// The code or its line table cannot be read.
    pub(super) fn code_line(
        &self,
        code: Addr,
        instruction: i64,
    ) -> Result<Option<u32>, DecodeError> {
        let at = &self.layout.at.code;
        let first = i64::from(self.memory.i32(code + at.co_firstlineno)?);
        let Some(table) = at.co_linetable.or(at.co_lnotab) else { return Ok(None) };
        let table = self.memory.addr(code + table)?;
        let len = self.memory.u64(table + OB_SIZE)?;
        if len > MAX_TABLE {
            let what = "the line table of a code object";
            return Err(DecodeError::Implausible { what, addr: code, value: len });
        }
        let len = usize::try_from(len).unwrap_or(0);
        let bytes = self.memory.bytes(table + self.layout.at.bytes.ob_sval, len)?;
        let line = match self.layout.has.line_table {
            LineTable::Increments => increments(&bytes, first, instruction),
            LineTable::Ranges => ranges(&bytes, first, instruction),
            LineTable::Locations => locations(&bytes, first, instruction),
        };
        Ok(line.and_then(|line| u32::try_from(line).ok()))
    }

    /// Where in its code a frame is, in bytes; nothing before its first instruction.
    ///
    /// # Errors
    /// The frame cannot be read.
    pub fn instruction_offset(&self, frame: Addr, code: Addr) -> Result<Option<i64>, DecodeError> {
        let at = &self.layout.at;
        let offset = match self.layout.has.frames {
            Frames::ObjectsWithTop | Frames::ObjectsWithDepth => {
                let Some(f_lasti) = at.frame_object.f_lasti else { return Ok(None) };
                let last = i64::from(self.memory.i32(frame + f_lasti)?);
                // Up to 3.9 in bytes, in 3.10 in instructions.
                if self.layout.has.line_table == LineTable::Ranges { last * UNIT } else { last }
            }
            Frames::Interpreter | Frames::InterpreterTagged => {
                let fields = &at.interpreter_frame;
                let (Some(instruction), Some(start)) =
                    (fields.instr_ptr.or(fields.prev_instr), at.code.co_code_adaptive)
                else {
                    return Ok(None);
                };
                let instruction = self.memory.addr(frame + instruction)?;
                instruction.0.wrapping_sub((code + start).0).cast_signed()
            }
        };
        Ok((offset >= 0).then_some(offset))
    }
}

/// `co_lnotab` (`Objects/lnotab_notes.txt` of 3.8): pairs of increments of bytes and lines.
fn increments(table: &[u8], first: i64, instruction: i64) -> Option<i64> {
    let (mut at, mut line) = (0_i64, first);
    for &[bytes, lines] in table.as_chunks::<2>().0 {
        at += i64::from(bytes);
        if at > instruction {
            break;
        }
        line += i64::from(lines.cast_signed());
    }
    Some(line)
}

/// `co_linetable` of 3.10: pairs of a range's length in bytes and an increment of the line; -128
/// for a range without a line.
fn ranges(table: &[u8], first: i64, instruction: i64) -> Option<i64> {
    let (mut end, mut line) = (0_i64, first);
    for &[bytes, lines] in table.as_chunks::<2>().0 {
        end += i64::from(bytes);
        let lines = lines.cast_signed();
        if lines != i8::MIN {
            line += i64::from(lines);
        }
        if instruction < end {
            return (lines != i8::MIN).then_some(line);
        }
    }
    None
}

/// `co_linetable` from 3.11 on (`Objects/locations.md`): entries begin with a byte whose top bit
/// is set, with a kind and a length in instructions.
fn locations(table: &[u8], first: i64, instruction: i64) -> Option<i64> {
    /// The kinds of entries of which the line is not that of the entry before, or the next ones.
    const ONE_LINE: std::ops::RangeInclusive<u8> = 10..=12;
    const NO_COLUMNS: u8 = 13;
    const LONG: u8 = 14;
    const NONE: u8 = 15;
    let (mut end, mut line) = (0_i64, first);
    let mut rest = table;
    while let Some((&head, after)) = rest.split_first() {
        let (kind, length) = (head >> 3 & 15, i64::from(head & 7) + 1);
        end += length * UNIT;
        line += match kind {
            NO_COLUMNS | LONG => signed(after),
            kind if ONE_LINE.contains(&kind) => i64::from(kind - 10),
            _ => 0,
        };
        if instruction < end {
            return (kind != NONE).then_some(line);
        }
        let next = after.iter().position(|byte| byte & 0x80 != 0).unwrap_or(after.len());
        rest = after.get(next..).unwrap_or_default();
    }
    None
}

/// A signed number in pieces of six bits, the lowest first; its own lowest bit is the sign.
fn signed(bytes: &[u8]) -> i64 {
    let mut value = 0_i64;
    for (nth, byte) in bytes.iter().take(6).enumerate() {
        value |= i64::from(byte & 63) << (6 * nth);
        if byte & 64 == 0 {
            break;
        }
    }
    if value & 1 != 0 { -(value >> 1) } else { value >> 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_all_three_tables() {
        // Two instructions on the first line, two on the third, one on the second.
        let lnotab = [4, 2, 4, 0xff];
        let line = |at| increments(&lnotab, 10, at);
        assert_eq!([line(0), line(2), line(4), line(6), line(8)], [10, 10, 12, 12, 11].map(Some));
        let linetable = [4, 0, 4, 2, 2, 0x80, 2, 0xff];
        let line = |at| ranges(&linetable, 10, at);
        assert_eq!(
            [line(2), line(4), line(8), line(10), line(12)],
            [Some(10), Some(12), None, Some(11), None]
        );
        // Short form; no columns with +2; none; one line with +1 and two columns; long with -3.
        let table = [
            0x81,
            0x11,
            0x80 | 13 << 3,
            4,
            0x80 | 15 << 3,
            0x80 | 11 << 3,
            1,
            2,
            0x80 | 14 << 3,
            7,
            0,
            0,
            0,
        ];
        let line = |at| locations(&table, 10, at);
        assert_eq!(
            [line(0), line(2), line(4), line(6), line(8), line(10), line(12)],
            [Some(10), Some(10), Some(12), None, Some(13), Some(10), None]
        );
    }

    proptest::proptest! {
        #[test]
        fn no_table_makes_it_panic(table: Vec<u8>, first: i32, at: i32) {
            for decode in [increments, ranges, locations] {
                let _ = decode(&table, first.into(), at.into());
            }
        }
    }
}
