//! The grammar of the command line. No type of `clap` leaves this directory.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::analysis::SortBy;
use crate::analysis::verdict::Rule;
use crate::report::style::ColorChoice;
use crate::source::{CoreOptions, Options, PauseMode};

/// A heap profiler for running Python programs: what is alive, what grew, who holds it.
///
/// It reads the memory of the process from outside: nothing to install, nothing to import, no code
/// runs in the target.
#[derive(Debug, Parser)]
#[command(
    name = "pyheap",
    version,
    infer_subcommands = true,
    after_help = super::exit::HELP,
    max_term_width = 100,
    disable_help_subcommand = true
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags of all commands.
#[derive(Debug, Args)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct Global {
    /// Colours
    #[arg(long, global = true, value_enum, default_value = "auto", value_name = "WHEN")]
    color: Color,
    /// Say nothing but results and errors
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Say what is done (-vv: more)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Any anomaly in the heap is a failure (exit code 1)
    #[arg(long, global = true)]
    pub(crate) strict: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

impl Global {
    pub(crate) fn color(&self) -> ColorChoice {
        match self.color {
            Color::Auto => ColorChoice::Auto,
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the Python processes of this machine, and which of them can be read
    Ps(OutputArgs),
    /// Take a snapshot: its histogram, and with -o a file to compare with later
    Snapshot(SnapshotArgs),
    /// Show how many objects of each type there are, and how big they are
    Histogram(HistogramArgs),
    /// List the objects of a type (--json: all of them, one a line)
    Objects(ObjectsArgs),
    /// Show one object: its size, its fields, and who refers to it
    Show(ShowArgs),
    /// Show what keeps objects alive: the shortest paths from roots, with names
    Why(WhyArgs),
    /// Show who retains how much: what would be freed with an object
    Retained(RetainedArgs),
    /// Show reference cycles, those that are garbage first
    Cycles(CyclesArgs),
    /// Show what gc.collect() would free now, without running it
    Garbage(GarbageArgs),
    /// Show what every thread does and waits for, and who holds the GIL
    Stacks(StacksArgs),
    /// Show what grew between snapshots, and who holds it
    Diff(DiffArgs),
    /// Hold a heap to rules: exit code 3 and the reason if one does not hold
    Check(CheckArgs),
    /// Say whether a process can be read, and what to do if not
    Doctor(DoctorArgs),
    /// Find a leak in a small program of our own
    Demo(DemoArgs),
    /// Print a completion script
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or that of a command
    Man {
        /// The command
        command: Option<String>,
    },
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
    /// Give up after this time (such as 30s)
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,
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
        Options {
            pause,
            max_pause: self.max_pause,
            timeout: self.timeout,
            values: self.values,
            ..Options::default()
        }
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

#[derive(Debug, Args)]
pub(crate) struct HeapArgs {
    /// A snapshot file, unless -p or -c is given
    #[arg(value_name = "SOURCE", num_args = 0..)]
    pub(crate) positional: Vec<String>,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// The process and all its descendants
    #[arg(short, long, requires = "pid")]
    pub(crate) subprocesses: bool,
    /// By what the types are sorted
    #[arg(long, value_enum, default_value = "bytes", value_name = "KEY")]
    sort: Sort,
    /// Print CSV
    #[arg(long, conflicts_with = "json")]
    pub(crate) csv: bool,
    #[command(flatten)]
    pub(crate) capture: CaptureArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Sort {
    Bytes,
    Count,
}

impl HeapArgs {
    pub(crate) const fn sort(&self) -> SortBy {
        match self.sort {
            Sort::Bytes => SortBy::Bytes,
            Sort::Count => SortBy::Count,
        }
    }
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  pyheap snapshot -p 4242\n  pyheap snapshot -p 4242 -o before.parquet\n  pyheap snapshot -p 4242 -s --json   the whole tree of workers"
)]
pub(crate) struct SnapshotArgs {
    #[command(flatten)]
    pub(crate) heap: HeapArgs,
    /// Write the snapshot to this file
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Replace the file if it is there
    #[arg(short, long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  pyheap histogram before.parquet\n  pyheap histogram -p 4242 --sort count -n 50"
)]
pub(crate) struct HistogramArgs {
    #[command(flatten)]
    pub(crate) heap: HeapArgs,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  pyheap objects before.parquet DataFrame   the biggest first\n  pyheap objects -p 4242 app.Session --json > sessions.jsonl"
)]
pub(crate) struct ObjectsArgs {
    /// A snapshot file, unless -p or -c is given; then a type, by the last parts of its name
    #[arg(value_name = "SOURCE|TYPE", num_args = 0..)]
    pub(crate) positional: Vec<String>,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    #[command(flatten)]
    pub(crate) capture: CaptureArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  pyheap show before.parquet 0x7f3a5c1b2e40")]
pub(crate) struct ShowArgs {
    /// A snapshot file, unless -p or -c is given; then an address (0x…)
    #[arg(value_name = "SOURCE|ADDRESS", num_args = 0..)]
    pub(crate) positional: Vec<String>,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    #[command(flatten)]
    pub(crate) capture: CaptureArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  pyheap why -p 4242 DataFrame\n  pyheap why before.parquet 0x7f3a5c1b2e40 --raw"
)]
pub(crate) struct WhyArgs {
    /// A snapshot file, unless -p or -c is given; then a type, by the last parts of its name, or an
    /// address (0x…)
    #[arg(value_name = "SOURCE|TYPE|ADDRESS", num_args = 0..)]
    pub(crate) positional: Vec<String>,
    /// Show every object on the way, dictionaries of instances too (of an address)
    #[arg(long)]
    pub(crate) raw: bool,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    #[command(flatten)]
    pub(crate) capture: CaptureArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// By what retained bytes are grouped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    /// Single objects, as a tree
    Object,
    /// The type
    Type,
    /// The module that defines the type
    Module,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  pyheap retained -p 4242\n  pyheap retained before.parquet 0x7f3a5c1b2e40\n  pyheap retained -p 4242 --by type"
)]
pub(crate) struct RetainedArgs {
    /// A snapshot file, unless -p or -c is given; then an address (0x…), below which to look
    #[arg(value_name = "SOURCE|ADDRESS", num_args = 0..)]
    pub(crate) positional: Vec<String>,
    /// By what bytes are told
    #[arg(long, value_enum, default_value = "object", value_name = "KEY")]
    pub(crate) by: By,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    #[command(flatten)]
    pub(crate) capture: CaptureArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  pyheap cycles -p 4242\n  pyheap cycles before.parquet --raw")]
pub(crate) struct CyclesArgs {
    /// A snapshot file, unless -p or -c is given
    #[arg(value_name = "SOURCE", num_args = 0..)]
    pub(crate) positional: Vec<String>,
    /// Show every object of a cycle, dictionaries of instances too
    #[arg(long)]
    pub(crate) raw: bool,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    #[command(flatten)]
    pub(crate) capture: CaptureArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  pyheap garbage -p 4242\n  pyheap garbage -c core.4242 --json --addresses"
)]
pub(crate) struct GarbageArgs {
    /// A snapshot file, unless -p or -c is given
    #[arg(value_name = "SOURCE", num_args = 0..)]
    pub(crate) positional: Vec<String>,
    /// With --json: the addresses of the objects that the collector would find unreachable
    #[arg(long, requires = "json")]
    pub(crate) addresses: bool,
    /// Print CSV
    #[arg(long, conflicts_with = "json")]
    pub(crate) csv: bool,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    #[command(flatten)]
    pub(crate) capture: CaptureArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  pyheap stacks -p 4242\n  pyheap stacks -p 4242 --locals --values\n  pyheap stacks -c core.4242"
)]
pub(crate) struct StacksArgs {
    /// A snapshot file, unless -p or -c is given
    #[arg(value_name = "SOURCE", num_args = 0..)]
    pub(crate) positional: Vec<String>,
    /// Show the local variables of each frame (--values: with their contents)
    #[arg(long)]
    pub(crate) locals: bool,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    #[command(flatten)]
    pub(crate) capture: CaptureArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Objects are compared by address and type. The allocator reuses addresses, so `new` and `gone`\n\
are the fewest that it can have been.\n\nExamples:\n  pyheap diff before.parquet after.parquet\n  pyheap diff before.parquet -p 4242\n  pyheap diff -p 4242 --interval 30s --times 5"
)]
pub(crate) struct DiffArgs {
    /// Snapshot files, oldest first
    #[arg(value_name = "FILE", num_args = 0..)]
    pub(crate) files: Vec<String>,
    /// A process (given twice: two processes)
    #[arg(short, long, value_name = "PID", value_parser = pid)]
    pub(crate) pid: Vec<u32>,
    /// Time between the snapshots of the process (such as 30s)
    #[arg(long, value_name = "TIME", value_parser = duration, requires = "pid")]
    pub(crate) interval: Option<Duration>,
    /// How many intervals
    #[arg(long, value_name = "N", default_value_t = 1, requires = "interval",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) times: u32,
    /// Print CSV
    #[arg(long, conflicts_with = "json")]
    pub(crate) csv: bool,
    #[command(flatten)]
    pub(crate) capture: CaptureArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Args)]
