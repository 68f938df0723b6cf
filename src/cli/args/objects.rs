//! `objects` and `show`.

use clap::Args;

use super::read::{GroupKey, ReadArgs, SelectArgs};

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  pyheap objects before.parquet DataFrame   the biggest first\n  pyheap objects -p 4242 app.Session --json > sessions.jsonl"
)]
pub(crate) struct ObjectsArgs {
    /// A snapshot file, unless -p or -c is given; then a type, by the last parts of its name
    #[arg(value_name = "SOURCE|TYPE", num_args = 0..)]
    pub(crate) positional: Vec<String>,
    /// Count them together instead of listing them
    #[arg(long, value_enum, value_name = "KEY")]
    pub(crate) by: Option<GroupKey>,
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  pyheap show before.parquet 0x7f3a5c1b2e40")]
pub(crate) struct ShowArgs {
    /// A snapshot file, unless -p or -c is given; then an address (0x…)
    #[arg(value_name = "SOURCE|ADDRESS", num_args = 0..)]
    pub(crate) positional: Vec<String>,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
}
