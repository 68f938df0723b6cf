//! The table of layouts against the evidence that `cargo xtask layouts --record` took from CPython's headers. It needs no
//! interpreter, so it holds everywhere.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use pyheap::cpython::layout::Offsets;
use pyheap::cpython::version::Version;

/// Offsets by structure and field.
type Evidence = BTreeMap<String, BTreeMap<String, u32>>;

/// Each recorded build: its version, whether it is a debug build, and what its headers say.
fn recorded() -> Result<Vec<(Version, bool, Evidence)>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/offsets");
    let mut builds = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_stem().and_then(|name| name.to_str()).context("no name")?;
        let (version, debug) = match name.strip_suffix("-dbg") {
            Some(version) => (version, true),
            None => (name, false),
        };
        let text = std::fs::read_to_string(&path)?;
        builds.push((version.parse()?, debug, serde_json::from_str(&text)?));
    }
    Ok(builds)
}

#[test]
fn the_table_is_what_the_headers_of_every_recorded_build_say() -> Result<()> {
    let builds = recorded()?;
    let minors: Vec<u8> = builds.iter().map(|(version, _, _)| version.minor).collect();
    for minor in 8..=15 {
        ensure!(minors.contains(&minor), "no evidence of 3.{minor} is recorded");
    }
    let mut wrong = Vec::new();
    for (version, debug, evidence) in &builds {
        let table = Offsets::of(*version, *debug)?;
        let mut compared = 0;
        for (structure, field, offset) in table.iter() {
            if let Some(&found) = evidence.get(structure).and_then(|fields| fields.get(field)) {
                compared += 1;
                if found != offset {
                    wrong.push(format!("{version}: {structure}.{field} {found}, not {offset}"));
                }
            }
        }
        ensure!(compared > 400, "only {compared} offsets of {version} have evidence");
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// Up to 3.10 the runtime's size tells the minor release, which nothing else outside Python's own objects does.
#[test]
fn the_size_of_the_runtime_tells_the_releases_apart_that_say_nothing_else() -> Result<()> {
    let mut sizes = BTreeMap::new();
    for minor in 7..=10 {
        let offsets = Offsets::of(Version::new(3, minor, 20), false)?;
        let size = offsets.size("_PyRuntimeState").context("no size")?;
        let before = sizes.insert(size, minor);
        ensure!(before.is_none(), "3.{minor} and {before:?} have runtimes of {size} bytes");
    }
    Ok(())
}
