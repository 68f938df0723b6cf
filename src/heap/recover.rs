//! Tracked objects that no list of the collector leads to: while a collection is under way, those
//! that it has set aside hang on lists whose heads are on a thread's C stack, and a list that was
//! read while the target ran may be torn. They are found by the allocator's pools instead
//! (`Objects/obmalloc.c`).

use std::sync::Arc;

use rayon::prelude::*;

use super::gc_lists::Tracked;
use super::types::{TypeCache, Types};
use crate::addr::Addr;
use crate::cpython::layout::features::HAVE_GC;
use crate::cpython::object::Objects;
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
    let memory = objects.memory;
    let next = memory.addr(object - objects.layout.gc_head_size).unwrap_or_default();
    let next = next.without_tag(3);
    if next.is_null() || memory.addr(next).map_or(true, Addr::is_null) {
        return false;
    }
    if !objects.has_sane_ref_count(object) {
        return false;
    }
    let Ok(ty) = types.of(objects, object) else { return false };
    let ty = Arc::clone(ty);
    let before = objects.bytes_before(object, &ty);
    ty.has(HAVE_GC)
        && objects.is_gc(object, &ty)
        && (object - before == block || object - before == block + DEBUG_HEADER)
}
