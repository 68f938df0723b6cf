//! `pyheap snapshot` and `pyheap histogram`.

use std::path::{Path, PathBuf};

use crate::analysis::garbage::Garbage;
use crate::analysis::{Collection, Histogram};
use crate::cli::args::{HeapArgs, HistogramArgs, SnapshotArgs};
use crate::cli::{Context, operands};
use crate::error::Error;
use crate::report::json::histogram::HistogramJson;
use crate::report::json::processes::Processes;
use crate::report::{csv, json, text};
use crate::snapshot::Snapshot;
use crate::source::{Options, Source};

/// Where the snapshot file goes.
struct Output<'a> {
    file: &'a Path,
    force: bool,
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
    // Known before the target is stopped, so told before it is.
    if let Some(output) = output.filter(|output| !args.subprocesses && !output.force)
        && output.file.exists()
    {
        return Err(Error::Exists(output.file.to_owned()));
    }
    // A file is to answer every command.
    let options = Options { contents: output.is_some(), ..args.read.capture.options() };
    let mut failed = Ok(());
    if let (true, Source::Pid(pid)) = (args.subprocesses, &source) {
        let mut documents = Vec::new();
        for member in context.backend.process_tree(*pid) {
            let snapshot = match context.backend.load(&Source::Pid(member), &options) {
                Ok(snapshot) => snapshot,
                // A child that is no Python, or has ended meanwhile, is no failure of the tree.
                Err(error @ (Error::NotPython(_) | Error::Gone(_))) if member != *pid => {
                    context.note(&format!("process {member} is left out: {error}"))?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let file = output.map(|output| (numbered(output.file, member), output.force));
            let document = one(args, &snapshot, file, context)?;
            documents.extend(document);
            failed = failed.and(context.check(&snapshot.graph));
        }
        if args.read.output.json {
            json::write(context.out, command, Processes { processes: documents })?;
        }
    } else {
        let snapshot = context.backend.load(&source, &options)?;
        let file = output.map(|output| (output.file.to_owned(), output.force));
        if let Some(document) = one(args, &snapshot, file, context)? {
            json::write(context.out, command, document)?;
        }
        failed = context.check(&snapshot.graph);
        if !args.read.output.json && !args.csv && matches!(source, Source::Pid(_)) && failed.is_ok()
        {
            let pid = snapshot.facts.process.pid;
            let next = match output {
                Some(output) => format!("pyheap diff {} -p {pid}", output.file.display()),
                None => format!("pyheap diff -p {pid} --interval 30s"),
            };
            context.note(&format!("next: {next}"))?;
        }
    }
    failed
}

/// Reports one heap; gives back the document where JSON is wanted.
fn one(
    args: &HeapArgs,
    snapshot: &Snapshot,
    file: Option<(PathBuf, bool)>,
    context: &mut Context<'_>,
) -> Result<Option<serde_json::Value>, Error> {
    if let Some((path, force)) = &file {
        context.backend.save(snapshot, path, *force)?;
        context.note(&format!("written to {}", path.display()))?;
    }
    let Snapshot { facts, graph } = snapshot;
    let histogram = Histogram::new(graph, args.sort());
    if args.read.output.json {
        let output = file.map(|(path, _)| path.display().to_string());
        let document = HistogramJson::new(facts, graph, &histogram, output);
        return Ok(Some(serde_json::to_value(document).map_err(std::io::Error::from)?));
    }
    if args.csv {
        csv::histogram(context.out, &histogram)?;
    } else {
        let layout = context.layout(&args.read.output);
        let garbage = Garbage::new(graph, &Collection::new(graph));
        let heap_bytes = histogram.totals.bytes();
        let waiting = text::garbage::waiting(&garbage, heap_bytes);
        let waiting = waiting.as_deref();
        text::histogram::write(context.out, facts, graph, &histogram, waiting, &layout)?;
    }
    Ok(None)
}

/// `NAME.<pid>.parquet` for `NAME.parquet`.
fn numbered(file: &Path, pid: u32) -> PathBuf {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let name = match file.extension() {
        Some(extension) => format!("{stem}.{pid}.{}", extension.to_string_lossy()),
        None => format!("{stem}.{pid}"),
    };
    file.with_file_name(name)
}
