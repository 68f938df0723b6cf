//! What only the evaluation stacks of running frames hold is found, and what they have left behind is not.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use pyheap::analysis::references::{Referrer, referrers};
use pyheap::graph::{HeapGraph, ObjectId, RootKind};
use serde_json::Value;

use crate::support::compare::compare_process;
use crate::support::fixture::Fixture;
use crate::support::pythons::{self, Python};
use crate::support::run::Run;

/// How many references C code alone has: the iterator that unpacks, and what frees. From 3.14 on an instruction takes
/// what it frees off the stack first.
fn held_by_c(name: &str, borrows: bool) -> usize {
    match (name, borrows) {
        ("unpacking", true) => 2,
        ("unpacking" | "freed_in_call", _) | ("freed_first" | "freed_last", true) => 1,
        _ => 0,
    }
}

/// What holds these is no stack: the exception that a thread handles, C code that frees, and a generator that runs.
const NOT_ON_STACKS: [&str; 3] = ["handled", "freed_in_call", "waiting_for"];

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn pyheap() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_pyheap"))
}

/// The objects that a fixture tells: address and reference count by name.
fn told(answer: &str) -> Result<BTreeMap<String, (u64, usize)>> {
    let document: BTreeMap<String, (String, usize)> = serde_json::from_str(answer)?;
    let parsed = |(name, (address, count)): (String, (String, usize))| {
        let address = address.strip_prefix("0x").context("no address")?;
        Ok((name, (u64::from_str_radix(address, 16)?, count)))
    };
    document.into_iter().map(parsed).collect()
}

/// What a fixture tells of an object.
struct Told<'a> {
    name: &'a str,
    at: u64,
    /// How many references there are to it.
    count: usize,
}

/// The counted roots of an object.
fn roots(graph: &HeapGraph, object: ObjectId) -> Vec<&str> {
    let roots = graph.roots.iter().filter(|root| root.object == object && root.kind.is_counted());
    roots.map(|root| graph.strings.text(root.name)).collect()
}

/// Whether an object is on an evaluation stack, or in something in something that is.
fn is_on_stack(graph: &HeapGraph, object: ObjectId) -> bool {
    /// A map has an iterator of a tuple of a tuple.
    const LEVELS: usize = 6;
    let mut level = vec![object];
    for _ in 0..LEVELS {
        if level.iter().any(|&one| roots(graph, one).iter().any(|root| root.ends_with(") stack"))) {
            return true;
        }
        let above: Vec<Referrer> =
            referrers(graph, &level, usize::MAX).into_values().flat_map(|(list, _)| list).collect();
        if above.iter().any(|referrer| referrer.label.starts_with("stack[")) {
            return true;
        }
        level = above.into_iter().map(|referrer| referrer.object).collect();
    }
    false
}

/// Says what is wrong with one object, to which there are references with these labels.
fn check(graph: &HeapGraph, told: &Told<'_>, labels: &Labels, borrows: bool) -> Result<()> {
    let &Told { name, at, count } = told;
    let object = find(graph, at).with_context(|| format!("{name} at {at:#x} is not there"))?;
    let expected = match name.strip_prefix("text of ") {
        Some(_) => "builtins.bytes".to_owned(),
        None if name.starts_with("kept") => "builtins.object".to_owned(),
        None => format!("__main__.T_{name}"),
    };
    let type_name = graph.type_name_of(object);
    ensure!(type_name == expected, "{name} is a {type_name}");
    let roots = roots(graph, object);
    let labels = labels.get(&object).map_or(&[][..], Vec::as_slice);
    let holders = roots.len() + labels.len();
    let shown = || format!("{name}: {count} references, {roots:?} {labels:?}");
    // From 3.14 on a stack may have references that are not counted.
    let most = if borrows { usize::MAX } else { count };
    ensure!(holders + held_by_c(name, borrows) >= count && holders <= most, "{}", shown());
    let elsewhere = borrows || name.starts_with("kept") || NOT_ON_STACKS.contains(&name);
    ensure!(elsewhere || is_on_stack(graph, object), "no stack holds {}", shown());
    let by_c = graph.roots.iter().any(|root| root.object == object && root.kind == RootKind::C);
    ensure!(!by_c, "{name} has a root of C code");
    Ok(())
}

/// The labels of the references to each object.
type Labels = BTreeMap<ObjectId, Vec<String>>;

fn find(graph: &HeapGraph, at: u64) -> Option<ObjectId> {
    graph.ids().find(|&object| graph.addr(object).0 == at)
}

fn one(python: &Python) -> Result<()> {
    let sources = workspace().join("python-fixtures");
    let mut fixture = Fixture::start(python, &sources, "temporaries", &[])?;
    fixture.settle()?;
    fixture.settle_threads()?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("heap.parquet");
    let text = file.to_str().context("not UTF-8")?;
    let document: Value =
        Run::of(pyheap(), &["snapshot", "-p", &fixture.pid().to_string(), "-o", text, "--json"])?
            .json()?;
    ensure!(document["anomalies"] == Value::Array(Vec::new()), "{}", document["anomalies"]);
    let graph = pyheap::snapshot::load(&file)?.graph;
    let told = told(&fixture.ask("p")?)?;
    ensure!(told.len() > 70, "only {} are told", told.len());
    let borrows = python.version >= (3, 14, 0);
    let objects: Vec<ObjectId> = told.values().filter_map(|&(at, _)| find(&graph, at)).collect();
    let referrers = referrers(&graph, &objects, usize::MAX).into_iter();
    let labels: Labels = referrers
        .map(|(object, (list, _))| (object, list.into_iter().map(|one| one.label).collect()))
        .collect();
    let mut wrong: Vec<String> = told
        .iter()
        .map(|(name, &(at, count))| Told { name, at, count })
        .filter_map(|told| check(&graph, &told, &labels, borrows).err())
        .map(|error| error.to_string())
        .collect();
    // Nothing of these classes is there that has gone.
    let alive: BTreeSet<u64> = told.values().map(|&(at, _)| at).collect();
    let gone = graph.ids().filter(|&object| {
        graph.type_name_of(object).starts_with("__main__.T_")
            && !alive.contains(&graph.addr(object).0)
    });
    wrong.extend(gone.map(|object| format!("{} is gone", graph.type_name_of(object))));
    ensure!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), told.len(), wrong.join("\n"));
    let report = compare_process(&mut fixture, pyheap(), &python.label())?;
    ensure!(report.is_exact(), "{report}");
    Ok(())
}

#[test]
fn what_only_evaluation_stacks_hold_is_found() -> Result<()> {
    pythons::each(pythons::find(workspace())?, one)
}
