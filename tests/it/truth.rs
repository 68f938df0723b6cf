//! What pyheap says must equal what the process says of itself: every fixture on every interpreter.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, ensure};

use crate::support::compare::{compare_fixture, compare_running, compare_server};
use crate::support::fixture::Fixture;
use crate::support::pythons::{self, Python};
use crate::support::report::Difference;

/// The fixtures whose heap stands still, so that every number must be equal.
const FIXTURES: &[(&str, &[&str])] = &[
    ("empty", &[]),
    ("calls", &[]),
    ("containers", &[]),
    ("exceptions", &[]),
    ("frozen", &[]),
    ("functions", &[]),
    ("garbage", &[]),
    ("generators", &[]),
    ("instances", &[]),
    ("iterators", &[]),
    ("modules", &[]),
    ("numbers_", &[]),
    ("stdlib", &[]),
    ("strings", &[]),
    ("subclasses", &[]),
    ("subinterpreters", &[]),
    ("threads", &[]),
    ("types_", &[]),
    ("weakrefs", &[]),
    ("big", &["100000", "7"]),
];

/// How many fixtures run at the same time.
const PARALLEL: usize = 2;

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> std::path::PathBuf {
    workspace().join("python-fixtures")
}

fn pyheap() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_pyheap"))
}

/// All interpreters, or an error that names those that must be there and are not.
fn interpreters() -> Result<Vec<Python>> {
    let found = pythons::find(workspace())?;
    let labels: Vec<String> = found.iter().map(Python::label).collect();
    let missing = pythons::missing(&found);
    ensure!(
        missing.is_empty(),
        "required interpreters are missing: {missing:?}; found: {labels:?}"
    );
    ensure!(!found.is_empty(), "no supported Python was found");
    println!("interpreters: {}", labels.join(" "));
    Ok(found)
}

/// Runs a check on every interpreter, a few at a time, and gathers what went wrong.
fn on_each<T: Sync>(
    jobs: &[T],
    check: impl Fn(&T) -> Result<Option<String>> + Sync,
) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..PARALLEL {
            scope.spawn(|| {
                while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let failure = check(job).unwrap_or_else(|error| Some(format!("{error:#}")));
                    if let Some(failure) = failure
                        && let Ok(mut failures) = failures.lock()
                    {
                        failures.push(failure);
                    }
                }
            });
        }
    });
    failures.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// The newest interpreter of the default build.
fn newest(pythons: &[Python]) -> Result<&Python> {
    pythons.iter().rfind(|python| !python.debug).context("no default build")
}

#[test]
fn every_object_size_type_and_reference_is_what_the_process_says() -> Result<()> {
    let pythons = interpreters()?;
    let jobs: Vec<_> = pythons
        .iter()
        .flat_map(|python| FIXTURES.iter().map(move |fixture| (python, fixture)))
        .collect();
    let inferred = Mutex::new((0, 0));
    let failures = on_each(&jobs, |(python, (name, args))| {
        let report = compare_fixture(python, &sources(), pyheap(), name, args)
            .with_context(|| format!("{} {name}", python.label()))?;
        if let Ok(mut inferred) = inferred.lock() {
            inferred.0 += report.inferred_right;
            inferred.1 += report.inferred_edges;
        }
        Ok((!report.is_exact()).then(|| report.to_string()))
    });
    let (right, edges) = inferred.into_inner().unwrap_or_default();
    println!("inferred references: {right} of {edges} are right");
    // The code of every type of the standard library can be followed, so that none is left to be inferred.
    ensure!(right * 1000 >= edges * 995, "only {right} of {edges} inferred references are right");
    ensure!(
        failures.is_empty(),
        "{} of {} differ:\n{}",
        failures.len(),
        jobs.len(),
        failures.join("\n")
    );
    Ok(())
}

#[test]
fn five_million_objects_are_exact() -> Result<()> {
    let pythons = interpreters()?;
    let report =
        compare_fixture(newest(&pythons)?, &sources(), pyheap(), "big", &["5000000", "3"])?;
    ensure!(report.told > 4_000_000, "the fixture is too small:\n{report}");
    ensure!(report.is_exact(), "{report}");
    Ok(())
}

/// The real programs that `cargo xtask apps` has made environments for, with the Python of each.
fn real_programs() -> Result<Vec<(Python, String)>> {
    let venvs = pythons::target_dir(workspace()).join("venvs");
    let mut programs = Vec::new();
    for entry in std::fs::read_dir(&venvs).into_iter().flatten() {
        let entry = entry?;
        let folder = entry.file_name().to_string_lossy().into_owned();
        let (name, _) = folder.rsplit_once('-').context("an environment without a version")?;
        let is_program = sources().join(format!("apps/{name}.py")).exists();
        if is_program && entry.path().join("installed.txt").exists() {
            let python = Python::probe(&entry.path().join("bin/python"))?;
            programs.push((python, format!("apps/{name}")));
        }
    }
    let required = std::env::var_os("PYHEAP_REQUIRE_PYTHONS").is_some();
    ensure!(!programs.is_empty() || !required, "no environments: `cargo xtask apps` makes them");
    Ok(programs)
}

/// Whether threads of the program go on while it is read.
fn is_server(name: &str) -> bool {
    name.contains("django") || name.contains("aiohttp")
}

