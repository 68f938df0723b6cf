//! Why a command failed, with what exit code, and what the person can do.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::analysis::{GroupError, LookupError};
use crate::cpython::discovery::DiscoveryError;
use crate::record::RecordError;
use crate::recording::RecordingError;
use crate::snapshot::SnapshotError;
use crate::take::TakeError;
use crate::target::{
    AttachError, CoreError, CowError, Failure, Finding, PauseError, called_inside,
};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The arguments make no sense together.
    #[error("{message}")]
    Usage {
        /// What is wrong.
        message: String,
        /// What was probably meant.
        hint: Option<String>,
    },
    /// A type or address names nothing, or too much.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// The heap does not say what objects are to be grouped by.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// There is no process, or none with an interpreter in it.
    #[error("{0}")]
    NotPython(String),
    /// The system does not let us.
    #[error("{message}")]
    Permission {
        /// What was refused.
        message: String,
        /// The command that would help.
        fix: Option<String>,
    },
    /// The interpreter is of a version or build that is not known.
    #[error("{0}")]
    Unsupported(String),
    /// The target ended while it was read.
    #[error("process {0} has ended")]
    Gone(u32),
    /// The target runs another program than it did.
    #[error("process {0} runs another program now")]
    Replaced(u32),
    /// A signal has ended us.
    #[error("ended by signal {0}")]
    Signal(i32),
    /// Going on could harm the target, or would exceed a limit that was set.
    #[error("{0}")]
    Refused(String),
    /// `--timeout`, and the time is over.
    #[error("gave up after {limit:?} (--timeout){}", reading.as_ref().map(|what| format!(", while reading {what}")).unwrap_or_default())]
    Timeout {
        /// The time allowed.
        limit: Duration,
        /// What was being read.
        reading: Option<String>,
    },
    /// This version of pyheap cannot do it.
    #[error("{0} is not supported by this version of pyheap")]
    NotSupported(&'static str),
    /// A process could not be read.
    #[error(transparent)]
    Take(#[from] TakeError),
    /// A snapshot file could not be read or written.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// A process could not be recorded.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A recording could not be read or written.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// `doctor` found that a process cannot be read, and has said why.
    #[error("process {pid} cannot be read, as reported")]
    Unreadable {
        /// The process.
        pid: u32,
        /// The exit code of a snapshot.
        code: u8,
    },
    /// Something with a file went wrong.
    #[error("{}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// The output file is there already.
    #[error("{} exists", .0.display())]
    Exists(PathBuf),
    /// The result could not be written.
    #[error("cannot write the result: {0}")]
    Output(#[from] io::Error),
    /// Rules of `check` do not hold.
    #[error("{failed} of {rules} rules do not hold")]
    Check {
        /// How many.
        failed: usize,
        /// Of how many.
        rules: usize,
    },
    /// `--strict`, and the heap has anomalies.
    #[error("{0} anomalies (--strict)")]
    Anomalies(u64),
    /// The program that `demo` starts did not do its part.
    #[error("the demonstration failed: {0}")]
    Demo(String),
}

impl Error {
    /// A wrong use, with what was probably meant.
    #[must_use]
    pub fn usage(message: impl Into<String>, hint: Option<&str>) -> Self {
        Self::Usage { message: message.into(), hint: hint.map(str::to_owned) }
    }

    /// The exit code of the contract.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage { .. } | Self::Lookup(_) => 2,
            Self::Check { .. } => 3,
            Self::NotPython(_) => 4,
            Self::Permission { .. } => 5,
            Self::Unsupported(_) => 6,
            Self::Gone(_) | Self::Replaced(_) => 7,
            // As a shell says it.
            Self::Signal(signal) => u8::try_from(*signal).unwrap_or(0).saturating_add(128),
            Self::Refused(_) | Self::Timeout { .. } => 8,
            Self::Take(error) | Self::Record(RecordError::Take(error)) => take_exit_code(error),
            Self::Record(RecordError::OtherProcess { .. }) => 2,
            Self::Unreadable { code, .. } => *code,
            Self::NotSupported(_)
            | Self::Group(_)
            | Self::Snapshot(_)
            | Self::Record(_)
            | Self::Recording(_)
            | Self::File { .. }
            | Self::Exists(_)
            | Self::Output(_)
            | Self::Anomalies(_)
            | Self::Demo(_) => 1,
        }
    }

    /// What the person can do.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Usage { hint, .. } => hint.clone(),
            Self::Permission { fix, .. } => fix.clone(),
            Self::Exists(_) => Some("-f overwrites it".to_owned()),
            Self::Lookup(LookupError::NoType { similar, .. }) if !similar.is_empty() => {
                Some(format!("similar: {}", similar.join(", ")))
            }
            Self::Lookup(LookupError::Ambiguous { .. }) => {
                Some("give more components of the name".to_owned())
            }
            Self::Group(GroupError::NoLines) => Some(
                "start the program with python -X tracemalloc, or call tracemalloc.start()"
                    .to_owned(),
            ),
            Self::Take(error) | Self::Record(RecordError::Take(error)) => take_hint(error),
            Self::Snapshot(error) => error.hint().map(str::to_owned),
            Self::Recording(RecordingError::Write { source, .. })
                if source.kind() == io::ErrorKind::StorageFull =>
            {
                Some("free some space, or name a file on another disk".to_owned())
            }
            Self::NotPython(_) => Some("pyheap ps lists the Python processes".to_owned()),
            _ => None,
        }
    }

    /// Whether the reader of our output went away, which is no failure.
    #[must_use]
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// The exit code for a failed snapshot of a process.
fn take_exit_code(error: &TakeError) -> u8 {
    let failure = match error {
        TakeError::Attach(error) => error.failure(),
        TakeError::Pause(error) => error.failure(),
        TakeError::Cow(error) => error.failure(),
        TakeError::Capture(error) => error.failure(),
        TakeError::Core(error) => error.failure(),
        TakeError::Gone(_) => Failure::Gone,
        TakeError::Discovery(DiscoveryError::NotFound(_)) => Failure::NotPython,
        TakeError::Discovery(
            DiscoveryError::Unsupported(_)
            | DiscoveryError::PyPy { .. }
            | DiscoveryError::Unrecognised { .. },
        ) => return 6,
        TakeError::Discovery(DiscoveryError::Tables(_)) => Failure::Other,
    };
    match failure {
        Failure::NotPython => 4,
        Failure::Permission => 5,
        Failure::Gone => 7,
        Failure::Refused => 8,
        Failure::Other => 1,
    }
}

