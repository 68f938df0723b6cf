//! Where the memory of a process is.

use serde::{Deserialize, Serialize};

/// Where the resident memory of a process is. All numbers are bytes in memory (RSS) unless said
/// otherwise; nothing is counted in two parts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MemoryFacts {
    /// All that is in memory; null of a core file, which does not know it.
    pub rss_bytes: Option<u64>,
    /// The same, with shared pages divided by how many processes have them.
    pub pss_bytes: Option<u64>,
    /// In memory of this process alone, and of no file: what it costs beside other workers.
    pub private_dirty_bytes: Option<u64>,
    /// In memory of other processes too.
    pub shared_bytes: Option<u64>,
    /// In swap, and so in no part.
    pub swap_bytes: Option<u64>,
    /// The parts, in a fixed order.
    pub parts: Vec<MemoryPart>,
    /// What is in memory and in no part; negative if the parts have more, since the process changed
    /// between two looks.
    pub unexplained_bytes: i64,
    /// What the C library's allocator has.
    pub malloc: MallocFacts,
    /// What could be given back.
    pub reclaimable: ReclaimableFacts,
    /// What could not be told, in words.
    #[serde(default)]
    pub unknown: Vec<String>,
}

/// A part of the memory.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MemoryPart {
    /// `python_objects`, `python_free`, `buffers`, `malloc_used`, `malloc_free`, `anonymous_mappings`,
    /// `file_mappings`, or `stacks`.
    pub name: String,
    /// How much.
    pub bytes: u64,
    /// What it consists of, the biggest first; adds up to `bytes`.
    pub detail: Vec<MemoryDetail>,
}

/// A piece of a part.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MemoryDetail {
    /// What it is, in words; a path for a file.
    pub name: String,
    /// How much.
    pub bytes: u64,
    /// How many there are, where that means something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}

/// What the C library's allocator has. These bytes are those of its own books, not of RSS.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MallocFacts {
    /// Its name, such as `glibc 2.36` or `jemalloc`; `unknown`.
    pub allocator: String,
    /// Its arenas, the main one first. Of other allocators than glibc's none are known.
    pub arenas: Vec<MallocArenaFacts>,
    /// Blocks with a mapping of their own (mallinfo's `hblks`).
    pub mapped_blocks: u64,
    /// Their size (mallinfo's `hblkhd`).
    pub mapped_bytes: u64,
    /// How many threads' caches were found.
    pub thread_caches: u64,
}

/// An arena of glibc.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MallocArenaFacts {
    /// Its `struct malloc_state`.
    pub address: String,
    /// Whether it is the main arena.
    pub is_main: bool,
    /// What it has from the system (mallinfo's `arena`).
    pub system_bytes: u64,
    /// In use, headers of blocks included.
    pub used_bytes: u64,
    /// Free at its end (mallinfo's `keepcost` for the main arena).
    pub top_bytes: u64,
    /// Free in its lists.
    pub binned_bytes: u64,
    /// Free in the unsorted list.
    pub unsorted_bytes: u64,
    /// Free in fastbins (mallinfo's `fsmblks`).
    pub fast_bytes: u64,
    /// Free in caches of threads; mallinfo counts these as in use.
    pub cached_bytes: u64,
    /// How many free blocks it has, the top included.
    pub free_blocks: u64,
    /// What of it is in memory.
    pub resident_bytes: u64,
    /// Whether all its lists could be followed to their ends.
    pub is_complete: bool,
}

/// What could be given back, in bytes of RSS.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ReclaimableFacts {
    /// By `malloc_trim(0)`: whole free pages of glibc's arenas.
    pub malloc_trim_bytes: u64,
    /// By a restart alone: what is free and stays.
    pub restart_bytes: u64,
}

impl MemoryFacts {
    /// The bytes of a part, by its name.
    #[must_use]
    pub fn part(&self, name: &str) -> u64 {
        self.parts.iter().find(|part| part.name == name).map_or(0, |part| part.bytes)
    }
}
