//! A process of this machine: whether we can read it, and what the kernel says about it.

use super::Failure;
use super::live::LiveMemory;
use super::maps::{Mapping, MemoryMap};
use super::memory::Memory;
use super::permission::{self, Finding};
use super::stat::{Stat, Status};
use nix::sys::stat::{major, minor};
use nix::unistd::{SysconfVar, Uid, User, sysconf};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::time::Duration;

/// Why a process cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttachError {
    /// No process has this number.
    #[error("there is no process {pid}")]
    NoSuchProcess {
        /// The number asked for.
        pid: u32,
    },
    /// It has ended, and its parent has not asked for its exit status.
    #[error("process {pid} has ended (it is a zombie)")]
    Zombie {
        /// The process.
        pid: u32,
    },
    /// It is a thread of the kernel.
    #[error("{pid} is a kernel thread")]
    KernelThread {
        /// The thread.
        pid: u32,
    },
    /// Its program is not a 64-bit ELF file.
    #[error("process {pid} ({executable}) is not a 64-bit program")]
    Not64Bit {
        /// The process.
        pid: u32,
        /// Its program.
        executable: String,
    },
    /// The kernel refuses.
    #[error("not permitted to read {what} of process {pid}")]
    Denied {
        /// The process.
        pid: u32,
        /// The file that was refused.
        what: &'static str,
        /// What was checked to find the reason.
        findings: Vec<Finding>,
    },
    /// Another error of the operating system.
    #[error("cannot read {what} of process {pid}")]
    System {
        /// The process.
        pid: u32,
        /// The file.
        what: &'static str,
        /// The error.
        #[source]
        source: io::Error,
    },
}

impl AttachError {
    /// What this failure means.
    #[must_use]
    pub const fn failure(&self) -> Failure {
        match self {
            Self::NoSuchProcess { .. }
            | Self::Zombie { .. }
            | Self::KernelThread { .. }
            | Self::Not64Bit { .. } => Failure::NotPython,
            Self::Denied { .. } => Failure::Permission,
            Self::System { .. } => Failure::Other,
        }
    }

    fn from_io(pid: u32, what: &'static str, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::PermissionDenied => {
                Self::Denied { pid, what, findings: permission::diagnose(Some(pid)) }
            }
            io::ErrorKind::NotFound => Self::NoSuchProcess { pid },
            _ if source.raw_os_error() == Some(nix::libc::ESRCH) => Self::NoSuchProcess { pid },
            _ => Self::System { pid, what, source },
        }
    }
}

/// A process that can be read.
#[derive(Debug)]
pub struct Process {
    pid: u32,
    stat: Stat,
    executable: String,
    /// Device and inode of the program.
    program: Option<(u64, u64)>,
    memory: LiveMemory,
}

impl Process {
    /// Looks at a process, and opens its memory.
    ///
    /// # Errors
    /// It does not exist, has no memory that could hold a Python, or may not be read.
    pub fn open(pid: u32) -> Result<Self, AttachError> {
        let stat = Stat::read(pid).map_err(|error| AttachError::from_io(pid, "stat", error))?;
        // A thread has a directory in /proc too, which listings hide.
        let status = Status::read(&pid.to_string())
            .map_err(|error| AttachError::from_io(pid, "status", error))?;
        if status.number("Tgid").is_some_and(|leader| leader != u64::from(pid)) {
            return Err(AttachError::NoSuchProcess { pid });
        }
        if stat.is_dead() {
            return Err(AttachError::Zombie { pid });
        }
        if stat.is_kernel_thread() {
            return Err(AttachError::KernelThread { pid });
        }
        let executable = link(pid).map_err(|error| AttachError::from_io(pid, "exe", error))?;
        let program = check_program(pid, &executable)?;
        File::open(format!("/proc/{pid}/maps"))
            .map_err(|error| AttachError::from_io(pid, "maps", error))?;
        let memory =
            LiveMemory::open(pid).map_err(|error| AttachError::from_io(pid, "mem", error))?;
        Ok(Self { pid, stat, executable, program, memory })
    }

    /// The same for a process whose pages are another one's, until one of them writes: reading must
    /// not copy them.
    ///
    /// # Errors
    /// As [`Process::open`].
    pub fn open_shared(pid: u32) -> Result<Self, AttachError> {
        let process = Self::open(pid)?;
        let memory = LiveMemory::open_shared(pid)
            .map_err(|error| AttachError::from_io(pid, "mem", error))?;
        Ok(Self { memory, ..process })
    }

