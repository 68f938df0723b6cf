//! `report`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::read::{ReadArgs, SelectArgs};

#[derive(Debug, Args)]
#[command(
    after_help = "The form follows from the ending of the file: .html or .svg.\n\nExamples:\n  pyheap report recording.parquet                   what it says, as `record` printed it\n  pyheap report recording.parquet -o memory.html\n  pyheap report recording.parquet -o lines.svg --view growth\n  pyheap report before.parquet after.parquet -o heap.html\n  pyheap report -p 4242 -o shop.html --where 'module=shop.*'"
)]
pub(crate) struct ReportArgs {
    /// A recording or a snapshot file, unless -p or -c is given; then a later snapshot file
    #[arg(value_name = "SOURCE|SOURCE2", num_args = 0..)]
    pub(crate) positional: Vec<String>,
    /// The page (.html) or picture (.svg) to write
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Replace the file if it is there
    #[arg(short, long)]
    pub(crate) force: bool,
    /// What a picture of a recording shows
    #[arg(long, value_enum, default_value = "memory", value_name = "VIEW")]
    pub(crate) view: View,
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
}

/// What a picture of a recording shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum View {
    /// Memory and types over time
    Memory,
    /// A flame graph of the growth that is still there
    Growth,
    /// A flame graph of the growth when memory was highest
    Peak,
}
