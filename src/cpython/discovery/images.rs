//! The binaries of a process that may hold an interpreter.

use std::collections::HashSet;

use super::Attempt;
use crate::addr::Addr;
use crate::cpython::layout::DebugOffsets;
use crate::target::elf::Image;
use crate::target::maps::{Mapping, MemoryMap};
use crate::target::memory::Memory;
use crate::target::process::Process;

/// A place where `_PyRuntime` seems to be.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    /// The binary, as the target sees it.
    pub(super) binary: String,
    /// `_PyRuntime`.
    pub(super) runtime: Addr,
    /// Its size by the symbol table, in bytes: the fingerprint of a build.
    pub(super) runtime_size: Option<u64>,
    /// `Py_Version`.
    pub(super) py_version: Option<Addr>,
    /// `_PySet_Dummy`.
    pub(super) set_dummy: Option<Addr>,
    /// `PyType_Type`.
    pub(super) type_type: Option<Addr>,
}

/// All places, the likeliest first.
pub(super) fn candidates(
    process: &Process,
    map: &MemoryMap,
    memory: &impl Memory,
    attempts: &mut Vec<Attempt>,
) -> Vec<Candidate> {
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    let mut mappings: Vec<&Mapping> = map
        .iter()
        .filter(|mapping| mapping.inode != 0 && mapping.path.is_some())
        .filter(|mapping| seen.insert((mapping.dev_major, mapping.dev_minor, mapping.inode)))
        .collect();
    mappings.sort_by_key(|mapping| likelihood(mapping));
    for mapping in mappings {
        let binary = mapping.path.clone().unwrap_or_default();
        match examine(process, map, mapping, &binary) {
            Ok(copies) if !copies.is_empty() => found.extend(copies),
            Ok(_) if likelihood(mapping) < OTHER => attempts.push(Attempt {
                place: binary,
                outcome: "has no symbol _PyRuntime and no section .PyRuntime".to_owned(),
            }),
            Err(error) if likelihood(mapping) < OTHER => {
                attempts.push(Attempt { place: binary, outcome: error });
            }
            Ok(_) | Err(_) => {}
        }
    }
    // A binary that cannot be opened, or was stripped of everything: the runtime of 3.13 and later
    // describes itself in memory.
    let known: HashSet<Addr> = found.iter().map(|candidate| candidate.runtime).collect();
    let scanned = scan(map, memory);
    attempts.push(Attempt {
        place: "writable memory".to_owned(),
        outcome: format!("the cookie of _Py_DebugOffsets is there {} times", scanned.len()),
    });
    found.extend(scanned.into_iter().filter(|candidate| !known.contains(&candidate.runtime)));
    found
}

/// The rank of binaries that nothing speaks for.
const OTHER: u8 = 3;

/// How likely a file holds an interpreter, by its name; the lowest is the likeliest.
fn likelihood(mapping: &Mapping) -> u8 {
    let path = mapping.path.as_deref().unwrap_or("");
    let name = path.rsplit('/').next().unwrap_or(path);
    match () {
        () if name.starts_with("libpython") => 0,
        () if name.starts_with("python") => 1,
        () if mapping.execute || name.contains("python") => 2,
        () => OTHER,
    }
}

/// Looks into one file, which may be mapped more than once: each copy is a place of its own.
fn examine(
    process: &Process,
    map: &MemoryMap,
    mapping: &Mapping,
    binary: &str,
) -> Result<Vec<Candidate>, String> {
    let file = process.open_mapped(mapping).map_err(|error| error.to_string())?;
    let image = Image::read(file).map_err(|error| error.to_string())?;
    let (value, runtime_size) = match (image.symbol("_PyRuntime"), image.section(".PyRuntime")) {
        (Some(symbol), _) => (symbol.value, Some(symbol.size)),
        (None, Some(section)) => (section.addr, None),
        (None, None) => return Ok(Vec::new()),
    };
    let is_same_file = |other: &&Mapping| {
        (other.dev_major, other.dev_minor, other.inode)
            == (mapping.dev_major, mapping.dev_minor, mapping.inode)
    };
    let mut biases: Vec<u64> =
        map.iter().filter(is_same_file).filter_map(|copy| image.bias(map, copy)).collect();
    biases.sort_unstable();
    biases.dedup();
    if biases.is_empty() {
        return Err("it is not mapped from its beginning".to_owned());
    }
    let symbol = |name| image.symbol(name).map(|symbol| symbol.value);
    let (py_version, set_dummy, type_type) =
        (symbol("Py_Version"), symbol("_PySet_Dummy"), symbol("PyType_Type"));
    let candidate = |bias: u64| {
        let at = |value: u64| Addr(value.wrapping_add(bias));
        Candidate {
            binary: binary.to_owned(),
            runtime: at(value),
            runtime_size: runtime_size.filter(|&size| size > 0),
            py_version: py_version.map(at),
            set_dummy: set_dummy.map(at),
            type_type: type_type.map(at),
        }
    };
    Ok(biases.into_iter().map(candidate).collect())
}

/// Searches writable file mappings for a runtime that describes itself.
fn scan(map: &MemoryMap, memory: &impl Memory) -> Vec<Candidate> {
    /// A mapping of a binary's data that is larger is none.
    const MAX_BYTES: u64 = 64 << 20;
    let mut found = Vec::new();
    for mapping in map.iter() {
        let is_data = mapping.read && mapping.write && !mapping.shared && mapping.inode != 0;
        let Ok(len) = usize::try_from(mapping.range.len()) else { continue };
        if !is_data || mapping.range.len() > MAX_BYTES {
            continue;
        }
        let Ok(bytes) = memory.bytes(mapping.range.start, len) else { continue };
        for (nth, word) in bytes.as_chunks::<8>().0.iter().enumerate() {
            if word == DebugOffsets::COOKIE {
                found.push(Candidate {
                    binary: mapping.path.clone().unwrap_or_default(),
                    runtime: mapping.range.start + nth as u64 * 8,
                    runtime_size: None,
                    py_version: None,
                    set_dummy: None,
                    type_type: None,
                });
            }
        }
    }
    found
}
