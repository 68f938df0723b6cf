//! The system calls that nix does not offer in the form needed here: the only unsafe code.
//!
//! nix knows signals as an enum without the real-time ones, so a thread that stops for signal 34
//! would be lost by its `waitpid` and could not be given the signal by its `detach`.

#![allow(unsafe_code)]

use nix::errno::Errno;
use nix::libc;
use std::ptr;

/// What a wait for a tracee came back with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// No tracee of this thread has anything to report now.
    Nothing,
    /// This thread has no tracee left.
    NoTracee,
    /// The thread ended.
    Ended { tid: i32 },
    /// The thread is about to receive `signal`, and stopped before it does.
    Signal { tid: i32, signal: i32 },
    /// The thread stopped because it was told to, or with its whole group.
    Event { tid: i32 },
    /// Something else changed: continued.
    Other,
}

/// Asks, without blocking, for one report of a tracee of the calling thread.
pub(super) fn wait_for_tracee() -> Result<Wait, Errno> {
    let mut status = 0;
    let flags = libc::__WALL | libc::__WNOTHREAD | libc::WNOHANG;
    // Safety: `status` is a valid place for the result for the length of the call.
    let tid = unsafe { libc::waitpid(-1, &raw mut status, flags) };
    match tid {
        0 => Ok(Wait::Nothing),
        -1 => match Errno::last() {
            Errno::ECHILD => Ok(Wait::NoTracee),
            Errno::EINTR => Ok(Wait::Nothing),
            error => Err(error),
        },
        tid => Ok(decode(tid, status)),
    }
}

fn decode(tid: i32, status: i32) -> Wait {
    if libc::WIFEXITED(status) || libc::WIFSIGNALED(status) {
        Wait::Ended { tid }
    } else if !libc::WIFSTOPPED(status) {
        Wait::Other
    } else if status >> 16 == 0 {
        Wait::Signal { tid, signal: libc::WSTOPSIG(status) }
    } else {
        Wait::Event { tid }
    }
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
    // Safety: `start` comes from the global allocator with the layout of a `[u8; len]`, all of it
    // is initialised (0), and nothing else owns it.
    Some(unsafe { Vec::from_raw_parts(start, len, len) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wait_statuses_are_told_apart() {
        assert_eq!(decode(7, 0), Wait::Ended { tid: 7 });
        assert_eq!(decode(7, 9), Wait::Ended { tid: 7 });
        assert_eq!(decode(7, (34 << 8) | 0x7f), Wait::Signal { tid: 7, signal: 34 });
        assert_eq!(decode(7, (128 << 16) | (5 << 8) | 0x7f), Wait::Event { tid: 7 });
        assert_eq!(decode(7, 0xffff), Wait::Other);
    }

    #[test]
    fn zeroed_gives_zeros_or_nothing() {
        assert_eq!(zeroed(0), Some(Vec::new()));
        assert_eq!(zeroed(5), Some(vec![0; 5]));
        assert_eq!(zeroed(usize::MAX), None);
        assert_eq!(zeroed(1 << 62), None);
    }
}