#[test]
fn real_programs_are_exact() -> Result<()> {
    let jobs = real_programs()?;
    let failures = on_each(&jobs, |(python, name)| {
        let report = if is_server(name) {
            compare_server(python, &sources(), pyheap(), name)
        } else {
            compare_fixture(python, &sources(), pyheap(), name, &[])
        };
        let report = report.with_context(|| format!("{} {name}", python.label()))?;
        let few = report.beyond_inferred * 1000 <= report.told;
        let small = is_server(name) && report.compared < 50_000;
        Ok((!report.is_exact() || !few || small).then(|| report.to_string()))
    });
    ensure!(
        failures.is_empty(),
        "{} of {} differ:\n{}",
        failures.len(),
        jobs.len(),
        failures.join("\n")
    );
    Ok(())
}

/// The server itself, not a fork of it. It runs on between reading and telling, so that a few objects come and go.
#[test]
fn real_programs_that_run_can_be_read() -> Result<()> {
    let mut jobs = real_programs()?;
    jobs.retain(|(_, name)| is_server(name));
    let failures = on_each(&jobs, |(python, name)| {
        let report = compare_running(python, &sources(), pyheap(), name, &[])
            .with_context(|| format!("{} {name}", python.label()))?;
        let kinds = [
            Difference::Missing,
            Difference::WrongType,
            Difference::WrongSize,
            Difference::WrongReferents,
        ];
        let apart: u64 = kinds.into_iter().map(|kind| report.count(kind)).sum();
        let is_right = report.compared > 50_000 && apart * 200 <= report.compared;
        Ok((!is_right).then(|| report.to_string()))
    });
    ensure!(failures.is_empty(), "{} differ:\n{}", failures.len(), failures.join("\n"));
    Ok(())
}

#[test]
fn telling_changes_nothing() -> Result<()> {
    let pythons = interpreters()?;
    let failures = on_each(&pythons, |python| {
        let mut fixture = Fixture::start(python, &sources(), "empty", &[])?;
        let (first, second) = (fixture.tell(&[])?, fixture.tell(&[])?);
        let same = first.objects.len() == second.objects.len()
            && first.objects.iter().all(|(address, object)| {
                second.objects.get(address).is_some_and(|other| {
                    (object.type_at, object.bytes, object.listed, object.tracked, &object.referents)
                        == (
                            other.type_at,
                            other.bytes,
                            other.listed,
                            other.tracked,
                            &other.referents,
                        )
                })
            });
        Ok((!same).then(|| python.label()))
    });
    ensure!(failures.is_empty(), "the heap changed between two tellings: {failures:?}");
    Ok(())
}

#[test]
fn an_address_without_an_object_is_refuted() -> Result<()> {
    let pythons = interpreters()?;
    let mut fixture = Fixture::start(newest(&pythons)?, &sources(), "empty", &[])?;
    let some = fixture.tell(&[])?.objects.keys().copied().min().context("no object")?;
    let truth = fixture.tell(&[8, some + 1, u64::MAX])?;
    ensure!(truth.refuted.len() == 3, "{:?}", truth.refuted);
    Ok(())
}

/// While a thread collects, a reader may be stopped anywhere in the collector. All objects of the heap stay alive.
#[test]
fn a_collection_in_progress_hides_nothing() -> Result<()> {
    let pythons = interpreters()?;
    let jobs: Vec<&Python> = pythons.iter().filter(|python| !python.debug).collect();
    let failures = on_each(&jobs, |python| {
        let report = compare_running(python, &sources(), pyheap(), "collecting", &["300000"])?;
        let containers = ["builtins.list", "builtins.tuple"];
        let lost: u64 =
            containers.iter().map(|name| report.count_of(Difference::Missing, name)).sum();
        // the frames and small objects of the running thread come and go between reading and telling
        Ok((lost > 2 || report.compared < 300_000).then(|| report.to_string()))
    });
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}

#[test]
fn a_broken_heap_is_survived_and_reported() -> Result<()> {
    let pythons = interpreters()?;
    let kinds = ["gc_link", "list_item", "type_pointer", "dict_keys", "list_length", "refcount"];
    let jobs: Vec<_> = pythons.iter().flat_map(|python| kinds.map(|kind| (python, kind))).collect();
    let failures = on_each(&jobs, |(python, kind)| {
        let fixture = Fixture::start(python, &sources(), "corrupt", &[kind])?;
        let claims = crate::support::claims::Claims::of(pyheap(), fixture.pid())
            .with_context(|| format!("{} {kind}", python.label()))?;
        let few = claims.objects.len() < 5000;
        let silent = claims.anomalies.is_empty() && *kind != "refcount";
        Ok((few || silent).then(|| {
            let (label, objects) = (python.label(), claims.objects.len());
            format!("{label} {kind}: {objects} objects, anomalies {:?}", claims.anomalies)
        }))
    });
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}

#[test]
fn the_target_works_on_unharmed() -> Result<()> {
    let pythons = interpreters()?;
    let failures = on_each(&pythons, |python| {
        let mut fixture = Fixture::start(python, &sources(), "busy", &[])?;
        let mut rounds = 0;
        for _ in 0..5 {
            crate::support::claims::run(
                pyheap(),
                &["snapshot", "-p", &fixture.pid().to_string(), "--json"],
            )?;
            // The loop must have gone on: ask until a round has ended since the last time.
            loop {
                let answer = fixture.ask("check")?;
                let count: u64 = answer.strip_prefix("ok ").context(answer.clone())?.parse()?;
                if count > rounds {
                    rounds = count;
                    break;
                }
            }
        }
        Ok(None)
    });
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}
