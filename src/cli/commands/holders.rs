//! `pyheap why`, `pyheap cycles` and `pyheap garbage`: who keeps what.

use super::worker_tree;
use crate::analysis::garbage::Garbage;
use crate::analysis::{
    Collection, CycleGroup, Groups, HeldBy, Hops, Paths, Selection, State, cycles, cycles_by,
    lookup,
};
use crate::cli::args::{CyclesArgs, GarbageArgs, GroupKey, WhyArgs};
use crate::cli::{Context, operands, selecting};
use crate::error::Error;
use crate::graph::{HeapGraph, ObjectId};
use crate::report::json::cycles::{CyclesByJson, CyclesJson};
use crate::report::json::garbage::GarbageJson;
use crate::report::json::why::WhyJson;
use crate::report::{csv, json, text};
use crate::snapshot::Snapshot;
use crate::source::Source;

pub(super) fn why(args: &WhyArgs, context: &mut Context<'_>) -> Result<(), Error> {
    let (source, rest) = operands::split(&args.read.source, &args.positional, 1)?;
    let filter = selecting::filter(&args.select)?;
    let wanted = rest.first().map(String::as_str);
    if wanted.is_none() && filter.is_none() {
        return Err(Error::usage(
            "which objects? give a type, an address or --where FILTER",
            Some("pyheap histogram lists the types"),
        ));
    }
    let is_address = wanted.is_some_and(|text| text.starts_with("0x") || text.starts_with("0X"));
    if let Some(address) = wanted.filter(|_| is_address) {
        // Checked before the target is stopped for it.
        lookup::parse_address(address)?;
    }
    let snapshot = context.backend.load(&source, &args.read.capture.options())?;
    let (facts, graph) = (&snapshot.facts, &snapshot.graph);
    let (name, mut objects) = chosen(graph, wanted, is_address)?;
    let selection = selecting::selection(filter.as_ref(), graph, facts)?;
    objects.retain(|&object| selection.has(object));
    let paths = Paths::new(graph);
    let layout = context.layout(&args.read.output);
    let groups = match args.by {
        None => None,
        Some(key) => {
            let groups = selecting::groups(key, graph, facts)?;
            let found = paths.holders_by(graph, objects.iter().copied(), &groups);
            if !args.read.output.json {
                text::why::write_groups(context.out, facts, graph, &name, &found, &layout)?;
                return context.check(graph);
            }
            Some((selecting::by(key), found))
        }
    };
    let held_by = match objects.as_slice() {
        &[single] => vec![alone(graph, &paths, single, args.raw)],
        _ => paths.holders(graph, objects),
    };
    if args.read.output.json {
        let mut document = WhyJson::new(facts, graph, &held_by);
        if let Some((by, groups)) = &groups {
            document = document.with_groups(facts, graph, *by, groups);
        }
        json::write(context.out, "why", document)?;
    } else {
        text::why::write(context.out, facts, graph, &name, &held_by, &layout)?;
    }
    context.check(graph)
}

/// The objects that are meant, and what they are called.
fn chosen(
    graph: &HeapGraph,
    wanted: Option<&str>,
    is_address: bool,
) -> Result<(String, Vec<ObjectId>), Error> {
    let Some(wanted) = wanted else { return Ok(("objects".to_owned(), graph.ids().collect())) };
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
    paths.with_cycle(graph, held)
}

pub(super) fn cycles_of(args: &CyclesArgs, context: &mut Context<'_>) -> Result<(), Error> {
    let (source, _) = operands::split(&args.read.source, &args.positional, 0)?;
    let filter = selecting::filter(&args.select)?;
    let snapshot = context.backend.load(&source, &args.read.capture.options())?;
    let (facts, graph) = (&snapshot.facts, &snapshot.graph);
    let hops = if args.raw { Hops::All } else { Hops::Folded };
    let selection = selecting::selection(filter.as_ref(), graph, facts)?;
    let collection = Collection::new(graph);
    let layout = context.layout(&args.read.output);
    let Some(key) = args.by else {
        let found = cycles(graph, &collection, &selection, hops);
        if args.read.output.json {
            json::write(context.out, "cycles", CyclesJson::new(facts, graph, &found))?;
        } else {
            text::cycles::write(context.out, facts, &found, &layout)?;
        }
        return context.check(graph);
    };
    let groups = selecting::groups(key, graph, facts)?;
    let found = cycles_by(graph, &collection, &selection, hops, &groups);
    if args.read.output.json {
        let document = CyclesByJson::new(facts, graph, selecting::by(key), &found);
        json::write(context.out, "cycles", document)?;
    } else {
        text::cycles::write_groups(context.out, facts, &found, &layout)?;
    }
    context.check(graph)
}

pub(super) fn garbage(args: &GarbageArgs, context: &mut Context<'_>) -> Result<(), Error> {
    let (source, _) = operands::split(&args.read.source, &args.positional, 0)?;
    let filter = selecting::filter(&args.select)?;
    let options = args.read.capture.options();
    let layout = context.layout(&args.read.output);
    let by = selecting::by(args.by);
    let mut csv_rows = Vec::new();
    let mut document = |snapshot: &Snapshot, context: &mut Context<'_>| {
        let (facts, graph) = (&snapshot.facts, &snapshot.graph);
        let collection = Collection::new(graph);
        let selection = selecting::selection(filter.as_ref(), graph, facts)?;
        let grouped = |groups: &Groups| Garbage::grouped(graph, &collection, groups, &selection);
        let garbage = grouped(&Groups::by_type(graph));
        let groups = match args.by {
            GroupKey::Type => None,
            key => Some(grouped(&selecting::groups(key, graph, facts)?)),
        };
        if args.read.output.json {
            let address = |&object: &ObjectId| graph.addr(object).to_string();
            let meant = collection.unreachable.iter().filter(|&&object| selection.has(object));
            let addresses = args.addresses.then(|| meant.map(address).collect());
            let document = GarbageJson::new(facts, &garbage, addresses);
            return Ok(Some(json::value(document.with_groups(by, groups.as_ref()))?));
        }
        let table = groups.unwrap_or(garbage);
        if args.csv {
            csv_rows.push((facts.process.pid, table));
        } else {
            let keepers = keepers(graph, &collection, &selection);
            let found = text::garbage::Found { garbage: &table, by, keepers: &keepers };
            text::garbage::write(context.out, facts, found, &layout)?;
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
        csv::garbage(context.out, &csv_rows, args.tree.subprocesses, by)?;
    }
    result
}

/// The cycles that keep the garbage, most bytes first.
fn keepers(graph: &HeapGraph, collection: &Collection, selection: &Selection) -> Vec<CycleGroup> {
    let mut groups = cycles(graph, collection, selection, Hops::Folded);
    groups.retain(|group| group.state == State::Garbage);
    groups
}
