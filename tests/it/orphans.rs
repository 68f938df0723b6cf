//! What C code has leaked is found though nothing refers to it: objects by their addresses, blocks by their number.

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

fn pyheap(args: &[&str]) -> Result<Run> {
    Run::of(Path::new(env!("CARGO_BIN_EXE_pyheap")), args)
}

/// What the command `l` of the fixture leaks: the type, how many objects, and their name in its answer.
const OBJECTS: [(&str, u64, &str); 5] = [
    ("builtins.str", 300, "str"),
    ("builtins.int", 200, "int"),
    ("builtins.bytes", 100, "bytes"),
    ("builtins.tuple", 51, "tuple"),
    ("builtins.tuple", 51, "whole"),
];
/// The size of blocks and how many.
const BLOCKS: [(u64, u64); 2] = [(60, 400), (180, 100)];
/// How many of these an old address may explain (`docs/allocator.md`, limits).
const MOST_HIDDEN: i64 = 2;

fn row<'d>(document: &'d Value, name: &str) -> Option<&'d Value> {
    document["types"].as_array()?.iter().find(|row| row["type"] == name)
}

/// How many orphans of a type there are.
fn count(document: &Value, name: &str) -> u64 {
    row(document, name).and_then(|row| row["objects"].as_u64()).unwrap_or(0)
}

/// The addresses of orphans of a type.
fn addresses(document: &Value, name: &str) -> BTreeSet<String> {
    let rows = row(document, name).and_then(|row| row["examples"].as_array());
    rows.into_iter().flatten().filter_map(|at| Some(at.as_str()?.to_owned())).collect()
}

fn one(python: &Python) -> Result<()> {
    let mut fixture = Fixture::start(python, &workspace().join("python-fixtures"), "orphans", &[])?;
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (before, after) = (path("before.parquet"), path("after.parquet"));
    let pid = fixture.pid().to_string();
    // The first time, the answer itself leaves caches behind.
    fixture.ask("l")?;
    fixture.settle()?;
    pyheap(&["snapshot", "-p", &pid, "-o", &before, "--json"])?.json()?;
    let answer = fixture.ask("l")?;
    fixture.settle()?;
    pyheap(&["snapshot", "-p", &pid, "-o", &after, "--json"])?.json()?;
    let (old, new) = (
        pyheap(&["orphans", &before, "--json"])?.json()?,
        pyheap(&["orphans", &after, "--json"])?.json()?,
    );
    for (name, expected, kind) in OBJECTS {
        let grown = count(&new, name) as i64 - count(&old, name) as i64;
        ensure!(grown == expected as i64, "{name}: {grown} more, not {expected}");
        let prefix = format!("{kind}=");
        let told = answer.split(';').find_map(|part| part.strip_prefix(&prefix));
        let there = addresses(&new, name);
        for address in told.context("nothing told")?.split(',') {
            ensure!(there.contains(&format!("0x{address}")), "{name} {address} is not there");
        }
    }
    let hooks = new["allocator"]["debug_hooks"] == true;
    let diff = pyheap(&["diff", &before, &after, "--json"])?.json()?;
    for (bytes, count) in BLOCKS {
        let class = (bytes + if hooks { 24 } else { 0_u64 }).next_multiple_of(16);
        let rows = diff["blocks"].as_array().context("no blocks")?;
        let row = rows.iter().find(|row| row["size_class"] == class).context("no such size")?;
        let number = |name: &str| row[name].as_u64().unwrap_or(0);
        let grown = number("unexplained_after") as i64 - number("unexplained_before") as i64;
        // An old address in memory out of use may explain one of them; nothing makes one up.
        let told = count as i64 - MOST_HIDDEN..=count as i64;
        ensure!(told.contains(&grown), "{grown} blocks of {class} more, not {count}: {row}");
    }
    let words = pyheap(&["diff", &before, &after])?;
    words.expect(0, &[])?;
    ensure!(words.stdout.contains("unexplained blocks of"), "{}", words.stdout);
    Ok(())
}

#[test]
fn leaked_objects_and_lost_blocks_are_found_on_every_interpreter() -> Result<()> {
    pythons::each(pythons::find(workspace())?, one)
}

/// Two snapshots with a command between them: the report of orphans before and after, the comparison, and by how much the
/// process says that its blocks grew.
fn around(fixture: &mut Fixture, command: &str) -> Result<(Value, Value, Value, i64)> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (before, after) = (path("before.parquet"), path("after.parquet"));
    let pid = fixture.pid().to_string();
    fixture.settle()?;
    pyheap(&["snapshot", "-p", &pid, "-o", &before, "--json"])?.json()?;
    let grown = fixture.ask(command)?.parse()?;
    fixture.settle()?;
    pyheap(&["snapshot", "-p", &pid, "-o", &after, "--json"])?.json()?;
    let old = pyheap(&["orphans", &before, "--json"])?.json()?;
    let new = pyheap(&["orphans", &after, "--json"])?.json()?;
    Ok((old, new, pyheap(&["diff", &before, &after, "--json"])?.json()?, grown))
}

/// How many unexplained blocks more there are, of all sizes.
fn unexplained_growth(diff: &Value) -> i64 {
    let rows = diff["blocks"].as_array().map(Vec::as_slice).unwrap_or_default();
    let number = |row: &Value, name: &str| row[name].as_i64().unwrap_or(0);
    rows.iter()
        .map(|row| number(row, "unexplained_after") - number(row, "unexplained_before"))
        .sum()
}

#[test]
fn a_released_extension_is_convicted_of_the_references_that_it_loses() -> Result<()> {
    for python in pythons::environments(workspace(), "extensions_app")? {
        let sources = workspace().join("python-fixtures");
        let mut fixture = Fixture::start(&python, &sources, "apps/extensions_app", &[])?;
        // ujson forgets a reference to each text.
        let (old, new, diff, grown) = around(&mut fixture, "r")?;
        let more = count(&new, "builtins.str") as i64 - count(&old, "builtins.str") as i64;
        ensure!(more == 1000, "{}: {more} more str", python.label());
        ensure!((grown - more).abs() < 50, "{}: the process says {grown}", python.label());
        ensure!(unexplained_growth(&diff) < 50, "{}: {}", python.label(), diff["blocks"]);
    }
    Ok(())
}
