//! The stacks of threads are those that py-spy sees: another reader, with layouts of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::support::fixture::Fixture;
use crate::support::pythons::{self, Python};
use crate::support::run::Run;

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The program, of the environment that `tests/query-requirements.txt` describes.
fn py_spy() -> Option<PathBuf> {
    let python = std::env::var_os("PYHEAP_QUERY_PYTHON").map(PathBuf::from);
    let made = || pythons::target_dir(workspace()).join("query-venv/bin/python");
    let py_spy = python.unwrap_or_else(made).with_file_name("py-spy");
    py_spy.exists().then_some(py_spy)
}

/// Function, file and line of each frame, by the thread's number; without the qualified part of
/// names, which py-spy knows of some versions only.
fn frames(threads: &Value, name: &str, file: &str) -> BTreeMap<u64, Vec<String>> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let place = |frame: &Value| {
        let function = frame[name].as_str().unwrap_or_default();
        let plain = function.rsplit('.').next().unwrap_or_default();
        format!("{plain} {}:{}", frame[file].as_str().unwrap_or_default(), frame["line"])
    };
    list(threads)
        .iter()
        .map(|thread| {
            let id = thread["thread_id"].as_u64().unwrap_or_default();
            (id, list(&thread["frames"]).iter().map(place).collect())
        })
        .collect()
}

/// Compares one process; whether py-spy can read it at all.
fn compare(py_spy: &Path, python: &Python) -> Result<bool> {
    let fixture = Fixture::start(python, &workspace().join("python-fixtures"), "waits", &[])?;
    fixture.settle()?;
    let pid = fixture.pid().to_string();
    let theirs = Command::new(py_spy).args(["dump", "--json", "--pid", &pid]).output()?;
    if !theirs.status.success() {
        let said = String::from_utf8_lossy(&theirs.stderr).into_owned();
        println!("py-spy cannot read {}: {}", python.label(), said.lines().next().unwrap_or(""));
        return Ok(false);
    }
    let theirs: Value = serde_json::from_slice(&theirs.stdout)?;
    let pyheap = Path::new(env!("CARGO_BIN_EXE_pyheap"));
    let ours = Run::of(pyheap, &["stacks", "--json", "-p", &pid])?.json()?;
    let theirs = frames(&theirs, "name", "filename");
    let ours = frames(&ours["threads"], "function", "file");
    ensure!(theirs.len() > 10, "py-spy sees {} threads", theirs.len());
    for (thread, frames) in &theirs {
        let own = ours.get(thread).with_context(|| format!("no thread {thread}"))?;
        ensure!(own == frames, "thread {thread}: {own:?}\nbut py-spy: {frames:?}");
    }
    Ok(true)
}

#[test]
fn frames_are_those_that_py_spy_sees() -> Result<()> {
    let Some(py_spy) = py_spy() else {
        ensure!(
            std::env::var_os("PYHEAP_REQUIRE_PYTHONS").is_none(),
            "py-spy is missing: cargo xtask apps makes its environment"
        );
        println!("py-spy is missing: left out");
        return Ok(());
    };
    let mut read = 0;
    for python in pythons::find(workspace())?.iter().filter(|python| python.root.is_none()) {
        read += u32::from(compare(&py_spy, python).with_context(|| python.label())?);
    }
    println!("compared with py-spy on {read} interpreters");
    ensure!(read > 0, "py-spy could read none");
    Ok(())
}
