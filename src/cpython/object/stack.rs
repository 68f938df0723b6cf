//! Evaluation stacks of frames of which no memory says how deep they are: frames that run, or that wait
//! for C code that they have called, up to 3.13.

use super::exception_table::handler_of;
use super::{DecodeError, Depths, FrameView, Objects};
use crate::addr::Addr;
use crate::target::memory::Memory;

/// What stands on a stack whose top is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StackWords {
    /// In use for certain: below the depth to which an exception would unwind.
    pub certain: Vec<Addr>,
    /// Above, up to the depth that the instruction makes: in use, unless that has taken them already
    /// or not given them yet.
    pub likely: Vec<Addr>,
}

impl From<Vec<Addr>> for StackWords {
    fn from(certain: Vec<Addr>) -> Self {
        Self { certain, likely: Vec::new() }
    }
}

impl<M: Memory> Objects<'_, M> {
    /// The words of a frame's evaluation stack that are in use for certain at the instruction that
    /// it is at: those below the depth to which an exception would unwind. What lies above may be
    /// in use too, or left over. A `with` statement keeps its `__exit__` there.
    ///
    /// # Errors
    /// The frame or its code cannot be read.
    pub fn block_stack(&self, frame: Addr, code: Addr) -> Result<Vec<Addr>, DecodeError> {
        let depth = self.certain_depth(frame, code)?;
        self.stack_words(self.stack_base(frame, code)?, 0, depth)
    }

    /// The words of a frame's evaluation stack up to the depth that its instruction tells.
    ///
    /// # Errors
    /// The frame or its code cannot be read.
    pub fn stack(&self, view: FrameView, depths: &Depths) -> Result<StackWords, DecodeError> {
        let base = self.stack_base(view.at, view.code)?;
        let certain = self.certain_depth(view.at, view.code)?;
        let instruction = self.instruction_offset(view.at, view.code)?;
        let deepest = instruction.and_then(|instruction| depths.at(instruction)).unwrap_or(0);
        Ok(StackWords {
            certain: self.stack_words(base, 0, certain)?,
            likely: self.stack_words(base, certain, deepest)?,
        })
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

    /// Where a frame's evaluation stack begins.
    fn stack_base(&self, frame: Addr, code: Addr) -> Result<Addr, DecodeError> {
        let at = &self.layout.at;
        match at.frame_object.f_valuestack {
            Some(valuestack) => Ok(self.memory.addr(frame + valuestack)?),
            None => {
                let locals = match at.code.co_nlocalsplus {
                    Some(offset) => u64::from(self.memory.u32(code + offset)?),
                    None => 0,
                };
                Ok(frame + at.interpreter_frame.localsplus.unwrap_or(0) + locals * 8)
            }
        }
    }

    /// The objects on a stack from one depth up to another.
    fn stack_words(&self, base: Addr, from: u64, to: u64) -> Result<Vec<Addr>, DecodeError> {
        /// The deepest stack that is looked at: as many arguments as an instruction can have, and
        /// more. A function that is nested as deep does not compile.
        const MAX_DEPTH: u64 = 1 << 20;
        let mut words = Vec::new();
        let len = to.min(MAX_DEPTH).saturating_sub(from);
        self.words(base + from.min(MAX_DEPTH) * 8, len, "the stack of a frame", |_, word| {
            words.extend(self.stack_ref(word));
        })?;
        Ok(words)
    }

    /// The depth to which an exception would unwind at the instruction that a frame is at.
    fn certain_depth(&self, frame: Addr, code: Addr) -> Result<u64, DecodeError> {
        if self.layout.at.frame_object.f_blockstack.is_some() {
            return self.classic_depth(frame);
        }
        let Some(instruction) = self.instruction_offset(frame, code)? else { return Ok(0) };
        let table = self.exception_table(code)?;
        let handler = handler_of(&table, u64::try_from(instruction / 2).unwrap_or(0));
        Ok(handler.map_or(0, |handler| handler.depth))
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
}
