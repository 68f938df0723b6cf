//! What `export` writes says to its readers what pyheap says: read by a program that shares no code with it, and by the
//! tools themselves where they are installed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::core_files::{gcore, search_root, start};
use crate::support::fixture::Fixture;
use crate::support::pythons::{self, Python};
use crate::support::run::Run;

const ENDINGS: [&str; 7] = ["heapsnapshot", "pb.gz", "svg", "folded", "dot", "csv", "jsonl"];

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn pyheap(args: &[&str]) -> Result<Run> {
    Run::of(Path::new(env!("CARGO_BIN_EXE_pyheap")), args)
}

/// One interpreter of each minor release.
fn each_minor() -> Result<Vec<Python>> {
    let mut found = pythons::find(workspace())?;
    found.retain(|python| python.is_supported() && !python.debug);
    found.dedup_by_key(|python| python.minor());
    Ok(found)
}

/// What a Python program finds in the files of a folder.
fn read(folder: &Path) -> Result<Value> {
    let found = pythons::find(workspace())?;
    let python = found.iter().rev().find(|python| python.root.is_none()).context("no Python")?;
    let script = workspace().join("tests/read_export.py");
    let output = Command::new(&python.executable).arg(script).arg(folder).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Writes a heap in all formats; gives back the folder with the files.
fn export(source: &[&str]) -> Result<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    for ending in ENDINGS {
        let file = folder.path().join(format!("heap.{ending}"));
        let name = file.to_str().context("no name")?;
        pyheap(&[&["export", "-o", name], source].concat())?.expect(0, &["written to"])?;
        let mode = fs::metadata(&file)?.permissions().mode() & 0o777;
        ensure!(mode == 0o600, "{ending}: {mode:o}");
        let again = pyheap(&[&["export", "-o", name], source].concat())?;
        again.expect(1, &["exists"])?;
    }
    let left = fs::read_dir(folder.path())?.count();
    ensure!(left == ENDINGS.len(), "{left} files");
    Ok(folder)
}

/// Compares what readers find with what pyheap says of the same heap.
fn check(source: &[&str], found: &Value) -> Result<()> {
    let heap = pyheap(&[&["histogram", "--json"], source].concat())?.json()?;
    let totals = &heap["totals"];
    let number = |name: &str| totals[name].as_u64().context("no number");
    let (objects, bytes) = (number("objects")?, number("shallow_bytes")? + number("buffer_bytes")?);
    let v8 = &found["heapsnapshot"];
    ensure!(
        v8["objects"] == objects && v8["bytes"] == bytes,
        "{objects} {bytes} {}",
        v8["objects"]
    );
    ensure!(v8["unreachable"] == 0, "{} nodes hang on nothing", v8["unreachable"]);
    for row in heap["types"].as_array().context("no types")? {
        let name = row["type"].as_str().context("no type")?;
        ensure!(v8["types"][name] == row["objects"], "{name}: {} {row}", v8["types"][name]);
    }
    let tree = pyheap(&[&["retained", "--json"], source].concat())?.json()?;
    let mut left: Vec<&Value> = tree["nodes"].as_array().context("no nodes")?.iter().collect();
    let mut compared = 0;
    while let Some(node) = left.pop() {
        let address = node["address"].as_str().and_then(|text| text.strip_prefix("0x"));
        let address = u64::from_str_radix(address.context("no address")?, 16)?;
        let id = ((address >> 4 & 0x7fff_ffff) << 1 | 1).to_string();
        ensure!(v8["retained"][&id] == node["retained_bytes"], "{node} {}", v8["retained"][&id]);
        left.extend(node["children"].as_array().into_iter().flatten());
        compared += 1;
    }
    ensure!(compared > 20, "only {compared} objects were compared");
    ensure!(found["pprof"]["objects"] == objects && found["pprof"]["bytes"] == bytes, "pprof");
    ensure!(found["folded"] == bytes, "folded: {} instead of {bytes}", found["folded"]);
    ensure!(found["other_stacks"].is_null(), "{} stacks differ", found["other_stacks"]);
    ensure!(found["svg"] == serde_json::json!([bytes]), "svg: {}", found["svg"]);
    let rows = serde_json::json!([objects, bytes]);
    ensure!(found["csv"] == rows && found["jsonl"] == rows, "{} {}", found["csv"], found["jsonl"]);
    let boxes = found["boxes"].as_u64().context("no boxes")?;
    ensure!((2..=40).contains(&boxes), "{boxes} boxes");
    Ok(())
}

