//! The system calls that nix does not offer in the form needed here: the only unsafe code.
//!
//! nix knows signals as an enum without the real-time ones, so a thread that stops for signal 34
//! would be lost by its `waitpid` and could not be given the signal by its `detach`.

#![allow(unsafe_code)]

use nix::errno::Errno;
use nix::libc;
use std::os::fd::{FromRawFd, OwnedFd};
use std::time::{Duration, Instant};
use std::{ptr, thread};

/// A stop is waited for in a loop for so long, and asked for now and then from there on: a system call is made in
/// microseconds, a fork takes milliseconds.
const SPUN: Duration = Duration::from_millis(1);

/// What a look at a tracee came back with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// It has nothing to report now.
    Nothing,
    /// It is no tracee of this thread any more.
    NoTracee,
    /// It is about to receive a signal, and stopped before it does.
    Signal(i32),
    /// It stopped because it was told to, or with its whole group.
    Event,
}

/// Looks, without blocking, whether a tracee of the calling thread has stopped. Its end is not asked for: a target that
/// is our child is to be waited for by whoever started it.
///
/// The report stays where it is (`WNOWAIT`). To take it would take the signal that the tracee is about to receive as well
/// (`wait_task_stopped`, kernel/exit.c): it would be lost if this program was killed before it lets the tracee go.
pub(super) fn look_at(tid: i32) -> Result<Wait, Errno> {
    let Ok(id) = libc::id_t::try_from(tid) else { return Ok(Wait::NoTracee) };
    let flags = libc::WSTOPPED | libc::__WALL | libc::__WNOTHREAD | libc::WNOHANG | libc::WNOWAIT;
    // Safety: all zeros is a valid `siginfo_t`.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    // Safety: `info` is a valid place for the result for the length of the call.
    let result = unsafe { libc::waitid(libc::P_PID, id, &raw mut info, flags) };
    match Errno::result(result) {
        Ok(_) => {}
        Err(Errno::ECHILD) => return Ok(Wait::NoTracee),
        Err(Errno::EINTR) => return Ok(Wait::Nothing),
        Err(error) => return Err(error),
    }
    // Safety: waitid has filled in these two fields, or left them 0.
    let (tid, status) = unsafe { (info.si_pid(), info.si_status()) };
    Ok(decode(tid, status))
}

/// Stops: the signal, and above it the kind of ptrace event, if it is one.
fn decode(tid: i32, status: i32) -> Wait {
    match (tid, status >> 8) {
        (0, _) => Wait::Nothing,
        (_, 0) => Wait::Signal(status),
        _ => Wait::Event,
    }
}

/// What a tracee that was waited for did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// Nothing yet.
    Nothing,
    /// It ended, and is reaped as far as its tracer can.
    Ended,
    /// It is about to receive a signal.
    Signal(i32),
    /// It enters or leaves a system call (with `PTRACE_O_TRACESYSGOOD`).
    Call,
    /// A `PTRACE_EVENT_*`, or, as 128, a stop that it was told to make.
    Event(i32),
}

/// Waits for one tracee of the calling thread; without blocking if `now`. Nothing is allocated.
///
/// It never blocks in the kernel. A main thread that was killed reports its end only when the other threads are gone
/// (`delay_group_leader`, kernel/exit.c), and those are gone only when their tracer, which may be the thread that waits
/// here, has let go of them. A tracee that has ended is told apart by a wait for stops alone, which finds no tracee.
pub(super) fn wait_for(tid: i32, now: bool) -> Result<Stop, Errno> {
    let start = Instant::now();
    loop {
        let stop = ask(tid)?;
        if stop != Stop::Nothing || now {
            return Ok(stop);
        }
        if look_at(tid)? == Wait::NoTracee {
            // It may have come to its end in between, and have that to report.
            return Ok(match ask(tid)? {
                Stop::Nothing => Stop::Ended,
                stop => stop,
            });
        }
        match start.elapsed() < SPUN {
            true => thread::yield_now(),
            false => thread::sleep(SPUN / 10),
        }
    }
}

