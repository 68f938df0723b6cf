//! The first suspect of `diff` is what a program leaks, and its holder is the one that holds it.

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

/// A kind of leak, the type of the first suspect, and words of the line that says who holds it.
const LEAKS: &[(&str, &str, &[&str])] = &[
    ("dict", "Leaked", &["held by module __main__.registry → dict[*] → Leaked"]),
    ("list", "Leaked", &["held by module __main__.history → list[*] → Leaked"]),
    ("nested", "Leaked", &["__main__.registry → dict[*] → dict[*] → list[*] → Leaked"]),
    ("queue", "Leaked", &["module __main__.jobs → Queue.queue → deque[*] → Leaked"]),
    ("deque", "Leaked", &["module __main__.recent → deque[*] → tuple[*] → Leaked"]),
    ("bytes", "bytes", &["module __main__.history → list[*] → bytes"]),
    ("class", "Leaked", &["module __main__.Pool → class Pool.items → list[*] → Leaked"]),
    (
        "default",
        "Leaked",
        &["__main__.in_default → function in_default (leaks.py:", ".__defaults__"],
    ),
    ("lru_cache", "Leaked", &["module __main__.computed → _lru_cache_wrapper[*] → Leaked"]),
    (
        "method_cache",
        "Report",
        &["class Report.render → _lru_cache_wrapper key → tuple[*] → Report"],
    ),
    (
        "closure",
        "Leaked",
        &[
            "__main__.handlers → list[*] → function ",
            "handler (leaks.py:",
            " closure payload → Leaked",
        ],
    ),
    ("partial", "Leaked", &["__main__.handlers → list[*] → partial.args → tuple[*] → Leaked"]),
    (
        "callback",
        "Leaked",
        &[
            "saved → Signal.receivers → list[*] → method ",
            "called (leaks.py:",
            ".__self__ → Leaked",
        ],
    ),
    ("dispatch", "type", &["__main__.encode → function ", "wrapper (functools.py:", "class Row"]),
    ("atexit", "Leaked", &["held by ", " → method ", ".__self__ → Leaked"]),
    (
        "finalize",
        "weakref.finalize._Info",
        &["module weakref.finalize → class finalize._registry → dict[*] → _Info"],
    ),
    ("local", "Leaked", &["held by module __main__.local → _local", "list[*] → Leaked"]),
    ("context", "Leaked", &["held by thread context → Context", "list[*] → Leaked"]),
    ("thread", "Leaked", &["held by frame worker (leaks.py:", "batch → list[*] → Leaked"]),
    (
        "generator",
        "Leaked",
        &["__main__.history → list[*] → generator rows (leaks.py:", ") local row → Leaked"],
    ),
    (
        "traceback",
        "Failed",
        &[
            "module __main__.history → list[*] → Failed",
            "of it: Failed.__traceback__",
            "frame fail (leaks.py:",
            "local body → Leaked.data → bytearray",
        ],
    ),
    (
        "tasks",
        "Leaked",
        &[
            "module __main__.background → set{*} → Task._coro → coroutine handle (leaks.py:",
            "local request → Leaked",
        ],
    ),
    (
        "coroutine",
        "Leaked",
        &["__main__.history → list[*] → coroutine handle (leaks.py:", ") local answer → Leaked"],
    ),
    (
        "handler",
        "Sink",
        &["Logger.handlers → list[*] → Sink", "of it: Sink.buffer → Leaked.data → bytearray"],
    ),
    (
        "slots",
        "Slotted",
        &[
            "__main__.table → Slotted.rows → list[*] → Slotted",
            "of it: Slotted.owner → Leaked.data",
        ],
    ),
    ("links", "Node", &["module __main__.head → Node"]),
    ("c", "Leaked", &["held by C code (1 reference) → Leaked"]),
    (
        "cycle",
        "Leaked",
        &["garbage: nothing but a reference cycle Leaked.accessor → Accessor.owner → Leaked"],
    ),
    (
        "caught",
        "Failed",
        &[
            "garbage: nothing but a reference cycle Failed.__traceback__ → traceback",
            "local last → Failed",
        ],
    ),
    ("weakrefs", "weakref", &["held by module __main__.references → dict[*] → "]),
    (
        "weak_callbacks",
        "Leaked",
        &[
            "held by module __main__.history → list[*] → ",
            ".__callback__ → method ",
            ".__self__ → Leaked",
        ],
    ),
];

/// Two snapshots, with one more leak between them.
fn snapshots(fixture: &mut Fixture, folder: &Path) -> Result<[String; 2]> {
    let pid = fixture.pid().to_string();
    let mut files = Vec::new();
    for name in ["before.parquet", "after.parquet"] {
        if !files.is_empty() {
            fixture.ask("g")?;
        }
        fixture.settle()?;
        let file = folder.join(name).display().to_string();
        pyheap(&["snapshot", "-p", &pid, "-o", &file, "-f"])?.expect(0, &[])?;
        files.push(file);
    }
    files.try_into().map_err(|_| anyhow::anyhow!("not two files"))
}

