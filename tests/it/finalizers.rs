//! What pyheap says will run when garbage goes is what then runs.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::support::fixture::Fixture;
use crate::support::pythons::{self, Python};
use crate::support::run::Run;

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn pyheap(args: &[&str]) -> Result<Run> {
    Run::of(Path::new(env!("CARGO_BIN_EXE_pyheap")), args)
}

/// The name by which the fixture knows what runs: of a function without its place, of a class without where it is defined.
fn short(kind: &str, name: &str) -> String {
    let name = name.split(" (").next().unwrap_or(name);
    match kind {
        "tp_del" => name.rsplit('.').next().unwrap_or(name).to_owned(),
        _ => name.to_owned(),
    }
}

/// `kind name` and how often, of a list of finalizers.
fn told(finalizers: &Value) -> Result<BTreeMap<String, u64>> {
    let rows = finalizers.as_array().context("no finalizers")?;
    let mut told = BTreeMap::new();
    for row in rows {
        let (kind, name) = (row["kind"].as_str(), row["name"].as_str());
        let (kind, name) = (kind.context("no kind")?, name.context("no name")?);
        // The library's own: sets of weak references are told what has gone.
        if name.contains("weakref") || name == "builtins.builtin_function_or_method" {
            continue;
        }
        *told.entry(format!("{kind} {}", short(kind, name))).or_default() +=
            row["count"].as_u64().context("no count")?;
    }
    Ok(told)
}

fn one(python: &Python) -> Result<()> {
    let fixtures = workspace().join("python-fixtures");
    let mut fixture = Fixture::start(python, &fixtures, "finalizers", &[])?;
    fixture.settle()?;
    let pid = fixture.pid().to_string();
    let file = fixture.folder().join("heap.parquet");
    let file = file.to_str().context("not UTF-8")?;
    pyheap(&["snapshot", "-p", &pid, "-o", file, "--json"])?.json()?;
    let live = pyheap(&["garbage", "-p", &pid, "--json"])?.json()?;
    let saved = pyheap(&["garbage", file, "--json"])?.json()?;
    ensure!(live["finalizers"] == saved["finalizers"], "{live} but {saved} in the file");
    let mut claimed = told(&saved["finalizers"])?;
    let words = pyheap(&["garbage", file])?.stdout;
    for part in
        ["calls cleanup (finalizers.py:", "closes guarded (finalizers.py:", "runs the __del__"]
    {
        ensure!(words.contains(part), "{part:?} is not told:\n{words}");
    }
    let cycles = pyheap(&["cycles", file, "--json"])?.json()?;
    let cycles = cycles["cycles"].as_array().context("no cycles")?;
    // What stays for its tp_del is not freed, and is told with the cycle that stays.
    for cycle in cycles.iter().filter(|cycle| cycle["state"] == "uncollectable") {
        claimed.extend(told(&cycle["finalizers"])?);
    }
    let is_watched =
        |cycle: &&Value| cycle["shape"][0]["type"] == "__main__.Watched" && cycle["count"] == 2;
    let watched = cycles.iter().find(is_watched);
    let callbacks = told(&watched.context("no such cycle")?["finalizers"])?;
    ensure!(
        callbacks == BTreeMap::from([("weakref_callback gone".to_owned(), 2)]),
        "{callbacks:?}"
    );
    let answer: BTreeMap<String, u64> = serde_json::from_str(&fixture.ask("c")?)?;
    ensure!(answer == claimed, "{claimed:#?} was claimed, {answer:#?} ran");
    ensure!(answer.len() >= 14, "only {} kinds ran", answer.len());
    Ok(())
}

#[test]
fn what_runs_when_garbage_goes_is_told_before() -> Result<()> {
    pythons::each(pythons::find(workspace())?, one)
}
