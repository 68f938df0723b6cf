//! What released extensions keep in memory of their own, which no `tp_traverse` shows, has them as its holders.

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

/// A class, how many objects it has, and the type of what keeps them.
const KEPT: [(&str, u64, &str); 3] =
    [("InMap", 100, "rpds.HashTrieMap"), ("InList", 1000, "rpds.List"), ("InLru", 10, "_lru.LRU")];
/// A class and how many objects it has, where nothing is found that leads to them: the cache has an allocator of its own, and
/// the nodes of the trie are packed, so that no word is where one is looked for.
const NOT_FOUND: [(&str, u64); 3] = [("InCache", 50), ("InTrie", 20), ("Lost", 3)];

/// The objects of a class in a file: address, and how many of its references nothing explains.
fn objects(file: &str, class: &str) -> Result<BTreeMap<String, Value>> {
    let listed = pyheap(&["objects", file, &format!("__main__.{class}"), "--json"])?;
    let rows = listed.stdout.lines().skip(1);
    rows.map(|line| {
        let row: Value = serde_json::from_str(line)?;
        let address = row["address"].as_str().context("no address")?.to_owned();
        Ok((address, row["unexplained_refs"].clone()))
    })
    .collect()
}

fn one(python: &Python) -> Result<()> {
    let mut fixture =
        Fixture::start(python, &workspace().join("python-fixtures"), "apps/native_app", &[])?;
    fixture.settle()?;
    let file = fixture.folder().join("heap.parquet");
    let file = file.to_str().context("not UTF-8")?;
    let pid = fixture.pid().to_string();
    pyheap(&["snapshot", "-p", &pid, "-o", file, "--json"])?.json()?;
    let answer = fixture.ask("r")?;
    let mut told: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for row in answer.split(';') {
        let [class, address, count] = row.split(' ').collect::<Vec<_>>()[..] else {
            anyhow::bail!("{row}");
        };
        ensure!(count == "1", "the process has {count} references to {row}");
        told.entry(class).or_default().insert(address);
    }
    for (class, count, keeper) in KEPT {
        let found = objects(file, class)?;
        let addresses: BTreeSet<&str> = found.keys().map(String::as_str).collect();
        ensure!(told.get(class) == Some(&addresses), "{class}: other objects than it keeps");
        ensure!(addresses.len() as u64 == count, "{class}: {}", addresses.len());
        let left: Vec<_> = found.iter().filter(|(_, left)| **left != 0).take(3).collect();
        ensure!(left.is_empty(), "{class}: not explained: {left:?}");
        let why = pyheap(&["why", file, &format!("__main__.{class}"), "--json"])?.json()?;
        let paths = why["paths"].as_array().context("no paths")?;
        let is_kept = |path: &Value| {
            let steps = path["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
            steps.iter().any(|step| step["type"] == keeper)
        };
        // Old addresses in memory in use may lead into the middle of what it keeps, from elsewhere.
        ensure!(paths.iter().any(is_kept), "{class}: {paths:?}");
        ensure!(paths.iter().all(|path| path["root"]["kind"] != "c"), "{class}: {paths:?}");
    }
    for (class, count) in NOT_FOUND {
        let why = pyheap(&["why", file, &format!("__main__.{class}"), "--json"])?.json()?;
        let paths = why["paths"].as_array().context("no paths")?;
        let told: u64 = paths.iter().filter_map(|path| path["objects"].as_u64()).sum();
        ensure!(told == count, "{class}: {paths:?}");
        for path in paths {
            let root = &path["root"];
            ensure!(root["kind"] == "c" && root["name"] == "1 reference", "{class}: {root}");
        }
    }
    blocks(file, &pid)
}

/// The words: the block by its address and size, and the object that leads to it.
fn blocks(file: &str, pid: &str) -> Result<()> {
    let first = objects(file, "InMap")?.into_keys().next().context("none")?;
    let shown = pyheap(&["show", file, &first, "--json"])?.json()?;
    let holder = &shown["native_holders"][0];
    ensure!(holder["owner_type"] == "rpds.HashTrieMap", "{holder}");
    let bytes = holder["bytes"].as_u64().context("no size")?;
    ensure!(bytes >= 24 && bytes % 16 == 8, "no block of malloc has {bytes} bytes for its owner");
    let block = holder["address"].as_str().context("no address")?;
    let start = u64::from_str_radix(block.trim_start_matches("0x"), 16)?;
    ensure!(start % 16 == 0, "{block}");
    let told = pyheap(&["why", file, &first])?.stdout;
    ensure!(told.contains("HashTrieMap → native block of "), "{told}");
    ensure!(told.contains(&format!("bytes at {block}, to which rpds.HashTrieMap at ")), "{told}");
    let live = pyheap(&["why", "-p", pid, &first])?.stdout;
    // Without what is said of the process, whose memory changes.
    let body = |text: &str| text.lines().skip(3).map(str::to_owned).collect::<Vec<_>>();
    ensure!(body(&live) == body(&told), "{live} of the process, {told} of the file");
    Ok(())
}

#[test]
fn what_native_memory_keeps_is_held_by_the_object_that_leads_to_it() -> Result<()> {
    pythons::each(pythons::environments(workspace(), "native_app")?, one)
}
