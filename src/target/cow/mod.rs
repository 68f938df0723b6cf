//! A frozen copy of a process at the price of a fork: the target is made to fork by a system call
//! that one of its threads is made to do, and runs on; its child, which never runs, is read.
//!
//! No memory of the target is written. `call` has how a thread makes a call, `guardian` who makes
//! it do so and cleans up whatever happens, `refusal` when it is not done.

#[cfg(target_arch = "x86_64")]
mod call;
#[cfg(target_arch = "x86_64")]
mod guardian;
mod message;
mod refusal;
mod smaps;

use super::Failure;
use super::permission::{self, Finding};
use super::process::{AttachError, Process};
use crate::addr::AddrRange;
#[cfg(target_arch = "x86_64")]
pub use guardian::run as run_guardian;
use message::Message;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
pub use refusal::{Outlook, Refusal, examine, predicted_pause};
use std::io::{self, BufRead, BufReader};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// There is no way yet to make a thread of this architecture do a system call.
#[cfg(not(target_arch = "x86_64"))]
#[must_use]
pub fn run_guardian(_: u32, _: Option<Duration>) -> bool {
    false
}

/// The word with which pyheap is started as a guardian; the process follows it, and the longest pause in microseconds if
/// there is a limit.
pub const GUARDIAN: &str = "__guardian";

/// How long the guardian may take for a fork or for cleaning up, besides what was foretold.
const GUARDIAN_LIMIT: Duration = Duration::from_secs(60);

/// Why there is no frozen child. The target runs on in every case.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CowError {
    /// It could harm the target.
    #[error("process {pid} is not made to fork: {reason}")]
    Refused {
        /// The process.
        pid: u32,
        /// Why not.
        reason: Refusal,
    },
    /// The kernel refuses.
    #[error("not permitted to trace process {pid} for a fork")]
    Denied {
        /// The process.
        pid: u32,
        /// What was checked to find the reason.
        findings: Vec<Finding>,
    },
    /// The target has ended, or runs another program.
    #[error("process {pid} has ended, or runs another program")]
    Gone {
        /// The process.
        pid: u32,
    },
    /// The child had to be ended before it was read.
    #[error("the fork of process {pid} had to be ended: {reason}")]
    Ended {
        /// The process.
        pid: u32,
        /// Why.
        reason: String,
    },
    /// The guardian did not do its part.
    #[error("cannot make process {pid} fork ({what})")]
    System {
        /// The process.
        pid: u32,
        /// What was tried.
        what: String,
        /// The error.
        #[source]
        source: io::Error,
    },
}

impl CowError {
    /// What this failure means.
    #[must_use]
    pub const fn failure(&self) -> Failure {
        match self {
            Self::Refused { .. } | Self::Ended { .. } => Failure::Refused,
            Self::Denied { .. } => Failure::Permission,
            Self::Gone { .. } => Failure::Gone,
            Self::System { .. } => Failure::Other,
        }
    }
}

/// What the target's stops have cost it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Stops {
    /// For how long it could not run. For the last of them that was only one of its threads.
    pub time: Duration,
    /// How many there were.
    pub count: u32,
    /// Whether the target has a zombie for a child now, until it ends.
    pub zombie: bool,
}

/// The child of a target, as the target was when it was made. It is ended when this is dropped.
#[derive(Debug)]
#[must_use = "the child is ended when this is dropped"]
pub struct FrozenChild {
    target: u32,
    guardian: Child,
    /// What the guardian waits for.
    order: Option<ChildStdin>,
    told: BufReader<ChildStdout>,
    child: u32,
    stops: Stops,
    not_saved: Vec<AddrRange>,
}

impl FrozenChild {
    /// Makes a process fork.
    ///
    /// # Errors
    /// It must not fork, or tracing it is not permitted. It runs as before.
    pub fn fork(process: &Process, max_pause: Option<Duration>) -> Result<Self, CowError> {
        Self::fork_by(Path::new("/proc/self/exe"), process, max_pause)
    }

