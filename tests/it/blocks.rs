//! The blocks of Python's own allocator are as many as the process says.

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

/// `sys.getallocatedblocks()`, asked until asking changes nothing more: the first time frames and numbers come from
/// memory that was not in use.
fn told(fixture: &mut Fixture) -> Result<u64> {
    let mut last = None;
    for _ in 0..10 {
        let answer = fixture.ask("b")?;
        let count: u64 = answer.strip_prefix("BLOCKS ").context("no number")?.parse()?;
        if last == Some(count) {
            fixture.settle()?;
            return Ok(count);
        }
        last = Some(count);
    }
    anyhow::bail!("the number of blocks does not come to rest")
}

fn allocator(fixture: &Fixture) -> Result<Value> {
    let document = pyheap(&["histogram", "-p", &fixture.pid().to_string(), "--json"])?;
    ensure!(document["anomalies"] == Value::Array(Vec::new()), "{}", document["anomalies"]);
    Ok(document["allocator"].clone())
}

fn sum(part: &Value, names: &[&str]) -> Option<u64> {
    names.iter().map(|&name| part[name].as_u64()).sum()
}

/// On each interpreter; gathers what went wrong.
fn on_each(check: impl Fn(&Python) -> Result<()>) -> Result<()> {
    pythons::each(pythons::find(workspace())?, check)
}

#[test]
fn blocks_in_use_are_as_many_as_the_process_says() -> Result<()> {
    on_each(|python| {
        for (name, args) in
            [("stdlib", &[][..]), ("subinterpreters", &[]), ("big", &["30000", "7"])]
        {
            let mut fixture =
                Fixture::start(python, &workspace().join("python-fixtures"), name, args)?;
            let told = told(&mut fixture)?;
            let found = allocator(&fixture)?;
            ensure!(found["name"] == "pymalloc", "{name}: {found}");
            ensure!(found["allocated_blocks"] == told, "{name}: the process says {told}: {found}");
            for part in found["interpreters"].as_array().context("no interpreters")? {
                let parts = [
                    "live_bytes",
                    "free_block_bytes",
                    "free_pool_bytes",
                    "overhead_bytes",
                    "unknown_bytes",
                ];
                ensure!(sum(part, &parts) == part["arena_bytes"].as_u64(), "{name}: {part}");
            }
        }
        Ok(())
    })
}

#[test]
fn blocks_of_the_debug_hooks_are_blocks_and_those_of_malloc_are_not() -> Result<()> {
    on_each(|python| {
        let sources = workspace().join("python-fixtures");
        for (allocator_name, name) in
            [("debug", "pymalloc"), ("malloc", "other"), ("malloc_debug", "other")]
        {
            let environment = [("PYTHONMALLOC", allocator_name)];
            let mut fixture =
                Fixture::start_with(python, &sources, "containers", &[], &environment)?;
            let told = told(&mut fixture)?;
            let found = allocator(&fixture)?;
            ensure!(found["name"] == name, "{allocator_name}: {found}");
            ensure!(found["allocated_blocks"] == told, "{allocator_name}: {told}: {found}");
        }
        Ok(())
    })
}
