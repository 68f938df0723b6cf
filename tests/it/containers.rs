//! What containers have to spare is what a copy made in the process does not have.

use std::collections::BTreeMap;
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

fn one(python: &Python) -> Result<()> {
    let fixtures = workspace().join("python-fixtures");
    let mut fixture = Fixture::start(python, &fixtures, "spare", &[])?;
    fixture.settle()?;
    let folder = fixture.folder().to_owned();
    let file = folder.join("heap.parquet");
    let file = file.to_str().context("not UTF-8")?;
    let pid = fixture.pid().to_string();
    pyheap(&["snapshot", "-p", &pid, "-o", file, "--json"])?.json()?;
    let live = pyheap(&["strings", "-p", &pid, "--json"])?.json()?;
    let saved = pyheap(&["strings", file, "--json"])?.json()?;
    ensure!(live["containers"] == saved["containers"], "the file tells something else");
    let mut told: BTreeMap<String, (String, Option<u64>)> = BTreeMap::new();
    let types = ["builtins.list", "builtins.dict", "builtins.set", "builtins.frozenset"];
    let filter = types.map(|name| format!("type={name}")).join(" or ");
    let lines = pyheap(&["objects", file, "--where", &filter, "--json"])?.json_lines()?;
    for line in lines.iter().skip(1) {
        let address = line["address"].as_str().context("no address")?.to_owned();
        let name = line["type"].as_str().context("no type")?.to_owned();
        told.insert(address, (name, line["spare_bytes"].as_u64()));
    }
    let addresses: Vec<&str> = told.keys().map(String::as_str).collect();
    std::fs::write(folder.join("addresses"), addresses.join("\n") + "\n")?;
    ensure!(fixture.ask("k")? == "done", "the fixture cannot tell");
    let text = std::fs::read_to_string(folder.join("spare"))?;
    let (mut compared, mut roomy, mut wrong) = (0, 0, Vec::new());
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [address, len, spare] = words[..] else { anyhow::bail!("{line}") };
        let (name, told) = told.get(address).context("an address that was not asked for")?;
        let spare: i64 = spare.parse()?;
        match told {
            Some(told) => {
                compared += 1;
                roomy += u64::from(spare > 0);
                if i64::try_from(*told)? != spare.max(0) {
                    wrong.push(format!("{name} of {len} at {address}: {told}, not {spare}"));
                }
            }
            // Keys that are shared.
            None if name == "builtins.dict" => {}
            None => wrong.push(format!("{name} of {len} at {address}: nothing is known")),
        }
    }
    let examples: Vec<_> = wrong.iter().take(8).collect();
    ensure!(wrong.is_empty(), "{} of {compared} are wrong: {examples:#?}", wrong.len());
    ensure!(compared > 2000 && roomy > 150, "{compared} compared, {roomy} with room");

    let containers = &live["containers"];
    let records = &containers["same_keys"][0];
    ensure!(records["keys"] == 3 && records["dicts"].as_u64() >= Some(500), "{records}");
    ensure!(records["root"]["name"] == "__main__", "{records}");
    let points = containers["instances"].as_array().context("no instances")?;
    let points = points.iter().find(|class| class["type"] == "__main__.Point");
    ensure!(points.is_some_and(|class| class["dicts"] == 300), "{}", containers["instances"]);
    let lists = containers["types"].as_array().context("no types")?;
    let lists = lists.iter().find(|ty| ty["type"] == "builtins.list").context("no lists")?;
    ensure!(lists["over_allocated"]["spare_bytes"].as_u64() > Some(10_000), "{lists}");
    ensure!(matches!(&lists["empty"]["objects"], Value::Number(_)), "{lists}");
    Ok(())
}

#[test]
fn spare_bytes_are_what_a_copy_does_not_have() -> Result<()> {
    pythons::each(pythons::find(workspace())?, one)
}
