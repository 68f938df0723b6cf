//! What a reference from C code keeps has a root of its own; what nothing keeps has none.

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

/// Type, then objects, kind and name of the root, and type of the first object of each way.
type Ways = &'static [(u64, &'static str, &'static str, &'static str)];

const HELD: &[(&str, Ways)] = &[
    ("__main__.Leaked", &[(3, "c", "1 reference", "__main__.Leaked")]),
    ("__main__.LeakedTwice", &[(1, "c", "2 references", "__main__.LeakedTwice")]),
    ("__main__.LeakedCycle", &[(1, "c", "1 reference", "__main__.LeakedCycle")]),
    (
        "__main__.Below",
        &[
            (3, "c", "1 reference", "__main__.Leaked"),
            (1, "c", "1 reference", "__main__.LeakedCycle"),
            (1, "c", "2 references", "__main__.LeakedTwice"),
        ],
    ),
    ("__main__.Lost", &[(5, "garbage", "", "__main__.Lost")]),
];

fn one(python: &Python) -> Result<()> {
    let mut fixture = Fixture::start(python, &workspace().join("python-fixtures"), "c_held", &[])?;
    fixture.settle()?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("heap.parquet");
    let file = file.to_str().context("not UTF-8")?;
    let pid = fixture.pid().to_string();
    pyheap(&["snapshot", "-p", &pid, "-o", file, "--json"])?;
    let mut examples = Vec::new();
    for &(name, expected) in HELD {
        let live = pyheap(&["why", "-p", &pid, name, "--json"])?;
        let saved = pyheap(&["why", file, name, "--json"])?;
        ensure!(live["paths"] == saved["paths"], "{name}: {live} but {saved} in the file");
        let paths = live["paths"].as_array().context("no paths")?;
        let told: BTreeSet<_> = paths
            .iter()
            .map(|path| {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let root = &path["root"];
                let first = text(&path["steps"][0]["type"]);
                (path["objects"].as_u64(), text(&root["kind"]), text(&root["name"]), first)
            })
            .collect();
        let expected: BTreeSet<_> = expected
            .iter()
            .map(|&(objects, kind, name, first)| {
                (Some(objects), kind.to_owned(), name.to_owned(), first.to_owned())
            })
            .collect();
        ensure!(told == expected, "{name}: {told:?}");
        for path in paths {
            let example = path["example"].as_str().context("no example")?.to_owned();
            examples.push((example, path["root"]["kind"] == "c"));
        }
    }
    let garbage = pyheap(&["garbage", file, "--json", "--addresses"])?;
    let addresses = garbage["addresses"].as_array().context("no addresses")?;
    let claimed: BTreeSet<&str> = addresses.iter().filter_map(Value::as_str).collect();
    for (example, is_held) in &examples {
        let is_garbage = claimed.contains(example.as_str());
        ensure!(is_garbage != *is_held, "{example}: garbage {is_garbage}, held {is_held}");
    }
    let answer = fixture.ask("g")?;
    let found: BTreeSet<&str> = answer.split_whitespace().collect();
    ensure!(found == claimed, "the collector found {found:?}, not {claimed:?}");
    for address in &claimed {
        let shown = pyheap(&["show", file, address, "--json"])?;
        ensure!(shown["roots"] == Value::Array(Vec::new()), "{address}: {}", shown["roots"]);
    }
    Ok(())
}

#[test]
fn what_c_code_holds_has_a_root_and_garbage_has_none() -> Result<()> {
    pythons::each(pythons::find(workspace())?, one)
}
