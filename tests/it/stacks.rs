//! What threads do and wait for is what the process itself, and the programs of the fixtures, say.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::support::fixture::Fixture;
use crate::support::pythons::{self, Python};
use crate::support::run::{Run, Target};

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn stacks(source: &[&str]) -> Result<Value> {
    let args = [&["stacks", "--json"], source].concat();
    Run::of(Path::new(env!("CARGO_BIN_EXE_pyheap")), &args)?.json()
}

/// The threads of a document by their names.
fn by_name(document: &Value) -> Result<BTreeMap<String, &Value>> {
    let threads = document["threads"].as_array().context("no threads")?;
    Ok(threads
        .iter()
        .map(|thread| (thread["name"].as_str().unwrap_or_default().to_owned(), thread))
        .collect())
}

/// Thread, kind of its wait, words of its description, and the thread that could end it.
const WAITS: &[(&str, &str, &str, Option<&str>)] = &[
    ("deadlock-a", "lock", "the Lock second", Some("deadlock-b")),
    ("deadlock-b", "lock", "the Lock second", Some("deadlock-a")),
    ("rlock", "rlock", "the RLock owned", Some("MainThread")),
    ("attribute", "lock", "the Lock self.inner", None),
    ("event", "event", "an Event", None),
    ("queue-get", "queue", "an item in a Queue", None),
    ("queue-put", "queue", "room in a Queue", None),
    ("condition", "condition", "a Condition", None),
    ("semaphore", "semaphore", "a Semaphore", None),
    ("barrier", "barrier", "a Barrier", None),
    ("future", "future", "the result of a Future", None),
    ("join", "join", "the end of thread \"event\"", Some("event")),
    ("sleep", "sleep", "time to pass", None),
    ("pipe", "read", "a pipe", None),
    ("accept", "accept", "127.0.0.1:", None),
    ("recv", "read", "127.0.0.1:", None),
    ("child", "child", "child process", None),
];

/// Waits until every thread of a process is in a system call that lasts.
fn settle(pid: u32, threads: usize) -> Result<()> {
    let begun = Instant::now();
    loop {
        let mut asleep = 0;
        for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
            let state = std::fs::read_to_string(task?.path().join("stat")).unwrap_or_default();
            asleep +=
                usize::from(state.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('S')));
        }
        if asleep >= threads {
            return Ok(());
        }
        ensure!(begun.elapsed() < Duration::from_secs(60), "{asleep} of {threads} threads wait");
        std::thread::yield_now();
    }
}

/// What is wrong with a document, given what the process said of its frames.
fn check(document: &Value, told: &Value) -> Result<()> {
    let threads = by_name(document)?;
    let name_of = |id: &Value| {
        threads.iter().find(|(_, thread)| thread["thread_id"] == *id).map(|(name, _)| name.as_str())
    };
    for (name, kind, words, holder) in WAITS {
        let thread = threads.get(*name).with_context(|| format!("no thread {name}"))?;
        let wait = &thread["waiting_for"];
        let description = wait["description"].as_str().unwrap_or_default();
        ensure!(wait["kind"] == *kind && description.contains(words), "{name}: {wait}");
        ensure!(name_of(&wait["held_by"]) == *holder, "{name}: held by {}", wait["held_by"]);
        ensure!(thread["thread_id"] == told[name]["ident"], "{name}: {}", thread["thread_id"]);
        ensure!(
            thread["os_thread_id"] == told[name]["native"],
            "{name}: {}",
            thread["os_thread_id"]
        );
        let frames: Vec<Value> = thread["frames"]
            .as_array()
            .context("no frames")?
            .iter()
            .map(|frame| {
                let function = frame["function"].as_str().unwrap_or_default();
                // Qualified from 3.11 on; what the process tells is the plain name.
                let plain = function.rsplit('.').next().unwrap_or_default();
                serde_json::json!([plain, frame["file"], frame["line"]])
            })
            .collect();
        ensure!(
            Value::Array(frames.clone()) == told[name]["frames"],
            "{name}: {frames:?}\nbut {}",
            told[name]["frames"]
        );
    }
    let circles = document["deadlocks"].as_array().context("no circles")?;
    let mut circle: Vec<&str> = circles
        .iter()
        .flat_map(|circle| circle.as_array().into_iter().flatten())
        .filter_map(name_of)
        .collect();
    circle.sort_unstable();
    ensure!(circles.len() == 1 && circle == ["deadlock-a", "deadlock-b"], "{circles:?}");
    Ok(())
}

