//! Tasks of asyncio are what the process says of them: names, states, chains of awaits, who waits for whom.

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

fn pyheap() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_pyheap"))
}

/// Name of a task, the kind of its wait, and the tasks that have to go on first.
const WAITS: &[(&str, &str, &[&str])] = &[
    ("deep", "future", &[]),
    ("iterate", "future", &[]),
    ("by-hand", "future", &[]),
    ("old-style", "future", &[]),
    ("holder", "future", &[]),
    ("taker", "lock", &["holder"]),
    ("cross-a", "lock", &["cross-b"]),
    ("cross-b", "lock", &["cross-a"]),
    ("event", "event", &[]),
    ("queue", "queue", &[]),
    ("sleep", "sleep", &[]),
    ("on-sleep", "task", &["sleep"]),
    ("each-1", "task", &["each-2"]),
    ("each-2", "task", &["each-1"]),
    ("gather", "gather", &["holder", "sleep"]),
    ("wait-any", "tasks", &["holder", "sleep"]),
    ("wait-all", "tasks", &["sleep"]),
    ("limited", "task", &["sleep"]),
    ("shield", "shield", &["sleep"]),
    ("executor-0", "executor", &[]),
    ("executor-4", "executor", &[]),
    ("stream", "read", &[]),
    ("group", "task group", &["in-group-1", "in-group-2"]),
    ("eager", "future", &[]),
];