/// The words of a text: lines are broken where they are too long.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn one(python: &Python, kind: &str, ty: &str, held: &[&str]) -> Result<()> {
    let sources = workspace().join("python-fixtures");
    let mut fixture = Fixture::start(python, &sources, "leaks", &[kind])?;
    let folder = tempfile::tempdir()?;
    let [before, after] = snapshots(&mut fixture, folder.path())?;
    let document = pyheap(&["diff", &before, &after, "--json"])?.json()?;
    let first = &document["suspects"][0];
    let name = first["type"].as_str().context("no suspect")?;
    // The type of weak references was renamed.
    let fits = name == ty
        || name.ends_with(&format!(".{ty}"))
        || ty == "weakref" && name == "weakref.ReferenceType";
    ensure!(fits, "the first suspect is {name}: {}", document["suspects"]);
    let bytes = |value: &Value| value.as_u64().unwrap_or_default();
    ensure!(first["objects_delta"].as_u64() >= Some(490), "{first}");
    let held_bytes = bytes(&first["held_by"][0]["bytes"]);
    ensure!(held_bytes * 10 >= bytes(&first["owned_bytes"]) * 9, "{}", first["held_by"]);
    let text = pyheap(&["diff", &before, &after, "-n", "5"])?.stdout;
    let screen = flat(&text);
    let mut rest = screen.as_str();
    for words in held {
        let at = rest.find(words).with_context(|| format!("`{words}` is not told:\n{text}"))?;
        rest = rest.get(at..).unwrap_or_default();
    }
    Ok(())
}

/// Every kind on the newest interpreter, and on one other.
#[test]
fn the_first_suspect_is_what_leaks_and_its_holder_is_named() -> Result<()> {
    let found = pythons::find(workspace())?;
    let pythons: Vec<&Python> = found.iter().filter(|python| !python.debug).collect();
    let newest = pythons.last().context("no interpreter")?;
    let mut failures = Vec::new();
    for (nth, &(kind, ty, held)) in LEAKS.iter().enumerate() {
        let other = pythons.get(nth % pythons.len()).context("no interpreter")?;
        let on = [other, newest];
        let different = if other.label() == newest.label() { &on[1..] } else { &on[..] };
        for python in different {
            if let Err(error) = one(python, kind, ty, held) {
                failures.push(format!("{} {kind}: {error:#}", python.label()));
            }
        }
    }
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}

#[test]
fn what_grew_at_every_step_is_above_a_cache_that_fills() -> Result<()> {
    for python in pythons::find(workspace())?.iter().filter(|python| !python.debug) {
        let sources = workspace().join("python-fixtures");
        let mut fixture = Fixture::start(python, &sources, "leaks", &["slowly"])?;
        let folder = tempfile::tempdir()?;
        let pid = fixture.pid().to_string();
        let mut files: Vec<String> = Vec::new();
        for step in 0..4 {
            if step > 0 {
                fixture.ask("g")?;
            }
            fixture.settle()?;
            let file = folder.path().join(format!("{step}.parquet")).display().to_string();
            pyheap(&["snapshot", "-p", &pid, "-o", &file])?.expect(0, &[])?;
            files.push(file);
        }
        let mut args = vec!["diff", "--json"];
        args.extend(files.iter().map(String::as_str));
        let document = pyheap(&args)?.json()?;
        let first = &document["suspects"][0];
        let label = python.label();
        ensure!(first["type"] == "__main__.Leaked", "{label}: {}", document["suspects"]);
        ensure!(first["grew_at_every_step"] == true, "{label}: {first}");
        let steps = first["bytes_by_step"].as_array().context("no steps")?;
        ensure!(steps.len() == 3, "{label}: {first}");
        let suspects = document["suspects"].as_array().context("no suspects")?;
        let cache = suspects.iter().find(|suspect| suspect["type"] == "__main__.Cached");
        let cache = cache.with_context(|| format!("{label}: the cache did not grow"))?;
        ensure!(cache["grew_at_every_step"] == false, "{label}: {cache}");
        ensure!(cache["owned_bytes"].as_u64() > first["owned_bytes"].as_u64(), "{label}: {cache}");
        // An idle process does not differ.
        let again = folder.path().join("again.parquet").display().to_string();
        pyheap(&["snapshot", "-p", &pid, "-o", &again])?.expect(0, &[])?;
        let last = files.last().context("no file")?;
        let idle = pyheap(&["diff", last, &again, "--json"])?.json()?;
        ensure!(idle["types"] == Value::Array(Vec::new()), "{label}: {}", idle["types"]);
    }
    Ok(())
}

/// The Python of an environment that `cargo xtask apps` makes.
fn environment(name: &str) -> Result<Option<Python>> {
    let python = pythons::target_dir(workspace()).join("venvs").join(name).join("bin/python");
    let required = std::env::var_os("PYHEAP_REQUIRE_PYTHONS").is_some();
    ensure!(python.exists() || !required, "no {name}: `cargo xtask apps` makes it");
    if python.exists() { Ok(Some(Python::probe(&python)?)) } else { Ok(None) }
}

