//! `pyheap objects`.

use std::cmp::Reverse;

use serde::Serialize;

use crate::analysis::references::{found_references, referrers};
use crate::analysis::{diff, lookup};
use crate::cli::args::ObjectsArgs;
use crate::cli::{Context, operands};
use crate::error::Error;
use crate::graph::ObjectId;
use crate::report::json::objects::ObjectJson;
use crate::report::{json, text};
use crate::source::Source;

/// The first line has no fields of its own.
#[derive(Serialize)]
struct Head {}

pub(super) fn run(args: &ObjectsArgs, context: &mut Context<'_>) -> Result<(), Error> {
    let (source, rest) = operands::split(&args.read.source, &args.positional, 1)?;
    let snapshot = context.backend.load(&source, &args.read.capture.options())?;
    let graph = &snapshot.graph;
    let wanted = rest.first().map(|name| lookup::find_type(graph, name)).transpose()?;
    let chosen = graph.ids().filter(|&object| {
        wanted.as_ref().is_none_or(|found| found.types.contains(&graph.type_of(object)))
    });
    if args.read.output.json {
        json::write(context.out, "objects", Head {})?;
        let found = found_references(graph);
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
