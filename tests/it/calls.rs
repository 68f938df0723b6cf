//! What calls hold that will be made later: pending calls, and those at the end.

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

/// The root of what waits for the main thread.
const PENDING: &str = "pending call (inferred)";
/// The bytes that a pending call alone holds.
const BYTES: u64 = 5037;

/// A class, and the kind and the name of the root of its only object: `None` before 3.10, where the module keeps what
/// is called at the end.
const HELD: [(&str, &str, Option<&str>); 7] = [
    ("__main__.Function", "interpreter", None),
    ("__main__.Argument", "interpreter", None),
    ("__main__.Keyword", "interpreter", None),
    ("__main__.Waiting", "interpreter", Some(PENDING)),
    ("__main__.Below", "interpreter", Some(PENDING)),
    ("__main__.Borrowed", "module", Some("__main__")),
    ("__main__.Called", "c", Some("")),
];

fn one(python: &Python) -> Result<()> {
    let fixtures = workspace().join("python-fixtures");
    let mut fixture = Fixture::start(python, &fixtures, "calls", &[])?;
    fixture.settle()?;
    let file = fixture.folder().join("heap.parquet");
    let file = file.to_str().context("not UTF-8")?;
    let pid = fixture.pid().to_string();
    let taken = pyheap(&["snapshot", "-p", &pid, "-o", file, "--json"])?.json()?;
    ensure!(taken["anomalies"].as_array().is_some_and(Vec::is_empty), "{}", taken["anomalies"]);
    for (class, kind, name) in HELD {
        let why = pyheap(&["why", file, class, "--json"])?.json()?;
        let paths = why["paths"].as_array().context("no paths")?;
        ensure!(paths.len() == 1 && paths[0]["objects"] == 1, "{class}: {paths:?}");
        let root = &paths[0]["root"];
        let told = root["name"].as_str().unwrap_or_default();
        match name {
            Some(name) => {
                ensure!(root["kind"] == kind && told.starts_with(name), "{class}: {root}");
            }
            None if python.version.1 < 10 => {
                ensure!(root["kind"] == "module" && told == "atexit", "{class}: {root}");
            }
            None => ensure!(root["kind"] == kind && told.starts_with("atexit"), "{class}: {root}"),
        }
        let objects = pyheap(&["objects", file, class, "--json"])?;
        let object: Value = serde_json::from_str(objects.stdout.lines().last().context("none")?)?;
        // Only what the call in progress holds is not explained.
        let unexplained = u64::from(class == "__main__.Called");
        ensure!(object["unexplained_refs"] == unexplained, "{class}: {object}");
    }
    ensure!(!pyheap(&["why", file, "__main__.TakenBack"])?.status.success(), "it is still there");
    // Each of the three once: what is only pointed to, numbers and other blocks have no such root.
    let objects = pyheap(&["objects", file, "builtins.bytes", "--json"])?;
    let is_it = |object: &Value| object["shallow_bytes"].as_u64() == Some(33 + BYTES);
    let found: Vec<Value> = objects.stdout.lines().skip(1).flat_map(serde_json::from_str).collect();
    let bytes = found.iter().find(|object| is_it(object)).context("no such bytes")?;
    let address = bytes["address"].as_str().context("no address")?;
    let shown = pyheap(&["show", file, address, "--json"])?.json()?;
    ensure!(shown["roots"][0]["name"] == PENDING, "{}", shown["roots"]);
    let counts = fixture.ask("r")?;
    ensure!(counts == "1 1 1", "the process has {counts} references");
    Ok(())
}

#[test]
fn what_waiting_calls_hold_has_a_root_of_theirs() -> Result<()> {
    pythons::each(pythons::find(workspace())?, one)
}
