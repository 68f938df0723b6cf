//! Which heap a command reads, how it reads it, and how it shows the result.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::values::{duration, pid};
use crate::source::{CoreOptions, Options, PauseMode};

/// What all commands have that read one heap.
#[derive(Debug, Args)]
pub(crate) struct ReadArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    #[command(flatten)]
    pub(crate) capture: CaptureArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Whether a tree of processes is read.
#[derive(Debug, Args)]
pub(crate) struct TreeArgs {
    /// The process and all its descendants, one after the other
    #[arg(short, long, requires = "pid")]
    pub(crate) subprocesses: bool,
}

/// Which heap.
#[derive(Debug, Args)]
pub(crate) struct SourceArgs {
    /// A process, by its id (decimal or 0x…)
    #[arg(short, long, value_name = "PID", value_parser = pid)]
    pub(crate) pid: Option<u32>,
    /// A core file
    #[arg(short, long, value_name = "CORE", conflicts_with = "pid")]
    pub(crate) core: Option<PathBuf>,
    /// The Python program that the core file is of
    #[arg(long, value_name = "PYTHON", requires = "core")]
    exe: Option<PathBuf>,
    /// Where the binaries are that the core file names, if it comes from another machine
    #[arg(long, value_name = "DIR", requires = "core")]
    lib_search_root: Vec<PathBuf>,
    /// Where a compressed core file is unpacked
    #[arg(long, value_name = "DIR", requires = "core")]
    temp_dir: Option<PathBuf>,
}

impl SourceArgs {
    pub(crate) fn core_options(&self) -> CoreOptions {
        CoreOptions {
            exe: self.exe.clone(),
            lib_search_roots: self.lib_search_root.clone(),
            temp_dir: self.temp_dir.clone(),
        }
    }
}

/// How to read it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Reading a process")]
pub(crate) struct CaptureArgs {
    /// How the heap is made to stand still
    #[arg(long, value_enum, default_value = "stop", value_name = "MODE")]
    pause: Pause,
    /// Do not pause the target (same as --pause none)
    #[arg(long, alias = "no-block", conflicts_with = "pause")]
    nonblocking: bool,
    /// Give up rather than pause the target for longer (such as 500ms)
    #[arg(long, value_name = "TIME", value_parser = duration)]
    max_pause: Option<Duration>,
    /// Keep and show data values (texts, numbers); without it only names from code are
    #[arg(long)]
    values: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Pause {
    /// Stop every thread while its memory is copied
    Stop,
    /// Fork the target and read the child
    Cow,
    /// Read while it runs
    None,
}

impl CaptureArgs {
    pub(crate) fn options(&self) -> Options {
        let pause = match self.pause {
            _ if self.nonblocking => PauseMode::None,
            Pause::Stop => PauseMode::Stop,
            Pause::Cow => PauseMode::Cow,
            Pause::None => PauseMode::None,
        };
        let Self { max_pause, values, .. } = *self;
        Options { pause, max_pause, values, ..Options::default() }
    }
}

/// How to show the result.
#[derive(Debug, Args)]
#[command(next_help_heading = "Showing the result")]
pub(crate) struct OutputArgs {
    /// Print JSON, complete whatever -n says
    #[arg(long)]
    pub(crate) json: bool,
    /// How many rows to show
    #[arg(short = 'n', long, default_value_t = 20, value_name = "ROWS")]
    pub(crate) limit: usize,
    /// Never shorten names
    #[arg(long)]
    pub(crate) full_names: bool,
}

/// Which objects are meant.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Which objects")]
pub(crate) struct SelectArgs {
    /// Only objects for which this holds, such as 'type=*.DataFrame and bytes>=1M' (columns: type,
    /// module, shallow, buffers, bytes, retained, refcount, generation, address, label, root, holder,
    /// thread, line, tracked, frozen, immortal, garbage)
    #[arg(long = "where", value_name = "FILTER")]
    pub(crate) filter: Option<String>,
}

/// By what objects are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum GroupKey {
    /// The type
    Type,
    /// The module that defines the type
    Module,
    /// The line that allocated them (needs tracemalloc in the target)
    Line,
    /// What the shortest path to them begins with
    Root,
    /// The thread that holds them
    Thread,
}
