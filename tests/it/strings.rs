//! Duplicate strings and bytes are those that the process itself finds equal.

use std::collections::{BTreeMap, BTreeSet};
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

/// The addresses of all objects of some types.
fn texts(source: &[&str], types: &[&str]) -> Result<Vec<String>> {
    let mut addresses = Vec::new();
    for name in types {
        let lines = pyheap(&[&["objects"], source, &[name, "--json"]].concat())?.json_lines()?;
        let of_object = lines.iter().filter_map(|line| line["address"].as_str());
        addresses.extend(of_object.map(str::to_owned));
    }
    Ok(addresses)
}

fn one(python: &Python) -> Result<()> {
    let mut fixture =
        Fixture::start(python, &workspace().join("python-fixtures"), "contents", &[])?;
    fixture.settle()?;
    let folder = fixture.folder().to_owned();
    let (list, answer) = (folder.join("addresses"), folder.join("equal"));
    let file = folder.join("heap.parquet");
    let file = file.to_str().context("not UTF-8")?;
    let pid = fixture.pid().to_string();
    pyheap(&["snapshot", "-p", &pid, "-o", file, "--json"])?.json()?;
    let live = pyheap(&["strings", "-p", &pid, "--json", "--addresses"])?.json()?;
    let saved = pyheap(&["strings", file, "--json", "--addresses"])?.json()?;
    ensure!(live["groups"] == saved["groups"], "the file tells something else");
    ensure!(live["totals"] == saved["totals"] && live["types"] == saved["types"], "{live}");
    ensure!(live["totals"]["left_out"]["objects"] == 0, "{}", live["totals"]);
    let types = live["types"].as_array().context("no types")?;
    let names: Vec<&str> = types.iter().filter_map(|ty| ty["type"].as_str()).collect();
    ensure!(names.len() >= 4, "{names:?}");
    std::fs::write(&list, texts(&["-p", &pid], &names)?.join("\n") + "\n")?;
    ensure!(fixture.ask("e")? == "done", "the fixture cannot tell");

    let text = std::fs::read_to_string(&answer)?;
    // What only a cache of the interpreter held may be gone since; that must be hardly anything.
    let gone = text.lines().find_map(|line| line.strip_prefix("gone")).context("nothing told")?;
    let gone: BTreeSet<&str> = gone.split_whitespace().collect();
    ensure!(gone.len() <= 2, "gone: {gone:?}");

    let groups = live["groups"].as_array().context("no groups")?;
    let mut told: BTreeSet<Vec<&str>> = BTreeSet::new();
    for group in groups {
        let addresses = group["addresses"].as_array().context("no addresses")?;
        let mut addresses: Vec<&str> = addresses.iter().filter_map(Value::as_str).collect();
        ensure!(group["copies"] == addresses.len() as u64, "{group}");
        ensure!(group.get("value").is_none(), "contents are told: {group}");
        addresses.retain(|address| !gone.contains(address));
        addresses.sort_unstable();
        if addresses.len() > 1 {
            told.insert(addresses);
        }
    }
    let told_saved: BTreeMap<&str, u64> = types
        .iter()
        .filter_map(|ty| Some((ty["type"].as_str()?, ty["saved_bytes"].as_u64()?)))
        .collect();
    let (mut equal, mut saved) = (BTreeSet::new(), BTreeMap::new());
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("equal") => {
                equal.insert(words.collect::<Vec<&str>>());
            }
            Some("gone") => {}
            _ => {
                let name = words.next().context("no type")?;
                saved.insert(name, words.next().context("no bytes")?.parse::<u64>()?);
            }
        }
    }
    let lacking: Vec<_> = equal.difference(&told).take(3).collect();
    let extra: Vec<_> = told.difference(&equal).take(3).collect();
    ensure!(lacking.is_empty() && extra.is_empty(), "lacking {lacking:?}, extra {extra:?}");
    ensure!(told_saved == saved, "{told_saved:?}, not {saved:?}");
    ensure!(equal.len() > 30, "only {} groups", equal.len());
    let most = &groups[0];
    ensure!(most["copies"] == 2 && most["bytes_each"].as_u64() > Some(3 << 20), "{most}");
    ensure!(most["root"]["name"] == "__main__", "{most}");
    let customers = groups.iter().filter(|group| group["copies"] == 72).count();
    ensure!(customers >= 3, "{customers} groups of 72");
    let shown = pyheap(&["strings", "-p", &pid, "--values", "--json"])?.json()?;
    let texts = shown["groups"].as_array().context("no groups")?;
    let value = "\"customer1customer1customer\"";
    ensure!(!texts.iter().any(|group| group["value"] == value), "a text that is not there");
    let value = "\"customer1customer\"";
    ensure!(texts.iter().any(|group| group["value"] == value), "the text is not shown");
    Ok(())
}

#[test]
fn duplicates_are_what_the_process_finds_equal() -> Result<()> {
    pythons::each(pythons::find(workspace())?, one)
}

#[test]
fn a_file_from_before_there_were_hashes_is_read() -> Result<()> {
    let file = workspace().join("tests/data/snapshots/first.parquet");
    let file = file.to_str().context("not UTF-8")?;
    let document = pyheap(&["histogram", file, "--json"])?.json()?;
    ensure!(document["totals"]["objects"] == 10_428, "{}", document["totals"]);
    let document = pyheap(&["strings", file, "--json"])?.json()?;
    ensure!(document["totals"].is_null(), "{}", document["totals"]);
    let told = pyheap(&["strings", file])?;
    ensure!(told.status.success() && told.stdout.contains("is not known"), "{}", told.stdout);
    Ok(())
}
