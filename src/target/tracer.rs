//! The threads of one process, and the stopping of them by the thread that traces them.

use super::held;
use super::pause::PauseError;
use super::permission;
use super::stat::Stat;
use super::sys::{self, Wait};
use nix::errno::Errno;
use nix::sys::ptrace;
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

/// A thread that has not stopped for so long and sleeps uninterruptibly counts as stopped: before
/// it is back in its program, the interrupt that waits for it stops it.
const UNINTERRUPTIBLE_AFTER: Duration = Duration::from_millis(50);

/// A thread that stops at all does so in microseconds: what takes longer is looked at.
const EXAMINE_AFTER: Duration = Duration::from_millis(1);

/// What is known of one thread of the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Thread {
    /// Told to stop.
    Running { since: Instant },
    /// Told to stop, and asleep in the kernel.
    Uninterruptible,
    /// Stopped; `signal` was about to be delivered to it, or is 0.
    Stopped { signal: i32 },
}

/// The state of the tracing thread. Nothing here may be moved to another thread.
pub(super) struct Tracer {
    pid: u32,
    limit: Duration,
    start: Instant,
    threads: BTreeMap<i32, Thread>,
}

impl Tracer {
    /// To stop all threads of a process within a time limit.
    pub(super) fn new(pid: u32, limit: Duration) -> Self {
        Self { pid, limit, start: Instant::now(), threads: BTreeMap::new() }
    }

    /// Stops all threads; gives how many of them sleep uninterruptibly.
    pub(super) fn stop_all(&mut self) -> Result<usize, PauseError> {
        // A listing may miss a thread if others end while it is made. When all that is known
        // stands still and two listings bring nothing new, there is nothing new.
        let mut quiet = 0;
        while quiet < 2 {
            let new = self.seize_new()?;
            self.wait_for_all()?;
            quiet = if new { 0 } else { quiet + 1 };
        }
        if self.threads.is_empty() {
            return Err(PauseError::Gone { pid: self.pid });
        }
        Ok(self.count(|thread| thread == Thread::Uninterruptible))
    }