/// What is left where a process may not be stopped, but be read.
const READABLE: &str =
    "its memory can be read all the same: --pause none does, and says how much is torn";

/// What helps after a failed snapshot of a process.
fn take_hint(error: &TakeError) -> Option<String> {
    match error {
        TakeError::Attach(AttachError::Denied { findings, .. }) => Some(fixes(findings)),
        // Its memory was open by then.
        TakeError::Pause(PauseError::Denied { findings, .. }) => {
            Some(format!("{}\n{READABLE}", fixes(findings)))
        }
        TakeError::Cow(CowError::Denied { findings, .. }) => {
            Some(format!("{}\n{READABLE}", fixes(findings)))
        }
        TakeError::Pause(PauseError::TracedRunning { .. }) => Some(READABLE.to_owned()),
        TakeError::Cow(error) if error.failure() == Failure::Refused => Some(
            "--pause stop works without a fork: the target stands still while it is copied".into(),
        ),
        TakeError::Attach(AttachError::NoSuchProcess { pid })
            if !called_inside(*pid).is_empty() =>
        {
            Some(inside(*pid))
        }
        TakeError::Attach(error) if error.failure() == Failure::NotPython => {
            Some("pyheap ps lists the Python processes".to_owned())
        }
        TakeError::Core(CoreError::OtherProgram(_)) => {
            Some("--exe names the very Python that crashed; `file CORE` says which".to_owned())
        }
        TakeError::Discovery(DiscoveryError::NotFound(_)) => {
            Some("pyheap ps lists the Python processes".to_owned())
        }
        TakeError::Discovery(error) => error.advice().map(str::to_owned),
        _ => None,
    }
}

/// Which processes have a number in a container.
fn inside(pid: u32) -> String {
    let lines: Vec<String> = called_inside(pid)
        .into_iter()
        .map(|outside| {
            format!("-p {outside} is process {pid} inside its container (pid namespace)")
        })
        .collect();
    lines.join("\n")
}

/// The causes that were found, each with what fixes it.
fn fixes(findings: &[Finding]) -> String {
    let lines: Vec<String> = findings
        .iter()
        .filter(|finding| !finding.ok)
        .map(|finding| match &finding.fix {
            Some(fix) => format!("{}: {fix}", finding.what),
            None => finding.what.clone(),
        })
        .collect();
    lines.join("\n")
}
