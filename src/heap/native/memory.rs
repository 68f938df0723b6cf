//! Native memory: blocks of the allocators that are in use, have no object in them, and are no storage
//! that a rule gives to an object. What Rust, C++ and C keep for themselves lies there.

use crate::addr::{Addr, AddrRange};
use crate::graph::HeapGraph;
use crate::malloc::{Malloc, UsedBlocks};
use crate::target::memory::Memory;

/// What the walk over Python's own allocator knows of such memory.
#[derive(Debug, Clone, Default)]
pub struct Remainder {
    /// Blocks of Python's own allocator without an object in them that no rule gives to one, by
    /// address: what their owners see.
    pub small: Vec<AddrRange>,
    /// Storage of objects outside of that allocator.
    pub owned: Vec<Addr>,
}

/// The blocks of native memory.
#[derive(Debug, Clone, Default)]
pub struct NativeMemory {
    malloc: UsedBlocks,
    small: Vec<AddrRange>,
}

impl NativeMemory {
    /// Takes from what the allocators have in use what belongs to objects.
    #[must_use]
    pub fn new(
        memory: &impl Memory,
        graph: &HeapGraph,
        malloc: &Malloc,
        remainder: Remainder,
    ) -> Self {
        let mut used = UsedBlocks::find(memory, malloc);
        for &addr in remainder.owned.iter().chain(&graph.addrs) {
            if used.may_have(addr) {
                used.remove(memory, addr);
            }
        }
        Self { malloc: used, small: remainder.small }
    }

    /// Whether a variable is one of the allocator itself, which holds no block that is in use.
    pub(super) fn is_of_allocator(&self, at: Addr) -> bool {
        self.malloc.is_own(at)
    }

    /// The block that an address lies in.
    pub(super) fn around(&self, memory: &impl Memory, addr: Addr) -> Option<AddrRange> {
        let after = self.small.partition_point(|block| block.start <= addr);
        let small = after.checked_sub(1).and_then(|nth| self.small.get(nth)).copied();
        small
            .filter(|block| block.contains(addr))
            .or_else(|| self.malloc.may_have(addr).then(|| self.malloc.around(memory, addr))?)
    }
}
