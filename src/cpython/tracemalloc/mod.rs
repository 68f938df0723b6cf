//! Where each block was allocated, from the tables of a target that runs with `tracemalloc`
//! (`Modules/_tracemalloc.c`, `Python/tracemalloc.c`).
//!
//! Nothing is copied out of the tables: an object is looked up as CPython does it, in the target's own
//! hash table.

mod locate;

use crate::addr::{Addr, AddrRange};
use crate::cpython::layout::features::TraceTables;
use crate::cpython::object::Objects;
use crate::limits::Limits;
use crate::target::memory::Memory;

/// The variable that leads to the table of all traces, and how the table is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traces {
    /// `tracemalloc_traces`, or `_PyRuntime.tracemalloc.traces` from 3.12 on.
    variable: Addr,
    tables: TraceTables,
    /// Whether the names of files are C strings (3.15) and not `str` objects.
    c_names: bool,
}

/// The hash table of all traces, as it stood at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceTable {
    kind: Traces,
    buckets: Addr,
    bucket_count: u64,
    entries: u64,
    /// The size of a key (3.8): with the domain behind it, it is 12 bytes long.
    key_size: u64,
}

/// A line of a program.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceFrame {
    /// `co_filename`.
    pub file: String,
    /// The line; 0 if it is not known.
    pub line: u32,
}

/// Offsets in `_Py_hashtable_entry_t`: `key` is behind the link and the hash.
const ENTRY_HASH: u64 = 8;
const ENTRY_KEY: u64 = 16;
/// `value` (3.9 and later).
const ENTRY_VALUE: u64 = 24;
/// Offsets in `trace_t`.
const TRACE_SIZE: u64 = 0;
const TRACE_TRACEBACK: u64 = 8;
/// Offsets in `traceback_t`, and the size of a `frame_t`, which is packed.
const NFRAME: u64 = 8;
const FRAMES: u64 = 12;
const FRAME_SIZE: u64 = 12;
const FRAME_LINE: u64 = 8;

/// The longest chain of a bucket that is followed: tables are at most half full, so honest chains have
/// a handful of entries.
const LONGEST_CHAIN: usize = 256;
/// The most frames that are read of a traceback. `tracemalloc` keeps at most 65,535; who looks at more
/// than this has the stack of a recursion.
const MOST_FRAMES: u64 = 256;
/// No process has a table with more buckets.
const MOST_BUCKETS: u64 = 1 << 36;
/// `HASHTABLE_MIN_SIZE`.
const FEWEST_BUCKETS: u64 = 16;

impl Traces {
    /// The table as it stands now; nothing if it is empty or makes no sense.
    #[must_use]
    pub fn table(self, memory: &impl Memory) -> Option<TraceTable> {
        self.table_at(memory, memory.addr(self.variable).ok()?)
    }

    fn table_at(self, memory: &impl Memory, table: Addr) -> Option<TraceTable> {
        let [first, second, buckets, key_size, data_size] =
            [0, 8, 16, 24, 32].map(|offset| memory.u64(table + offset).unwrap_or_default());
        let (bucket_count, entries, key_size) = match self.tables {
            TraceTables::Inline => {
                /// `sizeof(trace_t)`.
                const DATA_SIZE: u64 = 16;
                if !matches!(key_size, 8 | 12) || data_size != DATA_SIZE {
                    return None;
                }
                (first, second, key_size)
            }
            TraceTables::Pointers => (second, first, 8),
        };
        let is_sane = bucket_count.is_power_of_two()
            && (FEWEST_BUCKETS..=MOST_BUCKETS).contains(&bucket_count)
            && (1..=bucket_count).contains(&entries)
            && Addr(buckets).is_aligned(8)
            && buckets != 0;
        let table =
            TraceTable { kind: self, buckets: Addr(buckets), bucket_count, entries, key_size };
        is_sane.then_some(table)
    }
}

impl TraceTable {
    /// Where the heads of its chains are: a block that grows with the number of traces.
    #[must_use]
    pub fn buckets(&self) -> AddrRange {
        AddrRange::new(self.buckets, self.buckets + self.bucket_count * 8)
    }

    /// How many blocks are traced.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.entries
    }

    /// Whether no block is traced.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// The traceback of a block (`tracemalloc_get_traceback` of the default domain), to be read by
    /// [`TraceTable::frames`].
    #[must_use]
    pub fn traceback_of(&self, memory: &impl Memory, block: Addr) -> Option<Addr> {
        let bucket = hash(block) & (self.bucket_count - 1);
        let mut entry = memory.addr(self.buckets + bucket * 8).ok()?;
        for _ in 0..LONGEST_CHAIN {
            let entry_at = entry.non_null()?;
            if memory.addr(entry_at + ENTRY_KEY).ok()? == block && self.is_default(memory, entry_at)
            {
                return self.traceback_in(memory, entry_at);
            }
            entry = memory.addr(entry_at).ok()?;
        }
        None
    }

    /// Whether an entry is of the default domain: all are, where keys have none.
    fn is_default(&self, memory: &impl Memory, entry: Addr) -> bool {
        self.key_size == 8 || memory.u32(entry + ENTRY_KEY + 8).is_ok_and(|domain| domain == 0)
    }

    /// Where the trace of an entry is.
    fn trace_in(&self, memory: &impl Memory, entry: Addr) -> Option<Addr> {
        match self.kind.tables {
            TraceTables::Inline => Some(entry + ENTRY_KEY + self.key_size),
            TraceTables::Pointers => memory.addr(entry + ENTRY_VALUE).ok()?.non_null(),
        }
    }

    fn traceback_in(&self, memory: &impl Memory, entry: Addr) -> Option<Addr> {
        let trace = self.trace_in(memory, entry)?;
        memory.addr(trace + TRACE_TRACEBACK).ok()?.non_null()
    }

    /// The lines of a traceback, the one that allocated first; as many as `tracemalloc` kept, but no
    /// more than 256.
    #[must_use]
    pub fn frames<M: Memory>(&self, objects: &Objects<'_, M>, traceback: Addr) -> Vec<TraceFrame> {
        let count = match self.kind.tables {
            TraceTables::Inline => objects.memory.u32(traceback + NFRAME).unwrap_or(0).into(),
            TraceTables::Pointers => objects.memory.u16(traceback + NFRAME).unwrap_or(0).into(),
        };
        let frames = (0..MOST_FRAMES.min(count)).map_while(|nth| {
            let frame = traceback + FRAMES + nth * FRAME_SIZE;
            let name = objects.memory.addr(frame).ok()?;
            let file = match self.kind.c_names {
                true => objects.c_text(name).ok()?,
                false if objects.is_str(name).ok()? => objects.text(name).ok()?,
                false => return None,
            };
            Some(TraceFrame { file, line: objects.memory.u32(frame + FRAME_LINE).ok()? })
        });
        frames.collect()
    }
}

/// `_Py_HashPointer`: blocks are aligned, so that the low four bits are moved out of the way.
const fn hash(block: Addr) -> u64 {
    match block.0.rotate_right(4) {
        u64::MAX => u64::MAX - 1,
        hash => hash,
    }
}

/// The bounds under which names of files are read before the target's own are known.
const fn limits() -> Limits {
    Limits { name_bytes: 4096, members: 1, threads: 1, frames: 1, type_depth: 1 }
}
