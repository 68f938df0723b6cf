//! `strings`.

use clap::Args;

use super::read::{ReadArgs, SelectArgs};

#[derive(Debug, Args)]
#[command(
    after_help = "Contents are compared by a keyed hash; they are shown with --values only.\n\nExamples:\n  pyheap strings -p 4242\n  pyheap strings -p 4242 --values\n  pyheap strings -p 4242 --where 'root=module and holder=app.*'\n  pyheap strings before.parquet --json --addresses"
)]
pub(crate) struct StringsArgs {
    /// A snapshot file, unless -p or -c is given
    #[arg(value_name = "SOURCE", num_args = 0..)]
    pub(crate) positional: Vec<String>,
    /// With --json: the addresses of all copies
    #[arg(long, requires = "json")]
    pub(crate) addresses: bool,
    /// Print CSV
    #[arg(long, conflicts_with = "json")]
    pub(crate) csv: bool,
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
}
