//! Thread states (`PyThreadState`, `Include/cpython/pystate.h`): the list of an interpreter, and
//! where each thread's frames begin.

use super::{DecodeError, Objects};
use crate::addr::Addr;
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
}
