//! Stopping all threads of a process, and letting them run again whatever happens.
//!
//! A thread of our own does all the tracing and nothing else. The kernel detaches the tracees of
//! a thread that ends, also when all of pyheap is killed, and also those that it could not stop:
//! a thread that was in an uninterruptible sleep can therefore not be left behind, waiting for a
//! tracer that is busy elsewhere.

use super::Failure;
use super::permission::{self, Finding};
use super::process::Process;
use super::stat::Stat;
use super::sys::{self, Wait};
use nix::errno::Errno;
use nix::sys::ptrace;
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::io;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A thread that has not stopped for so long and sleeps uninterruptibly counts as stopped: before
/// it is back in its program, the interrupt that waits for it stops it.
const UNINTERRUPTIBLE_AFTER: Duration = Duration::from_millis(50);

/// A thread that stops at all does so in microseconds: what takes longer is looked at.
const EXAMINE_AFTER: Duration = Duration::from_millis(1);

/// Why a process was not stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PauseError {
    /// The kernel refuses.
    #[error("not permitted to stop process {pid}")]
    Denied {
        /// The process.
        pid: u32,
        /// What was checked to find the reason.
        findings: Vec<Finding>,
    },
    /// Another tool traces it, and lets it run.
    #[error("process {pid} is being traced by process {tracer} ({name})")]
    TracedRunning {
        /// The process.
        pid: u32,
        /// The tracer.
        tracer: u32,
        /// The tracer's name.
        name: String,
    },
    /// Not all threads stopped in time. Those that did run again.
    #[error("{running} threads of process {pid} did not stop within {limit:?}")]
    Timeout {
        /// The process.
        pid: u32,
        /// How many threads had not stopped.
        running: usize,
        /// The time allowed.
        limit: Duration,
    },
    /// It ended.
    #[error("process {pid} has ended")]
    Gone {
        /// The process.
        pid: u32,
    },
    /// It became another program meanwhile.
    #[error("process {pid} now runs another program")]
    Changed {
        /// The process.
        pid: u32,
    },
    /// Another error of the operating system.
    #[error("cannot stop process {pid}")]
    System {
        /// The process.
        pid: u32,
        /// The error.
        #[source]
        source: io::Error,
    },
}

impl PauseError {
    /// What this failure means.
    #[must_use]
    pub const fn failure(&self) -> Failure {
        match self {
            Self::Denied { .. } | Self::TracedRunning { .. } => Failure::Permission,
            Self::Timeout { .. } => Failure::Refused,
            Self::Gone { .. } | Self::Changed { .. } => Failure::Gone,
            Self::System { .. } => Failure::Other,
        }
    }
}

/// A process that stands still until this value is dropped.
#[derive(Debug)]
#[must_use = "the process runs again when this is dropped"]
pub struct Paused {
    /// The thread that stopped it; none if another tracer did.
    tracer: Option<TracerThread>,
    uninterruptible: usize,
}

#[derive(Debug)]
struct TracerThread {
    resume: mpsc::Sender<()>,
    thread: JoinHandle<Duration>,
}

impl Paused {
    /// Stops all threads of a process, within a time limit.
    ///
    /// A process that was stopped by a signal stays so afterwards; one that another tracer has
    /// stopped is taken as it stands.
    ///
    /// # Errors
    /// Not permitted, not in time, or the process is not the same any more. It runs as before.
    pub fn stop(process: &Process, limit: Duration) -> Result<Self, PauseError> {
        let pid = process.pid();
        let system = |source| PauseError::System { pid, source };
        if let Some(tracer) = process.tracer_pid() {
            return frozen_by(process, tracer);
        }
        let (report, reported) = mpsc::channel();
        let (resume, resumed) = mpsc::channel::<()>();
        let thread = thread::Builder::new().name("tracer".to_owned());
        let thread = thread.spawn(move || {
            let mut tracer = Tracer::new(pid, limit);
            let stopped = tracer.stop_all();
            let succeeded = stopped.is_ok();
            if report.send(stopped).is_ok() && succeeded {
                // An error means that the other end was dropped: the same order.
                let _ = resumed.recv();
            }
            tracer.resume_all()
        });
        let thread = TracerThread { resume, thread: thread.map_err(system)? };
        let stopped = reported.recv().unwrap_or_else(|error| Err(system(io::Error::other(error))));
        let paused =
            Self { uninterruptible: *stopped.as_ref().unwrap_or(&0), tracer: Some(thread) };
        stopped?;
        match process.is_same() {
            true => Ok(paused),
            false if process.threads().is_empty() => Err(PauseError::Gone { pid }),
            false => Err(PauseError::Changed { pid }),
        }
    }

    /// Whether a stop would be permitted. Stops nothing, and attaches to nothing.
    ///
    /// # Errors
    /// Not permitted, or another tracer lets it run.
    pub fn permitted(process: &Process) -> Result<(), PauseError> {
        let pid = process.pid();
        if let Some(tracer) = process.tracer_pid() {
            return frozen_by(process, tracer).map(drop);
        }
        // That we do not trace it is ESRCH. A filter of system calls refuses before that is seen.
        let thread = Pid::from_raw(i32::try_from(pid).unwrap_or(0));
        match ptrace::detach(thread, None) {
            Err(Errno::EPERM | Errno::EACCES | Errno::ENOSYS) => {
                Err(PauseError::Denied { pid, findings: permission::diagnose(Some(pid)) })
            }
            _ => Ok(()),
        }
    }

