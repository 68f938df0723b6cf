//! `pyheap export`.

use std::io::Write;
use std::path::Path;

use serde::Serialize;

use super::worker_tree;
use crate::analysis::retained::{self, Cut};
use crate::analysis::{Dominators, Filter, HeldTree, Paths, Selection};
use crate::cli::args::{ExportArgs, Format};
use crate::cli::{Context, operands, selecting};
use crate::error::Error;
use crate::facts::Facts;
use crate::graph::HeapGraph;
use crate::recording::Recording;
use crate::report::dot::{self, Picture};
use crate::report::json::objects::ObjectJson;
use crate::report::profile::Profile;
use crate::report::{csv, flame, folded, heapsnapshot, json, pprof};
use crate::snapshot::{self, Snapshot};
use crate::source::Source;

/// What a picture of holders has: objects of at least a thousandth of the heap, a few levels.
const DOT_SHARE: u64 = 1000;
const DOT_DEPTH: usize = 6;

/// The first line of JSON Lines has no fields of its own.
#[derive(Serialize)]
struct Head {}

pub(super) fn run(args: &ExportArgs, context: &mut Context<'_>) -> Result<(), Error> {
    let (source, _) = operands::split(&args.source, &args.positional, 0)?;
    let file = args.file.as_deref().filter(|file| *file != Path::new("-"));
    let format = format(args, file)?;
    let filter = selecting::filter(&args.select)?;
    if format == Format::Heapsnapshot && filter.is_some() {
        let hint = "pprof, flamegraph, folded, dot, csv and jsonl have a part of a heap";
        return Err(Error::usage("a heapsnapshot is of a whole heap: no --where", Some(hint)));
    }
    if let (Source::Pid(root), true) = (&source, args.tree.subprocesses) {
        let Some(file) = file else {
            let hint = "-o NAME.ENDING writes NAME.<pid>.ENDING";
            return Err(Error::usage("each process gets a file of its own", Some(hint)));
        };
        return of_tree(*root, args, format, (file, filter.as_ref()), context);
    }
    // A snapshot takes long, and may stop somebody's process: not for a name that is taken.
    if let Some(file) = file
        && !args.force
        && file.exists()
    {
        return Err(Error::Exists(file.to_owned()));
    }
    let recording = match &source {
        Source::File(path) => context.backend.recording(path)?,
        _ => None,
    };
    if let Some(recording) = recording {
        return of_recording(args, &recording, format, file, context);
    }
    if args.peak {
        return Err(Error::usage("--peak is for recordings", None));
    }
    let backend = context.backend;
    let mut anomalies = 0;
    let mut write = |out: &mut dyn Write| {
        let mut snapshot = backend.load(&source, &args.capture.options())?;
        anomalies = snapshot.graph.anomalies.iter().map(|anomaly| anomaly.count).sum();
        of_snapshot(out, args, format, &mut snapshot, filter.as_ref())
    };
    match file {
        Some(file) => backend.create(file, args.force, &mut write)?,
        None => write(context.out)?,
    }
    written(format, file, context)?;
    if context.strict && anomalies > 0 { Err(Error::Anomalies(anomalies)) } else { Ok(()) }
}

/// A file for each process of a tree.
fn of_tree(
    root: u32,
    args: &ExportArgs,
    format: Format,
    (file, filter): (&Path, Option<&Filter>),
    context: &mut Context<'_>,
) -> Result<(), Error> {
    if !args.force {
        worker_tree::check_files(root, file, context)?;
    }
    let one = |mut snapshot: Snapshot, context: &mut Context<'_>| {
        let file = snapshot::numbered(file, snapshot.facts.process.pid);
        let mut write = |out: &mut dyn Write| of_snapshot(out, args, format, &mut snapshot, filter);
        context.backend.create(&file, args.force, &mut write)?;
        written(format, Some(&file), context)
    };
    worker_tree::each(root, &args.capture.options(), context, one)?.result
}

fn of_snapshot(
    out: &mut dyn Write,
    args: &ExportArgs,
    format: Format,
    snapshot: &mut Snapshot,
    filter: Option<&Filter>,
) -> Result<(), Error> {
    if !args.capture.options().values {
        // The file may have more than is wanted here.
        snapshot.graph.values.clear();
    }
    let Snapshot { facts, graph } = snapshot;
    let selection = selecting::selection(filter, graph, facts)?;
    of_heap(out, args, format, (facts, graph), &selection)
}

/// The format that was asked for, or that the file's ending means.
fn format(args: &ExportArgs, file: Option<&Path>) -> Result<Format, Error> {
    let Some(format) = args.format.or_else(|| Format::of(file?)) else {
        let hint = "heapsnapshot, pprof, flamegraph, folded, dot, csv or jsonl";
        return Err(Error::usage("which format? give --format", Some(hint)));
    };
    if format == Format::Pprof && args.file.is_none() {
        return Err(Error::usage("pprof is no text: give -o FILE.pb.gz", None));
    }
    Ok(format)
}

