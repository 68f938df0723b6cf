//! Recording: a process is watched over time. It is stopped only for a census; all else is read while it
//! runs.

mod census;
mod clock;
pub mod condition;
mod flush;
mod metrics;
mod sampler;
mod session;
mod tree;
mod trigger;
mod watched;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::time::Duration;

use clock::SystemClock;
pub use condition::Condition;
use metrics::Board;
pub use session::Plan;
use session::{Session, unix_time};
pub use tree::{Order, Recorded, record};
pub use trigger::{Rule, Then};
use watched::Live;

use crate::recording::{self, EventKind, Recording, RecordingError};
use crate::take::{TakeError, TakeOptions};
use crate::target::capture::be_the_first_to_go;

/// Why there is no recording.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The process cannot be read.
    #[error(transparent)]
    Take(#[from] TakeError),
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] RecordingError),
    /// Nobody can be answered at the address.
    #[error("cannot answer at {address}: {source}")]
    Address {
        /// The address.
        address: std::net::SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The recording that is to go on is of another process.
    #[error("{} is the recording of process {before}, and not of this process {now}", file.display())]
    OtherProcess {
        /// The file.
        file: std::path::PathBuf,
        /// The process that it is of.
        before: u32,
        /// The process that was asked for.
        now: u32,
    },
}

/// A recording that is ready to run.
struct Recorder {
    target: Live,
    recording: Recording,
    offset: Duration,
}

impl Recorder {
    /// Opens a process; nothing is recorded yet. With `resume`, the recording in that file goes on.
    fn open(
        pid: u32,
        options: TakeOptions,
        garbage: bool,
        resume: Option<&Path>,
        sharers: Arc<AtomicUsize>,
    ) -> Result<Self, RecordError> {
        be_the_first_to_go();
        let (target, mut head) = Live::open(pid, options, garbage, sharers)?;
        let Some(file) = resume else {
            head.started_at = unix_time();
            return Ok(Self { target, recording: Recording::new(head), offset: Duration::ZERO });
        };
        let mut recording = recording::load(file)?;
        if !recording.head.process.is_same_process(&head.process) {
            let (file, before) = (file.to_owned(), recording.head.process.pid);
            return Err(RecordError::OtherProcess { file, before, now: pid });
        }
        // Time goes on as if there had been no break, but never back.
        let since = (unix_time() - recording.head.started_at).max(recording.head.seconds);
        let offset = Duration::try_from_secs_f64(since).unwrap_or_default();
        let text = format!("after a break of {:.1} s", since - recording.head.seconds);
        recording.events.push(since, EventKind::Resumed, text);
        recording.head.finished = false;
        Ok(Self { target, recording, offset })
    }

    /// Which process is recorded, in words.
    fn describe(&self) -> String {
        let head = &self.recording.head;
        let command = head.command.join(" ");
        let version = &head.interpreter.version;
        format!("recording process {} (Python {version})  {command}", head.process.pid)
    }

    /// Records until the plan is fulfilled, the process ends, or `stop` is set. What was recorded is
    /// given back in every case, with why not all of it could be written, if so.
    fn run(
        mut self,
        plan: &Plan,
        board: Option<Board>,
        stop: &AtomicBool,
    ) -> (Recording, Result<(), RecordingError>) {
        let mut clock = SystemClock::start();
        let target = &mut self.target;
        Session::new(&mut clock, target, plan, self.recording, self.offset).on(board).run(stop)
    }
}
