//! The memory of a live process, read as it is at this moment.

use super::memory::{Memory, ReadError, ReadErrorKind};
use crate::addr::Addr;
use nix::errno::Errno;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// How much one system call reads at most, in bytes. Larger calls are no faster, and hold the
/// target's memory lock longer.
pub const PIECE_BYTES: usize = 1 << 20;

/// The memory of a live process. Cheap to clone; every read is a system call.
#[derive(Debug, Clone)]
pub struct LiveMemory {
    pid: u32,
    /// `/proc/PID/mem`. It belongs to one program image: after an `execve` it reads as ended.
    mem: Option<Arc<File>>,
    /// Whether the system call, which pins pages, must not serve in place of the file.
    file_only: bool,
}

impl LiveMemory {
    /// The memory of a process. It is not an error here if `/proc/PID/mem` cannot be opened:
    /// some containers refuse it and still allow the system call.
    ///
    /// # Errors
    /// Neither way of reading is permitted.
    pub fn open(pid: u32) -> io::Result<Self> {
        match File::open(format!("/proc/{pid}/mem")) {
            Ok(mem) => Ok(Self { pid, mem: Some(Arc::new(mem)), file_only: false }),
            Err(error) => {
                let memory = Self { pid, mem: None, file_only: false };
                // Address 0 is never mapped: a permitted read says so.
                match memory.read_by_call(Addr::NULL, &mut [0]) {
                    Err(ReadErrorKind::Unmapped) | Ok(()) => Ok(memory),
                    Err(_) => Err(error),
                }
            }
        }
    }

    /// The memory of a process that shares its pages with another one: read by the file only, since
    /// the system call pins pages, and pinning copies each of them.
    ///
    /// # Errors
    /// The file may not be read.
    pub fn open_shared(pid: u32) -> io::Result<Self> {
        let mem = File::open(format!("/proc/{pid}/mem"))?;
        Ok(Self { pid, mem: Some(Arc::new(mem)), file_only: true })
    }

    /// The process it belongs to.
    #[must_use]
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    fn read_piece(&self, addr: Addr, buf: &mut [u8]) -> Result<(), ReadErrorKind> {
        let Some(mem) = &self.mem else { return self.read_by_call(addr, buf) };
        match mem.read_exact_at(buf, addr.0) {
            Ok(()) => Ok(()),
            // End of file: the address space has no user left.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(ReadErrorKind::Gone),
            Err(error) => match kind(errno(&error)) {
                // A security module may refuse the file and allow the call.
                ReadErrorKind::Denied if !self.file_only => self.read_by_call(addr, buf),
                kind => Err(kind),
            },
        }
    }

    fn read_by_call(&self, addr: Addr, buf: &mut [u8]) -> Result<(), ReadErrorKind> {
        let pid = i32::try_from(self.pid).map_err(|_| ReadErrorKind::Gone)?;
        let mut done = 0;
        while let Some(rest) = buf.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let base = u64::try_from(done).ok().and_then(|done| addr.0.checked_add(done));
            let base = base.and_then(|base| usize::try_from(base).ok());
            let remote =
                RemoteIoVec { base: base.ok_or(ReadErrorKind::Overflow)?, len: rest.len() };
            match process_vm_readv(Pid::from_raw(pid), &mut [IoSliceMut::new(rest)], &[remote]) {
                Ok(0) => return Err(ReadErrorKind::Unmapped),
                Ok(read) => done = done.saturating_add(read),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(kind(error)),
            }
        }
        Ok(())
    }
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(0))
}

/// What an error of a read means.
fn kind(errno: Errno) -> ReadErrorKind {
    match errno {
        Errno::EIO | Errno::EFAULT => ReadErrorKind::Unmapped,
        Errno::ESRCH => ReadErrorKind::Gone,
        // ENOSYS is what a seccomp filter of a container runtime answers.
        Errno::EACCES | Errno::EPERM | Errno::ENOSYS => ReadErrorKind::Denied,
        errno => ReadErrorKind::Os(errno as i32),
    }
}

impl Memory for LiveMemory {
    fn read(&self, addr: Addr, buf: &mut [u8]) -> Result<(), ReadError> {
        let len = u64::try_from(buf.len()).unwrap_or(u64::MAX);
        let error = |kind| ReadError { addr, len, kind };
        // A file offset is signed: an address of the upper half would be a negative one.
        if addr.0.checked_add(len).is_none_or(|end| end > i64::MAX.unsigned_abs()) {
            return Err(error(ReadErrorKind::Overflow));
        }
        let mut at = addr;
        for piece in buf.chunks_mut(PIECE_BYTES) {
            self.read_piece(at, piece).map_err(error)?;
            at = at + u64::try_from(piece.len()).unwrap_or(0);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address_of(bytes: &[u8]) -> Addr {
        Addr(bytes.as_ptr().addr() as u64)
    }

    #[test]
    fn our_own_memory_reads_in_both_ways() {
        let bytes: Vec<u8> = (0..3 * PIECE_BYTES + 5).map(|i| (i % 251) as u8).collect();
        let by_file = LiveMemory::open(std::process::id()).unwrap();
        let by_call = LiveMemory { mem: None, ..by_file.clone() };
        assert!(by_file.mem.is_some());
        for memory in [by_file, by_call] {
            assert!(memory.bytes(address_of(&bytes), bytes.len()).unwrap() == bytes);
            assert!(memory.bytes(address_of(&bytes), 0).unwrap().is_empty());
            let error = memory.u64(Addr(8)).unwrap_err();
            assert_eq!((error.addr, error.len), (Addr(8), 8));
            assert_eq!(error.kind, ReadErrorKind::Unmapped);
        }
    }

    #[test]
    fn the_upper_half_is_an_overflow_and_not_a_negative_offset() {
        let memory = LiveMemory::open(std::process::id()).unwrap();
        for addr in [1 << 63, u64::MAX, u64::MAX - 7, (1 << 63) - 4] {
            assert_eq!(memory.u64(Addr(addr)).unwrap_err().kind, ReadErrorKind::Overflow);
        }
    }

    #[test]
    fn a_process_that_ended_is_gone() {
        let mut child = std::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let memory = LiveMemory::open(child.id()).unwrap();
        let by_call = LiveMemory { mem: None, ..memory.clone() };
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(memory.u8(Addr(0x1000)).unwrap_err().kind, ReadErrorKind::Gone);
        assert_eq!(by_call.u8(Addr(0x1000)).unwrap_err().kind, ReadErrorKind::Gone);
    }

    #[test]
    fn errors_of_the_kernel_keep_their_meaning() {
        assert_eq!(kind(Errno::EIO), ReadErrorKind::Unmapped);
        assert_eq!(kind(Errno::EFAULT), ReadErrorKind::Unmapped);
        assert_eq!(kind(Errno::ESRCH), ReadErrorKind::Gone);
        assert_eq!(kind(Errno::EPERM), ReadErrorKind::Denied);
        assert_eq!(kind(Errno::ENOMEM), ReadErrorKind::Os(12));
    }
}
