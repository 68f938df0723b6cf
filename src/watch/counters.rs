//! What is cheap to ask of a process that runs: memory, threads, the counters of the collector.

use std::sync::Arc;

use crate::addr::Addr;
use crate::cpython::discovery::Found;
use crate::facts::{GenerationFacts, InterpreterFacts, ProcessFacts};
use crate::heap;
use crate::limits::Limits;
use crate::take::{self, TakeError};
use crate::target::memory::{Memory, ReadErrorKind};
use crate::target::usage::{Resident, Usage, UsageReader};
use crate::target::{LiveMemory, Process};

/// Why a process can be watched no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It has ended.
    Ended,
    /// It runs another program now.
    Replaced,
}

impl End {
    /// The same in words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Ended => "the process has ended",
            Self::Replaced => "the process runs another program now",
        }
    }
}

/// Asks one process again and again. It is never stopped for that.
pub struct Counters {
    process: Arc<Process>,
    memory: LiveMemory,
    found: Found,
    limits: Limits,
    usage: UsageReader,
}

impl Counters {
    /// Opens a process, and finds its interpreter.
    ///
    /// # Errors
    /// It cannot be read, or is no Python.
    pub fn open(pid: u32, limits: Limits) -> Result<Self, TakeError> {
        let process = Arc::new(Process::open(pid)?);
        let found = take::find(&process, limits)?;
        let usage = UsageReader::open(pid).map_err(|_| TakeError::Gone(pid))?;
        let memory = process.memory();
        Ok(Self { process, memory, found, limits, usage })
    }

    /// The process.
    #[must_use]
    pub const fn process(&self) -> &Arc<Process> {
        &self.process
    }

    /// Its interpreter.
    #[must_use]
    pub const fn found(&self) -> &Found {
        &self.found
    }

    /// Which process it is.
    #[must_use]
    pub fn process_facts(&self) -> ProcessFacts {
        ProcessFacts {
            pid: self.process.pid(),
            executable: self.process.executable(),
            rss_bytes: self.process.rss_bytes(),
            start_ticks: self.process.start_ticks(),
            boot_id: Process::boot_id().unwrap_or_default(),
        }
    }

    /// Which Python it runs.
    #[must_use]
    pub fn interpreter_facts(&self) -> InterpreterFacts {
        let interpreters = heap::interpreters(&self.memory, &self.found, self.limits).len();
        InterpreterFacts {
            version: self.found.version.to_string(),
            build: self.found.build.to_string(),
            interpreters: u32::try_from(interpreters).unwrap_or(u32::MAX),
        }
    }

    /// The memory that is resident now.
    ///
    /// # Errors
    /// It is there no more.
    pub fn resident(&self) -> Result<Resident, End> {
        let resident = self.usage.resident().map_err(|_| End::Ended)?;
        if resident.code_bytes == 0 {
            return Err(End::Replaced);
        }
        // These numbers go on with the next program that the process runs, but its memory, as we have it
        // open, ends with this one (`mem_rw`, fs/proc/base.c). Looked at afterwards, so that what was
        // read is of this program: else 300 MB of another one would be put down to our lines.
        let read = self.memory.u8(self.found.runtime);
        if read.is_err_and(|error| error.kind == ReadErrorKind::Gone) {
            self.check()?;
        }
        Ok(resident)
    }

    /// What it uses besides.
    ///
    /// # Errors
    /// It has ended.
    pub fn usage(&self) -> Result<Usage, End> {
        match self.usage.usage() {
            Ok(usage) if !usage.is_dead => Ok(usage),
            _ => Err(End::Ended),
        }
    }

    /// Its proportional set size, in bytes. Dear: the kernel walks all page tables for it.
    #[must_use]
    pub fn pss_bytes(&self) -> Option<u64> {
        self.usage.pss_bytes()
    }

    /// The collectors of its interpreters, each with the number of its interpreter.
    #[must_use]
    pub fn collectors(&self) -> Vec<(u64, Vec<GenerationFacts>)> {
        let interpreters: Vec<Addr> = heap::interpreters(&self.memory, &self.found, self.limits);
        heap::generations(&self.memory, &self.found, self.limits, &interpreters)
    }

    /// Whether it is still the process that it was.
    ///
    /// # Errors
    /// It has ended, or runs another program.
    pub fn check(&self) -> Result<(), End> {
        if self.process.is_same() {
            return Ok(());
        }
        // The same number and start, and yet not the same: another program.
        self.usage().and(Err(End::Replaced))
    }
}
