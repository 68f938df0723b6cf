//! What CPython's own allocator had handed out.

use serde::{Deserialize, Serialize};

/// The allocators of a process. Bytes are those of arenas: larger blocks come from `malloc`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AllocatorFacts {
    /// `pymalloc`, or `other` where the process was told to use another one
    /// (`PYTHONMALLOC=malloc`): then nothing else is known.
    pub name: String,
    /// Whether its debug hooks are in place (`PYTHONMALLOC=debug`, debug builds): each block is larger
    /// by what they keep in it.
    #[serde(default)]
    pub debug_hooks: bool,
    /// The size of a pool.
    #[serde(default)]
    pub pool_bytes: u64,
    /// `sys.getallocatedblocks()`; null where a part of it could not be found.
    pub allocated_blocks: Option<u64>,
    /// Blocks that sub-interpreters left behind when they ended; part of the above.
    pub left_by_ended_interpreters: u64,
    /// One for each interpreter that has arenas of its own.
    pub interpreters: Vec<ArenaFacts>,
    /// The blocks of each size, the smallest first.
    #[serde(default)]
    pub size_classes: Vec<SizeClassFacts>,
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

/// The blocks of one size, of all interpreters together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SizeClassFacts {
    /// The size of a block.
    pub block_bytes: u64,
    /// Pools that have a block of this size in use.
    pub pools: u64,
    /// Free blocks in these pools: only requests of this size can go there.
    pub free_blocks: u64,
    /// Blocks with an object in them.
    pub object_blocks: u64,
    /// Blocks that an object owns: the keys of a dictionary, the items of a list.
    pub buffer_blocks: u64,
    /// Blocks that the interpreter or a variable of a binary leads to, and freed objects that wait on
    /// a free list.
    pub kept_blocks: u64,
    /// Blocks in use that nothing known refers to.
    pub unexplained_blocks: u64,
}

impl SizeClassFacts {
    /// Blocks in use.
    #[must_use]
    pub const fn used_blocks(&self) -> u64 {
        self.object_blocks
            .saturating_add(self.buffer_blocks)
            .saturating_add(self.kept_blocks)
            .saturating_add(self.unexplained_blocks)
    }

    /// The memory of the blocks in use that nothing known refers to.
    #[must_use]
    pub const fn unexplained_bytes(&self) -> u64 {
        self.unexplained_blocks.saturating_mul(self.block_bytes)
    }

    /// Which part of the blocks is free.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "a share for people")]
    pub fn fragmentation(&self) -> f64 {
        let all = self.used_blocks().saturating_add(self.free_blocks);
        if all == 0 { 0.0 } else { self.free_blocks as f64 / all as f64 }
    }
}

/// A place in native memory (what Rust, C++ and C have from an allocator) at which the address of an object
/// stands that has references nothing else explains.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NativeHolderFacts {
    /// The address of the object.
    pub object: u64,
    /// The address of the block, as its owner has it.
    pub block: u64,
    /// How many bytes of it its owner may use (`malloc_usable_size`).
    pub block_bytes: u64,
    /// The object that leads to the block, if one does.
    pub owner: Option<u64>,
    /// What leads to it otherwise: data of a binary, or the stack of a thread.
    pub place: Option<String>,
    /// How many blocks are on the way from there to the object, this one included; 0 if nothing leads to it.
    pub blocks: u32,
}

/// Live objects of one type that nothing known refers to. Those of a snapshot are what only the allocator knows of: the
/// collector does not track them, and they are not in the graph.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrphanFacts {
    /// The full name of the type.
    #[serde(rename = "type")]
    pub type_name: String,
    /// How many there are.
    pub objects: u64,
    /// `sys.getsizeof` of all.
    pub shallow_bytes: u64,
    /// Memory that they own beside that.
    pub buffer_bytes: u64,
    /// Their reference counts, added up.
    pub references: u64,
    /// Those whose address stands in memory of C code, by the place.
    pub held_by: Vec<(String, u64)>,
    /// The rest: their address stands nowhere.
    pub lost: u64,
    /// `sys.getsizeof` of the rest, and the memory that it owns beside that.
    pub lost_bytes: u64,
    /// The addresses of some, those that are lost first.
    pub examples: Vec<u64>,
}
