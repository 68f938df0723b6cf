//! What C code does when an object ends (`tp_finalize`, `tp_del`), as far as the object says that it will.
//! A `__del__` in Python is the business of its class.

use super::exception_table::handler_of;
use super::{DecodeError, FrameView, Native, Objects, TypeInfo};
use crate::addr::Addr;
use crate::target::memory::Memory;

/// What happens at an object's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finalization {
    /// A generator, coroutine or asynchronous generator is suspended inside of `try` or `with`: it is
    /// closed, and code of it runs (`_PyGen_Finalize`, `Objects/genobject.c`).
    Suspended,
    /// A coroutine was never awaited: a warning says so.
    NeverAwaited,
    /// An asynchronous generator has a hook (`sys.set_asyncgen_hooks`), which is called.
    Hook,
    /// A descriptor is open: it is closed (`iobase_finalize`, `Modules/_io/iobase.c`; `sock_finalize`).
    Open,
    /// A task of asyncio is pending: that is logged (`TaskObj_finalize`, `Modules/_asynciomodule.c`).
    PendingTask,
    /// Nobody has asked a future for its exception: that is logged (`FutureObj_finalize`).
    UnretrievedException,
    /// Other C code runs, whatever it does.
    Code,
    /// `tp_del`: no collection frees it (`move_legacy_finalizers`, `Python/gc.c`).
    Legacy,
}

impl<M: Memory> Objects<'_, M> {
    /// What C code would do at the end of an object; nothing if it has nothing to do.
    ///
    /// # Errors
    /// The object cannot be read.
    pub fn finalization(
        &self,
        object: Addr,
        ty: &TypeInfo,
    ) -> Result<Option<Finalization>, DecodeError> {
        if ty.has_del {
            return Ok(Some(Finalization::Legacy));
        }
        if !ty.finalizes_in_c {
            return Ok(None);
        }
        let at = &self.layout.at;
        let is_open = |offset: u64| {
            let descriptor = self.memory.i32(object + offset)?;
            Ok((descriptor >= 0).then_some(Finalization::Open))
        };
        match ty.native {
            Native::Generator | Native::Coroutine | Native::AsyncGenerator => {
                self.generator_finalization(object, ty)
            }
            _ => match ty.native_name.as_ref() {
                "_io.FileIO" => is_open(at.file_io.fd),
                "_socket.socket" => is_open(at.socket.sock_fd),
                // They close what is below them, which has a row of its own, or nothing.
                name if name.starts_with("_io.") => Ok(None),
                "_asyncio.Task" => {
                    let is_pending = self.memory.u32(object + at.future.fut_state)? == 0;
                    Ok(is_pending.then_some(Finalization::PendingTask))
                }
                "_asyncio.Future" => {
                    let log = at.future.fut_state + self.layout.has.log_traceback_behind_state;
                    let is_unretrieved = self.memory.u8(object + log)? & 1 != 0;
                    Ok(is_unretrieved.then_some(Finalization::UnretrievedException))
                }
                _ => Ok(Some(Finalization::Code)),
            },
        }
    }

    fn generator_finalization(
        &self,
        object: Addr,
        ty: &TypeInfo,
    ) -> Result<Option<Finalization>, DecodeError> {
        let Some(view) = self.generator_frame(object, ty)? else { return Ok(None) };
        let at = &self.layout.at;
        if ty.native == Native::AsyncGenerator {
            let hook = at.async_generator.ag_finalizer.or(at.generator.gi_origin_or_finalizer);
            if let Some(hook) = hook
                && !self.memory.addr(object + hook)?.is_null()
            {
                return Ok(Some(Finalization::Hook));
            }
        }
        let has_begun = match at.generator.gi_frame_state {
            Some(state) => {
                let state = i8::from_le_bytes([self.memory.u8(object + state)?]);
                state != self.layout.has.frame_states.created
            }
            None => self.instruction_offset(view.at, view.code)?.is_some(),
        };
        if !has_begun {
            let is_coroutine = ty.native == Native::Coroutine;
            return Ok(is_coroutine.then_some(Finalization::NeverAwaited));
        }
        Ok(self.is_guarded(view)?.then_some(Finalization::Suspended))
    }

    /// Whether a frame is inside of `try` or `with`, so that an exception makes code of it run.
    fn is_guarded(&self, view: FrameView) -> Result<bool, DecodeError> {
        let at = &self.layout.at;
        if at.frame_object.f_blockstack.is_some() {
            return self.has_try_block(view.at);
        }
        let (Some(instruction), Some(start)) =
            (self.instruction_offset(view.at, view.code)?, at.code.co_code_adaptive)
        else {
            return Ok(false);
        };
        let table = self.exception_table(view.code)?;
        let mut unit = u64::try_from(instruction / 2).unwrap_or(0);
        // From the innermost handler outwards. Not all are of the program's code: some only keep the
        // rules of generators and of `await`, or clean up behind an `except`. Each lies behind the one
        // before, or the table is no one's.
        while let Some(handler) = handler_of(&table, unit) {
            let opcode = self.memory.u8(view.code + start + handler.target.saturating_mul(2))?;
            if opcode == self.layout.has.push_exc_info {
                return Ok(true);
            }
            if handler.target <= unit {
                break;
            }
            unit = handler.target;
        }
        Ok(false)
    }

    /// Whether one of a frame's blocks (`f_blockstack`, up to 3.10) is one of `try` or `with`.
    fn has_try_block(&self, frame: Addr) -> Result<bool, DecodeError> {
        /// `sizeof(PyTryBlock)`, which begins with `b_type`.
        const BLOCK: u64 = 12;
        /// `CO_MAXBLOCKS`.
        const MAX_BLOCKS: u64 = 20;
        /// `SETUP_FINALLY`, of `with` too; the others are handlers that run (`EXCEPT_HANDLER`).
        const SETUP_FINALLY: i32 = 122;
        let at = &self.layout.at.frame_object;
        let (Some(iblock), Some(blocks)) = (at.f_iblock, at.f_blockstack) else { return Ok(false) };
        let count = u64::try_from(self.memory.i32(frame + iblock)?).unwrap_or(0);
        for nth in 0..count.min(MAX_BLOCKS) {
            if self.memory.i32(frame + blocks + nth * BLOCK)? == SETUP_FINALLY {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The object that a weak reference leads to, if that is alive (`wr_object`; `None` when it has
    /// gone).
    ///
    /// # Errors
    /// The weak reference cannot be read.
    pub fn weak_referent(&self, object: Addr, ty: &TypeInfo) -> Result<Option<Addr>, DecodeError> {
        if ty.native != Native::WeakReference {
            return Ok(None);
        }
        self.reference(object + self.layout.at.weak_reference.wr_object)
    }
}
