//! What CPython's own allocator had handed out.

use serde::{Deserialize, Serialize};

/// The allocators of a process. Bytes are those of arenas: larger blocks come from `malloc`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AllocatorFacts {
    /// `pymalloc`, or `other` where the process was told to use another one
    /// (`PYTHONMALLOC=malloc`): then nothing else is known.
    pub name: String,
    /// `sys.getallocatedblocks()`; null where a part of it could not be found.
    pub allocated_blocks: Option<u64>,
    /// Blocks that sub-interpreters left behind when they ended; part of the above.
    pub left_by_ended_interpreters: u64,
    /// One for each interpreter that has arenas of its own.
    pub interpreters: Vec<ArenaFacts>,
}

/// The arenas of one interpreter. What their bytes are, adds up to `arena_bytes`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ArenaFacts {
    /// Which interpreter; 0 is the main one.
    pub interpreter: u32,
    /// How many arenas it has.
    pub arenas: u64,
    /// The memory of its arenas.
    pub arena_bytes: u64,
    /// Blocks in use.
    pub live_blocks: u64,
    /// In blocks in use.
    pub live_bytes: u64,
    /// In free blocks of pools that have others in use: only objects of that size can go there.
    pub free_block_bytes: u64,
    /// In pools that have no block in use.
    pub free_pool_bytes: u64,
    /// In headers, and where no block fits.
    pub overhead_bytes: u64,
    /// In pools that could not be understood.
    pub unknown_bytes: u64,
    /// Blocks in use that were too large and came from `malloc`; null where that is not known.
    pub raw_blocks: Option<u64>,
}
