//! Tracked objects that no list of the collector leads to: while a collection is under way, those
//! that it has set aside hang on lists whose heads are on a thread's C stack, and a list that was
//! read while the target ran may be torn. They are found by the allocator's pools instead
//! (`Objects/obmalloc.c`).

use std::sync::Arc;

use rayon::prelude::*;

use super::gc_lists::{FLAGS, Tracked};
use super::types::{TypeCache, Types};
use crate::addr::Addr;
use crate::cpython::layout::features::HAVE_GC;
use crate::cpython::object::{Count, Objects};
use crate::cpython::pymalloc::{Pymalloc, UsedPool};
use crate::target::memory::Memory;

/// The generation under which such objects count: a collection that takes so long that a snapshot
/// meets it is one of the oldest.
pub(super) const OLDEST: u8 = 2;
/// What the debug hooks of the allocators put before a block.
const DEBUG_HEADER: u64 = 16;

/// Adds the tracked objects in live blocks of pools to `tracked`, and says how many there were.
pub(super) fn recover(
    objects: &Objects<'_, impl Memory>,
    pymalloc: &Pymalloc,
    types: &Types,
    tracked: &mut Tracked,
) -> u64 {
    let arenas: Vec<_> = pymalloc.arenas().collect();
    let found: Vec<Vec<Addr>> = arenas
        .into_par_iter()
        .map(|arena| {
            let mut types = TypeCache::new(types);
            let blocks = arena.used_pools().flat_map(UsedPool::live_blocks);
            blocks.filter_map(|block| search(objects, block, &mut types)).collect()
        })
        .collect();
    let mut recovered = 0;
    for object in found.into_iter().flatten() {
        let is_known = tracked.generations.iter().any(|set| set.contains(object));
        if !is_known
            && let Some(oldest) = tracked.generations.get(usize::from(OLDEST))
            && oldest.insert(object) == Some(true)
        {
            tracked.objects.push(object);
            recovered += 1;
        }
    }
    recovered
}

/// The tracked object in a block.
fn search(
    objects: &Objects<'_, impl Memory>,
    block: Addr,
    types: &mut TypeCache<'_>,
) -> Option<Addr> {
    let head = objects.layout.gc_head_size;
    // The headers before an object depend on its type, so every place is tried against it.
    let places = [head, 2 * head, DEBUG_HEADER + head, DEBUG_HEADER + 2 * head];
    let mut places = places.into_iter().map(|before| block + before);
    places.find(|&object| is_tracked(objects, block, object, types))
}

/// Whether a block holds a tracked object at an address.
fn is_tracked(
    objects: &Objects<'_, impl Memory>,
    block: Addr,
    object: Addr,
    types: &mut TypeCache<'_>,
) -> bool {
    if !objects.has_sane_ref_count(object) || !has_links(objects, object) {
        return false;
    }
    let Ok(ty) = types.of(objects, object) else { return false };
    let ty = Arc::clone(ty);
    let before = objects.bytes_before(object, &ty);
    ty.has(HAVE_GC)
        && objects.is_gc(object, &ty)
        && (object - before == block || object - before == block + DEBUG_HEADER)
}

/// Whether the collector's header before an object is part of a list: one neighbour leads back, or there
/// stands a count in the place of the link to the one before, as in the middle of a collection. Two words
/// that merely are addresses stand before many a pair of words that look like a count and a type: where
/// the binary is loaded low, its addresses look like counts.
fn has_links(objects: &Objects<'_, impl Memory>, object: Addr) -> bool {
    /// `PREV_MASK_COLLECTING`, and where the count begins (`_PyGC_PREV_SHIFT`, `gc_reset_refs`).
    const COLLECTING: u64 = 2;
    const COUNT_SHIFT: u32 = 2;
    let memory = objects.memory;
    let head = object - objects.layout.gc_head_size;
    let (Ok(next), Ok(prev)) = (memory.addr(head), memory.addr(head + 8)) else { return false };
    if next.without_tag(FLAGS).is_null() {
        return false;
    }
    let leads_here = |at: Addr| memory.addr(at).is_ok_and(|it| it.without_tag(FLAGS) == head);
    let is_counted = || match objects.ref_count(object) {
        Ok(Count::Of(count)) => prev.0 >> COUNT_SHIFT <= u64::from(count),
        _ => false,
    };
    leads_here(next.without_tag(FLAGS) + 8)
        || leads_here(prev.without_tag(FLAGS))
        || (prev.0 & COLLECTING != 0 && is_counted())
}