/// Graphviz draws the picture, and Go's pprof reads the profile, where they are installed.
fn ask_the_tools(folder: &Path) -> Result<()> {
    match Command::new("dot").arg("-Tsvg").arg(folder.join("heap.dot")).output() {
        Ok(drawn) => {
            let said = String::from_utf8_lossy(&drawn.stderr);
            ensure!(drawn.status.success() && !said.contains("rror"), "dot: {said}");
            ensure!(drawn.stdout.windows(5).any(|word| word == b"<text"), "an empty picture");
        }
        Err(_) => println!("Graphviz is not here: it draws nothing"),
    }
    let go = ["tool", "pprof", "-top", "-nodecount=1"];
    match Command::new("go").args(go).arg(folder.join("heap.pb.gz")).output() {
        Ok(top) => {
            let text = String::from_utf8_lossy(&top.stdout);
            ensure!(text.contains("Type: bytes"), "{}", String::from_utf8_lossy(&top.stderr));
        }
        Err(_) => println!("go is not here: its pprof reads nothing"),
    }
    Ok(())
}

#[test]
fn all_formats_say_what_pyheap_says() -> Result<()> {
    pythons::each(each_minor()?, |python| {
        let fixture = start(python, "stdlib")?;
        let folder = tempfile::tempdir()?;
        let snapshot = folder.path().join("a.parquet");
        let name = snapshot.to_str().context("no name")?;
        let pid = fixture.pid().to_string();
        pyheap(&["snapshot", "-p", &pid, "-o", name])?.expect(0, &[])?;
        let files = export(&[name])?;
        check(&[name], &read(files.path())?)?;
        // The process has not moved since.
        let live = pyheap(&["export", "-p", &pid, "--format", "folded"])?;
        let of_file = fs::read_to_string(files.path().join("heap.folded"))?;
        ensure!(live.stdout == of_file, "the process says something else than the file");
        ask_the_tools(files.path())
    })
}

#[test]
fn garbage_and_core_files_are_exported_too() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let python = each_minor()?.pop().context("no interpreter")?;
    let fixture = start(&python, "garbage")?;
    let Some(core) = gcore(fixture.pid(), folder.path())? else { return Ok(()) };
    let core = core.to_str().context("no name")?;
    let root = search_root(&python);
    let root: Vec<&str> = root.iter().map(String::as_str).collect();
    let source = [&["-c", core], root.as_slice()].concat();
    let files = export(&source)?;
    let found = read(files.path())?;
    check(&source, &found)?;
    let groups = found["heapsnapshot"]["groups"].as_array().context("no groups")?;
    ensure!(groups.contains(&"(garbage)".into()), "{groups:?}");
    Ok(())
}

#[test]
fn texts_of_the_target_are_in_a_file_for_those_only_who_ask() -> Result<()> {
    let python = each_minor()?.pop().context("no interpreter")?;
    let fixture: Fixture = start(&python, "strings")?;
    let folder = tempfile::tempdir()?;
    let snapshot = folder.path().join("a.parquet");
    let name = snapshot.to_str().context("no name")?;
    let pid = fixture.pid().to_string();
    pyheap(&["snapshot", "-p", &pid, "--values", "-o", name])?.expect(0, &[])?;
    let values = |args: &[&str]| -> Result<usize> {
        let run = pyheap(&[&["export", name, "--format", "jsonl"], args].concat())?;
        let lines = run.json_lines()?;
        Ok(lines.iter().filter(|line| line.get("value").is_some()).count())
    };
    ensure!(values(&[])? == 0, "a value was written that was not asked for");
    ensure!(values(&["--values"])? > 1000, "values are missing");
    Ok(())
}
