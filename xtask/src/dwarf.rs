//! `cargo xtask dwarf`: the table of structures against the debug information of every interpreter that is found,
//! and against what the interpreters from 3.13 on say of themselves.

mod binaries;
mod structs;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Result, anyhow, bail};
use pyheap::cpython::layout::{DebugOffsets, Offsets};
use pyheap::cpython::version::{Build, Version};

use crate::support::pythons::{self, Python};
use binaries::Binaries;
use structs::{Fields, Found};
use table::Table;

/// What to compare.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only interpreters of this version, such as `3.12` or `3.14.10-dbg`.
    #[arg(long)]
    python: Option<String>,
    /// Also print structures of the table that the build must have and no debug information describes.
    #[arg(long)]
    unproven: bool,
}

/// Compares, and prints what differs: version, structure, field, what the table says, what the evidence says, and
/// where that is from.
///
/// # Errors
/// If anything differs, or an interpreter's files cannot be read.
pub(crate) fn run(workspace: &Path, arguments: &Arguments) -> Result<()> {
    let table = Table::read();
    let mut differences = 0;
    let mut compared = 0;
    for python in pythons::find(workspace)? {
        let wanted = arguments.python.as_deref();
        if wanted.is_some_and(|wanted| python.label() != wanted && python.minor() != wanted) {
            continue;
        }
        compared += 1;
        differences += compare(&python, &table, arguments)?;
    }
    if compared == 0 {
        bail!("no interpreter to compare with");
    }
    if differences > 0 {
        bail!("{differences} rows differ from the evidence");
    }
    Ok(())
}

/// Compares one interpreter; gives the number of differences.
fn compare(python: &Python, table: &Table, arguments: &Arguments) -> Result<usize> {
    let label = python.label();
    let (version, build) = identity(python)?;
    let offsets = Offsets::of(version, build.debug)?;
    let binaries = Binaries::of(python)?;
    let mut found = Found::new();
    for path in binaries.files.iter().chain(&binaries.debug_files) {
        structs::read(path, table, &mut found)?;
    }
    if found.is_empty() {
        println!("{label}: no debug information");
    }
    let mut differences = 0;
    let mut evidence = BTreeMap::new();
    for (place, definitions) in &found {
        let Some(structure) = table.structures.get(*place) else { continue };
        let fields: Vec<&'static str> =
            structure.fields.iter().copied().chain(["sizeof"]).collect();
        let Some((definition, sources)) = likeliest(&offsets, structure.name, definitions) else {
            continue;
        };
        for field in fields {
            let says = offsets.find(structure.name, field).map(u64::from);
            let is = definition.get(field).copied();
            if says != is {
                differences += 1;
                println!(
                    "{label} {}.{field}: table {}, evidence {} ({})",
                    structure.name,
                    shown(says),
                    shown(is),
                    first(sources)
                );
            }
        }
        evidence.insert(structure.name, definition.clone());
    }
    differences += compare_runtime(&label, &binaries, version, build, &offsets)?;
    let unproven: Vec<&str> = table
        .structures
        .iter()
        .map(|structure| structure.name)
        .filter(|name| offsets.size(name).is_some() && !evidence.contains_key(name))
        .collect();
    println!(
        "{label}: {} structures compared, {differences} differences, {} without evidence",
        evidence.len(),
        unproven.len()
    );
    if arguments.unproven && !unproven.is_empty() {
        println!("  without evidence: {}", unproven.join(" "));
    }
    Ok(differences)
}

/// The runtime's state: the size of its symbol, and from 3.13 on what it says of the interpreter's structures. The
/// compiler writes that into the file, so no process is needed.
fn compare_runtime(
    label: &str,
    binaries: &Binaries,
    version: Version,
    build: Build,
    offsets: &Offsets,
) -> Result<usize> {
    let runtime = binaries.runtime()?;
    let mut differences = 0;
    let says = offsets.size("_PyRuntimeState").map(u64::from);
    if says != Some(runtime.size) {
        differences += 1;
        println!(
            "{label} _PyRuntimeState.sizeof: table {}, evidence {} (symbol _PyRuntime)",
            shown(says),
            runtime.size
        );
    }
    let described = DebugOffsets::decode(&runtime.bytes, build)?;
    match described {
        Some(described) => {
            for it in described.overlay(&mut offsets.clone()) {
                differences += 1;
                println!(
                    "{label} {}.{}: table {}, evidence {} (_Py_DebugOffsets)",
                    it.structure,
                    it.field,
                    shown(it.table.map(u64::from)),
                    it.target
                );
            }
        }
        None if version >= Version::new(3, 13, 0) => {
            bail!("{label}: _PyRuntime does not describe itself");
        }
        None => {}
    }
    Ok(differences)
}

/// Of the definitions that C files have under one name, the one that the table means: which agrees with most rows.
fn likeliest<'a>(
    offsets: &Offsets,
    structure: &'static str,
    definitions: &'a BTreeMap<Fields, BTreeSet<String>>,
) -> Option<(&'a Fields, &'a BTreeSet<String>)> {
    definitions.iter().max_by_key(|(fields, _)| {
        fields
            .iter()
            .filter(|(field, at)| offsets.find(structure, field).map(u64::from) == Some(**at))
            .count()
    })
}

fn identity(python: &Python) -> Result<(Version, Build)> {
    let (major, minor, micro) = python.version;
    let version = format!("{major}.{minor}.{micro}");
    let version = version.parse().map_err(|_| anyhow!("{version} is no version"))?;
    Ok((version, Build { debug: python.debug, ..Build::default() }))
}

fn shown(offset: Option<u64>) -> String {
    offset.map_or_else(|| "-".to_owned(), |offset| offset.to_string())
}

fn first(sources: &BTreeSet<String>) -> &str {
    sources.first().map_or("", String::as_str)
}
