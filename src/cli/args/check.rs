//! `check`.

use std::path::PathBuf;

use clap::Args;

use super::read::{ReadArgs, SelectArgs};
use super::values::{bytes, type_limit};
use crate::analysis::verdict::Rule;

#[derive(Debug, Args)]
#[command(
    after_help = "A type without objects has none of them: that is no error.\n\nExamples:\n  pyheap check -p 4242 --max app.Session=1000\n  pyheap check -p 4242 before.parquet --max-growth Session=0 --max-garbage 50M\n  pyheap check -p 4242 --max app.Session=1000 --junit heap.xml\n  pyheap check -p 4242 --max dict=1000 --where 'retained>=1M and root=module'"
)]
pub(crate) struct CheckArgs {
    /// A snapshot file, unless -p or -c is given; then a snapshot file from before
    #[arg(value_name = "SOURCE|BASELINE", num_args = 0..)]
    pub(crate) positional: Vec<String>,
    /// At most so many objects of a type
    #[arg(long, value_name = "TYPE=N", value_parser = type_limit)]
    max: Vec<(String, u64)>,
    /// At most so many objects of a type more than in the baseline
    #[arg(long, value_name = "TYPE=N", value_parser = type_limit)]
    pub(crate) max_growth: Vec<(String, u64)>,
    /// At most so many bytes that wait for the collector (such as 50M)
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    max_garbage: Option<u64>,
    /// Write the verdicts as JUnit XML too, one test case a rule (a file of an earlier run is replaced)
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
}

impl CheckArgs {
    pub(crate) fn rules(&self) -> Vec<Rule> {
        let max = self.max.iter().cloned();
        let max = max.map(|(type_name, objects)| Rule::Max { type_name, objects });
        let growth = self.max_growth.iter().cloned();
        let growth = growth.map(|(type_name, objects)| Rule::MaxGrowth { type_name, objects });
        max.chain(growth).chain(self.max_garbage.map(|bytes| Rule::MaxGarbage { bytes })).collect()
    }
}
