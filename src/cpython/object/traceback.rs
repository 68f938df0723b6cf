//! Tracebacks (`Python/traceback.c`): where an exception came from.

use super::{DecodeError, Objects};
use crate::addr::Addr;
use crate::cpython::layout::features::LineTable;
use crate::target::memory::Memory;

impl<M: Memory> Objects<'_, M> {
    /// The traceback of an exception: its outermost entry.
    #[must_use]
    pub fn traceback(&self, exception: Addr) -> Option<Addr> {
        let at = self.layout.at.base_exception.traceback;
        self.is_traceback(self.reference(exception + at).ok()??)
    }

    /// The next entry of a traceback, nearer to where the exception was raised.
    #[must_use]
    pub fn next_traceback(&self, entry: Addr) -> Option<Addr> {
        self.is_traceback(self.reference(entry + self.layout.at.traceback.tb_next).ok()??)
    }

    fn is_traceback(&self, object: Addr) -> Option<Addr> {
        let name = self.memory.addr(self.type_at(object).ok()? + self.layout.at.ty.tp_name).ok()?;
        (self.c_text(name).ok()? == "traceback").then_some(object)
    }

    /// The code and the line of an entry of a traceback.
    #[must_use]
    pub fn traceback_place(&self, entry: Addr) -> Option<(Addr, Option<u32>)> {
        let at = &self.layout.at.traceback;
        let frame = self.memory.addr(entry + at.tb_frame).ok()?;
        let view = match self.layout.at.frame_object.f_frame {
            Some(offset) => self.frame(self.memory.addr(frame + offset).ok()?),
            None => self.frame(frame),
        };
        let code = view.ok()?.code.non_null()?;
        Some((code, self.traceback_line(entry, code).ok().flatten()))
    }

    /// `tb_lineno`; where that is put off, that of the instruction (`tb_lineno_get`).
    fn traceback_line(&self, entry: Addr, code: Addr) -> Result<Option<u32>, DecodeError> {
        let at = &self.layout.at.traceback;
        if let Ok(line) = u32::try_from(self.memory.i32(entry + at.tb_lineno)?) {
            return Ok(Some(line));
        }
        let last = i64::from(self.memory.i32(entry + at.tb_lasti)?);
        // In 3.10 alone in instructions.
        let unit = if self.layout.has.line_table == LineTable::Ranges { 2 } else { 1 };
        self.code_line(code, last * unit)
    }
}
