//! `snapshot` and `histogram`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::read::{GroupKey, ReadArgs, SelectArgs, TreeArgs};
use crate::analysis::SortBy;

#[derive(Debug, Args)]
pub(crate) struct HeapArgs {
    /// A snapshot file, unless -p or -c is given
    #[arg(value_name = "SOURCE", num_args = 0..)]
    pub(crate) positional: Vec<String>,
    #[command(flatten)]
    pub(crate) tree: TreeArgs,
    /// By what the types are sorted
    #[arg(long, value_enum, default_value = "bytes", value_name = "KEY")]
    sort: Sort,
    /// What is counted together
    #[arg(long, value_enum, default_value = "type", value_name = "KEY")]
    pub(crate) by: GroupKey,
    /// Print CSV
    #[arg(long, conflicts_with = "json")]
    pub(crate) csv: bool,
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
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
    after_help = "Examples:\n  pyheap snapshot -p 4242\n  pyheap snapshot -p 4242 -o before.parquet\n  pyheap snapshot -p 4242 -s -o tree.parquet   a file for each worker: tree.4243.parquet …"
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
    after_help = "Examples:\n  pyheap histogram before.parquet\n  pyheap histogram -p 4242 --sort count -n 50\n  pyheap histogram -p 4242 --by module --where 'bytes>=1K and not frozen'"
)]
pub(crate) struct HistogramArgs {
    #[command(flatten)]
    pub(crate) heap: HeapArgs,
}
