//! The binaries of a process that may hold an interpreter.

use std::collections::HashMap;

use super::Attempt;
use super::banner::{self, Banner};
use super::binaries::{Binaries, Holds, Symbols};
use crate::addr::{Addr, AddrRange};
use crate::cpython::layout::DebugOffsets;
use crate::target::mapped_files::MappedFiles;
use crate::target::maps::{Mapping, MemoryMap};
use crate::target::memory::Memory;

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
    /// `PyLong_FromSsize_t` and `PyLong_FromSize_t`.
    pub(super) long_from: [Option<Addr>; 2],
    /// The slot with the address of `strcmp`.
    pub(super) strcmp_slot: Option<Addr>,
    /// `_Py_GetAllocatedBlocks`.
    pub(super) get_allocated_blocks: Option<Addr>,
    /// The writable memory of the binary.
    pub(super) data: Vec<AddrRange>,
}

/// A file that is mapped, once for all of its mappings.
pub(super) struct Mapped<'map> {
    mapping: &'map Mapping,
    path: &'map str,
    likelihood: u8,
}

impl<'map> Mapped<'map> {
    /// The files of a process, the likeliest to hold an interpreter first.
    pub(super) fn of(process: &dyn MappedFiles, map: &'map MemoryMap) -> Vec<Self> {
        let program = process.executable();
        let program = program.strip_suffix(" (deleted)").unwrap_or(&program);
        let mut files: Vec<Self> = Vec::new();
        let mut places = HashMap::new();
        for mapping in map {
            let Some(path) = mapping.path.as_deref().filter(|_| mapping.inode != 0) else {
                continue;
            };
            let likelihood = likelihood(mapping, path, program);
            let key = (mapping.dev_major, mapping.dev_minor, mapping.inode, path);
            let file = Self { mapping, path, likelihood };
            let Some(&place) = places.get(&key) else {
                places.insert(key, files.len());
                files.push(file);
                continue;
            };
            if let Some(known) = files.get_mut(place) {
                known.likelihood = known.likelihood.min(likelihood);
                // What nobody writes can be compared with the file.
                if known.mapping.write && !mapping.write {
                    known.mapping = mapping;
                }
            }
        }
        files.sort_by_key(|file| file.likelihood);
        files
    }

    /// Where the file has an interpreter. It may be mapped more than once: each copy is a place of
    /// its own.
    pub(super) fn candidates(
        &self,
        process: &dyn MappedFiles,
        map: &MemoryMap,
        binaries: &Binaries,
        attempts: &mut Vec<Attempt>,
    ) -> Vec<Candidate> {
        let outcome = match binaries.examine(process, self.mapping, self.path) {
            Ok(Holds::Runtime(symbols)) => {
                let found = self.places(map, &symbols);
                if !found.is_empty() {
                    return found;
                }
                "it is not mapped from its beginning".to_owned()
            }
            Ok(Holds::Nothing | Holds::Another) => {
                "has no symbol _PyRuntime and no section .PyRuntime".to_owned()
            }
            Err(error) => error,
        };
        if self.likelihood < LIBRARY {
            attempts.push(Attempt { place: self.path.to_owned(), outcome });
        }
        Vec::new()
    }

    /// What an interpreter without a runtime says of itself: an older CPython, or PyPy.
    pub(super) fn another(
        &self,
        process: &dyn MappedFiles,
        map: &MemoryMap,
        memory: &impl Memory,
        binaries: &Binaries,
    ) -> Option<Banner> {
        match binaries.examine(process, self.mapping, self.path) {
            Ok(Holds::Another) => banner::read(memory, &banner::data_of(map, self.mapping)),
            _ => None,
        }
    }

    /// The file, as the process sees it.
    pub(super) const fn path(&self) -> &'map str {
        self.path
    }

    fn places(&self, map: &MemoryMap, symbols: &Symbols) -> Vec<Candidate> {
        let is_same_file = |other: &&Mapping| {
            (other.dev_major, other.dev_minor, other.inode)
                == (self.mapping.dev_major, self.mapping.dev_minor, self.mapping.inode)
        };
        let copies = map.iter().filter(is_same_file);
        let mut biases: Vec<u64> =
            copies.filter_map(|copy| symbols.placement.bias(map, copy)).collect();
        biases.sort_unstable();
        biases.dedup();
        let data = banner::data_of(map, self.mapping);
        let candidate = |bias: u64| {
            let at = |value: u64| Addr(value.wrapping_add(bias));
            Candidate {
                binary: self.path.to_owned(),
                runtime: at(symbols.runtime),
                runtime_size: symbols.runtime_size,
                py_version: symbols.py_version.map(at),
                set_dummy: symbols.set_dummy.map(at),
                type_type: symbols.type_type.map(at),
                long_from: symbols.long_from.map(|value| value.map(at)),
                strcmp_slot: symbols.strcmp_slot.map(at),
                get_allocated_blocks: symbols.get_allocated_blocks.map(at),
                data: data.clone(),
            }
        };
        biases.into_iter().map(candidate).collect()
    }
}

/// The rank of libraries that nothing speaks for; what is likelier is named in a failure.
const LIBRARY: u8 = 2;

/// How likely a file holds an interpreter, by its name; the lowest is the likeliest.
fn likelihood(mapping: &Mapping, path: &str, program: &str) -> u8 {
    let name = path.rsplit('/').next().unwrap_or(path);
    match () {
        () if name.starts_with("libpython") => 0,
        () if name.starts_with("python") || path == program => 1,
        () if mapping.execute => LIBRARY,
        () => LIBRARY + 1,
    }
}

/// Searches writable file mappings for a runtime that describes itself.
pub(super) fn scan(map: &MemoryMap, memory: &impl Memory) -> Vec<Candidate> {
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
                    long_from: [None; 2],
                    strcmp_slot: None,
                    get_allocated_blocks: None,
                    data: Vec::new(),
                });
            }
        }
    }
    found
}