    /// Its number, as we see it.
    #[must_use]
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// Its number as it sees itself, in its own namespace.
    #[must_use]
    pub fn namespace_pid(&self) -> u32 {
        let status = self.status();
        let inner = status.get("NSpid").and_then(|pids| pids.split_ascii_whitespace().last());
        inner.and_then(|pid| pid.parse().ok()).unwrap_or(self.pid)
    }

    /// When it was started, in clock ticks since boot: together with the pid and
    /// [`Process::boot_id`] its identity for all time.
    #[must_use]
    pub const fn start_ticks(&self) -> u64 {
        self.stat.start_ticks
    }

    /// The path of its program, as it was when the process was opened. Ends in ` (deleted)` if
    /// the file was.
    #[must_use]
    pub fn executable(&self) -> String {
        self.executable.clone()
    }

    /// Its arguments, the program's name first. Empty if it has overwritten them with nothing.
    #[must_use]
    pub fn command_line(&self) -> Vec<String> {
        let mut bytes = Vec::new();
        // No kernel lets a program have more arguments than a few MiB.
        let read = File::open(format!("/proc/{}/cmdline", self.pid))
            .and_then(|file| file.take(8 << 20).read_to_end(&mut bytes));
        if read.is_err() || bytes.is_empty() {
            return Vec::new();
        }
        let arguments = bytes.strip_suffix(&[0]).unwrap_or(&bytes);
        let text = |argument: &[u8]| String::from_utf8_lossy(argument).into_owned();
        arguments.split(|&byte| byte == 0).map(text).collect()
    }

    /// The bytes of its memory that are in RAM now, shared ones included.
    #[must_use]
    pub fn rss_bytes(&self) -> u64 {
        self.status().number("VmRSS").unwrap_or(0).saturating_mul(1024)
    }

    /// Its state now: `R`, `S`, `D`, `T`, `t`, `Z`, …; `X` if it is gone.
    #[must_use]
    pub fn state(&self) -> char {
        Stat::read(self.pid).map_or('X', |stat| stat.state)
    }

    /// The process that traces it now.
    #[must_use]
    pub fn tracer_pid(&self) -> Option<u32> {
        self.status().tracer()
    }

    /// Its effective user.
    #[must_use]
    pub fn uid(&self) -> Option<u32> {
        self.status().get("Uid")?.split_ascii_whitespace().nth(1)?.parse().ok()
    }

    /// The name of its user on this machine.
    #[must_use]
    pub fn user_name(&self) -> Option<String> {
        let user = User::from_uid(Uid::from_raw(self.uid()?)).ok().flatten()?;
        Some(user.name)
    }

    /// For how many seconds it has been running.
    #[must_use]
    pub fn uptime_seconds(&self) -> Option<f64> {
        let text = fs::read_to_string("/proc/uptime").ok()?;
        let machine: f64 = text.split_ascii_whitespace().next()?.parse().ok()?;
        let ticks_per_second = u64::try_from(sysconf(SysconfVar::CLK_TCK).ok()??).ok()?;
        let micros_per_tick = 1_000_000_u64.checked_div(ticks_per_second)?;
        let start = Duration::from_micros(self.stat.start_ticks.checked_mul(micros_per_tick)?);
        Some((machine - start.as_secs_f64()).max(0.0))
    }

    /// Its address space now.
    ///
    /// # Errors
    /// The process is gone, or has become another that may not be read.
    pub fn memory_map(&self) -> Result<MemoryMap, AttachError> {
        let bytes = fs::read(format!("/proc/{}/maps", self.pid))
            .map_err(|error| AttachError::from_io(self.pid, "maps", error))?;
        Ok(MemoryMap::parse(&String::from_utf8_lossy(&bytes)))
    }

    /// Its memory, read as it is at that moment.
    #[must_use]
    pub fn memory(&self) -> LiveMemory {
        self.memory.clone()
    }

