//! Finding the table of traces by what it looks like.
//!
//! The variable that leads to it is static and has no name in a stripped binary (up to 3.11), and a
//! place of its own in the runtime's state in each release (from 3.12 on). But it lies in the data of
//! the binary that holds the interpreter, and what it leads to can be nothing else: a hash table of
//! which each entry is under the hash of its key and has a size and a traceback with a file name.

use rustc_hash::FxHashSet;

use super::{ENTRY_HASH, ENTRY_KEY, TRACE_SIZE, TraceTable, Traces, hash, limits};
use crate::addr::{Addr, AddrRange};
use crate::cpython::discovery::Found;
use crate::cpython::layout::features::TraceTables;
use crate::cpython::object::Objects;
use crate::target::maps::{Mapping, MemoryMap};
use crate::target::memory::Memory;

/// How much of the data is read at once, in bytes.
const CHUNK: usize = 64 << 10;
/// The most data that is looked at, in bytes: that of an interpreter is well below a megabyte.
const MOST_DATA: u64 = 64 << 20;
/// How many buckets are looked at, and how many entries.
const BUCKETS: u64 = 1 << 16;
const SAMPLES: u64 = 16;
/// No block is larger.
const MOST_BYTES: u64 = 1 << 47;

impl Traces {
    /// Finds the table of a target that traces; nothing for one that does not. The target may run.
    #[must_use]
    pub fn find(map: &MemoryMap, memory: &impl Memory, found: &Found) -> Option<Self> {
        let objects = Objects {
            memory,
            layout: &found.layout,
            limits: limits(),
            known: found.known,
            code: None,
        };
        let mut seen = FxHashSet::default();
        for range in data_of(map, &found.binary) {
            let mut at = range.start;
            while at < range.end {
                let len = usize::try_from(range.end - at).unwrap_or(CHUNK).min(CHUNK);
                let Ok(bytes) = memory.bytes(at, len) else { break };
                for (nth, word) in (0_u64..).zip(bytes.as_chunks::<8>().0) {
                    let table = Addr(u64::from_le_bytes(*word));
                    if !is_heap(map, table) || !seen.insert(table) {
                        continue;
                    }
                    let variable = at + nth * 8;
                    for c_names in [false, true] {
                        let tables = found.layout.has.trace_tables;
                        let traces = Self { variable, tables, c_names };
                        if traces.holds_at(&objects, map, table) {
                            return Some(traces);
                        }
                    }
                }
                at = at + len as u64;
            }
        }
        None
    }

    /// Whether a table of traces is at an address.
    fn holds_at<M: Memory>(self, objects: &Objects<'_, M>, map: &MemoryMap, at: Addr) -> bool {
        let memory = objects.memory;
        let Some(table) = self.table_at(memory, at) else { return false };
        // The functions of the table: get_entry, hash and compare, or hash, compare and copy.
        let first = match self.tables {
            TraceTables::Inline => 40,
            TraceTables::Pointers => 24,
        };
        let is_code = |offset: u64| {
            let function = memory.addr(at + offset).unwrap_or_default();
            map.find(function).is_some_and(|mapping| mapping.execute)
        };
        is_code(first) && is_code(first + 8) && table.has_traces(objects)
    }
}

impl TraceTable {
    /// Whether its entries are traces: all that are looked at, but for one in four, since the target
    /// may be changing them.
    fn has_traces<M: Memory>(&self, objects: &Objects<'_, M>) -> bool {
        let (mut met, mut right) = (0, 0);
        for bucket in 0..self.bucket_count.min(BUCKETS) {
            let Ok(entry) = objects.memory.addr(self.buckets + bucket * 8) else { return false };
            if entry.is_null() {
                continue;
            }
            met += 1;
            right += u64::from(self.is_trace(objects, entry, bucket).is_some());
            if met == SAMPLES {
                break;
            }
        }
        met > 0 && right * 4 >= met * 3
    }

    /// Something, if an entry of a bucket is a trace.
    fn is_trace<M: Memory>(
        &self,
        objects: &Objects<'_, M>,
        entry: Addr,
        bucket: u64,
    ) -> Option<()> {
        let memory = objects.memory;
        let key = memory.addr(entry + ENTRY_KEY).ok()?;
        let key_hash = memory.u64(entry + ENTRY_HASH).ok()?;
        if self.key_size == 8 && hash(key) != key_hash
            || key_hash & (self.bucket_count - 1) != bucket
        {
            return None;
        }
        let trace = self.trace_in(memory, entry)?;
        let size = memory.u64(trace + TRACE_SIZE).ok()?;
        let frames = self.frames(objects, self.traceback_in(memory, entry)?);
        let name = &frames.first()?.file;
        let is_name = !name.is_empty() && !name.contains(char::is_control);
        (size <= MOST_BYTES && is_name).then_some(())
    }
}

/// The writable data of a binary: what is mapped from its file, and the zeros behind it.
fn data_of(map: &MemoryMap, binary: &str) -> Vec<AddrRange> {
    let mut ranges = Vec::new();
    let mut total = 0;
    let mut before: Option<&Mapping> = None;
    for mapping in map {
        let is_file = mapping.path.as_deref() == Some(binary);
        let is_behind = before.is_some_and(|before| {
            mapping.is_anonymous()
                && mapping.path.is_none()
                && before.range.end == mapping.range.start
        });
        before = (is_file || is_behind).then_some(mapping);
        if before.is_some() && mapping.read && mapping.write && total < MOST_DATA {
            // What was allocated may have become one with the zeros.
            let len = mapping.range.len().min(MOST_DATA - total);
            total += len;
            ranges.push(AddrRange::new(mapping.range.start, mapping.range.start + len));
        }
    }
    ranges
}

/// Whether an address is in memory that was allocated.
fn is_heap(map: &MemoryMap, addr: Addr) -> bool {
    addr.is_aligned(8)
        && map.find(addr).is_some_and(|mapping| {
            mapping.read && mapping.write && !mapping.execute && mapping.is_anonymous()
        })
}
