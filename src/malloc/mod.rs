//! The C library's `malloc`, read from outside: what it has from the system, what of it is in use,
//! what is free and where. Knows nothing of Python.
//!
//! glibc keeps all of it in `static` variables and in the memory itself. A stripped libc has no symbols
//! for them, so they are found by their structure, and everything that is read is checked by what
//! must hold (`malloc/malloc.c`, `malloc/arena.c`): a bin's list closes, a heap knows its arena, the
//! arenas form a ring. Of other allocators only the name is known.

mod allocator;
mod arena;
mod bins;
mod heaps;
mod mapped;
mod running;
mod state;
mod tcache;
mod used;

use crate::addr::{Addr, AddrRange};
use crate::target::mapped_files::MappedFiles;
use crate::target::maps::MemoryMap;
use crate::target::memory::Memory;

pub use allocator::Allocator;
pub use arena::Arena;
pub use mapped::MappedChunks;
pub use running::FreeMemory;
pub use used::UsedBlocks;

use bins::Budget;

/// The size of the pages that glibc counts in.
const PAGE_BYTES: u64 = 4096;

/// A mapping of a binary's data that is larger than this is none, in bytes.
const DATA_BYTES: u64 = 64 << 20;

/// What `malloc` has.
#[derive(Debug, Clone, Default)]
pub struct Malloc {
    /// Whose it is.
    pub allocator: Allocator,
    /// The arenas of glibc, the main one first. Empty with another allocator.
    pub arenas: Vec<Arena>,
    /// The blocks that have a mapping of their own.
    pub mapped: MappedChunks,
    /// How many threads' caches were found.
    pub caches: u64,
}

/// What is known of a process besides its memory.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// `pthread_self()` of each thread that is known, the main thread first.
    pub threads: &'a [Addr],
    /// Ranges, by address, in which no block with a mapping of its own begins.
    pub taken: &'a [AddrRange],
}

/// Looks at the `malloc` of a process whose memory stands still.
#[must_use]
pub fn examine(
    memory: &impl Memory,
    map: &MemoryMap,
    files: &dyn MappedFiles,
    known: Known<'_>,
) -> Malloc {
    let mut arenas = Vec::new();
    let mut mapped = MappedChunks::default();
    let mut caches = 0;
    let mut libraries = Vec::new();
    let budget = Budget::new(map.mapped_bytes());
    for main in state::find(memory, map, DATA_BYTES) {
        let mut found = arena::ring(memory, map, main, &budget);
        // A library that is there and was never asked for memory has an empty arena.
        if found.iter().all(|arena| arena.system_bytes == 0) {
            continue;
        }
        libraries.push(main);
        caches += tcache::find(memory, known.threads, &mut found, &budget);
        let first = found.first().and_then(|arena| arena.regions.first());
        let base = first.map(|region| region.start);
        mapped.add_counters(mapped::counters(memory, map, main.bins, base));
        arenas.append(&mut found);
    }
    let allocator = allocator::of(memory, map, files, libraries.first().map(|main| main.bins));
    if !libraries.is_empty() {
        mapped.ranges = mapped::find(memory, map, &arenas, known.taken);
    }
    Malloc { allocator, arenas, mapped, caches }
}

#[cfg(test)]
mod tests;