fn of_heap(
    out: &mut dyn Write,
    args: &ExportArgs,
    format: Format,
    (facts, graph): (&Facts, &HeapGraph),
    selection: &Selection,
) -> Result<(), Error> {
    let profile = || Profile::of_heap(&HeldTree::new(graph, selection));
    let of = format!("process {} of {}", facts.process.pid, facts.process.executable);
    match format {
        Format::Heapsnapshot => heapsnapshot::write(out, graph)?,
        Format::Pprof => pprof::write(out, &profile(), &format!("pyheap: {of}"))?,
        Format::Flamegraph => {
            let profile = profile();
            if profile.is_empty() {
                return Err(Error::usage("no object is meant: there is nothing to draw", None));
            }
            flame::write(out, &profile, &format!("What keeps the heap of {of}"))?;
        }
        Format::Folded => folded::write(out, &profile())?,
        Format::Dot => picture(out, args, graph, selection)?,
        Format::Csv => {
            let found = graph.found_references();
            csv::objects_heading(out)?;
            for object in graph.ids().filter(|&object| selection.has(object)) {
                csv::object(out, &ObjectJson::new(graph, object, &found))?;
            }
        }
        Format::Jsonl => {
            let found = graph.found_references();
            json::write(out, "export", Head {})?;
            for object in graph.ids().filter(|&object| selection.has(object)) {
                let object = ObjectJson::new(graph, object, &found);
                serde_json::to_writer(&mut *out, &object).map_err(std::io::Error::from)?;
                writeln!(out)?;
            }
        }
    }
    Ok(())
}

/// The biggest holders, or what the chosen objects hold, and who holds these.
fn picture(
    out: &mut dyn Write,
    args: &ExportArgs,
    graph: &HeapGraph,
    selection: &Selection,
) -> Result<(), Error> {
    let dominators = Dominators::new(graph);
    let total_bytes = dominators.total_bytes();
    let min_bytes = if selection.is_all() { total_bytes / DOT_SHARE } else { 0 };
    let cut = Cut { min_bytes, width: args.limit, depth: DOT_DEPTH, merge: true };
    let (nodes, paths) = match selection.is_all() {
        true => (retained::tree(graph, &dominators, None, cut), None),
        false => (retained::trees(graph, &dominators, selection, cut), Some(Paths::new(graph))),
    };
    let paths = paths.as_ref();
    let picture = Picture { graph, nodes: &nodes, total_bytes, limit: args.limit, paths };
    Ok(dot::write(out, &picture)?)
}

fn of_recording(
    args: &ExportArgs,
    recording: &Recording,
    format: Format,
    file: Option<&Path>,
    context: &mut Context<'_>,
) -> Result<(), Error> {
    if args.select.filter.is_some() {
        return Err(Error::usage("a recording has no objects: no --where", None));
    }
    let profile = Profile::of_growth(recording, args.peak);
    let title = match args.peak {
        false => "Growth that is still there",
        true => "Growth when memory was highest",
    };
    if profile.is_empty() {
        return Err(Error::usage("no stack was seen while memory grew", None));
    }
    let mut write = |out: &mut dyn Write| -> Result<(), Error> {
        match format {
            Format::Pprof => pprof::write(out, &profile, title)?,
            Format::Flamegraph => flame::write(out, &profile, title)?,
            Format::Folded => folded::write(out, &profile)?,
            other => {
                let message = format!("a recording has no objects for {}", other.name());
                return Err(Error::usage(message, Some("pprof, flamegraph and folded go")));
            }
        }
        Ok(())
    };
    match file {
        Some(file) => context.backend.create(file, args.force, &mut write)?,
        None => write(context.out)?,
    }
    written(format, file, context)
}

/// Says where the result is, and what opens it.
fn written(format: Format, file: Option<&Path>, context: &mut Context<'_>) -> Result<(), Error> {
    let Some(file) = file else { return Ok(()) };
    let file = file.display();
    let next = match format {
        Format::Heapsnapshot => "; next: Chrome, DevTools, Memory, Load profile".to_owned(),
        Format::Pprof => format!("; next: go tool pprof -http : {file}"),
        Format::Flamegraph => "; next: a browser".to_owned(),
        Format::Folded => "; next: https://www.speedscope.app".to_owned(),
        Format::Dot => format!("; next: dot -Tsvg {file} > {file}.svg"),
        Format::Csv | Format::Jsonl => String::new(),
    };
    context.note(&format!("written to {file}{next}"))
}
