//! Thread states (`PyThreadState`, `Include/cpython/pystate.h`): the list of an interpreter, and
//! where each thread's frames begin.

use super::{DecodeError, FrameView, Objects};
use crate::addr::Addr;
use crate::cpython::layout::OB_SIZE;
use crate::target::memory::Memory;

impl<M: Memory> Objects<'_, M> {
    /// The thread states of an interpreter, the newest first, and whether the list ends as it
    /// should: a broken one is cut off where it breaks.
    #[must_use]
    pub fn threads(&self, interpreter: Addr) -> (Vec<Addr>, bool) {
        let at = &self.layout.at;
        let head = at.interpreter.threads_head.or(at.interpreter.tstate_head);
        let mut threads = Vec::new();
        let mut seen = rustc_hash::FxHashSet::default();
        let mut next = head.map(|head| interpreter + head);
        while let Some(link) = next.take() {
            match self.memory.addr(link) {
                Ok(thread) if thread.is_null() => return (threads, true),
                Ok(thread) if threads.len() < self.limits.threads && seen.insert(thread) => {
                    threads.push(thread);
                    next = Some(thread + at.thread.next);
                }
                _ => {}
            }
        }
        (threads, head.is_none())
    }

    /// The thread's number in its own namespace: from 3.11 on its state has it, before it is what
    /// glibc keeps where `pthread_self()` points to.
    #[must_use]
    pub fn native_thread_id(&self, thread: Addr, thread_id: u64) -> Option<u32> {
        /// `tid` of glibc's `struct pthread` on 64-bit machines (`nptl/descr.h`), x86_64.
        const PTHREAD_TID: u64 = 720;
        match self.layout.at.thread.native_thread_id {
            Some(offset) => u32::try_from(self.memory.u64(thread + offset).ok()?).ok(),
            None => self.memory.u32(Addr(thread_id) + PTHREAD_TID).ok(),
        }
    }

    /// The innermost frame of a thread; null if it runs no Python code.
    ///
    /// # Errors
    /// The thread's state cannot be read.
    pub fn current_frame(&self, thread: Addr) -> Result<Addr, DecodeError> {
        let at = &self.layout.at;
        Ok(match (at.thread.current_frame, at.thread.cframe, at.c_frame.current_frame) {
            (Some(current), _, _) => self.memory.addr(thread + current)?,
            (None, Some(cframe), Some(current)) => {
                match self.memory.addr(thread + cframe)?.non_null() {
                    Some(cframe) => self.memory.addr(cframe + current)?,
                    None => Addr::NULL,
                }
            }
            _ => self.memory.addr(thread + at.thread.frame.unwrap_or(0))?,
        })
    }

    /// The thread that holds the interpreter lock (`_gil_runtime_state`, `Python/ceval_gil.c`), and
    /// where that lock is.
    #[must_use]
    pub fn gil(&self, runtime: Addr, interpreter: Addr) -> (Option<Addr>, Option<Addr>) {
        let at = &self.layout.at;
        let gil = match (at.interpreter.ceval_gil, at.runtime.ceval_gil) {
            (Some(offset), _) => self.memory.addr(interpreter + offset).ok(),
            (None, Some(offset)) => Some(runtime + offset),
            (None, None) => None,
        };
        let Some(gil) = gil.and_then(Addr::non_null) else { return (None, None) };
        let locked = self.memory.i32(gil + at.gil.locked).is_ok_and(|locked| locked == 1);
        let holder = self.memory.addr(gil + at.gil.last_holder).ok().and_then(Addr::non_null);
        (holder.filter(|_| locked), Some(gil))
    }

    /// The words of a frame's evaluation stack that are in use for certain at the instruction that
    /// it is at: those below the depth to which an exception would unwind. What lies above may be
    /// in use too, or left over. A `with` statement keeps its `__exit__` there.
    ///
    /// # Errors
    /// The frame or its code cannot be read.
    pub fn block_stack(&self, frame: Addr, code: Addr) -> Result<Vec<Addr>, DecodeError> {
        /// The deepest stack that is looked at. A function nested as deep does not compile.
        const MAX_DEPTH: u64 = 1 << 10;
        let at = &self.layout.at;
        let (stack, depth) = match at.frame_object.f_valuestack {
            Some(valuestack) => (self.memory.addr(frame + valuestack)?, self.classic_depth(frame)?),
            None => {
                let locals = match at.code.co_nlocalsplus {
                    Some(offset) => u64::from(self.memory.u32(code + offset)?),
                    None => 0,
                };
                let slots = frame + at.interpreter_frame.localsplus.unwrap_or(0);
                (slots + locals * 8, self.handler_depth(frame, code)?)
            }
        };
        let mut words = Vec::new();
        self.words(stack, depth.min(MAX_DEPTH), "the stack of a frame", |_, word| {
            words.extend(self.stack_ref(word));
        })?;
        Ok(words)
    }

    /// Whether memory says how much of a frame's evaluation stack is in use: while a frame runs, or
    /// waits for C code that it has called, up to 3.13 only a register knows.
    #[must_use]
    pub fn knows_stack_top(&self, view: FrameView) -> bool {
        let at = &self.layout.at;
        let (frame, memory) = (view.at, self.memory);
        match (
            at.frame_object.f_stacktop,
            at.frame_object.f_stackdepth,
            at.interpreter_frame.stacktop,
        ) {
            (Some(top), _, _) => memory.addr(frame + top).is_ok_and(|top| !top.is_null()),
            (_, Some(depth), _) => memory.i32(frame + depth).is_ok_and(|depth| depth >= 0),
            (_, _, Some(top)) => memory.i32(frame + top).is_ok_and(|top| top >= 0),
            (None, None, None) => true,
        }
    }

    /// `f_blockstack` (up to 3.10): the level of the innermost block.
    fn classic_depth(&self, frame: Addr) -> Result<u64, DecodeError> {
        /// `sizeof(PyTryBlock)`, and where its `b_level` is.
        const BLOCK: u64 = 12;
        const B_LEVEL: u64 = 8;
        /// `CO_MAXBLOCKS`.
        const MAX_BLOCKS: u64 = 20;
        let at = &self.layout.at.frame_object;
        let (Some(iblock), Some(blockstack)) = (at.f_iblock, at.f_blockstack) else { return Ok(0) };
        let blocks = u64::try_from(self.memory.i32(frame + iblock)?).unwrap_or(0);
        let Some(last) = blocks.checked_sub(1).filter(|_| blocks <= MAX_BLOCKS) else {
            return Ok(0);
        };
        let level = self.memory.i32(frame + blockstack + last * BLOCK + B_LEVEL)?;
        Ok(u64::try_from(level).unwrap_or(0))
    }

    /// `co_exceptiontable` (from 3.11 on, `Objects/exception_handling_notes.txt`): the depth of the
    /// handler of the instruction that a frame is at.
    fn handler_depth(&self, frame: Addr, code: Addr) -> Result<u64, DecodeError> {
        let Some(instruction) = self.instruction_offset(frame, code)? else { return Ok(0) };
        let table = self.exception_table(code)?;
        let handler = handler_of(&table, u64::try_from(instruction / 2).unwrap_or(0));
        Ok(handler.map_or(0, |handler| handler.depth))
    }

    /// `co_exceptiontable`; empty up to 3.10.
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

/// What handles an exception.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Handler {
    /// Its first instruction, counted in units.
    pub(super) target: u64,
    /// The depth to which the stack unwinds.
    depth: u64,
}

/// The handler of the entry that covers an instruction: entries are start, length, target, and depth
/// with a bit, each in pieces of six bits, the highest first.
pub(super) fn handler_of(table: &[u8], instruction: u64) -> Option<Handler> {
    let mut bytes = table.iter();
    let mut number = || {
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
    while let (Some(start), Some(len), Some(target), Some(depth)) =
        (number(), number(), number(), number())
    {
        if start <= instruction && instruction < start.saturating_add(len) {
            return Some(Handler { target, depth: depth >> 1 });
        }
    }
    None
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
    }

    proptest::proptest! {
        #[test]
        fn no_exception_table_makes_it_panic(table: Vec<u8>, at: u64) {
            let _ = handler_of(&table, at);
        }
    }
}
