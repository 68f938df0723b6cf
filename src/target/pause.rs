//! Stopping all threads of a process, and letting them run again whatever happens.
//!
//! A thread of our own does all the tracing and nothing else. The kernel detaches the tracees of
//! a thread that ends, also when all of pyheap is killed, and also those that it could not stop:
//! a thread that was in an uninterruptible sleep can therefore not be left behind, waiting for a
//! tracer that is busy elsewhere.

use super::Failure;
use super::held::{self, Hold};
use super::permission::{self, Finding};
use super::process::Process;
use super::stat::Stat;
use super::tracer::Tracer;
use nix::errno::Errno;
use nix::sys::ptrace;
use nix::unistd::Pid;
use std::io;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

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
        let hold = Hold::new(resume.clone());
        let thread = thread::Builder::new().name("tracer".to_owned());
        let thread = thread.spawn(move || {
            let mut tracer = Tracer::new(pid, limit);
            let stopped = tracer.stop_all();
            let succeeded = stopped.is_ok();
            if report.send(stopped).is_ok() && succeeded {
                // An error would mean that the other ends were dropped: the same order.
                let _ = resumed.recv();
            }
            let held_for = tracer.resume_all();
            drop(hold);
            held_for
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
        // One that has ended already is not there to hear it.
        let _ = resume.send(());
        let held_for = thread.join().unwrap_or_default();
        held::stay_if_ending();
        held_for
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
