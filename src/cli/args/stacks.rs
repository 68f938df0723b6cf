//! `stacks`.

use clap::Args;

use super::read::{ReadArgs, TreeArgs};

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  pyheap stacks -p 4242\n  pyheap stacks -p 4242 --locals --values\n  pyheap stacks -c core.4242"
)]
pub(crate) struct StacksArgs {
    /// A snapshot file, unless -p or -c is given
    #[arg(value_name = "SOURCE", num_args = 0..)]
    pub(crate) positional: Vec<String>,
    #[command(flatten)]
    pub(crate) tree: TreeArgs,
    /// Show the local variables of each frame (--values: with their contents)
    #[arg(long)]
    pub(crate) locals: bool,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
}
