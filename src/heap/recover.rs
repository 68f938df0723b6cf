//! Tracked objects that no list of the collector leads to: while a collection is under way, those
//! that it has set aside hang on lists whose heads are on a thread's C stack. They are found by the
//! allocator's pools instead (`Objects/obmalloc.c`).

use std::sync::Arc;

use rayon::prelude::*;

use super::gc_lists::Tracked;
use super::types::{TypeCache, Types};
use crate::addr::Addr;
use crate::cpython::layout::features::HAVE_GC;
use crate::cpython::object::Objects;
use crate::target::maps::MemoryMap;
use crate::target::memory::Memory;

/// The generation under which such objects count: a collection that takes so long that a snapshot
/// meets it is one of the oldest.
const OLDEST: usize = 2;
/// The size of `struct pool_header`.
const HEADER: u64 = 48;
/// Blocks are multiples of this (`ALIGNMENT`), and no larger than `SMALL_REQUEST_THRESHOLD`.
const ALIGNMENT: u64 = 16;
const LARGEST: u64 = 512;
/// What the debug hooks of the allocators put before a block.
const DEBUG_HEADER: u64 = 16;

/// The fields of a pool's header that are needed.
struct Pool {
    at: Addr,
    block_bytes: u64,
    used_until: u64,
    free: Vec<Addr>,
}

/// Adds the tracked objects in live blocks of pools to `tracked`, and says how many there were.
pub(super) fn recover(
    objects: &Objects<'_, impl Memory>,
    map: &MemoryMap,
    types: &Types,
    tracked: &mut Tracked,
) -> u64 {
    let pool_size = objects.layout.has.pool_size;
    let mappings: Vec<_> =
        map.iter().filter(|mapping| mapping.write && mapping.is_anonymous()).collect();
    let found: Vec<Vec<Addr>> = mappings
        .into_par_iter()
        .map(|mapping| {
            let mut types = TypeCache::new(types);
            let mut found = Vec::new();
            let first = mapping.range.start.0.next_multiple_of(pool_size);
            let mut at = first;
            while at + pool_size <= mapping.range.end.0 {
                if let Some(pool) = read_pool(objects, Addr(at)) {
                    search(objects, &pool, &mut types, &mut found);
                }
                at += pool_size;
            }
            found
        })
        .collect();
    let mut recovered = 0;
    for object in found.into_iter().flatten() {
        let is_known = tracked.generations.iter().any(|set| set.contains(object));
        if !is_known
            && let Some(oldest) = tracked.generations.get(OLDEST)
            && oldest.insert(object) == Some(true)
        {
            tracked.objects.push(object);
            recovered += 1;
        }
    }
    recovered
}

/// Reads the header of a pool; nothing where there is none. Its count of live blocks must be what
/// its free list leaves over, so that no other memory is taken for one.
fn read_pool(objects: &Objects<'_, impl Memory>, at: Addr) -> Option<Pool> {
    let pool_size = objects.layout.has.pool_size;
    let header: [u8; 48] = objects.memory.array(at).ok()?;
    let word = |offset: usize| -> Option<u64> {
        Some(u32::from_le_bytes(*header.get(offset..)?.first_chunk()?).into())
    };
    let (count, class, next, max_next) = (word(0)?, word(36)?, word(40)?, word(44)?);
    let block_bytes = pool_size.checked_sub(max_next)?;
    let is_sane = count > 0
        && block_bytes == (class + 1) * ALIGNMENT
        && block_bytes <= LARGEST
        && (HEADER..=pool_size).contains(&next);
    if !is_sane {
        return None;
    }
    let used = next.min(max_next + block_bytes).saturating_sub(HEADER) / block_bytes;
    let mut free = Vec::new();
    let mut link = objects.memory.addr(at + 8).ok()?;
    while !link.is_null() {
        let inside = link.0 >= (at + HEADER).0 && link.0 < (at + pool_size).0;
        if !inside || free.len() as u64 > used {
            return None;
        }
        free.push(link);
        link = objects.memory.addr(link).ok()?;
    }
    free.sort_unstable();
    let used_until = HEADER + used * block_bytes;
    (count + free.len() as u64 == used).then_some(Pool { at, block_bytes, used_until, free })
}

/// The tracked objects in the live blocks of a pool.
fn search(
    objects: &Objects<'_, impl Memory>,
    pool: &Pool,
    types: &mut TypeCache<'_>,
    found: &mut Vec<Addr>,
) {
    let head = objects.layout.gc_head_size;
    let mut offset = HEADER;
    while offset < pool.used_until {
        let block = pool.at + offset;
        offset += pool.block_bytes;
        if pool.free.binary_search(&block).is_ok() {
            continue;
        }
        // The headers before an object depend on its type, so every place is tried against it.
        let places = [head, 2 * head, DEBUG_HEADER + head, DEBUG_HEADER + 2 * head];
        let object = places
            .into_iter()
            .map(|before| block + before)
            .find(|&object| is_tracked(objects, block, object, types));
        found.extend(object);
    }
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
