//! Arrays own, view and hold what numpy says.

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

/// The objects at the other ends of an object's edges whose label begins so, sorted.
fn held(object: &Value, begins: &str) -> Vec<String> {
    let list = |name: &str| object[name].as_array().cloned().unwrap_or_default();
    let edges = list("hidden_referents").into_iter().zip(list("hidden_labels"));
    let named =
        edges.filter(|(_, label)| label.as_str().is_some_and(|label| label.starts_with(begins)));
    let mut held: Vec<String> =
        named.filter_map(|(to, _)| to.as_str().map(str::to_owned)).collect();
    held.sort_unstable();
    held
}

fn one(python: &Python) -> Result<()> {
    let fixtures = workspace().join("python-fixtures");
    let mut fixture = Fixture::start(python, &fixtures, "apps/arrays_app", &[])?;
    fixture.settle()?;
    let file = fixture.folder().join("heap.parquet");
    let file = file.to_str().context("not UTF-8")?;
    let pid = fixture.pid().to_string();
    let document = pyheap(&["snapshot", "-p", &pid, "-o", file, "--json"])?.json()?;
    let anomalies = &document["anomalies"];
    ensure!(anomalies.as_array().is_some_and(Vec::is_empty), "{}: {anomalies}", python.label());
    let mut objects = BTreeMap::new();
    for line in pyheap(&["objects", file, "--json"])?.json_lines()?.into_iter().skip(1) {
        let address = line["address"].as_str().context("no address")?.to_owned();
        objects.insert(address, line);
    }
    ensure!(fixture.ask("a")? == "done", "the fixture cannot tell");
    let told = std::fs::read_to_string(fixture.folder().join("arrays"))?;
    let told: Vec<Value> = serde_json::from_str(&told)?;
    let (mut with_items, mut views, mut example) = (0, 0, None);
    for truth in &told {
        let address = truth["address"].as_str().context("no address")?;
        // What is an object of its own each time that it is asked for is not in the heap.
        let Some(object) = objects.get(address) else { continue };
        let bytes = object["payload_bytes"].as_u64().unwrap_or(0)
            + object["buffer_bytes"].as_u64().unwrap_or(0);
        ensure!(truth["owned"] == bytes, "{truth}: {bytes} bytes");
        let base: Vec<String> = truth["base"].as_str().map(str::to_owned).into_iter().collect();
        ensure!(held(object, ".base") == base, "{truth}: {object}");
        let items = truth["items"].as_array().context("no items")?;
        let mut items: Vec<String> =
            items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect();
        items.sort_unstable();
        let found = held(object, "[");
        ensure!(
            found == items,
            "{} has {} items, not {}",
            truth["dtype"],
            found.len(),
            items.len()
        );
        with_items += usize::from(!items.is_empty());
        views += base.len();
        if truth["owned"] == 4_000_000 {
            example = Some(address.to_owned());
        }
    }
    ensure!(with_items >= 8 && views >= 8, "{with_items} arrays with items, {views} with a base");
    let example = example.context("the large array is not there")?;
    let why = pyheap(&["why", file, &example])?;
    ensure!(why.stdout.contains("module __main__"), "{}", why.stdout);
    Ok(())
}

#[test]
fn arrays_own_view_and_hold_what_numpy_says() -> Result<()> {
    let mut pythons = pythons::environments(workspace(), "pandas_app")?;
    // numpy 1.20: its arrays have a field less.
    pythons.extend(pythons::environments(workspace(), "woodwork_leak")?);
    pythons::each(pythons, one)
}

fn arrow(python: &Python) -> Result<()> {
    let fixtures = workspace().join("python-fixtures");
    let mut fixture = Fixture::start(python, &fixtures, "apps/arrow_app", &[])?;
    fixture.settle()?;
    let document = pyheap(&["histogram", "-p", &fixture.pid().to_string(), "--json"])?.json()?;
    let types = document["types"].as_array().context("no types")?;
    let arrow = types
        .iter()
        .filter(|ty| ty["type"].as_str().is_some_and(|name| name.starts_with("pyarrow.")));
    let told: u64 = arrow.filter_map(|ty| ty["buffer_bytes"].as_u64()).sum();
    let truth: u64 = fixture.ask("p")?.parse()?;
    ensure!(told == truth && truth > 10_000_000, "{told} bytes of {truth} in Arrow's pool");
    Ok(())
}

#[test]
fn buffers_of_arrow_are_owned_once() -> Result<()> {
    pythons::each(pythons::environments(workspace(), "arrow_app")?, arrow)
}