    /// Opens the file behind a mapping: the very file, even if its name was deleted or given to
    /// another one, or stands in another mount namespace.
    ///
    /// # Errors
    /// There is no regular file behind it, or none that can be opened is the same.
    pub fn open_mapped(&self, mapping: &Mapping) -> io::Result<File> {
        let range = mapping.range;
        let link = format!("/proc/{}/map_files/{:x}-{:x}", self.pid, range.start.0, range.end.0);
        if let Ok(file) = open_regular(&link) {
            return Ok(file);
        }
        // The links need a capability. The name does not, but may stand for another file by now.
        let path = mapping.path.as_deref().filter(|path| path.starts_with('/'));
        let path = path.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        let root = format!("/proc/{}/root{path}", self.pid);
        let mut refused = io::Error::from(io::ErrorKind::NotFound);
        for name in [root.as_str(), path] {
            match open_regular(name) {
                Ok(file) if self.is_mapped_file(&file, mapping) => return Ok(file),
                Ok(_) => {}
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }

    /// Whether a file is the one behind a mapping.
    fn is_mapped_file(&self, file: &File, mapping: &Mapping) -> bool {
        let Ok(metadata) = file.metadata() else { return false };
        let device = (u64::from(mapping.dev_major), u64::from(mapping.dev_minor));
        if metadata.ino() == mapping.inode {
            if (major(metadata.dev()), minor(metadata.dev())) == device {
                return true;
            }
        } else if mapping.deleted {
            return false;
        }
        // overlayfs (containers) and btrfs give `stat` other numbers than they give `maps`.
        // There the bytes decide, which are those of the file where nobody writes.
        let mut ours = [0; 4096];
        !mapping.write
            && file.read_exact_at(&mut ours, mapping.offset).is_ok()
            && self.memory.array(mapping.range.start).is_ok_and(|theirs: [u8; 4096]| theirs == ours)
    }

    /// Whether the pid still is this process, running this program.
    #[must_use]
    pub fn is_same(&self) -> bool {
        let Ok(now) = Stat::read(self.pid) else { return false };
        let stacks = (self.stat.start_stack, now.start_stack);
        // Both known: 0 is what is shown to those who may not know.
        let same_image = stacks.0 == stacks.1 || stacks.0 == 0 || stacks.1 == 0;
        !now.is_dead()
            && now.start_ticks == self.stat.start_ticks
            && same_image
            && program(self.pid) == self.program
    }

    /// Whether the pid is another process by now, or runs another program. One that has ended is not
    /// replaced.
    #[must_use]
    pub fn is_replaced(&self) -> bool {
        Stat::read(self.pid).is_ok_and(|now| !now.is_dead()) && !self.is_same()
    }

    /// The numbers of its threads now; none if it is gone.
    #[must_use]
    pub fn threads(&self) -> Vec<u32> {
        i32::try_from(self.pid)
            .ok()
            .and_then(|pid| remoteprocess::Process::new(pid).ok()?.threads().ok())
            .unwrap_or_default()
            .iter()
            .filter_map(|thread| u32::try_from(thread.id().ok()?).ok())
            .collect()
    }

    /// A random number that is new each time the machine starts.
    #[must_use]
    pub fn boot_id() -> Option<String> {
        let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        Some(text.trim().to_owned())
    }

    fn status(&self) -> Status {
        Status::read(&self.pid.to_string()).unwrap_or_default()
    }
}

fn link(pid: u32) -> io::Result<String> {
    let path = fs::read_link(format!("/proc/{pid}/exe"))?;
    Ok(path.to_string_lossy().into_owned())
}

/// Device and inode of the program that a process runs.
fn program(pid: u32) -> Option<(u64, u64)> {
    let metadata = fs::metadata(format!("/proc/{pid}/exe")).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// Refuses what is not a 64-bit ELF program; gives its device and inode.
fn check_program(pid: u32, executable: &str) -> Result<Option<(u64, u64)>, AttachError> {
    let what = "exe";
    let file = File::open(format!("/proc/{pid}/exe"))
        .map_err(|error| AttachError::from_io(pid, what, error))?;
    let mut magic = [0; 5];
    let read = file.read_exact_at(&mut magic, 0);
    // The class of a 64-bit file is 2.
    if read.is_err() || magic != *b"\x7fELF\x02" {
        return Err(AttachError::Not64Bit { pid, executable: executable.to_owned() });
    }
    Ok(file.metadata().ok().map(|metadata| (metadata.dev(), metadata.ino())))
}

/// Opens a file, but nothing that only looks like one: opening a device or a pipe has effects.
fn open_regular(path: &str) -> io::Result<File> {
    if fs::metadata(path)?.is_file() {
        File::open(path)
    } else {
        Err(io::Error::from(io::ErrorKind::InvalidInput))
    }
}

#[cfg(test)]
#[path = "process_tests.rs"]
mod tests;
