//! `pyheap snapshot` and `pyheap histogram`.

use std::path::Path;

use super::histogram_tree;
use crate::analysis::Collection;
use crate::analysis::garbage::Garbage;
use crate::cli::args::{HeapArgs, HistogramArgs, SnapshotArgs};
use crate::cli::{Context, operands, selecting};
use crate::error::Error;
use crate::report::json::histogram::HistogramJson;
use crate::report::text::histogram::Counted;
use crate::report::{csv, json, text, units};
use crate::snapshot::Snapshot;
use crate::source::{Options, Source};

/// Where the snapshot file goes.
pub(super) struct Output<'a> {
    pub(super) file: &'a Path,
    pub(super) force: bool,
}

pub(super) fn run(args: &HistogramArgs, context: &mut Context<'_>) -> Result<(), Error> {
    report("histogram", &args.heap, None, context)
}

pub(super) fn snapshot(args: &SnapshotArgs, context: &mut Context<'_>) -> Result<(), Error> {
    let output = args.file.as_deref().map(|file| Output { file, force: args.force });
    report("snapshot", &args.heap, output.as_ref(), context)
}

fn report(
    command: &str,
    args: &HeapArgs,
    output: Option<&Output<'_>>,
    context: &mut Context<'_>,
) -> Result<(), Error> {
    let (source, _) = operands::split(&args.read.source, &args.positional, 0)?;
    let filter = selecting::filter(&args.select)?;
    if let (true, Source::Pid(root)) = (args.tree.subprocesses, &source) {
        return histogram_tree::report(command, *root, args, filter.as_ref(), output, context);
    }
    // Known before the target is stopped, so told before it is.
    if let Some(output) = output.filter(|output| !output.force && output.file.exists()) {
        return Err(Error::Exists(output.file.to_owned()));
    }
    // A file is to answer every command.
    let options = Options { contents: output.is_some(), ..args.read.capture.options() };
    let snapshot = context.backend.load(&source, &options)?;
    save(&snapshot, output, context)?;
    let Snapshot { facts, graph } = &snapshot;
    let counts = selecting::counts(args, filter.as_ref(), &snapshot)?;
    let table = Counted { histogram: counts.table(), by: counts.by };
    if args.read.output.json {
        let output = output.map(|output| output.file.display().to_string());
        let document = HistogramJson::new(facts, graph, &counts.types, output);
        json::write(context.out, command, document.with_groups(counts.by, counts.groups.as_ref()))?;
    } else if args.csv {
        csv::histogram(context.out, table.histogram, table.by)?;
    } else {
        let layout = context.layout(&args.read.output);
        let garbage = Garbage::new(graph, &Collection::new(graph));
        let waiting = text::garbage::waiting(&garbage, counts.types.totals.bytes());
        let waiting = waiting.as_deref().filter(|_| filter.is_none());
        text::histogram::write(context.out, facts, graph, table, waiting, &layout)?;
    }
    context.check(graph)?;
    if let Some(seconds) = facts.pause.cow_seconds {
        let stop = units::seconds(facts.pause.seconds);
        let cow = units::seconds(seconds);
        context.note(&format!(
            "it stood still for {stop}; with --pause cow it would be some {cow} (a fork), and pages \
             that it writes to while the fork is read are copied"
        ))?;
    }
    if !args.read.output.json && !args.csv && matches!(source, Source::Pid(_)) {
        let pid = facts.process.pid;
        let next = match output {
            Some(output) => format!("pyheap diff {} -p {pid}", output.file.display()),
            None => format!("pyheap diff -p {pid} --interval 30s"),
        };
        context.note(&format!("next: {next}"))?;
    }
    Ok(())
}

/// Writes the snapshot file, where one is wanted.
pub(super) fn save(
    snapshot: &Snapshot,
    output: Option<&Output<'_>>,
    context: &mut Context<'_>,
) -> Result<(), Error> {
    let Some(output) = output else { return Ok(()) };
    context.backend.save(snapshot, output.file, output.force)?;
    context.note(&format!("written to {}", output.file.display()))
}
