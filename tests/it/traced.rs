//! Where objects were allocated is what `tracemalloc` itself says of each.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::record::each_minor;
use crate::support::fixture::Fixture;
use crate::support::pythons::Python;
use crate::support::run::Run;

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn pyheap(args: &[&str]) -> Result<Run> {
    Run::of(Path::new(env!("CARGO_BIN_EXE_pyheap")), args)
}

/// The traceback of each object that has one, as `[[file, line], …]`; and the types of those that are
/// the interpreter's own while it waits.
fn told(source: &[&str]) -> Result<BTreeMap<String, Value>> {
    let lines = pyheap(&[&["objects"], source, &["--json"]].concat())?.json_lines()?;
    let mut told = BTreeMap::new();
    for line in lines.iter().skip(1) {
        let address = line["address"].as_str().context("no address")?.to_owned();
        let Some(frames) = line.get("traceback").and_then(Value::as_array) else {
            told.insert(address, Value::Null);
            continue;
        };
        let first = format!("{}:{}", frames[0]["file"].as_str().unwrap_or("?"), frames[0]["line"]);
        ensure!(line["allocated_at"] == first.as_str(), "{line}");
        let frames = frames.iter().map(|frame| json!([frame["file"], frame["line"]])).collect();
        told.insert(address, frames);
    }
    Ok(told)
}

fn one(python: &Python, depth: &str) -> Result<()> {
    let fixtures = workspace().join("python-fixtures");
    let mut fixture = Fixture::start(python, &fixtures, "traced", &[depth])?;
    fixture.settle()?;
    let folder = fixture.folder().to_owned();
    let file = folder.join("heap.parquet");
    let file = file.to_str().context("not UTF-8")?;
    let pid = fixture.pid().to_string();
    pyheap(&["snapshot", "-p", &pid, "-o", file, "--json"])?.json()?;
    let saved = told(&[file])?;
    let live = &saved;
    let addresses: Vec<&str> = live.keys().map(String::as_str).collect();
    std::fs::write(folder.join("addresses"), addresses.join("\n") + "\n")?;
    ensure!(fixture.ask("l")? == "done", "the fixture cannot tell");
    let text = std::fs::read_to_string(folder.join("lines"))?;
    let mut truth = BTreeMap::new();
    for line in text.lines() {
        let (address, frames) = line.split_once(' ').context("no frames")?;
        truth.insert(address.to_owned(), serde_json::from_str::<Value>(frames)?);
    }
    let mut wrong = Vec::new();
    for (address, frames) in live {
        // Instances with a managed dictionary begin two words further in their block. 3.11 forgets that
        // where it looks for their traceback, and says that there is none.
        if python.version.1 == 11 && !truth.contains_key(address) {
            continue;
        }
        if *frames != *truth.get(address).unwrap_or(&Value::Null) {
            wrong.push((address, frames, truth.get(address)));
        }
    }
    let examples: Vec<_> = wrong.iter().take(5).collect();
    ensure!(wrong.is_empty(), "{} of {} are wrong: {examples:?}", wrong.len(), live.len());
    ensure!(truth.len() > 20_000, "only {} objects are traced", truth.len());
    let longest = truth.values().filter_map(|frames| Some(frames.as_array()?.len())).max();
    ensure!(longest == Some(depth.parse()?), "the longest traceback has {longest:?} lines");

    let rows = pyheap(&["why", file, "__main__.Row", "--json"])?.json()?;
    let example = &rows["paths"][0];
    ensure!(example["allocated_at"].as_str().is_some_and(|at| at.contains("traced.py:")), "{rows}");
    let row = example["example"].as_str().context("no example")?;
    let shown = pyheap(&["show", file, row])?;
    ensure!(shown.stdout.contains("allocated at "), "{}", shown.stdout);
    let lines = pyheap(&["histogram", file, "--by", "line", "--json"])?;
    ensure!(lines.stdout.contains("traced.py:"), "{}", lines.stderr);
    ensure!(fixture.ask("x")? == "done", "the fixture does not stop tracing");
    let live = told(&["-p", &pid])?;
    ensure!(live.values().all(Value::is_null), "objects are traced no more, and yet have lines");
    let shown = pyheap(&["show", "-p", &pid, row])?;
    ensure!(shown.stdout.contains("-X tracemalloc"), "{}", shown.stdout);
    Ok(())
}

#[test]
fn objects_were_allocated_where_tracemalloc_says() -> Result<()> {
    let mut failures = Vec::new();
    // One frame is what `-X tracemalloc` keeps; the tables are the same.
    for (python, depth) in each_minor()?.iter().zip(["25", "1"].into_iter().cycle()) {
        if let Err(error) = one(python, depth) {
            failures.push(format!("{} with {depth} frames: {error:#}", python.label()));
        }
    }
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}
