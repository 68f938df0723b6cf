//! `pyheap why`, `pyheap cycles` and `pyheap garbage`: who keeps what.

use super::worker_tree;
use crate::analysis::garbage::Garbage;
use crate::analysis::{Collection, HeldBy, Hops, Paths, cycles, lookup};
use crate::cli::args::{CyclesArgs, GarbageArgs, WhyArgs};
use crate::cli::{Context, operands};
use crate::error::Error;
use crate::graph::{HeapGraph, ObjectId};
use crate::report::json::garbage::{CyclesJson, GarbageJson};
use crate::report::json::why::WhyJson;
use crate::report::{csv, json, text};
use crate::snapshot::Snapshot;
use crate::source::Source;

pub(super) fn why(args: &WhyArgs, context: &mut Context<'_>) -> Result<(), Error> {
    let (source, rest) = operands::split(&args.read.source, &args.positional, 1)?;
    let Some(wanted) = rest.first() else {
        return Err(Error::usage(
            "which objects? give a type or an address",
            Some("pyheap histogram lists the types"),
        ));
    };
    let is_address = wanted.starts_with("0x") || wanted.starts_with("0X");
    if is_address {
        // Checked before the target is stopped for it.
        lookup::parse_address(wanted)?;
    }
    let snapshot = context.backend.load(&source, &args.read.capture.options())?;
    let (facts, graph) = (&snapshot.facts, &snapshot.graph);
    let (name, objects) = chosen(graph, wanted, is_address)?;
    let paths = Paths::new(graph);
    let held_by = match objects.as_slice() {
        &[single] => vec![alone(graph, &paths, single, args.raw)],
        _ => grouped(graph, &paths, objects),
    };
    if args.read.output.json {
        json::write(context.out, "why", WhyJson::new(facts, graph, &held_by))?;
    } else {
        let layout = context.layout(&args.read.output);
        text::why::write(context.out, facts, &name, &held_by, &layout)?;
    }
    context.check(graph)
}

/// The objects that are meant, and what they are called.
fn chosen(
    graph: &HeapGraph,
    wanted: &str,
    is_address: bool,
) -> Result<(String, Vec<ObjectId>), Error> {
    if is_address {
        let object = lookup::find_object(graph, wanted)?;
        return Ok((graph.type_name_of(object).to_owned(), vec![object]));
    }
    let found = lookup::find_type(graph, wanted)?;
    let objects = found.objects(graph).collect();
    Ok((found.name, objects))
}

/// One object, with the positions on its path as they are.
fn alone(graph: &HeapGraph, paths: &Paths, object: ObjectId, raw: bool) -> HeldBy {
    let path = if raw { paths.raw_to(graph, object) } else { paths.to(graph, object) };
    let bytes = crate::analysis::diff::bytes_of(graph, object);
    let held = HeldBy { path, objects: 1, bytes, example: object, cycle: Vec::new() };
    with_cycle(graph, paths, held)
}

fn grouped(graph: &HeapGraph, paths: &Paths, objects: Vec<ObjectId>) -> Vec<HeldBy> {
    let groups = paths.group(graph, objects);
    groups.into_iter().map(|held| with_cycle(graph, paths, held)).collect()
}

fn with_cycle(graph: &HeapGraph, paths: &Paths, held: HeldBy) -> HeldBy {
    let is_rootless = held.path.root.origin.is_rootless();
    let cycle = if is_rootless { paths.cycle(graph, held.example) } else { Vec::new() };
    HeldBy { cycle, ..held }
}

pub(super) fn cycles_of(args: &CyclesArgs, context: &mut Context<'_>) -> Result<(), Error> {
    let (source, _) = operands::split(&args.read.source, &args.positional, 0)?;
    let snapshot = context.backend.load(&source, &args.read.capture.options())?;
    let (facts, graph) = (&snapshot.facts, &snapshot.graph);
    let hops = if args.raw { Hops::All } else { Hops::Folded };
    let groups = cycles(graph, &Collection::new(graph), hops);
    if args.read.output.json {
        json::write(context.out, "cycles", CyclesJson::new(facts, graph, &groups))?;
    } else {
        let layout = context.layout(&args.read.output);
        text::cycles::write(context.out, facts, &groups, &layout)?;
    }
    context.check(graph)
}

pub(super) fn garbage(args: &GarbageArgs, context: &mut Context<'_>) -> Result<(), Error> {
    let (source, _) = operands::split(&args.read.source, &args.positional, 0)?;
    let options = args.read.capture.options();
    let layout = context.layout(&args.read.output);
    let mut csv_rows = Vec::new();
    let mut document = |snapshot: &Snapshot, context: &mut Context<'_>| {
        let (facts, graph) = (&snapshot.facts, &snapshot.graph);
        let collection = Collection::new(graph);
        let garbage = Garbage::new(graph, &collection);
        if args.read.output.json {
            let address = |&object: &ObjectId| graph.addr(object).to_string();
            let addresses = || collection.unreachable.iter().map(address).collect();
            let addresses = args.addresses.then(addresses);
            let document = GarbageJson::new(facts, &garbage, addresses);
            return Ok(Some(json::value(document)?));
        }
        if args.csv {
            csv_rows.push((facts.process.pid, garbage));
        } else {
            text::garbage::write(context.out, facts, &garbage, &layout)?;
        }
        Ok(None)
    };
    let result = match &source {
        Source::Pid(root) if args.tree.subprocesses => {
            worker_tree::documents("garbage", *root, &options, context, &mut document)?
        }
        source => {
            let snapshot = context.backend.load(source, &options)?;
            if let Some(document) = document(&snapshot, context)? {
                json::write(context.out, "garbage", document)?;
            }
            context.check(&snapshot.graph)
        }
    };
    if args.csv {
        csv::garbage(context.out, &csv_rows, args.tree.subprocesses)?;
    }
    result
}
