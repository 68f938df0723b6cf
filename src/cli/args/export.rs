//! `export`.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::read::{CaptureArgs, SelectArgs, SourceArgs, TreeArgs};

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  pyheap export -p 4242 --format heapsnapshot -o app.heapsnapshot   Chrome: Memory, Load profile\n  pyheap export before.parquet -o app.pb.gz                         go tool pprof -http : app.pb.gz\n  pyheap export before.parquet -o held.svg --where type=DataFrame   who holds the bytes, as a flame graph\n  pyheap export before.parquet --format dot | dot -Tsvg > holders.svg\n  pyheap export recording.parquet -o growth.pb.gz                   the lines that grew\n  pyheap export -p 4242 -s -o held.svg                              of each worker: held.<pid>.svg\n\nWithout --format it follows from the ending of the file. docs/export.md tells what each is for."
)]
pub(crate) struct ExportArgs {
    /// A snapshot file (or a recording), unless -p or -c is given
    #[arg(value_name = "SOURCE", num_args = 0..)]
    pub(crate) positional: Vec<String>,
    /// The format
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) format: Option<Format>,
    /// The file to write; `-`, or none for a format that is text: standard output
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Replace the file if it is there
    #[arg(short, long)]
    pub(crate) force: bool,
    /// How many boxes `dot` draws
    #[arg(short = 'n', long, default_value_t = 40, value_name = "BOXES")]
    pub(crate) limit: usize,
    /// Of a recording: the growth when memory was highest, not what is left of it
    #[arg(long)]
    pub(crate) peak: bool,
    #[command(flatten)]
    pub(crate) tree: TreeArgs,
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    #[command(flatten)]
    pub(crate) capture: CaptureArgs,
}

/// What other tools read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Chrome DevTools and memlab: all objects and references (.heapsnapshot)
    Heapsnapshot,
    /// pprof: bytes and objects by the path that keeps them (.pb.gz)
    Pprof,
    /// The same as a flame graph (.svg)
    Flamegraph,
    /// The same as lines of text, for speedscope and FlameGraph (.folded)
    Folded,
    /// The biggest holders, for Graphviz (.dot)
    Dot,
    /// A row an object (.csv)
    Csv,
    /// The lines of `objects --json` (.jsonl)
    Jsonl,
}

impl Format {
    /// The format that the ending of a file means.
    pub(crate) fn of(file: &Path) -> Option<Self> {
        let name = file.file_name()?.to_str()?;
        let endings = [
            (".heapsnapshot", Self::Heapsnapshot),
            (".pb.gz", Self::Pprof),
            (".svg", Self::Flamegraph),
            (".folded", Self::Folded),
            (".dot", Self::Dot),
            (".csv", Self::Csv),
            (".jsonl", Self::Jsonl),
        ];
        endings.into_iter().find(|(ending, _)| name.ends_with(ending)).map(|(_, format)| format)
    }

    /// The word for it.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}
