//! `pyheap objects`.

use std::cmp::Reverse;

use serde::Serialize;

use crate::analysis::references::referrers;
use crate::analysis::{Groups, Histogram, Selection, SortBy, TypeMatch, diff, lookup};
use crate::cli::args::{GroupKey, ObjectsArgs};
use crate::cli::{Context, operands, selecting};
use crate::error::Error;
use crate::graph::ObjectId;
use crate::report::json::histogram::HistogramJson;
use crate::report::json::objects::ObjectJson;
use crate::report::text::histogram::Counted;
use crate::report::{json, text};
use crate::snapshot::Snapshot;
use crate::source::Source;

/// The first line has no fields of its own.
#[derive(Serialize)]
struct Head {}

pub(super) fn run(args: &ObjectsArgs, context: &mut Context<'_>) -> Result<(), Error> {
    let (source, rest) = operands::split(&args.read.source, &args.positional, 1)?;
    let filter = selecting::filter(&args.select)?;
    let snapshot = context.backend.load(&source, &args.read.capture.options())?;
    let graph = &snapshot.graph;
    let wanted = rest.first().map(|name| lookup::find_type(graph, name)).transpose()?;
    let selection = selecting::selection(filter.as_ref(), graph, &snapshot.facts)?;
    let is_meant = |object: ObjectId| {
        let is_wanted = |found: &TypeMatch| found.types.contains(&graph.type_of(object));
        wanted.as_ref().is_none_or(is_wanted) && selection.has(object)
    };
    if let Some(key) = args.by {
        counted(args, key, &snapshot, &Selection::of(graph, is_meant), context)?;
        return context.check(graph);
    }
    let chosen = graph.ids().filter(|&object| is_meant(object));
    if args.read.output.json {
        json::write(context.out, "objects", Head {})?;
        let found = graph.found_references();
        for object in chosen {
            serde_json::to_writer(&mut *context.out, &ObjectJson::new(graph, object, &found))
                .map_err(std::io::Error::from)?;
            writeln!(context.out)?;
        }
    } else {
        let mut objects: Vec<ObjectId> = chosen.collect();
        let total = objects.len() as u64;
        objects.sort_by_key(|&object| (Reverse(diff::bytes_of(graph, object)), object));
        objects.truncate(args.read.output.limit);
        let first = referrers(graph, &objects, 1);
        let layout = context.layout(&args.read.output);
        text::objects::list(context.out, graph, &objects, total, &first, &layout)?;
        if let Some(&example) = objects.first() {
            let heap = match &source {
                Source::Pid(pid) => format!("-p {pid}"),
                Source::File(path) => path.display().to_string(),
                Source::Core { core, .. } => format!("-c {}", core.display()),
            };
            context.note(&format!("next: pyheap show {heap} {}", graph.addr(example)))?;
        }
    }
    context.check(graph)
}

/// The objects counted together: by module, root, line or thread.
fn counted(
    args: &ObjectsArgs,
    key: GroupKey,
    snapshot: &Snapshot,
    selection: &Selection,
    context: &mut Context<'_>,
) -> Result<(), Error> {
    let (facts, graph) = (&snapshot.facts, &snapshot.graph);
    let groups = selecting::groups(key, graph, facts)?;
    let histogram = Histogram::grouped(graph, &groups, selection, SortBy::Bytes);
    let by = selecting::by(key);
    if args.read.output.json {
        let types = Histogram::grouped(graph, &Groups::by_type(graph), selection, SortBy::Bytes);
        let document = HistogramJson::new(facts, graph, &types, None);
        json::write(context.out, "objects", document.with_groups(by, Some(&histogram)))?;
    } else {
        let layout = context.layout(&args.read.output);
        text::histogram::header(context.out, facts, &layout)?;
        text::histogram::table(context.out, Counted { histogram: &histogram, by }, &layout)?;
    }
    Ok(())
}
