//! The table of interned strings where it is a static variable (`interned` in
//! `Objects/unicodeobject.c`, up to 3.11): stripped binaries have no name for it, but it shows itself.

use crate::addr::{Addr, AddrRange};
use crate::cpython::discovery::Found;
use crate::cpython::layout::OB_TYPE;
use crate::cpython::object::Objects;
use crate::target::maps::MemoryMap;
use crate::target::memory::Memory;

/// A binary's data is smaller.
const MAX_DATA: u64 = 64 << 20;
/// How many entries are looked at to recognise the table, and how many it has at least: the names in
/// `builtins` alone are more.
const SAMPLE: usize = 64;
const FEWEST: usize = 200;

/// Finds the table in the writable data of the binary that holds the runtime.
pub(super) fn table<M: Memory>(
    objects: &Objects<'_, M>,
    map: &MemoryMap,
    found: &Found,
) -> Option<Addr> {
    let at = &objects.layout.at;
    if at.interpreter.interned_strings.is_some() {
        return None;
    }
    let sysdict = objects.memory.addr(objects.known.interpreter + at.interpreter.sysdict).ok()?;
    let dict_type = objects.memory.addr(sysdict + OB_TYPE).ok()?;
    data(map, found.runtime).into_iter().find_map(|range| {
        let len = usize::try_from(range.len()).ok()?;
        let bytes = objects.memory.bytes(range.start, len).ok()?;
        bytes
            .as_chunks::<8>()
            .0
            .iter()
            .map(|word| Addr(u64::from_le_bytes(*word)))
            .filter(|word| word.0 > 1 << 16 && word.is_aligned(8))
            .find(|&word| is_table(objects, word, dict_type))
    })
}

/// The writable mappings around the runtime: initialised data, and behind it what starts as zeros.
fn data(map: &MemoryMap, runtime: Addr) -> Vec<AddrRange> {
    let mut ranges: Vec<AddrRange> = Vec::new();
    for mapping in map.iter().filter(|mapping| mapping.write && !mapping.shared) {
        let range = mapping.range;
        match ranges.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => ranges.push(range),
        }
    }
    ranges.retain(|range| range.contains(runtime) && range.len() < MAX_DATA);
    ranges
}

/// Whether an object is a dictionary in which every string is its own value.
fn is_table<M: Memory>(objects: &Objects<'_, M>, object: Addr, dict_type: Addr) -> bool {
    if !objects.memory.addr(object + OB_TYPE).is_ok_and(|ty| ty == dict_type) {
        return false;
    }
    let (mut entries, mut fit) = (0, 0);
    let counted = objects.dict_entries(object, |entry| {
        entries += 1;
        if entries <= SAMPLE && entry.key == entry.value && objects.is_exact_str(entry.key) {
            fit += 1;
        }
    });
    counted.is_ok() && entries >= FEWEST && fit == SAMPLE
}
