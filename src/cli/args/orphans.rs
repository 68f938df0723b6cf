//! `orphans`.

use clap::Args;

use super::read::ReadArgs;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  pyheap orphans -p 4242\n  pyheap orphans before.parquet --csv"
)]
pub(crate) struct OrphansArgs {
    /// A snapshot file, unless -p or -c is given
    #[arg(value_name = "SOURCE", num_args = 0..)]
    pub(crate) positional: Vec<String>,
    /// Print CSV
    #[arg(long, conflicts_with = "json")]
    pub(crate) csv: bool,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
}