    /// Whether another tracer had stopped it, so that nothing was done and resuming does nothing.
    #[must_use]
    pub const fn is_frozen(&self) -> bool {
        self.tracer.is_none()
    }

    /// How many threads are in an uninterruptible sleep: they do not run their program, but the
    /// kernel may still write the result of their system call.
    #[must_use]
    pub const fn uninterruptible(&self) -> usize {
        self.uninterruptible
    }

    /// Lets the process run again, and says how long it could not.
    pub fn resume(mut self) -> Duration {
        self.finish()
    }

    fn finish(&mut self) -> Duration {
        let Some(TracerThread { resume, thread }) = self.tracer.take() else {
            return Duration::ZERO;
        };
        drop(resume);
        thread.join().unwrap_or_default()
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Accepts a process that another tracer holds, if it holds all of its threads.
fn frozen_by(process: &Process, tracer: u32) -> Result<Paused, PauseError> {
    let pid = process.pid();
    let mut threads: Vec<Stat> =
        process.threads().into_iter().filter_map(|thread| Stat::read(thread).ok()).collect();
    threads.retain(|thread| !thread.is_dead());
    if threads.is_empty() {
        Err(PauseError::Gone { pid })
    } else if threads.iter().all(|thread| matches!(thread.state, 't' | 'T')) {
        Ok(Paused { tracer: None, uninterruptible: 0 })
    } else {
        Err(PauseError::TracedRunning { pid, tracer, name: permission::name_of(tracer) })
    }
}

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
struct Tracer {
    pid: u32,
    limit: Duration,
    start: Instant,
    threads: BTreeMap<i32, Thread>,
}

impl Tracer {
    fn new(pid: u32, limit: Duration) -> Self {
        Self { pid, limit, start: Instant::now(), threads: BTreeMap::new() }
    }

    /// Stops all threads; gives how many of them sleep uninterruptibly.
    fn stop_all(&mut self) -> Result<usize, PauseError> {
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

    fn count(&self, which: impl Fn(Thread) -> bool) -> usize {
        self.threads.values().filter(|&&thread| which(thread)).count()
    }

    fn running(&self) -> usize {
        self.count(|thread| matches!(thread, Thread::Running { .. }))
    }

    /// Seizes and interrupts the threads that are not yet; says whether there were any.
    fn seize_new(&mut self) -> Result<bool, PauseError> {
        let pid = self.pid;
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
            Err(error) => return self.refused(tid, error).map(|()| false),
        }
        self.threads.insert(tid, Thread::Running { since: Instant::now() });
        match ptrace::interrupt(thread) {
            // It is ending; the wait will say so.
            Ok(()) | Err(Errno::ESRCH) => Ok(true),
            Err(error) => Err(PauseError::System { pid: self.pid, source: error.into() }),
        }
    }

    /// Tells why a thread was not seized; ending threads are no error.
    fn refused(&self, tid: i32, error: Errno) -> Result<(), PauseError> {
        let pid = self.pid;
        if error != Errno::EPERM {
            return Err(PauseError::System { pid, source: error.into() });
        }
        let ended = u32::try_from(tid).is_ok_and(|tid| Stat::read(tid).is_ok_and(|s| s.is_dead()))
            || !std::path::Path::new(&format!("/proc/{pid}/task/{tid}")).exists();
        if ended {
            return Ok(());
        }
        let findings = permission::diagnose(Some(pid));
        let status = super::stat::Status::read(&format!("{pid}/task/{tid}")).unwrap_or_default();
        match status.tracer() {
            Some(tracer) => {
                let name = permission::name_of(tracer);
                Err(PauseError::TracedRunning { pid, tracer, name })
            }
            None => Err(PauseError::Denied { pid, findings }),
        }
    }

    /// Waits until each known thread has stopped, has ended, or cannot run.
    fn wait_for_all(&mut self) -> Result<(), PauseError> {
        let mut idle = Duration::ZERO;
        loop {
            while self.take_report()? {
                idle = Duration::ZERO;
            }
            self.examine_slow();
            let running = self.running();
            if running == 0 {
                return Ok(());
            }
            if self.start.elapsed() > self.limit {
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

    /// Takes one report of a tracee, if there is any.
    fn take_report(&mut self) -> Result<bool, PauseError> {
        let system = |error: Errno| PauseError::System { pid: self.pid, source: error.into() };
        match sys::wait_for_tracee().map_err(system)? {
            Wait::Nothing => return Ok(false),
            Wait::NoTracee => {
                self.threads.clear();
                return Ok(false);
            }
            Wait::Signal { tid, signal } => {
                self.threads.insert(tid, Thread::Stopped { signal });
            }
            Wait::Event { tid } => {
                self.threads.insert(tid, Thread::Stopped { signal: 0 });
            }
        }
        Ok(true)
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
                    // An exec waits until the other threads are gone altogether. The main thread
                    // is the process, whose end belongs to its parent: that may be us.
                    if number != pid {
                        sys::reap(tid);
                    }
                    false
                }
            }
        });
    }

    /// Detaches from all threads that stopped; the end of this thread detaches from the others.
    /// Gives how long it took from the first stop to here.
    fn resume_all(&mut self) -> Duration {
        // Those that stopped since: a signal that one of them is about to receive must be known.
        while self.take_report().unwrap_or(false) {}
        for (&tid, &thread) in &self.threads {
            if let Thread::Stopped { signal } = thread {
                // It can only fail because the thread was killed.
                let _ = sys::detach(tid, signal);
            }
        }
        self.start.elapsed()
    }
}