fn one(python: &Python) -> Result<()> {
    let sources = workspace().join("python-fixtures");
    let mut fixture = Fixture::start(python, &sources, "waits", &[])?;
    fixture.settle()?;
    settle(fixture.pid(), WAITS.len() + 1)?;
    let pid = fixture.pid().to_string();
    let document = stacks(&["-p", &pid])?;
    let told = serde_json::from_str(&fixture.ask("c")?)?;
    check(&document, &told)?;
    // A snapshot file answers the same.
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("a.parquet").display().to_string();
    let pyheap = Path::new(env!("CARGO_BIN_EXE_pyheap"));
    fixture.settle()?;
    Run::of(pyheap, &["snapshot", "-p", &pid, "-o", &file])?.expect(0, &[])?;
    check(&stacks(&[&file])?, &told)
}

#[test]
fn threads_wait_for_what_the_program_made_them_wait_for() -> Result<()> {
    pythons::each(pythons::find(workspace())?, one)
}

/// C code that sleeps with the interpreter lock: a process that others call idle.
const HOLDS_GIL: &str = "
import ctypes, threading
busy = threading.Thread(target=lambda: [None for _ in iter(int, 1)], name='busy', daemon=True)
busy.start()
print('ready', flush=True)
ctypes.PyDLL(None).sleep(1000)
";

#[test]
fn who_sleeps_with_the_gil_is_named_and_who_waits_for_it() -> Result<()> {
    for python in pythons::find(workspace())?.iter().filter(|python| python.root.is_none()) {
        let target = Target::ready(python.command().args(["-c", HOLDS_GIL]))?;
        // `clock_nanosleep`; the other thread is then without the lock for good.
        let number = if cfg!(target_arch = "aarch64") { "115 " } else { "230 " };
        let call = format!("/proc/{}/syscall", target.pid());
        let begun = Instant::now();
        while !std::fs::read_to_string(&call)?.starts_with(number) {
            ensure!(begun.elapsed() < Duration::from_secs(60), "it does not sleep");
            std::thread::yield_now();
        }
        let document = stacks(&["-p", &target.pid()])?;
        let threads = by_name(&document)?;
        let (main, busy) = (&threads["MainThread"], &threads["busy"]);
        let label = python.label();
        ensure!(main["holds_gil"] == true && busy["holds_gil"] == false, "{label}: {document}");
        ensure!(main["waiting_for"]["kind"] == "sleep", "{label}: {}", main["waiting_for"]);
        // Who wants the lock wakes up every 5 ms to ask for it, and may be seen at that.
        let wait = &busy["waiting_for"];
        let asks = busy["state"] == "running" && wait.is_null();
        ensure!(asks || wait["kind"] == "gil", "{label}: {busy}");
        ensure!(asks || wait["held_by"] == main["thread_id"], "{label}: {busy}");
        let summary = document["summary"].as_str().unwrap_or_default();
        ensure!(summary.contains("\"MainThread\" holds the GIL"), "{label}: {summary}");
    }
    Ok(())
}

#[test]
fn a_core_of_a_deadlock_names_it() -> Result<()> {
    let found = pythons::find(workspace())?;
    let python = found.iter().rfind(|python| python.root.is_none()).context("no interpreter")?;
    let fixture = Fixture::start(python, &workspace().join("python-fixtures"), "waits", &[])?;
    fixture.settle()?;
    settle(fixture.pid(), WAITS.len() + 1)?;
    let folder = tempfile::tempdir()?;
    let prefix = folder.path().join("core");
    let gcore =
        Command::new("gcore").arg("-o").arg(&prefix).arg(fixture.pid().to_string()).output();
    if gcore.is_err() {
        ensure!(
            std::env::var_os("PYHEAP_REQUIRE_PYTHONS").is_none(),
            "gcore is missing: gdb has it"
        );
        return Ok(());
    }
    let core = folder.path().join(format!("core.{}", fixture.pid())).display().to_string();
    let document = stacks(&["-c", &core])?;
    let threads = by_name(&document)?;
    for (name, kind, ..) in WAITS {
        let wait = &threads.get(*name).with_context(|| format!("no thread {name}"))?["waiting_for"];
        ensure!(wait["kind"] == *kind, "{name}: {wait}");
    }
    ensure!(
        document["deadlocks"].as_array().is_some_and(|circles| circles.len() == 1),
        "{document}"
    );
    Ok(())
}