/// Takes the report of one tracee, if there is one.
fn ask(tid: i32) -> Result<Stop, Errno> {
    let mut status = 0;
    loop {
        // Safety: `status` is a valid place for the result for the length of the call.
        let result = unsafe { libc::waitpid(tid, &raw mut status, libc::__WALL | libc::WNOHANG) };
        match Errno::result(result) {
            Ok(0) => return Ok(Stop::Nothing),
            Ok(_) => return Ok(told(status)),
            Err(Errno::EINTR) => {}
            Err(Errno::ECHILD) => return Ok(Stop::Ended),
            Err(error) => return Err(error),
        }
    }
}

/// The meaning of a wait status.
fn told(status: i32) -> Stop {
    if !libc::WIFSTOPPED(status) {
        return Stop::Ended;
    }
    match (libc::WSTOPSIG(status), status >> 16) {
        (signal, 0) if signal == libc::SIGTRAP | 0x80 => Stop::Call,
        (signal, 0) => Stop::Signal(signal),
        (_, event) => Stop::Event(event),
    }
}

/// The signals that a stopped tracee does not receive now: bit `n - 1` is signal `n`.
pub(super) fn signal_mask(tid: i32) -> Result<u64, Errno> {
    let mut mask = 0_u64;
    // Safety: the address is the size of the mask, and `mask` is a valid place of that size.
    let result = unsafe {
        libc::ptrace(
            libc::PTRACE_GETSIGMASK,
            tid,
            ptr::without_provenance_mut::<libc::c_void>(size_of::<u64>()),
            (&raw mut mask).cast::<libc::c_void>(),
        )
    };
    Errno::result(result).map(|_| mask)
}

/// Sets the signals that a stopped tracee does not receive.
pub(super) fn set_signal_mask(tid: i32, mask: u64) -> Result<(), Errno> {
    // Safety: the address is the size of the mask, which is only read.
    let result = unsafe {
        libc::ptrace(
            libc::PTRACE_SETSIGMASK,
            tid,
            ptr::without_provenance_mut::<libc::c_void>(size_of::<u64>()),
            ptr::from_ref(&mask).cast::<libc::c_void>(),
        )
    };
    Errno::result(result).map(drop)
}

/// What the kernel knows of a thread's restartable sequences.
#[repr(C)]
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Rseq {
    /// Where the thread's `struct rseq` is; 0 if it has none.
    pub(super) pointer: u64,
    size: u32,
    signature: u32,
    flags: u32,
    pad: u32,
}

/// How a thread's system calls are sent to a handler of its own.
#[repr(C)]
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct UserDispatch {
    /// 0 if they are not.
    pub(super) mode: u64,
    selector: u64,
    offset: u64,
    len: u64,
}

/// `PTRACE_GET_RSEQ_CONFIGURATION`, of Linux 5.13.
pub(super) fn rseq(tid: i32) -> Result<Rseq, Errno> {
    let mut rseq = Rseq::default();
    // Safety: `Rseq` is the kernel's structure, all of whose bytes may be anything.
    unsafe { configuration(0x420f, tid, &mut rseq) }.map(|()| rseq)
}

/// `PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG`, of Linux 6.4.
pub(super) fn user_dispatch(tid: i32) -> Result<UserDispatch, Errno> {
    let mut dispatch = UserDispatch::default();
    // Safety: `UserDispatch` is the kernel's structure, all of whose bytes may be anything.
    unsafe { configuration(0x4211, tid, &mut dispatch) }.map(|()| dispatch)
}

/// Asks for one of the structures of a stopped tracee.
///
/// Safety: `T` is what `request` writes, and may have any bytes.
unsafe fn configuration<T>(request: u32, tid: i32, place: &mut T) -> Result<(), Errno> {
    // Safety: the address is the size of the place, which is valid for the length of the call.
    let result = unsafe {
        libc::ptrace(
            request,
            tid,
            ptr::without_provenance_mut::<libc::c_void>(size_of::<T>()),
            ptr::from_mut(place).cast::<libc::c_void>(),
        )
    };
    Errno::result(result).map(drop)
}

