//! Blocks in numbers.

use super::{Blocks, Use};
use crate::addr::Addr;
use crate::cpython::pymalloc::{ALIGNMENT, Allocator, LARGEST, Pymalloc};
use crate::facts::{AllocatorFacts, ArenaFacts, SizeClassFacts};

/// The allocators in numbers. `interpreters` has the newest first.
pub(in crate::heap) fn facts(
    pymalloc: &Pymalloc,
    interpreters: &[Addr],
    blocks: &Blocks<'_>,
) -> AllocatorFacts {
    let name = if pymalloc.allocators.is_empty() { "other" } else { "pymalloc" };
    let number = |at: Addr| {
        let nth = interpreters.iter().rev().position(|&interpreter| interpreter == at);
        nth.and_then(|nth| u32::try_from(nth).ok()).unwrap_or_default()
    };
    AllocatorFacts {
        name: name.to_owned(),
        debug_hooks: blocks.has_debug_hooks,
        pool_bytes: pymalloc.pool_size,
        allocated_blocks: pymalloc.allocated_blocks(),
        left_by_ended_interpreters: pymalloc.leaked_by_ended,
        interpreters: pymalloc
            .allocators
            .iter()
            .map(|allocator| {
                arena_facts(allocator, pymalloc.pool_size, number(allocator.interpreter))
            })
            .collect(),
        size_classes: blocks.size_classes(),
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

impl Blocks<'_> {
    /// What the blocks of each size are for; sizes of which there is no pool are left out.
    fn size_classes(&self) -> Vec<SizeClassFacts> {
        let count = usize::try_from(LARGEST / ALIGNMENT).unwrap_or(0);
        let mut classes = vec![SizeClassFacts::default(); count];
        let class_of =
            |block_bytes: u64| usize::try_from(block_bytes / ALIGNMENT).ok()?.checked_sub(1);
        for accounted in &self.arenas {
            for pool in accounted.arena.used_pools() {
                if let Some(class) = class_of(pool.block_bytes).and_then(|nth| classes.get_mut(nth))
                {
                    class.block_bytes = pool.block_bytes;
                    class.pools += 1;
                }
            }
            for (pool, block) in accounted.blocks() {
                let Some(class) = class_of(pool.block_bytes).and_then(|nth| classes.get_mut(nth))
                else {
                    continue;
                };
                let counter = match block.what() {
                    Use::Free => &mut class.free_blocks,
                    Use::Unexplained => &mut class.unexplained_blocks,
                    Use::Object => &mut class.object_blocks,
                    Use::Buffer => &mut class.buffer_blocks,
                    Use::Kept => &mut class.kept_blocks,
                };
                *counter += 1;
            }
        }
        classes.retain(|class| class.pools > 0);
        classes
    }
}
