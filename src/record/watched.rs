//! A process that is being recorded.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use super::census::{Outcome, Pending};
use super::sampler::Sampler;
use crate::facts::GenerationFacts;
use crate::malloc::FreeMemory;
use crate::recording::{FrameId, Head, StackId, Stacks};
use crate::take::{TakeError, TakeOptions};
use crate::target::usage::{Resident, Usage};
use crate::watch::{Counters, End};

/// What a recording asks of the process; a test answers in its place.
pub(super) trait Watched {
    /// The memory that is resident now.
    fn resident(&mut self) -> Result<Resident, End>;
    /// The part of its memory that its allocator keeps free, in bytes.
    fn free(&mut self, now: Duration) -> u64;
    /// What it uses besides.
    fn usage(&mut self) -> Result<Usage, End>;
    /// Its proportional set size, in bytes.
    fn pss(&mut self) -> Option<u64>;
    /// The collectors of its interpreters.
    fn collectors(&mut self) -> Vec<(u64, Vec<GenerationFacts>)>;
    /// The stacks that run; `all`: also those that hold no interpreter lock.
    fn running(&mut self, now: Duration, all: bool, stacks: &mut Stacks) -> Vec<StackId>;
    /// The lines at which threads sleep.
    fn resting(&mut self, stacks: &mut Stacks) -> Vec<FrameId>;
    /// Whether it is still the process that it was.
    fn check(&mut self) -> Result<(), End>;
    /// Begins a census, and writes a snapshot file if one is named.
    fn start_census(&mut self, file: Option<PathBuf>);
    /// What came of the census, if it is over; `wait`: waits for it.
    fn finished_census(&mut self, wait: bool) -> Option<Outcome>;
    /// The processor time that we have taken for it.
    fn own_cpu(&mut self) -> Duration;
}

/// A process of this machine.
pub(super) struct Live {
    counters: Counters,
    sampler: Sampler,
    free: FreeMemory,
    options: TakeOptions,
    pending: Option<Pending>,
    /// Whether censuses reckon what is garbage.
    garbage: bool,
    /// How many recordings this process makes at once: they share what it costs.
    sharers: Arc<AtomicUsize>,
    own_cpu: Duration,
    own_cpu_seen: Duration,
}

impl Live {
    /// Opens a process, and finds its interpreter.
    pub(super) fn open(
        pid: u32,
        options: TakeOptions,
        garbage: bool,
        sharers: Arc<AtomicUsize>,
    ) -> Result<(Self, Head), TakeError> {
        let own_cpu_seen = processor_time();
        let counters = Counters::open(pid, options.limits)?;
        let process = counters.process();
        let head = Head {
            process: counters.process_facts(),
            command: process.command_line(),
            interpreter: counters.interpreter_facts(),
            ..Head::default()
        };
        let map = process.memory_map()?;
        let free = FreeMemory::find(&process.memory(), &map);
        let found = counters.found().clone();
        let sampler = Sampler::new(pid, process.memory(), &map, found, options.limits);
        sharers.fetch_add(1, Ordering::Relaxed);
        let live = Self {
            counters,
            sampler,
            free,
            options,
            pending: None,
            garbage,
            sharers,
            own_cpu: Duration::ZERO,
            own_cpu_seen,
        };
        Ok((live, head))
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.sharers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The processor time that this process has taken.
fn processor_time() -> Duration {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else { return Duration::ZERO };
    let micros = |time: nix::sys::time::TimeVal| time.num_microseconds();
    let both = micros(usage.user_time()).saturating_add(micros(usage.system_time()));
    Duration::from_micros(u64::try_from(both).unwrap_or(0))
}

impl Watched for Live {
    fn resident(&mut self) -> Result<Resident, End> {
        self.counters.resident()
    }

    fn free(&mut self, now: Duration) -> u64 {
        let in_malloc = self.free.bytes(&self.counters.process().memory(), now);
        in_malloc.saturating_add(self.sampler.free_pool_bytes())
    }

    fn usage(&mut self) -> Result<Usage, End> {
        self.counters.usage()
    }

    fn pss(&mut self) -> Option<u64> {
        self.counters.pss_bytes()
    }

    fn collectors(&mut self) -> Vec<(u64, Vec<GenerationFacts>)> {
        self.counters.collectors()
    }

    fn running(&mut self, now: Duration, all: bool, stacks: &mut Stacks) -> Vec<StackId> {
        self.sampler.running(now, all, stacks)
    }

    fn resting(&mut self, stacks: &mut Stacks) -> Vec<FrameId> {
        self.sampler.resting(stacks)
    }

    fn check(&mut self) -> Result<(), End> {
        self.counters.check()
    }

    fn start_census(&mut self, file: Option<PathBuf>) {
        let process = Arc::clone(self.counters.process());
        self.pending = Some(Pending::start(process, self.options, self.garbage, file));
    }

    fn finished_census(&mut self, wait: bool) -> Option<Outcome> {
        let pending = self.pending.take()?;
        if wait {
            return Some(pending.wait());
        }
        let outcome = pending.poll();
        if outcome.is_none() {
            self.pending = Some(pending);
        }
        outcome
    }

    fn own_cpu(&mut self) -> Duration {
        let now = processor_time();
        let sharers = u32::try_from(self.sharers.load(Ordering::Relaxed)).unwrap_or(1).max(1);
        self.own_cpu += now.saturating_sub(self.own_cpu_seen) / sharers;
        self.own_cpu_seen = now;
        self.own_cpu
    }
}
