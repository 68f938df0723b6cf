//! `pyheap check`.

use crate::analysis::Selection;
use crate::analysis::verdict::{self, Meant};
use crate::cli::args::CheckArgs;
use crate::cli::{Context, operands, selecting};
use crate::error::Error;
use crate::report::json::check::CheckJson;
use crate::report::{json, junit, text};
use crate::snapshot::Snapshot;

pub(super) fn run(args: &CheckArgs, context: &mut Context<'_>) -> Result<(), Error> {
    let (source, rest) = operands::split(&args.read.source, &args.positional, 1)?;
    let rules = args.rules();
    if rules.is_empty() {
        return Err(Error::usage("no rule: give --max, --max-growth or --max-garbage", None));
    }
    let baseline = rest.first().map(|file| operands::file(file)).transpose()?;
    if !args.max_growth.is_empty() && baseline.is_none() {
        return Err(Error::usage(
            "--max-growth needs a baseline",
            Some("pyheap check new.parquet old.parquet --max-growth TYPE=N"),
        ));
    }
    let filter = selecting::filter(&args.select)?;
    let options = args.read.capture.options();
    // The file first: a process is not stopped for a file that cannot be read.
    let baseline =
        baseline.map(|baseline| context.backend.load(&baseline, &options)).transpose()?;
    let snapshot = context.backend.load(&source, &options)?;
    let graph = &snapshot.graph;
    let meant = |snapshot: &Snapshot| {
        selecting::selection(filter.as_ref(), &snapshot.graph, &snapshot.facts)
    };
    let selection = meant(&snapshot)?;
    let before: Option<Selection> = baseline.as_ref().map(meant).transpose()?;
    let before = baseline.as_ref().zip(before.as_ref());
    let before = before.map(|(before, selection)| Meant { graph: &before.graph, selection });
    let outcomes = verdict::check(Meant { graph, selection: &selection }, before, &rules)?;
    if let Some(path) = &args.junit {
        context.backend.write(path, junit::document(&outcomes)?.as_bytes())?;
    }
    if args.read.output.json {
        json::write(context.out, "check", CheckJson::new(&snapshot.facts, graph, &outcomes))?;
    } else {
        let layout = context.layout(&args.read.output);
        text::check::write(context.out, &outcomes, &layout)?;
    }
    match outcomes.iter().filter(|outcome| !outcome.holds).count() {
        0 => context.check(graph),
        failed => Err(Error::Check { failed, rules: outcomes.len() }),
    }
}