/// A descriptor of a process, which becomes readable when the process ends.
pub(super) fn pidfd(pid: i32) -> Result<OwnedFd, Errno> {
    // Safety: the call takes two numbers.
    let fd = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    let fd = i32::try_from(fd).map_err(|_| Errno::EBADF)?;
    // Safety: the descriptor is new, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Lets go of a tracee of the calling thread that has ended, so that nobody waits for us to.
pub(super) fn reap(tid: i32) {
    let flags = libc::__WALL | libc::__WNOTHREAD | libc::WNOHANG;
    // Safety: the status may be null: it is not wanted.
    unsafe { libc::waitpid(tid, ptr::null_mut(), flags) };
}

/// Detaches from a stopped tracee of the calling thread; it runs on, and receives `signal` if
/// that is not 0.
pub(super) fn detach(tid: i32, signal: i32) -> Result<(), Errno> {
    let data = usize::try_from(signal).unwrap_or(0);
    // Safety: PTRACE_DETACH takes no pointers: the address is ignored and the data is a number.
    let result = unsafe {
        libc::ptrace(
            libc::PTRACE_DETACH,
            tid,
            ptr::null_mut::<libc::c_void>(),
            ptr::without_provenance_mut::<libc::c_void>(data),
        )
    };
    Errno::result(result).map(drop)
}

/// A vector of `len` zeros whose pages the kernel provides when they are first touched, or
/// nothing if it does not provide so many. (`vec![0; len]` would end the program.)
pub(super) fn zeroed(len: usize) -> Option<Vec<u8>> {
    if len == 0 {
        return Some(Vec::new());
    }
    let layout = std::alloc::Layout::array::<u8>(len).ok()?;
    // Safety: the layout's size is not 0.
    let start = unsafe { std::alloc::alloc_zeroed(layout) };
    if start.is_null() {
        return None;
    }
    advise_huge_pages(start, len);
    // Safety: `start` comes from the global allocator with the layout of a `[u8; len]`, all of it
    // is initialised (0), and nothing else owns it.
    Some(unsafe { Vec::from_raw_parts(start, len, len) })
}

/// Asks for huge pages behind a large allocation that is not touched yet. The copy of a target is
/// made while it stands still, and is read in a random order afterwards: one fault for 2 MiB in
/// place of 512 shortens both.
fn advise_huge_pages(start: *mut u8, len: usize) {
    /// A huge page of x86_64, and of aarch64 with pages of 4 KiB.
    const HUGE_PAGE: usize = 2 << 20;
    let before = start.align_offset(HUGE_PAGE);
    let whole = len.saturating_sub(before) & !(HUGE_PAGE - 1);
    if whole == 0 {
        return;
    }
    // Safety: the range lies inside the allocation, and the advice changes no contents. Where the
    // kernel has no huge pages it refuses, and nothing is lost.
    unsafe { libc::madvise(start.add(before).cast(), whole, libc::MADV_HUGEPAGE) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_stops_are_told_apart() {
        assert_eq!(decode(0, 0), Wait::Nothing);
        assert_eq!(decode(7, 34), Wait::Signal(34));
        assert_eq!(decode(7, (128 << 8) | 5), Wait::Event);
        assert_eq!(decode(7, (128 << 8) | 19), Wait::Event);
    }

    #[test]
    fn what_a_tracee_did_is_told_apart() {
        assert_eq!(told(0), Stop::Ended);
        assert_eq!(told(9), Stop::Ended);
        assert_eq!(told((10 << 8) | 0x7f), Stop::Signal(10));
        assert_eq!(told((133 << 8) | 0x7f), Stop::Call);
        assert_eq!(told((3 << 16) | (5 << 8) | 0x7f), Stop::Event(3));
        assert_eq!(told((128 << 16) | (19 << 8) | 0x7f), Stop::Event(128));
    }

    #[test]
    fn zeroed_gives_zeros_or_nothing() {
        assert_eq!(zeroed(0), Some(Vec::new()));
        assert_eq!(zeroed(5), Some(vec![0; 5]));
        let huge = zeroed(9 << 20).unwrap();
        assert!(huge.len() == 9 << 20 && huge.iter().all(|&byte| byte == 0));
        assert_eq!(zeroed(usize::MAX), None);
        assert_eq!(zeroed(1 << 62), None);
    }
}
