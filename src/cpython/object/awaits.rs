//! What coroutines await: the frame of a generator, and what it delegates to (`_PyGen_yf`,
//! `Objects/genobject.c`).

use super::{DecodeError, FrameView, Native, Objects, TypeInfo};
use crate::addr::Addr;
use crate::cpython::layout::OBJECT_SIZE;
use crate::cpython::layout::features::{Frames, YieldFrom};
use crate::target::memory::Memory;

/// Awaitables of C code whose first field is the awaitable that they stand for.
const WRAPPERS: [&str; 5] = [
    "async_generator_asend",
    "async_generator_athrow",
    "anext_awaitable",
    "coroutine_wrapper",
    "_asyncio.FutureIter",
];

/// The bytes of an instruction unit.
const UNIT: u64 = 2;

impl<M: Memory> Objects<'_, M> {
    /// The frame of a generator, coroutine or asynchronous generator; nothing if it has ended, or if
    /// the object is none of these.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn generator_frame(
        &self,
        object: Addr,
        ty: &TypeInfo,
    ) -> Result<Option<FrameView>, DecodeError> {
        let at = &self.layout.at.generator;
        if !self.is_generator(ty) {
            return Ok(None);
        }
        if let Some(offset) = at.gi_frame {
            let frame = self.reference(object + offset)?;
            return frame.map(|frame| self.frame(frame)).transpose();
        }
        let (Some(state), Some(iframe)) = (at.gi_frame_state, at.gi_iframe) else {
            return Ok(None);
        };
        let state = i8::from_le_bytes([self.memory.u8(object + state)?]);
        if state >= self.layout.has.frame_states.cleared || self.has_completed(state) {
            return Ok(None);
        }
        let view = self.frame(object + iframe)?;
        Ok((!view.code.is_null()).then_some(view))
    }

    /// Whether objects of a type are generators, coroutines or asynchronous generators.
    #[must_use]
    pub const fn is_generator(&self, ty: &TypeInfo) -> bool {
        matches!(ty.native, Native::Generator | Native::Coroutine | Native::AsyncGenerator)
    }

    /// `FRAME_COMPLETED`, between running and cleared (3.11 to 3.14).
    fn has_completed(&self, state: i8) -> bool {
        state > self.layout.has.frame_states.executing
    }

    /// What an awaitable delegates to: the awaitable in its `await` or `yield from`, or the one that
    /// it stands for. Nothing if it has not started, runs, or yields a value by itself.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn delegate(&self, object: Addr, ty: &TypeInfo) -> Result<Option<Addr>, DecodeError> {
        if WRAPPERS.contains(&ty.native_name.as_ref()) {
            return self.reference(object + OBJECT_SIZE);
        }
        let Some(view) = self.generator_frame(object, ty)? else { return Ok(None) };
        match self.is_delegating(object, view)? {
            true => self.awaited(view),
            false => Ok(None),
        }
    }

    /// Whether a generator is suspended in an `await` or `yield from`.
    fn is_delegating(&self, object: Addr, view: FrameView) -> Result<bool, DecodeError> {
        let at = &self.layout.at;
        let next = |code: Addr, instruction: i64| {
            let instruction = u64::try_from(instruction).unwrap_or(0);
            let unit = code + instruction + UNIT;
            Ok::<_, DecodeError>((self.memory.u8(unit)?, self.memory.u8(unit + 1)?))
        };
        match self.layout.has.yield_from {
            YieldFrom::NextOpcode(opcode) => {
                let (Some(instruction), Some(offset)) =
                    (self.instruction_offset(view.at, view.code)?, at.code.co_code)
                else {
                    return Ok(false);
                };
                let code = self.memory.addr(view.code + offset)? + at.bytes.ob_sval;
                Ok(next(code, instruction)?.0 == opcode)
            }
            YieldFrom::NextResume(opcodes) => {
                /// `RESUME 2` is behind a `yield from`, `RESUME 3` behind an `await`.
                const AFTER_YIELD_FROM: u8 = 2;
                let (Some(instruction), Some(offset)) =
                    (self.instruction_offset(view.at, view.code)?, at.code.co_code_adaptive)
                else {
                    return Ok(false);
                };
                let (opcode, argument) = next(view.code + offset, instruction)?;
                Ok(opcodes.contains(&opcode) && argument >= AFTER_YIELD_FROM)
            }
            YieldFrom::States(states) | YieldFrom::StatesBelowNull(states) => {
                let Some(offset) = at.generator.gi_frame_state else { return Ok(false) };
                let state = i8::from_le_bytes([self.memory.u8(object + offset)?]);
                Ok(states.contains(&state))
            }
        }
    }

    /// The object on top of the evaluation stack of a frame that is suspended in an `await`: from 3.15
    /// on below the place for an index (`SEND`, `Python/bytecodes.c`).
    fn awaited(&self, view: FrameView) -> Result<Option<Addr>, DecodeError> {
        let at = &self.layout.at;
        let (frame, memory) = (view.at, self.memory);
        let above = match self.layout.has.frames {
            Frames::ObjectsWithTop => match at.frame_object.f_stacktop {
                Some(offset) => memory.addr(frame + offset)?,
                None => return Ok(None),
            },
            Frames::ObjectsWithDepth => {
                let (Some(stack), Some(depth)) =
                    (at.frame_object.f_valuestack, at.frame_object.f_stackdepth)
                else {
                    return Ok(None);
                };
                let depth = u64::try_from(memory.i32(frame + depth)?).unwrap_or(0);
                match depth {
                    0 => return Ok(None),
                    depth => memory.addr(frame + stack)? + depth * 8,
                }
            }
            Frames::Interpreter | Frames::InterpreterTagged => {
                let fields = &at.interpreter_frame;
                match (fields.stackpointer, fields.stacktop, fields.localsplus) {
                    (Some(offset), ..) => memory.addr(frame + offset)?,
                    (None, Some(offset), Some(slots)) => {
                        let top = u64::try_from(memory.i32(frame + offset)?).unwrap_or(0);
                        frame + slots + top * 8
                    }
                    _ => return Ok(None),
                }
            }
        };
        let down = match self.layout.has.yield_from {
            YieldFrom::StatesBelowNull(_) => 16,
            _ => 8,
        };
        match above.is_null() {
            true => Ok(None),
            false => Ok(self.stack_ref(memory.addr(above - down)?)),
        }
    }
}
