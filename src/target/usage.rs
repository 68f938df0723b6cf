//! What a process uses, read often: memory, page faults, processor time.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use nix::unistd::{SysconfVar, sysconf};

use super::stat::Status;

/// Memory of a process that is cheap to ask for, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resident {
    /// All of it that is in RAM.
    pub rss_bytes: u64,
    /// The part that is neither of a file nor shared.
    pub anonymous_bytes: u64,
    /// The code of its program; 0 in the moment in which another one takes its place (`execve` has made
    /// the new address space and loads nothing into it yet).
    pub code_bytes: u64,
}

/// What a process uses.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    /// Anonymous memory that is swapped out, in bytes.
    pub swap_bytes: u64,
    /// Page faults without a read from disk, since it began.
    pub minor_faults: u64,
    /// Page faults with one.
    pub major_faults: u64,
    /// Processor time since it began, in seconds.
    pub cpu_seconds: f64,
    /// Its threads.
    pub threads: u64,
    /// Whether it has ended, and its parent has not asked for its exit status.
    pub is_dead: bool,
}

/// Reads the usage of one process again and again. The files stay open: they belong to the process and
/// not to its number, so a process that gets the number later is never read.
#[derive(Debug)]
pub struct UsageReader {
    statm: File,
    stat: File,
    status: File,
    rollup: Option<File>,
    page_bytes: u64,
    ticks_per_second: f64,
}

impl UsageReader {
    /// Opens the files of a process.
    ///
    /// # Errors
    /// There is no such process.
    pub fn open(pid: u32) -> io::Result<Self> {
        let open = |name: &str| File::open(format!("/proc/{pid}/{name}"));
        let number = |variable, otherwise: u32| {
            let known = sysconf(variable).ok().flatten();
            known.and_then(|number| u32::try_from(number).ok()).unwrap_or(otherwise)
        };
        Ok(Self {
            statm: open("statm")?,
            stat: open("stat")?,
            status: open("status")?,
            rollup: open("smaps_rollup").ok(),
            page_bytes: number(SysconfVar::PAGE_SIZE, 4096).into(),
            ticks_per_second: number(SysconfVar::CLK_TCK, 100).max(1).into(),
        })
    }

    /// The memory that is resident now: the cheapest question of all.
    ///
    /// # Errors
    /// The process has ended.
    pub fn resident(&self) -> io::Result<Resident> {
        let mut buffer = [0; 256];
        let text = text(&self.statm, &mut buffer)?;
        let mut pages = text.split_ascii_whitespace().skip(1).map(str::parse::<u64>);
        let (Some(Ok(resident)), Some(Ok(shared)), Some(Ok(code))) =
            (pages.next(), pages.next(), pages.next())
        else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        // All zeros is what a process without memory has: one that has ended.
        if resident == 0 {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(Resident {
            rss_bytes: resident.saturating_mul(self.page_bytes),
            anonymous_bytes: resident.saturating_sub(shared).saturating_mul(self.page_bytes),
            code_bytes: code.saturating_mul(self.page_bytes),
        })
    }

    /// Everything else.
    ///
    /// # Errors
    /// The process has ended.
    pub fn usage(&self) -> io::Result<Usage> {
        let mut buffer = [0; 1024];
        let stat = text(&self.stat, &mut buffer)?;
        // The name in parentheses may hold anything; the field after it is the third.
        let (_, rest) = stat.rsplit_once(')').ok_or(io::ErrorKind::InvalidData)?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().take(64).collect();
        let number = |field: usize| {
            let text = fields.get(field.saturating_sub(3))?;
            text.parse::<u32>().ok().map(u64::from).or_else(|| text.parse().ok())
        };
        let ticks = number(14).unwrap_or(0).saturating_add(number(15).unwrap_or(0));
        let mut buffer = [0; 8192];
        let status = Status::parse(text(&self.status, &mut buffer)?.to_owned());
        #[allow(clippy::cast_precision_loss)]
        Ok(Usage {
            swap_bytes: status.number("VmSwap").unwrap_or(0).saturating_mul(1024),
            minor_faults: number(10).unwrap_or(0),
            major_faults: number(12).unwrap_or(0),
            cpu_seconds: ticks as f64 / self.ticks_per_second,
            threads: number(20).unwrap_or(0),
            is_dead: fields.first().is_some_and(|state| matches!(*state, "Z" | "X" | "x")),
        })
    }

    /// The proportional set size, in bytes. Dear: the kernel walks all page tables for it.
    #[must_use]
    pub fn pss_bytes(&self) -> Option<u64> {
        let mut buffer = [0; 4096];
        let text = text(self.rollup.as_ref()?, &mut buffer).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
        let kib: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
        kib.checked_mul(1024)
    }
}

/// The beginning of a file of `/proc`, as it is now.
fn text<'b>(file: &File, buffer: &'b mut [u8]) -> io::Result<&'b str> {
    let len = file.read_at(buffer, 0)?;
    let bytes = buffer.get(..len).unwrap_or_default();
    // A name in it may be cut, or be no text at all; numbers are ASCII.
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(error) if error.valid_up_to() > 0 => {
            let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
            std::str::from_utf8(valid).map_err(io::Error::other)
        }
        Err(error) => Err(io::Error::other(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::target::program::Program;

    /// Takes memory when it is told to.
    const PROGRAM: &str = "
print('ready', flush=True)
input()
block = b'x' * (64 << 20)
print('taken', flush=True)
input()
";

    #[test]
    fn memory_grows_when_more_is_used() {
        let mut program = Program::ready(PROGRAM);
        let reader = UsageReader::open(program.pid()).unwrap();
        let (before, usage) = (reader.resident().unwrap(), reader.usage().unwrap());
        program.go_on("taken");
        let after = reader.resident().unwrap();
        let grown = after.anonymous_bytes - before.anonymous_bytes;
        assert!(grown > 60 << 20, "{grown}");
        assert!(after.rss_bytes >= after.anonymous_bytes && after.code_bytes > 0);
        let later = reader.usage().unwrap();
        assert!(later.minor_faults > usage.minor_faults && later.threads > 0 && !later.is_dead);
        assert!(reader.pss_bytes().is_none_or(|pss| pss > 32 << 20));
    }

    #[test]
    fn a_process_that_has_ended_is_an_error_and_not_another_one() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let reader = UsageReader::open(child.id()).unwrap();
        assert!(reader.resident().is_ok());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(reader.resident().is_err() && reader.usage().is_err());
    }
}
