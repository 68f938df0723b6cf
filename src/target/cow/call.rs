//! A system call that a stopped thread of the target is made to do, at an instruction that it has.
//!
//! Nothing is written to memory. The registers are set to a `syscall` instruction with the arguments,
//! the thread runs from one `PTRACE_SYSCALL` stop to the next, and the registers are put back.
//!
//! - `orig_rax` is -1 meanwhile, so that the kernel does not restart the call that was interrupted.
//! - The thread is never single-stepped: that unblocks SIGTRAP in the target for good.
//! - Signals are blocked meanwhile, and so stay pending where they are. SIGSTOP cannot be blocked:
//!   it is held, and sent again afterwards.
//! - The registers are put back in a stop of the kind that the kernel makes before it handles
//!   signals: only there does it look at what `orig_rax` and `rax` say of an interrupted call.

use crate::addr::Addr;
use crate::target::maps::MemoryMap;
use crate::target::memory::Memory;
use crate::target::sys::{self, Stop};
use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The bytes of `syscall`.
const SYSCALL: [u8; 2] = [0x0f, 0x05];
/// The option that lifts a filter of system calls, which nix does not name.
const SUSPEND_SECCOMP: Options = Options::from_bits_retain(1 << 21);
/// The event of a stop that was asked for (`PTRACE_EVENT_STOP`).
pub(super) const EVENT_STOP: i32 = 128;
/// The most bytes of a mapping that are searched for an instruction.
const SEARCHED_BYTES: u64 = 4 << 20;

