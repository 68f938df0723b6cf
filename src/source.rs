//! Where heaps come from: a process, a core file or a snapshot file. What the command line asks of
//! the layers below, and nothing else.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::error::Error;
use crate::facts::InterpreterFacts;
pub use crate::facts::{PythonProcess, SharingFacts};
use crate::limits::Limits;
use crate::new_file::{self, Existing, NewFile};
use crate::record;
pub use crate::record::{Condition, Order, Plan, Recorded, Rule, Then};
use crate::recording::{self, Recording};
use crate::snapshot::{self, Snapshot, SnapshotError};
pub use crate::take::PauseMode;
use crate::take::{self, Outlook, TakeOptions};
pub use crate::target::Forecast;
pub use crate::target::core::CoreOptions;
pub use crate::target::permission::Finding;
use crate::top;
pub use crate::top::Plan as View;

/// A source of heaps.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    /// A live process.
    Pid(u32),
    /// A core file.
    Core {
        /// The file.
        core: PathBuf,
        /// How to read it.
        options: CoreOptions,
    },
    /// A snapshot file.
    File(PathBuf),
}

/// How to read a source.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Options {
    /// How the heap is made to stand still.
    pub pause: PauseMode,
    /// Give up rather than pause for longer.
    pub max_pause: Option<Duration>,
    /// Whether data values (texts, numbers) are kept.
    pub values: bool,
    /// Whether duplicate texts and bytes can be found in the result.
    pub contents: bool,
    /// Bounds on what a hostile target can make us do.
    pub limits: Limits,
}

impl Options {
    /// The same for the layer that takes snapshots.
    #[must_use]
    pub fn take(&self) -> TakeOptions {
        let Self { pause: mode, max_pause, values, contents, limits, .. } = *self;
        TakeOptions { mode, max_pause, values, contents, limits }
    }
}

impl Source {
    /// Reads the heap.
    ///
    /// # Errors
    /// The source is not there, is no Python, or may not be read.
    pub fn load(&self, options: &Options) -> Result<Snapshot, Error> {
        match self {
            Self::Pid(pid) => {
                let (facts, graph) = take::take(*pid, &options.take())?;
                Ok(Snapshot { facts, graph })
            }
            Self::Core { core, options: core_options } => {
                let (facts, graph) = take::take_core(core, core_options, &options.take())?;
                Ok(Snapshot { facts, graph })
            }
            Self::File(path) => Ok(snapshot::load(path)?),
        }
    }
}

/// Writes a snapshot file; one that is there is replaced only if `overwrite`.
///
/// # Errors
/// The file is there, or cannot be written.
pub fn save(snapshot: &Snapshot, path: &Path, overwrite: bool) -> Result<(), Error> {
    Ok(snapshot::save(snapshot, path, overwrite)?)
}

/// Writes a file of mode 0600, which appears under its name when it is complete, or not at all; one that is
/// there is replaced only if `overwrite`. Fails before `write` is called if the file cannot be made.
///
/// # Errors
/// The file is there, or cannot be written; and those of `write`.
pub fn create(
    path: &Path,
    overwrite: bool,
    write: &mut dyn FnMut(&mut dyn Write) -> Result<(), Error>,
) -> Result<(), Error> {
    let existing = if overwrite { Existing::Replace } else { Existing::Keep };
    let failed = |error| SnapshotError::making(path, error);
    let mut file = NewFile::create(path, existing).map_err(failed)?;
    let mut out = io::BufWriter::with_capacity(1 << 20, file.as_file());
    let written = write(&mut out).and_then(|()| out.flush().map_err(Error::Output));
    // What could not be written is not tried again.
    let _ = out.into_parts();
    written.map_err(|error| match error {
        Error::Output(source) => SnapshotError::Write { path: path.to_owned(), source }.into(),
        error => error,
    })?;
    Ok(file.publish().map_err(failed)?)
}

/// Records a process over time, until `stop` is set at the latest. `note` is called with what a person
/// should know meanwhile.
///
/// # Errors
/// The process cannot be recorded.
pub fn record(
    order: &Order,
    stop: &AtomicBool,
    note: &mut dyn FnMut(&str),
) -> Result<Vec<Recorded>, Error> {
    Ok(record::record(order, stop, note)?)
}

/// Shows a process on the terminal until somebody quits; this program is to end then.
///
/// # Errors
/// There is no terminal, or the process cannot be read or has ended, or a signal has ended the view.
pub fn show(view: &View) -> Result<(), Error> {
    top::run(view)
}

/// The recording in a file; nothing if the file is something else.
///
/// # Errors
/// The recording cannot be read.
pub fn recording(path: &Path) -> Result<Option<Recording>, Error> {
    if !recording::is_recording(path) {
        return Ok(None);
    }
    Ok(Some(recording::load(path)?))
}

/// The Python processes of this machine, by pid.
#[must_use]
pub fn processes() -> Vec<PythonProcess> {
    crate::processes::python_processes()
}

/// A process and its descendants.
#[must_use]
pub fn process_tree(pid: u32) -> Vec<u32> {
    crate::processes::tree(pid)
}

/// How much of a process's memory is its own, where that may be known.
#[must_use]
pub fn sharing(pid: u32) -> Option<SharingFacts> {
    crate::target::sharing(pid)
}

/// What `doctor` says of a process.
#[derive(Debug, Default)]
pub struct Diagnosis {
    /// What stands, or might stand, between us and its memory.
    pub findings: Vec<Finding>,
    /// The interpreter, if one was found.
    pub interpreter: Option<InterpreterFacts>,
    /// The binary that holds it, as the process sees it.
    pub binary: Option<String>,
    /// How much a snapshot would copy.
    pub forecast: Option<Forecast>,
    /// For how long `--pause cow` would stop it, or why it would be refused.
    pub cow: Option<Result<Duration, String>>,
    /// What a snapshot would fail with.
    pub failure: Option<Error>,
}

/// Looks at a process without stopping it.
#[must_use]
pub fn diagnose(pid: u32) -> Diagnosis {
    let Outlook { interpreter, binary, forecast, cow, failure } = Outlook::of(pid);
    Diagnosis {
        findings: crate::target::permission::diagnose(Some(pid)),
        interpreter,
        binary,
        forecast,
        cow: cow.map(|cow| cow.map_err(|refusal| refusal.to_string())),
        failure: failure.map(Error::from),
    }
}

/// How long a target that is stopped may take to run again when pyheap has to end.
const LET_GO: Duration = Duration::from_secs(1);

/// Gives up everything that is under way, for the program is about to end: targets run on, files that are half written
/// are removed, the terminal is as it was. The result keeps others from being begun.
#[must_use]
pub fn abandon() -> new_file::Abandoned {
    crate::target::held::let_all_go(LET_GO);
    top::give_back_terminal();
    new_file::abandon()
}

/// The word with which pyheap starts itself to guard a target that it makes fork.
pub use crate::target::cow::GUARDIAN;

/// Guards the target of another pyheap, which has started this one; gives whether all went well.
#[must_use]
pub fn guard(pid: u32, max_pause: Option<Duration>) -> bool {
    crate::target::cow::run_guardian(pid, max_pause)
}