    /// The same with a guardian other than this program.
    ///
    /// # Errors
    /// As [`FrozenChild::fork`].
    pub fn fork_by(
        guardian: &Path,
        process: &Process,
        max_pause: Option<Duration>,
    ) -> Result<Self, CowError> {
        let pid = process.pid();
        let system = |what: &str| {
            let what = what.to_owned();
            move |source| CowError::System { pid, what, source }
        };
        let outlook =
            examine(process, max_pause).map_err(|reason| CowError::Refused { pid, reason })?;
        let mut guardian = Command::new(guardian)
            .args([GUARDIAN, &pid.to_string()])
            .args(
                max_pause
                    .map(|limit| u64::try_from(limit.as_micros()).unwrap_or(u64::MAX).to_string()),
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(system("start the guardian"))?;
        let pipes = guardian.stdin.take().zip(guardian.stdout.take());
        let no_pipe = || io::Error::from(io::ErrorKind::BrokenPipe);
        let (order, told) = pipes.ok_or_else(no_pipe).map_err(system("start the guardian"))?;
        let mut frozen = Self {
            target: pid,
            guardian,
            order: Some(order),
            told: BufReader::new(told),
            child: 0,
            stops: Stops::default(),
            not_saved: outlook.not_saved,
        };
        match frozen.next_message(outlook.pause * 4)? {
            Message::Forked { child, seconds, stops } => {
                frozen.child = child;
                frozen.stops.time = Duration::try_from_secs_f64(seconds).unwrap_or_default();
                frozen.stops.count = stops;
                Ok(frozen)
            }
            Message::Refused { reason } => Err(CowError::Refused { pid, reason: Refusal(reason) }),
            Message::Denied => {
                Err(CowError::Denied { pid, findings: permission::diagnose(Some(pid)) })
            }
            Message::Gone => Err(CowError::Gone { pid }),
            Message::Failed { what, errno } => {
                Err(CowError::System { pid, what, source: Errno::from_raw(errno).into() })
            }
            Message::Ended { early, .. } => Err(CowError::Ended { pid, reason: early }),
        }
    }

    /// The child. Its memory is read without copying the pages that it shares with the target.
    ///
    /// # Errors
    /// It is gone, or may not be read.
    pub fn process(&self) -> Result<Process, AttachError> {
        Process::open_shared(self.child)
    }

    /// What its fork has cost the target.
    #[must_use]
    pub const fn stops(&self) -> Stops {
        self.stops
    }

    /// What of the target's memory the child does not have as it was.
    #[must_use]
    pub fn not_saved(&self) -> &[AddrRange] {
        &self.not_saved
    }

    /// Ends the child, and says what all this has cost the target.
    ///
    /// # Errors
    /// It had to be ended before.
    pub fn end(mut self) -> Result<Stops, CowError> {
        self.order = None;
        let pid = self.target;
        match self.next_message(Duration::ZERO)? {
            Message::Ended { seconds, early, zombie } if early.is_empty() => {
                let Stops { time, count, .. } = self.stops;
                let time = time + Duration::try_from_secs_f64(seconds).unwrap_or_default();
                Ok(Stops { time, count: count + 1, zombie })
            }
            Message::Ended { early, .. } => Err(CowError::Ended { pid, reason: early }),
            _ => Err(CowError::Gone { pid }),
        }
    }

    /// The next line of the guardian.
    fn next_message(&mut self, foretold: Duration) -> Result<Message, CowError> {
        let pid = self.target;
        let system =
            |source| CowError::System { pid, what: "hear of the guardian".to_owned(), source };
        let deadline = Instant::now() + GUARDIAN_LIMIT + foretold;
        while self.told.buffer().is_empty() {
            let left = deadline.saturating_duration_since(Instant::now()).as_millis();
            let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            let mut watched = [PollFd::new(self.told.get_ref().as_fd(), PollFlags::POLLIN)];
            match poll(&mut watched, left) {
                Ok(0) => return Err(system(io::ErrorKind::TimedOut.into())),
                Ok(_) => break,
                Err(Errno::EINTR) => {}
                Err(error) => return Err(system(error.into())),
            }
        }
        let mut line = String::new();
        self.told.read_line(&mut line).map_err(system)?;
        serde_json::from_str(&line).map_err(|error| system(error.into()))
    }
}

impl Drop for FrozenChild {
    fn drop(&mut self) {
        // The guardian cleans up when this pipe closes, and ends. One that hangs in the kernel does so
        // without us.
        self.order = None;
        let start = Instant::now();
        while start.elapsed() < GUARDIAN_LIMIT && matches!(self.guardian.try_wait(), Ok(None)) {
            thread::sleep(Duration::from_micros(200));
        }
    }
}
