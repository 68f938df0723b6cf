//! What only C code holds is told with the place where its address stands.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::support::fixture::Fixture;
use crate::support::pythons::{self, Python};
use crate::support::run::Run;

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn pyheap(args: &[&str]) -> Result<Run> {
    Run::of(Path::new(env!("CARGO_BIN_EXE_pyheap")), args)
}

/// A class, the kind of its root, and how its name begins.
const HELD: [(&str, &str, &str); 6] = [
    ("__main__.InData", "c", "data of libc"),
    ("__main__.OnStack", "c", "C stack of thread "),
    // Nothing leads to these blocks, so that they may be out of use.
    ("__main__.InMalloc", "c", "1 reference"),
    ("__main__.InPymalloc", "c", "1 reference"),
    ("__main__.Freed", "c", "1 reference"),
    ("__main__.AtExit", "interpreter", "atexit"),
];

fn one(python: &Python) -> Result<()> {
    let fixtures = workspace().join("python-fixtures");
    let fixture = Fixture::start(python, &fixtures, "native", &[])?;
    fixture.settle()?;
    let file = fixture.folder().join("heap.parquet");
    let file = file.to_str().context("not UTF-8")?;
    let pid = fixture.pid().to_string();
    pyheap(&["snapshot", "-p", &pid, "-o", file, "--json"])?.json()?;
    for (class, kind, begins) in HELD {
        if class == "__main__.AtExit" && python.version.1 < 10 {
            continue; // the module keeps them
        }
        let why = pyheap(&["why", file, class, "--json"])?.json()?;
        let root = &why["paths"][0]["root"];
        let name = root["name"].as_str().unwrap_or_default();
        ensure!(root["kind"] == kind && name.starts_with(begins), "{class}: {root}");
        if class == "__main__.OnStack" {
            ensure!(name.ends_with("(in C code)"), "{root}");
        }
    }
    // Where an object has been, its old address may stand in places of tables that are out of use. The block that is there
    // now is then taken for one that somebody keeps, and not named: with the bytes that debug builds add, one time in fifty.
    let small = (!python.debug).then_some(("__main__.InPymalloc", 40..49));
    for (class, bytes) in [("__main__.InMalloc", 1000..1001)].into_iter().chain(small) {
        let why = pyheap(&["why", file, class, "--json"])?.json()?;
        let holders = why["paths"][0]["native_holders"].as_array().context("no blocks")?;
        let is_it = |holder: &serde_json::Value| {
            let fits = holder["bytes"].as_u64().is_some_and(|found| bytes.contains(&found));
            fits && holder["owner"].is_null() && holder["place"].is_null()
        };
        ensure!(holders.iter().any(is_it), "{class}: {holders:?}");
    }
    let why = pyheap(&["why", file, "__main__.InData"])?;
    ensure!(why.stdout.contains("C code: data of libc"), "{}", why.stdout);
    Ok(())
}

#[test]
fn what_c_code_holds_is_told_with_its_place() -> Result<()> {
    pythons::each(pythons::find(workspace())?, one)
}
