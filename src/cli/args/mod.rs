//! The grammar of the command line. No type of `clap` leaves this directory.

mod check;
mod diff;
mod export;
mod histogram;
mod holders;
mod machine;
mod memory;
mod objects;
mod orphans;
mod read;
mod record;
mod report;
mod stacks;
mod strings;
mod top;
mod values;

use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use check::CheckArgs;
pub(crate) use diff::DiffArgs;
pub(crate) use export::{ExportArgs, Format};
pub(crate) use histogram::{HeapArgs, HistogramArgs, SnapshotArgs};
pub(crate) use holders::{By, CyclesArgs, GarbageArgs, RetainedArgs, WhyArgs};
pub(crate) use machine::{DemoArgs, DoctorArgs};
pub(crate) use memory::MemoryArgs;
pub(crate) use objects::{ObjectsArgs, ShowArgs};
pub(crate) use orphans::OrphansArgs;
pub(crate) use read::{GroupKey, OutputArgs, SelectArgs, SourceArgs};
pub(crate) use record::RecordArgs;
pub(crate) use report::{ReportArgs, View};
pub(crate) use stacks::StacksArgs;
pub(crate) use strings::StringsArgs;
pub(crate) use top::TopArgs;

use crate::report::style::ColorChoice;

/// A heap profiler for running Python programs: what is alive, what grew, who holds it.
///
/// It reads the memory of the process from outside: nothing to install, nothing to import, no code
/// runs in the target.
#[derive(Debug, Parser)]
#[command(
    name = "pyheap",
    version,
    infer_subcommands = true,
    after_help = crate::cli::exit::HELP,
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
    /// Give up after this time, such as 30s (exit code 8); the target runs on, and nothing is left behind
    #[arg(long, global = true, value_name = "TIME", value_parser = values::duration)]
    pub(crate) timeout: Option<Duration>,
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
    /// Show what nothing known refers to: reference leaks and lost memory of C extensions
    Orphans(OrphansArgs),
    /// Show duplicate strings and bytes, and containers that cost more than what they hold
    Strings(StringsArgs),
    /// Show where the memory is, and whether it is Python at all
    Memory(MemoryArgs),
    /// Show what every thread does and waits for, and who holds the GIL
    Stacks(StacksArgs),
    /// Show what grew between snapshots, and who holds it
    Diff(DiffArgs),
    /// Record memory over time, and the lines that make it grow
    Record(RecordArgs),
    /// Show a process live: memory, what grows and who holds it
    Top(TopArgs),
    /// Write a recording or a heap as one page that needs no network, or as a picture
    Report(ReportArgs),
    /// Write a heap for another tool: Chrome DevTools, pprof, flame graphs, Graphviz, tables
    Export(ExportArgs),
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn the_grammar_is_consistent() {
        Cli::command().debug_assert();
    }
}
