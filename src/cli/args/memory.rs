//! `memory`.

use clap::Args;

use super::read::{ReadArgs, TreeArgs};

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  pyheap memory -p 4242\n  pyheap memory -p 4242 -s   a table of all workers\n  pyheap memory before.parquet --json"
)]
pub(crate) struct MemoryArgs {
    /// A snapshot file, unless -p or -c is given
    #[arg(value_name = "SOURCE", num_args = 0..)]
    pub(crate) positional: Vec<String>,
    #[command(flatten)]
    pub(crate) tree: TreeArgs,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
}
