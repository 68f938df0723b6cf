//! `diff`.

use std::time::Duration;

use clap::Args;

use super::read::{CaptureArgs, GroupKey, OutputArgs, SelectArgs};
use super::values::{duration, pid};

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
    /// What is counted together
    #[arg(long, value_enum, default_value = "type", value_name = "KEY")]
    pub(crate) by: GroupKey,
    /// Print CSV
    #[arg(long, conflicts_with = "json")]
    pub(crate) csv: bool,
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    #[command(flatten)]
    pub(crate) capture: CaptureArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}