#[command(
    after_help = "A type without objects has none of them: that is no error.\n\nExamples:\n  pyheap check -p 4242 --max app.Session=1000\n  pyheap check -p 4242 before.parquet --max-growth Session=0 --max-garbage 50M"
)]
pub(crate) struct CheckArgs {
    /// A snapshot file, unless -p or -c is given; then a snapshot file from before
    #[arg(value_name = "SOURCE|BASELINE", num_args = 0..)]
    pub(crate) positional: Vec<String>,
    /// At most so many objects of a type
    #[arg(long, value_name = "TYPE=N", value_parser = type_limit)]
    max: Vec<(String, u64)>,
    /// At most so many objects of a type more than in the baseline
    #[arg(long, value_name = "TYPE=N", value_parser = type_limit)]
    pub(crate) max_growth: Vec<(String, u64)>,
    /// At most so many bytes that wait for the collector (such as 50M)
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    max_garbage: Option<u64>,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    #[command(flatten)]
    pub(crate) capture: CaptureArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

impl CheckArgs {
    pub(crate) fn rules(&self) -> Vec<Rule> {
        let max = self.max.iter().cloned();
        let max = max.map(|(type_name, objects)| Rule::Max { type_name, objects });
        let growth = self.max_growth.iter().cloned();
        let growth = growth.map(|(type_name, objects)| Rule::MaxGrowth { type_name, objects });
        max.chain(growth).chain(self.max_garbage.map(|bytes| Rule::MaxGarbage { bytes })).collect()
    }
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  pyheap doctor\n  pyheap doctor 4242")]
pub(crate) struct DoctorArgs {
    /// A process
    #[arg(value_name = "PID", value_parser = pid, conflicts_with = "pid")]
    pub(crate) process: Option<u32>,
    /// A process
    #[arg(short, long, value_name = "PID", value_parser = pid)]
    pub(crate) pid: Option<u32>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  pyheap demo\n  pyheap demo --python /usr/bin/python3.12")]
pub(crate) struct DemoArgs {
    /// The Python to run the program with
    #[arg(long, value_name = "PROGRAM", default_value = "python3")]
    pub(crate) python: PathBuf,
}

/// Reads a process id, decimal or hexadecimal.
fn pid(text: &str) -> Result<u32, String> {
    let number = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number.ok().filter(|&pid| pid > 0).ok_or_else(|| "not a process id".to_owned())
}

/// Reads `TYPE=N`.
fn type_limit(text: &str) -> Result<(String, u64), String> {
    let (name, limit) = text.rsplit_once('=').ok_or_else(|| "not TYPE=N".to_owned())?;
    let limit = limit.parse().map_err(|_| format!("{limit} is no number"))?;
    if name.is_empty() { Err("not TYPE=N".to_owned()) } else { Ok((name.to_owned(), limit)) }
}

/// Reads a size: a number and `K`, `M` or `G` (powers of 1024), also with `iB` or `B` behind.
fn bytes(text: &str) -> Result<u64, String> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end).unwrap_or((text, ""));
    let unit = unit.trim_end_matches('B').trim_end_matches('i');
    let shift = match unit {
        "" => 0,
        "K" | "k" => 10,
        "M" => 20,
        "G" => 30,
        _ => return Err("a size is a number and K, M or G".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "not a size".to_owned())?;
    number.checked_mul(1 << shift).ok_or_else(|| "too large".to_owned())
}

/// Reads a time: a number and `ms`, `s`, `m` or `h`; a bare number is seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end).unwrap_or((text, ""));
    let scale = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return Err("a time is a number and ms, s, m or h".to_owned()),
    };
    let seconds: f64 = number.parse().map_err(|_| "not a time".to_owned())?;
    Duration::try_from_secs_f64(seconds * scale).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_grammar_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn pids_are_decimal_or_hexadecimal() {
        assert_eq!((pid("4242"), pid("0x1092")), (Ok(4242), Ok(4242)));
        assert!(pid("0").is_err() && pid("-1").is_err() && pid("app").is_err());
    }

    #[test]
    fn sizes_have_units_and_limits_have_types() {
        assert_eq!(
            (bytes("512"), bytes("50M"), bytes("2GiB")),
            (Ok(512), Ok(50 << 20), Ok(2 << 30))
        );
        assert!(
            bytes("big").is_err() && bytes("5T").is_err() && bytes("99999999999999999999").is_err()
        );
        assert_eq!(type_limit("app.A=3"), Ok(("app.A".to_owned(), 3)));
        assert!(
            type_limit("app.A").is_err() && type_limit("=3").is_err() && type_limit("A=x").is_err()
        );
    }

    #[test]
    fn times_have_units() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1.5m"), Ok(Duration::from_secs(90)));
        assert!(duration("soon").is_err() && duration("3d").is_err() && duration("").is_err());
    }
}
