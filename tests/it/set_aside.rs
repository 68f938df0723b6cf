//! A target that is stopped inside a collection has the objects that the collector has set aside.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::support::claims::Claims;
use crate::support::compare::compare;
use crate::support::fixture::Fixture;
use crate::support::pythons::{self, Python};
use crate::support::report::Difference;

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn one(python: &Python, kind: &str, allocator: &str) -> Result<()> {
    let sources = workspace().join("python-fixtures");
    let environment = [("PYTHONMALLOC", allocator)];
    let mut fixture = Fixture::start_with(python, &sources, "set_aside", &[kind], &environment)?;
    fixture.settle()?;
    fixture.settle_threads()?;
    let claims = Claims::of(Path::new(env!("CARGO_BIN_EXE_pyheap")), fixture.pid())?;
    let told: BTreeMap<String, Vec<u64>> = serde_json::from_str(&fixture.ask("p")?)?;
    let few = if kind == "stop" { 0 } else { 39 };
    ensure!(told.values().flatten().count() >= few, "only {told:?} are told");
    for (name, addresses) in &told {
        for address in addresses {
            let claim = claims.objects.get(address);
            let claim = claim.with_context(|| format!("{name} at {address:#x} is missing"))?;
            let type_name = claims.type_name(claim);
            ensure!(type_name == format!("__main__.{name}"), "{name} is a {type_name}");
            ensure!(claim.tracked, "{name} at {address:#x} is not tracked");
        }
    }
    let addresses: Vec<u64> = claims.objects.keys().copied().collect();
    let truth = fixture.tell(&addresses)?;
    let report = compare(&truth, &claims, kind);
    // Which generation what is set aside is of, nobody can say: `gc.get_objects()` has it in none.
    let differences = [
        Difference::Missing,
        Difference::Invented,
        Difference::WrongType,
        Difference::WrongSize,
        Difference::WrongReferents,
        Difference::Repeated,
    ];
    let wrong: u64 = differences.into_iter().map(|kind| report.count(kind)).sum();
    ensure!(wrong == 0, "{report}");
    Ok(())
}

#[test]
fn what_a_collection_has_set_aside_is_found() -> Result<()> {
    let pythons = pythons::find(workspace())?;
    pythons::each(pythons, |python| {
        for kind in ["del", "weakref", "clear", "start", "stop"] {
            one(python, kind, "default").context(kind)?;
        }
        // Where no pool tells what there is.
        one(python, "del", "malloc").context("del with malloc")
    })
}
