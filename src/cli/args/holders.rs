//! `why`, `retained`, `cycles` and `garbage`.

use clap::{Args, ValueEnum};

use super::read::{GroupKey, ReadArgs, SelectArgs, TreeArgs};

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  pyheap why -p 4242 DataFrame\n  pyheap why before.parquet 0x7f3a5c1b2e40 --raw\n  pyheap why -p 4242 --where 'type=app.* and retained>=1M'\n  pyheap why -p 4242 DataFrame --by thread"
)]
pub(crate) struct WhyArgs {
    /// A snapshot file, unless -p or -c is given; then a type, by the last parts of its name, or an
    /// address (0x…)
    #[arg(value_name = "SOURCE|TYPE|ADDRESS", num_args = 0..)]
    pub(crate) positional: Vec<String>,
    /// Show every object on the way, dictionaries of instances too (of an address)
    #[arg(long)]
    pub(crate) raw: bool,
    /// What is told together: the ways of each group apart
    #[arg(long, value_enum, value_name = "KEY")]
    pub(crate) by: Option<GroupKey>,
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
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
    /// The line that allocated them (needs tracemalloc in the target)
    Line,
    /// What the shortest path to them begins with
    Root,
    /// The thread that holds them
    Thread,
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
    pub(crate) select: SelectArgs,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  pyheap cycles -p 4242\n  pyheap cycles before.parquet --raw\n  pyheap cycles -p 4242 --by module"
)]
pub(crate) struct CyclesArgs {
    /// A snapshot file, unless -p or -c is given
    #[arg(value_name = "SOURCE", num_args = 0..)]
    pub(crate) positional: Vec<String>,
    /// Show every object of a cycle, dictionaries of instances too
    #[arg(long)]
    pub(crate) raw: bool,
    /// What is told together, by the object at which a cycle is named first
    #[arg(long, value_enum, value_name = "KEY")]
    pub(crate) by: Option<GroupKey>,
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  pyheap garbage -p 4242\n  pyheap garbage -c core.4242 --json --addresses"
)]
pub(crate) struct GarbageArgs {
    /// A snapshot file, unless -p or -c is given
    #[arg(value_name = "SOURCE", num_args = 0..)]
    pub(crate) positional: Vec<String>,
    #[command(flatten)]
    pub(crate) tree: TreeArgs,
    /// With --json: the addresses of the objects that the collector would find unreachable
    #[arg(long, requires = "json")]
    pub(crate) addresses: bool,
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
