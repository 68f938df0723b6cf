//! The blocks of Python's own allocator: how many there are, and what they are for.

use crate::addr::Addr;
use crate::cpython::pymalloc::{Allocator, Pymalloc};
use crate::facts::{AllocatorFacts, ArenaFacts};

/// The allocators in numbers. `interpreters` has the newest first.
pub(super) fn facts(pymalloc: &Pymalloc, interpreters: &[Addr]) -> AllocatorFacts {
    let name = if pymalloc.allocators.is_empty() { "other" } else { "pymalloc" };
    let number = |at: Addr| {
        let nth = interpreters.iter().rev().position(|&interpreter| interpreter == at);
        nth.and_then(|nth| u32::try_from(nth).ok()).unwrap_or_default()
    };
    AllocatorFacts {
        name: name.to_owned(),
        allocated_blocks: pymalloc.allocated_blocks(),
        left_by_ended_interpreters: pymalloc.leaked_by_ended,
        interpreters: pymalloc
            .allocators
            .iter()
            .map(|allocator| {
                arena_facts(allocator, pymalloc.pool_size, number(allocator.interpreter))
            })
            .collect(),
    }
}

fn arena_facts(allocator: &Allocator, pool_size: u64, interpreter: u32) -> ArenaFacts {
    let usage = allocator.usage(pool_size);
    ArenaFacts {
        interpreter,
        arenas: allocator.arenas.len() as u64,
        arena_bytes: allocator.arenas.iter().map(|arena| arena.range.len()).sum(),
        live_blocks: usage.live_blocks,
        live_bytes: usage.live_bytes,
        free_block_bytes: usage.free_block_bytes,
        free_pool_bytes: usage.free_pool_bytes,
        overhead_bytes: usage.overhead_bytes,
        unknown_bytes: usage.unknown_bytes,
        raw_blocks: allocator.raw_blocks,
    }
}