/// Why a call was not made. The thread is as it was, unless it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CallError {
    /// The thread has ended.
    Ended,
    /// It must not be made now; in a moment it may.
    Unfit(&'static str),
    /// It must not be made at all, or the kernel refused.
    Refused(&'static str),
    /// The operating system failed.
    System(&'static str, Errno),
}

/// A system call to be made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    pub(super) number: i64,
    pub(super) arguments: [u64; 5],
}

/// What a call gave.
#[derive(Debug, Clone, Copy)]
pub(super) struct Made {
    /// What it returned: an error if negative.
    pub(super) result: i64,
    /// The process that it made, which is traced.
    pub(super) child: Option<i32>,
}

/// The signals that were about to be received: bit `n - 1` is signal `n`. Only one of each of them can wait, for those
/// that queue up are blocked.
#[derive(Debug, Clone, Copy, Default)]
struct Held(u64);

impl Held {
    fn add(&mut self, signal: i32) {
        let bit = u32::try_from(signal).ok().and_then(|signal| signal.checked_sub(1));
        self.0 |= bit.and_then(|bit| 1_u64.checked_shl(bit)).unwrap_or(0);
    }

    fn signals(self) -> impl Iterator<Item = Signal> {
        Signal::iterator().filter(move |&signal| {
            let mut one = Self::default();
            one.add(signal as i32);
            self.0 & one.0 != 0
        })
    }
}

/// A thread that stands still and is fit to make a call.
#[derive(Debug)]
pub(super) struct Caller {
    pid: Pid,
    thread: Pid,
    registers: libc::user_regs_struct,
    mask: u64,
    instruction: u64,
    filtered: bool,
}

impl Caller {
    /// The fittest of threads that stand still: one that is in a system call anyway.
    pub(super) fn choose(
        pid: u32,
        threads: impl Iterator<Item = i32>,
        memory: &impl Memory,
        map: &MemoryMap,
    ) -> Result<Self, CallError> {
        let mut reason = CallError::Unfit("every thread is about to receive a signal");
        let mut second = None;
        for tid in threads {
            match Self::new(pid, tid, memory, map) {
                Ok(caller) if caller.is_in_call() => return Ok(caller),
                Ok(caller) => second = second.or(Some(caller)),
                Err(error) => reason = error,
            }
        }
        second.ok_or(reason)
    }

    /// Looks whether a thread that stands still is fit.
    pub(super) fn new(
        pid: u32,
        tid: i32,
        memory: &impl Memory,
        map: &MemoryMap,
    ) -> Result<Self, CallError> {
        let thread = Pid::from_raw(tid);
        let failed = |what| {
            move |error| match error {
                Errno::ESRCH => CallError::Ended,
                error => CallError::System(what, error),
            }
        };
        let registers = ptrace::getregs(thread).map_err(failed("PTRACE_GETREGS"))?;
        let mask = sys::signal_mask(tid).map_err(failed("PTRACE_GETSIGMASK"))?;
        // 32-bit code has another table of system calls, and other registers.
        if registers.cs != 0x33 {
            return Err(CallError::Refused("a thread runs 32-bit code"));
        }
        if sys::user_dispatch(tid).is_ok_and(|dispatch| dispatch.mode != 0) {
            return Err(CallError::Refused("its system calls go to a handler of its own"));
        }
        let critical =
            |pointer: u64| memory.u64(Addr(pointer) + 8).is_ok_and(|section| section != 0);
        if sys::rseq(tid).is_ok_and(|rseq| rseq.pointer != 0 && critical(rseq.pointer)) {
            return Err(CallError::Unfit("a thread is in a restartable sequence"));
        }
        let instruction = instruction(&registers, memory, map)
            .ok_or(CallError::Refused("no system call instruction was found in it"))?;
        let pid = Pid::from_raw(i32::try_from(pid).map_err(|_| CallError::Ended)?);
        let filtered = is_filtered(tid);
        Ok(Self { pid, thread, registers, mask, instruction, filtered })
    }

    /// Whether the thread is in a system call.
    pub(super) const fn is_in_call(&self) -> bool {
        self.registers.orig_rax.cast_signed() >= 0
    }

    /// Makes the call. Afterwards the thread stands still as before.
    pub(super) fn make(&self, call: Call) -> Result<Made, CallError> {
        let mut options = Options::PTRACE_O_TRACESYSGOOD
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_TRACEFORK;
        if self.filtered {
            options |= SUSPEND_SECCOMP;
        }
        ptrace::setoptions(self.thread, options).map_err(|error| match (self.filtered, error) {
            (_, Errno::ESRCH) => CallError::Ended,
            (true, _) => CallError::Refused(
                "a seccomp filter is on its system calls, and lifting it needs CAP_SYS_ADMIN",
            ),
            (false, error) => CallError::System("PTRACE_SETOPTIONS", error),
        })?;
        let mut held = Held::default();
        let made = self.run(call, &mut held);
        let restored = self.restore();
        for signal in held.signals() {
            // It goes to the process again, as it did before.
            let _ = kill(self.pid, signal);
        }
        match (made, restored) {
            (Ok(made), Ok(())) => Ok(made),
            (Err(CallError::Ended), _) | (Ok(_), Err(Errno::ESRCH)) => Err(CallError::Ended),
            (Err(error), _) => Err(error),
            (_, Err(error)) => Err(CallError::System("PTRACE_SETREGS", error)),
        }
    }

    /// Between here and [`Caller::restore`] the thread is not itself. Nothing is allocated meanwhile: where there is no
    /// memory for it, this process would end and leave the thread so.
    fn run(&self, call: Call, held: &mut Held) -> Result<Made, CallError> {
        let [rdi, rsi, rdx, r10, r8] = call.arguments;
        let registers = libc::user_regs_struct {
            rax: call.number.cast_unsigned(),
            orig_rax: u64::MAX,
            rip: self.instruction,
            rdi,
            rsi,
            rdx,
            r10,
            r8,
            ..self.registers
        };
        let failed = |what| move |error| CallError::System(what, error);
        ptrace::setregs(self.thread, registers).map_err(failed("PTRACE_SETREGS"))?;
        sys::set_signal_mask(self.thread.as_raw(), u64::MAX)
            .map_err(failed("PTRACE_SETSIGMASK"))?;
        self.next_call_stop(held, &mut None)?;
        let mut child = None;
        let left = self.next_call_stop(held, &mut child);
        // Whatever it was that did not work: the thread must come to a stop in which its registers
        // are put back.
        self.stop_again(held)?;
        let result = left?.rax.cast_signed();
        Ok(Made { result, child })
    }

    /// Lets the thread run up to where it enters or leaves a system call; gives its registers.
    fn next_call_stop(
        &self,
        held: &mut Held,
        child: &mut Option<i32>,
    ) -> Result<libc::user_regs_struct, CallError> {
        let failed = |what| {
            move |error| match error {
                Errno::ESRCH => CallError::Ended,
                error => CallError::System(what, error),
            }
        };
        loop {
            ptrace::syscall(self.thread, None).map_err(failed("PTRACE_SYSCALL"))?;
            match sys::wait_for(self.thread.as_raw(), false).map_err(failed("waitpid"))? {
                Stop::Call => {
                    return ptrace::getregs(self.thread).map_err(failed("PTRACE_GETREGS"));
                }
                Stop::Ended => return Err(CallError::Ended),
                Stop::Signal(signal) => held.add(signal),
                Stop::Event(libc::PTRACE_EVENT_CLONE | libc::PTRACE_EVENT_FORK) => {
                    let message =
                        ptrace::getevent(self.thread).map_err(failed("PTRACE_GETEVENTMSG"))?;
                    *child = i32::try_from(message).ok();
                }
                Stop::Event(_) | Stop::Nothing => {}
            }
        }
    }

    /// Lets the thread go on to a stop before the kernel handles signals, which it makes before it is
    /// back in its program.
    fn stop_again(&self, held: &mut Held) -> Result<(), CallError> {
        let failed = |what| {
            move |error| match error {
                Errno::ESRCH => CallError::Ended,
                error => CallError::System(what, error),
            }
        };
        ptrace::interrupt(self.thread).map_err(failed("PTRACE_INTERRUPT"))?;
        loop {
            ptrace::cont(self.thread, None).map_err(failed("PTRACE_CONT"))?;
            match sys::wait_for(self.thread.as_raw(), false).map_err(failed("waitpid"))? {
                Stop::Event(EVENT_STOP) => return Ok(()),
                Stop::Ended => return Err(CallError::Ended),
                Stop::Signal(signal) => held.add(signal),
                Stop::Call | Stop::Event(_) | Stop::Nothing => {}
            }
        }
    }

    /// Puts everything back. The mask first: what is left undone when we are killed in between must
    /// not be a thread that never receives a signal again.
    fn restore(&self) -> Result<(), Errno> {
        let mask = sys::set_signal_mask(self.thread.as_raw(), self.mask);
        let registers = ptrace::setregs(self.thread, self.registers);
        let options = ptrace::setoptions(self.thread, Options::empty());
        mask.and(registers).and(options)
    }
}

/// Whether a filter is on the system calls of a thread.
fn is_filtered(tid: i32) -> bool {
    let status = crate::target::stat::Status::read(&tid.to_string()).unwrap_or_default();
    status.number("Seccomp").unwrap_or(0) != 0
}

/// The address of a `syscall` instruction: the one that the thread is in, or one of the C library or
/// the kernel's own page.
fn instruction(
    registers: &libc::user_regs_struct,
    memory: &impl Memory,
    map: &MemoryMap,
) -> Option<u64> {
    let executable = |at: u64| {
        let mapping = map.find(Addr(at));
        mapping.is_some_and(|mapping| mapping.execute && !mapping.write)
    };
    let here = registers.rip.wrapping_sub(2);
    if registers.orig_rax.cast_signed() >= 0
        && executable(here)
        && memory.array(Addr(here)) == Ok(SYSCALL)
    {
        return Some(here);
    }
    let is_library =
        |path: &str| path == "[vdso]" || path.contains("libc") || path.contains("musl");
    map.iter()
        .filter(|mapping| mapping.execute && !mapping.write)
        .filter(|mapping| mapping.path.as_deref().is_some_and(is_library))
        .find_map(|mapping| {
            let len = usize::try_from(mapping.range.len().min(SEARCHED_BYTES)).ok()?;
            let bytes = memory.bytes(mapping.range.start, len).ok()?;
            let at = bytes.windows(2).position(|pair| pair == SYSCALL)?;
            mapping.range.start.0.checked_add(u64::try_from(at).ok()?)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn held_signals_are_those_that_were_added_each_once() {
        let mut held = Held::default();
        for signal in [libc::SIGSTOP, libc::SIGHUP, libc::SIGSTOP, 0, -1, 65, i32::MAX] {
            held.add(signal);
        }
        assert_eq!(held.signals().collect::<Vec<_>>(), [Signal::SIGHUP, Signal::SIGSTOP]);
    }
}
