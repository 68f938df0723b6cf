//! A heap that is read while its process runs: what stays is exact, what churns is survived and owned up to.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::record::each_minor;
use crate::support::claims::Claims;
use crate::support::compare::compare_fixture_by;
use crate::support::fixture::Fixture;
use crate::support::pythons::{self, Python};
use crate::support::run::Run;
use crate::support::truth_file::Truth;

/// How many rows the heap of the churning fixture keeps.
const ROWS: usize = 20_000;

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> PathBuf {
    workspace().join("python-fixtures")
}

fn pyheap() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_pyheap"))
}

fn pythons() -> Result<Vec<Python>> {
    let found = pythons::find(workspace())?;
    Ok(found.into_iter().filter(|python| !python.debug).collect())
}

/// The rows of the fixture and all that hangs on them, by address.
fn stable(truth: &Truth) -> Result<HashSet<u64>> {
    let rows: Vec<u64> = truth
        .objects
        .iter()
        .filter(|(_, object)| truth.type_name(object) == "__main__.Row")
        .map(|(&address, _)| address)
        .collect();
    ensure!(rows.len() == ROWS, "{} rows are told", rows.len());
    let mut found: HashSet<u64> = rows.iter().copied().collect();
    let mut left = rows;
    while let Some(address) = left.pop() {
        let object = truth.objects.get(&address).context("a referent that is not told")?;
        for &referent in &object.referents {
            let is_type = truth
                .objects
                .get(&referent)
                .is_none_or(|object| truth.type_name(object) == "builtins.type");
            if !is_type && found.insert(referent) {
                left.push(referent);
            }
        }
    }
    Ok(found)
}

/// What differs of one object.
fn difference(truth: &Truth, claims: &Claims, address: u64) -> Option<String> {
    let object = truth.objects.get(&address)?;
    let name = truth.type_name(object);
    let Some(claim) = claims.objects.get(&address) else {
        return Some(format!("{name} at {address:#x} is missing"));
    };
    let sorted = |list: &[u64]| {
        let mut list = list.to_vec();
        list.sort_unstable();
        list
    };
    let same = Some(claim.bytes) == object.bytes
        && claims.type_name(claim) == name
        && sorted(&claim.referents) == sorted(&object.referents);
    (!same).then(|| format!("{name} at {address:#x} is another: {claim:?}, not {object:?}"))
}

fn churned(python: &Python) -> Result<()> {
    let mut fixture = Fixture::start(python, &sources(), "churn", &[])?;
    let mut torn = 0;
    let mut rounds = 0;
    for round in 0..2 {
        let claims = Claims::with(pyheap(), fixture.pid(), &["--nonblocking"])?;
        let truth = fixture.tell(&[])?;
        let stable = stable(&truth)?;
        ensure!(stable.len() >= ROWS * 5, "only {} objects are stable", stable.len());
        let apart: Vec<_> =
            stable.iter().filter_map(|&at| difference(&truth, &claims, at)).take(5).collect();
        ensure!(apart.is_empty(), "round {round}: {apart:#?}");
        let document = &claims.document;
        ensure!(document["pause"]["mode"] == "none", "{}", document["pause"]);
        ensure!(document["pause"]["seconds"] == 0.0 && document["pause"]["stops"] == 0);
        let share = document["torn"]["object_share"].as_f64().context("no share")?;
        ensure!((0.0..0.2).contains(&share), "{}", document["torn"]);
        ensure!(document["torn"]["retries"].as_u64() <= Some(3));
        torn += document["torn"]["objects"].as_u64().context("no torn objects")?;
        // It runs on.
        let answer = fixture.ask("check")?;
        let now: u64 = answer.strip_prefix("ok ").context(answer.clone())?.parse()?;
        ensure!(now > rounds, "it stands still");
        rounds = now;
    }
    println!("{}: {torn} torn objects in 2 rounds", python.label());
    Ok(())
}

#[test]
fn what_stays_in_a_heap_that_churns_is_exact() -> Result<()> {
    pythons::each(each_minor()?, churned)
}

#[test]
fn a_target_that_waits_is_the_same_as_with_a_stop() -> Result<()> {
    let fixtures = ["stdlib", "containers", "instances"];
    for (python, fixture) in pythons()?.iter().zip(fixtures.into_iter().cycle()) {
        let by = ["--pause", "none"];
        let report = compare_fixture_by(python, &sources(), pyheap(), fixture, &[], &by)?;
        ensure!(report.is_exact(), "{report}");
    }
    Ok(())
}

#[test]
fn a_target_that_another_tool_traces_can_be_read() -> Result<()> {
    let python = pythons()?.pop().context("no interpreter")?;
    let fixture = Fixture::start(&python, &sources(), "containers", &[])?;
    let pid = fixture.pid().to_string();
    let thread = nix::unistd::Pid::from_raw(i32::try_from(fixture.pid())?);
    nix::sys::ptrace::seize(thread, nix::sys::ptrace::Options::empty())?;
    let stopped = Run::of(pyheap(), &["snapshot", "-p", &pid])?;
    let read = Run::of(pyheap(), &["snapshot", "-p", &pid, "--no-block", "--json"])?;
    stopped.expect(5, &["traced by", "--pause none"])?;
    let document = read.json()?;
    ensure!(document["totals"]["objects"].as_u64() > Some(10_000));
    ensure!(document["torn"]["objects"] == 0, "{}", document["torn"]);
    Ok(())
}

#[test]
fn a_process_that_ends_while_it_is_read_is_an_error_and_no_panic() -> Result<()> {
    let python = pythons()?.pop().context("no interpreter")?;
    for round in 0..8_u64 {
        let fixture = Fixture::start(&python, &sources(), "churn", &["20000"])?;
        let pid = fixture.pid().to_string();
        let reader = std::thread::spawn(move || {
            Run::of(pyheap(), &["snapshot", "-p", &pid, "--nonblocking"])
        });
        // Not a wait for anything: another moment of the read each time.
        std::thread::sleep(std::time::Duration::from_millis(round * 5));
        drop(fixture);
        let run = reader.join().ok().context("the reader died")??;
        let code = run.status.code();
        ensure!(matches!(code, Some(0 | 4 | 7)), "{code:?}: {}", run.stderr);
    }
    Ok(())
}
