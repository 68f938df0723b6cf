//! What pyheap calls garbage is what the collector then finds, object by object.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::support::fixture::Fixture;
use crate::support::pythons::{self, Python};
use crate::support::run::Run;

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn pyheap(args: &[&str]) -> Result<Value> {
    Run::of(Path::new(env!("CARGO_BIN_EXE_pyheap")), args)?.json()
}

fn one(python: &Python) -> Result<()> {
    let mut fixture =
        Fixture::start(python, &workspace().join("python-fixtures"), "garbage", &["plain"])?;
    fixture.settle()?;
    let pid = fixture.pid().to_string();
    let document = pyheap(&["garbage", "-p", &pid, "--json", "--addresses"])?;
    let types = pyheap(&["garbage", "-p", &pid, "--json"])?;
    let cycles = pyheap(&["cycles", "-p", &pid, "--json"])?;
    let claimed: BTreeSet<String> = document["addresses"]
        .as_array()
        .context("no addresses")?
        .iter()
        .filter_map(|at| at.as_str().map(str::to_owned))
        .collect();
    let answer = fixture.ask("g")?;
    let found: BTreeSet<String> = answer.split_whitespace().map(str::to_owned).collect();
    // What was put into gc.garbage by hand before.
    let uncollectable = &types["uncollectable"];
    ensure!(uncollectable[0]["type"] == "builtins.list", "{uncollectable}");
    ensure!(uncollectable[0]["objects"] == 1, "{uncollectable}");
    let lacking: Vec<&String> = found.difference(&claimed).take(5).collect();
    let extra: Vec<&String> = claimed.difference(&found).take(5).collect();
    ensure!(
        lacking.is_empty() && extra.is_empty(),
        "{} claimed, {} found; lacking {lacking:?}, extra {extra:?}",
        claimed.len(),
        found.len()
    );
    ensure!(claimed.len() > 2_000, "only {} objects are garbage", claimed.len());
    ensure!(document["unreachable"] == claimed.len() as u64, "{}", document["unreachable"]);
    ensure!(document["may_be_resurrected"] == 1, "{}", document["may_be_resurrected"]);
    let cycles = cycles["cycles"].as_array().context("no cycles")?;
    let ring = cycles.iter().find(|cycle| {
        let steps = cycle["shape"].as_array().map(Vec::len);
        cycle["state"] == "garbage"
            && steps == Some(11)
            && cycle["shape"][0]["type"] == "__main__.Lost"
    });
    ensure!(ring.is_some_and(|ring| ring["count"] == 1), "the ring of ten is not told: {cycles:?}");
    let lost =
        cycles.iter().find(|cycle| cycle["shape"][1]["label"] == ".me" && cycle["count"] == 100);
    ensure!(lost.is_some(), "the hundred pairs are not told");
    Ok(())
}

#[test]
fn garbage_is_what_the_collector_finds_then() -> Result<()> {
    pythons::each(pythons::find(workspace())?, one)
}

#[test]
fn a_heap_without_garbage_has_none() -> Result<()> {
    for python in pythons::find(workspace())? {
        let fixture = Fixture::start(&python, &workspace().join("python-fixtures"), "stdlib", &[])?;
        fixture.settle()?;
        let document = pyheap(&["garbage", "-p", &fixture.pid().to_string(), "--json"])?;
        ensure!(document["objects"] == 0, "{}: {}", python.label(), document["types"]);
    }
    Ok(())
}