/// What is wrong with a document, given what the process said.
fn check(document: &Value, told: &Value) -> Result<()> {
    let tasks: BTreeMap<&str, &Value> = list(&document["tasks"])
        .map(|task| (task["address"].as_str().unwrap_or_default(), task))
        .collect();
    let told_tasks = told["tasks"].as_object().context("nothing told")?;
    // Those that are done, and of which the exception was retrieved, are only counted.
    let is_shown = |row: &Value| row["state"] != "failed" || row["unretrieved"] == true;
    let expected: BTreeSet<&str> =
        told_tasks.iter().filter(|(_, row)| is_shown(row)).map(|(at, _)| at.as_str()).collect();
    let found: BTreeSet<&str> = tasks.keys().copied().collect();
    ensure!(found == expected, "{found:?}\nbut {expected:?}");
    let done = document["done_tasks"].as_u64().unwrap_or_default();
    ensure!(done >= 2, "only {done} tasks are done");
    let mut by_name: BTreeMap<&str, &Value> = BTreeMap::new();
    for (address, task) in &tasks {
        let row = &told_tasks[*address];
        let name = row["name"].as_str().context("no name")?;
        by_name.insert(name, task);
        one(task, row).with_context(|| format!("{name}: {task}"))?;
    }
    let names = |addresses: &Value| -> BTreeSet<&str> {
        let name = |at: &Value| told_tasks.get(at.as_str()?)?["name"].as_str();
        list(addresses).filter_map(name).collect()
    };
    let mut waits = 0;
    for (name, kind, needs) in WAITS {
        let Some(task) = by_name.get(name) else { continue };
        waits += 1;
        let wait = &task["waiting_for"];
        ensure!(wait["kind"] == *kind, "{name}: {wait}");
        ensure!(names(&wait["tasks"]) == needs.iter().copied().collect(), "{name}: {wait}");
    }
    ensure!(waits + 2 >= WAITS.len(), "only {waits} of the tasks are there");
    ensure!(by_name["wait-any"]["waiting_for"]["any"] == true, "any is not any");
    let circles: BTreeSet<_> = list(&document["task_deadlocks"]).map(names).collect();
    let expected = [["cross-a", "cross-b"], ["each-1", "each-2"]];
    ensure!(circles == expected.map(|pair| pair.into_iter().collect()).into(), "{circles:?}");

    let pool = list(&document["thread_pools"]).find(|pool| pool["name"] == "pool");
    let pool = pool.context("no thread pool")?;
    let busy = list(&pool["busy"]).count();
    ensure!((busy, pool["queued"].as_u64()) == (2, Some(3)), "{pool}");
    let event_loop = &document["event_loops"][0];
    ensure!(event_loop["thread_id"] == told["thread"], "{event_loop}");
    // Its thread reads the commands of the fixture.
    ensure!(event_loop["state"] == "blocked", "{event_loop}");
    ensure!(event_loop["running"] == by_name["Task-1"]["address"], "{event_loop}");
    let summary = document["summary"].as_str().unwrap_or_default();
    ensure!(summary.contains("tasks: DEADLOCK, 4 wait for each other"), "{summary}");
    ensure!(summary.contains("the event loop in \"MainThread\" is BLOCKED: "), "{summary}");
    Ok(())
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// One task.
fn one(task: &Value, told: &Value) -> Result<()> {
    for (field, expected) in [
        ("name", &told["name"]),
        ("state", &told["state"]),
        ("coroutine", &told["coroutine"]),
        ("event_loop", &told["loop"]),
        ("cancelling", &told["cancelling"]),
    ] {
        ensure!(task[field] == *expected, "{field}: {} but {expected}", task[field]);
    }
    let frames: Vec<Value> = list(&task["frames"])
        .map(|frame| {
            let function = frame["function"].as_str().unwrap_or_default();
            let plain = function.rsplit('.').next().unwrap_or_default();
            serde_json::json!([plain, frame["file"], frame["line"]])
        })
        .collect();
    match told["state"].as_str() {
        // What runs has gone on in between; its outermost frame is the same.
        Some("running") => {
            let outermost = frames.last().context("no frame")?;
            ensure!(outermost[0] == told["coroutine"], "{outermost}");
        }
        Some("failed") => {
            let exception = &task["exception"];
            ensure!(exception["type"] == "builtins.ValueError", "{exception}");
            ensure!(exception["retrieved"] == false, "{exception}");
            ensure!(exception["raised_at"]["function"] == "fail", "{exception}");
        }
        _ => ensure!(
            told["frames"] == Value::Array(frames.clone()),
            "{frames:?}\nbut {}",
            told["frames"]
        ),
    }
    // From 3.14 on asyncio itself tells the chain, down to the first that is no coroutine.
    let graph = &told["graph"];
    if !graph.is_null() {
        let lines = frames.iter().map(|frame| serde_json::json!([frame[0], frame[2]]));
        let lines: Vec<Value> = lines.collect();
        let coroutines = graph["frames"].as_array().context("no frames")?;
        ensure!(!coroutines.is_empty() && lines.ends_with(coroutines), "{graph}");
    }
    Ok(())
}

/// Who waits for whom, as `asyncio.capture_call_graph` has it; that knows nothing of locks.
fn check_call_graph(document: &Value, told: &Value) -> Result<()> {
    let is_lock = |address: &str| {
        let task = list(&document["tasks"]).find(|task| task["address"] == address);
        task.is_some_and(|task| task["waiting_for"]["kind"] == "lock")
    };
    for task in list(&document["tasks"]) {
        let row = &told["tasks"][task["address"].as_str().unwrap_or_default()];
        if row["graph"].is_null() {
            continue;
        }
        let waiters = list(&task["awaited_by"]).filter_map(Value::as_str);
        let waiters: BTreeSet<&str> = waiters.filter(|at| !is_lock(at)).collect();
        let expected: BTreeSet<&str> =
            list(&row["graph"]["awaited_by"]).filter_map(Value::as_str).collect();
        ensure!(waiters == expected, "{}: {waiters:?} but {expected:?}", row["name"]);
    }
    Ok(())
}

fn interpreter(python: &Python, args: &[&str], with_core: bool) -> Result<()> {
    let mut fixture = Fixture::start(python, &workspace().join("python-fixtures"), "tasks", args)?;
    fixture.settle()?;
    let pid = fixture.pid().to_string();
    let live = Run::of(pyheap(), &["stacks", "--json", "-p", &pid])?.json()?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("a.parquet").display().to_string();
    fixture.settle()?;
    let snapshot = Run::of(pyheap(), &["snapshot", "-p", &pid, "-o", &file])?;
    snapshot.expect(0, &[])?;
    // The first screen of a snapshot says that the process hangs.
    ensure!(snapshot.stdout.contains("4 wait for each other"), "{}", snapshot.stdout);
    let core = folder.path().join(format!("core.{pid}"));
    if with_core {
        let gcore = std::process::Command::new("gcore");
        let mut gcore = gcore;
        let done = gcore.arg("-o").arg(folder.path().join("core")).arg(&pid).output();
        ensure!(done.is_ok() || std::env::var_os("PYHEAP_REQUIRE_PYTHONS").is_none(), "no gcore");
    }
    let told = serde_json::from_str(&fixture.ask("c")?)?;
    check(&live, &told).context("live")?;
    check_call_graph(&live, &told)?;
    let loaded = Run::of(pyheap(), &["stacks", "--json", &file])?.json()?;
    check(&loaded, &told).context("from the snapshot file")?;
    if core.exists() {
        let core = core.display().to_string();
        let dead = Run::of(pyheap(), &["stacks", "--json", "-c", &core])?.json()?;
        check(&dead, &told).context("from the core file")?;
    }
    Ok(())
}

#[test]
fn tasks_of_c_and_of_python_code_are_what_asyncio_says_of_them() -> Result<()> {
    let mut failures = Vec::new();
    for python in pythons::find(workspace())? {
        for args in [&[][..], &["python"][..]] {
            // gcore inside of a private root would see other paths.
            let with_core = args.is_empty() && python.root.is_none();
            if let Err(error) = interpreter(&python, args, with_core) {
                failures.push(format!("{} {args:?}: {error:#}", python.label()));
            }
        }
    }
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}