/// What pyheap says of a program before and after it has made ten more frames.
fn frames(python: &Python, name: &str) -> Result<(Value, Value, Value, String)> {
    let sources = workspace().join("python-fixtures");
    let mut fixture = Fixture::start(python, &sources, &format!("apps/{name}"), &[])?;
    let folder = tempfile::tempdir()?;
    let [before, after] = snapshots(&mut fixture, folder.path())?;
    let diff = pyheap(&["diff", &before, &after, "--json"])?.json()?;
    let garbage = pyheap(&["garbage", &after, "--json"])?.json()?;
    let cycles = pyheap(&["cycles", &after, "--json"])?.json()?;
    let screen = pyheap(&["garbage", &after, "-n", "5"])?.stdout;
    Ok((diff, garbage, cycles, screen))
}

#[test]
fn the_frames_that_woodwork_kept_are_found_and_the_fix_is_proved() -> Result<()> {
    let Some(python) = environment("woodwork_leak-3.8")? else { return Ok(()) };
    let (diff, garbage, cycles, screen) = frames(&python, "woodwork_leak")?;
    let frame = "pandas.core.frame.DataFrame";
    let first = &diff["suspects"][0];
    ensure!(first["type"] == frame && first["objects_delta"] == 10, "{}", diff["suspects"]);
    // Ten frames of 10,000 rows and four columns of eight bytes.
    ensure!(first["owned_bytes"].as_u64() > Some(3_200_000), "{first}");
    ensure!(first["held_by"][0]["root"]["kind"] == "garbage", "{first}");
    let labels: Vec<&Value> = first["held_by"][0]["cycle"]
        .as_array()
        .context("no cycle")?
        .iter()
        .map(|step| &step["label"])
        .collect();
    ensure!(labels == ["", ".ww", "._dataframe"], "{labels:?}");
    let count = |document: &Value| {
        let types = document["types"].as_array().into_iter().flatten();
        types
            .filter(|row| row["type"] == frame)
            .filter_map(|row| row["objects"].as_u64())
            .sum::<u64>()
    };
    ensure!(count(&garbage) == 10, "{garbage}");
    let cycle = &cycles["cycles"][0];
    ensure!(cycle["count"] == 10 && cycle["shape"][0]["type"] == frame, "{cycle}");
    let words = "10 cycles keep";
    ensure!(flat(&screen).contains(words), "`{words}` is not told:\n{screen}");
    ensure!(flat(&screen).contains("DataFrame.ww → PandasTableAccessor._dataframe"), "{screen}");
    let Some(python) = environment("woodwork_fixed-3.8")? else { return Ok(()) };
    let (diff, garbage, cycles, _) = frames(&python, "woodwork_fixed")?;
    ensure!(count(&garbage) == 0, "{garbage}");
    let types = diff["types"].as_array().context("no types")?;
    ensure!(!types.iter().any(|row| row["type"] == frame), "{}", diff["types"]);
    let cycles = cycles["cycles"].as_array().context("no cycles")?;
    ensure!(!cycles.iter().any(|cycle| cycle["shape"][0]["type"] == frame), "{cycles:?}");
    Ok(())
}

#[test]
fn objects_in_their_own_data_frame_are_uncollectable_and_the_hidden_reference_is_named()
-> Result<()> {
    for minor in ["3.8", "3.11", "3.12", "3.13"] {
        let Some(python) = environment(&format!("pandas_app-{minor}"))? else { continue };
        let sources = workspace().join("python-fixtures");
        let mut fixture = Fixture::start(&python, &sources, "apps/pandas_stuck", &[])?;
        fixture.settle()?;
        let pid = fixture.pid().to_string();
        let cycles = pyheap(&["cycles", "-p", &pid, "--json"])?.json()?;
        let garbage = pyheap(&["garbage", "-p", &pid, "--json"])?.json()?;
        // The collector does not help, which is what was said.
        ensure!(fixture.ask("g")?.trim() == "5", "{minor}: a collection frees them");
        let cycles = cycles["cycles"].as_array().context("no cycles")?;
        let stuck = cycles.iter().find(|cycle| {
            let steps = cycle["shape"].as_array().into_iter().flatten();
            steps.into_iter().any(|step| step["type"] == "__main__.Owner")
        });
        let stuck = stuck.with_context(|| format!("{minor}: the cycle is not told: {cycles:?}"))?;
        ensure!(stuck["state"] == "uncollectable" && stuck["count"] == 5, "{minor}: {stuck}");
        let edge = stuck["hidden_edge"].as_str().unwrap_or_default();
        ensure!(edge.starts_with("numpy.ndarray ["), "{minor}: {stuck}");
        let types = garbage["types"].as_array().context("no types")?;
        ensure!(!types.iter().any(|row| row["type"] == "__main__.Owner"), "{minor}: {garbage}");
    }
    Ok(())
}