    /// The threads that stand still and are not about to receive a signal.
    #[cfg_attr(
        not(target_arch = "x86_64"),
        allow(dead_code, reason = "only a fork in the target needs it, which is of x86_64")
    )]
    pub(super) fn quiet(&self) -> impl Iterator<Item = i32> {
        let quiet = |thread| matches!(thread, Thread::Stopped { signal: 0 });
        self.threads.iter().filter(move |&(_, &thread)| quiet(thread)).map(|(&tid, _)| tid)
    }

    fn count(&self, which: impl Fn(Thread) -> bool) -> usize {
        self.threads.values().filter(|&&thread| which(thread)).count()
    }

    fn running(&self) -> usize {
        self.count(|thread| matches!(thread, Thread::Running { .. }))
    }

    /// Seizes and interrupts the threads that are not yet; says whether there were any.
    fn seize_new(&mut self) -> Result<bool, PauseError> {
        let pid = self.pid;
        if held::is_ending() {
            return Err(PauseError::Timeout { pid, running: self.running(), limit: self.limit });
        }
        let system = |source| PauseError::System { pid, source };
        let listing = match std::fs::read_dir(format!("/proc/{pid}/task")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(PauseError::Gone { pid });
            }
            listing => listing.map_err(system)?,
        };
        let mut new = false;
        for entry in listing {
            // The process ended while its threads were listed.
            let Ok(entry) = entry else { break };
            let name = entry.file_name();
            let Some(tid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
            if !self.threads.contains_key(&tid) {
                new |= self.seize(tid)?;
            }
        }
        Ok(new)
    }

    /// Seizes one thread; says whether it was there to be seized.
    fn seize(&mut self, tid: i32) -> Result<bool, PauseError> {
        let thread = Pid::from_raw(tid);
        match ptrace::seize(thread, ptrace::Options::empty()) {
            Ok(()) => {}
            Err(Errno::ESRCH) => return Ok(false),
            Err(error) => return self.refused(tid, error),
        }
        self.threads.insert(tid, Thread::Running { since: Instant::now() });
        match ptrace::interrupt(thread) {
            // It is ending; the wait will say so.
            Ok(()) | Err(Errno::ESRCH) => Ok(true),
            Err(error) => Err(PauseError::System { pid: self.pid, source: error.into() }),
        }
    }

    /// Tells why a thread was not seized; ending threads are no error. Says whether to look again.
    fn refused(&self, tid: i32, error: Errno) -> Result<bool, PauseError> {
        /// For as long a refusal that nothing explains is taken for that of a thread which ends or runs another program: the
        /// one that called `execve` takes the number of the first one, which is dead when it is tried
        /// (`de_thread`, `fs/exec.c`).
        const MOMENT: Duration = Duration::from_millis(200);
        let pid = self.pid;
        if error != Errno::EPERM {
            return Err(PauseError::System { pid, source: error.into() });
        }
        let ended = u32::try_from(tid).is_ok_and(|tid| Stat::read(tid).is_ok_and(|s| s.is_dead()))
            || !std::path::Path::new(&format!("/proc/{pid}/task/{tid}")).exists();
        if ended {
            return Ok(false);
        }
        let findings = permission::diagnose(Some(pid));
        let status = super::stat::Status::read(&format!("{pid}/task/{tid}")).unwrap_or_default();
        match status.tracer() {
            Some(tracer) => {
                let name = permission::name_of(tracer);
                Err(PauseError::TracedRunning { pid, tracer, name })
            }
            None if findings.iter().all(|it| it.ok) && self.start.elapsed() < MOMENT => Ok(true),
            None => Err(PauseError::Denied { pid, findings }),
        }
    }

    /// Waits until each known thread has stopped, has ended, or cannot run.
    fn wait_for_all(&mut self) -> Result<(), PauseError> {
        let mut idle = Duration::ZERO;
        loop {
            if self.look()? {
                idle = Duration::ZERO;
            }
            self.examine_slow();
            let running = self.running();
            if running == 0 {
                return Ok(());
            }
            if self.start.elapsed() > self.limit || held::is_ending() {
                return Err(PauseError::Timeout { pid: self.pid, running, limit: self.limit });
            }
            // There is no wait for tracees with a time limit: ask again, ever more slowly.
            if idle.is_zero() {
                thread::yield_now();
            } else {
                thread::sleep(idle);
            }
            idle = (idle * 2).clamp(Duration::from_micros(10), Duration::from_millis(1));
        }
    }

    /// Looks which threads have stopped since; says whether there are any.
    fn look(&mut self) -> Result<bool, PauseError> {
        let pid = self.pid;
        let mut new = false;
        let mut failed = None;
        self.threads.retain(|&tid, thread| {
            if matches!(thread, Thread::Stopped { .. }) {
                return true;
            }
            let signal = match sys::look_at(tid) {
                Ok(Wait::Nothing) => return true,
                Ok(Wait::Signal(signal)) => Some(signal),
                Ok(Wait::Event) => Some(0),
                Ok(Wait::NoTracee) => None,
                Err(error) => {
                    failed = Some(error);
                    return true;
                }
            };
            new = true;
            match signal {
                Some(signal) => *thread = Thread::Stopped { signal },
                None => reap(pid, tid),
            }
            signal.is_some()
        });
        match failed {
            Some(error) => Err(PauseError::System { pid: self.pid, source: error.into() }),
            None => Ok(new),
        }
    }

    /// Looks why threads have not stopped: they have ended, or cannot.
    fn examine_slow(&mut self) {
        let pid = self.pid;
        self.threads.retain(|&tid, thread| {
            let Thread::Running { since } = *thread else { return true };
            let age = since.elapsed();
            if age < EXAMINE_AFTER {
                return true;
            }
            let number = u32::try_from(tid).unwrap_or(0);
            match Stat::read(number) {
                Ok(stat) if !stat.is_dead() => {
                    if stat.state == 'D' && age >= UNINTERRUPTIBLE_AFTER {
                        *thread = Thread::Uninterruptible;
                    }
                    true
                }
                _ => {
                    reap(pid, tid);
                    false
                }
            }
        });
    }

    /// Detaches from all threads that stopped; the end of this thread detaches from the others.
    /// Gives how long it took from the first stop to here.
    pub(super) fn resume_all(&mut self) -> Duration {
        // Those that stopped since: a signal that one of them is about to receive must be known.
        // What cannot be looked at is let go by the end of this thread.
        let _ = self.look();
        for (&tid, &thread) in &self.threads {
            if let Thread::Stopped { signal } = thread {
                // It can only fail because the thread was killed.
                let _ = sys::detach(tid, signal);
            }
        }
        self.start.elapsed()
    }
}

/// Lets go of a thread that has ended: an exec waits until the other threads are gone altogether. The main thread is the
/// process, whose end belongs to its parent: that may be us.
fn reap(pid: u32, tid: i32) {
    if u32::try_from(tid) != Ok(pid) {
        sys::reap(tid);
    }
}
