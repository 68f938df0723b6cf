//! What threads keep of freed memory for themselves (`tcache`, 2.26 and later). glibc counts it as in
//! use. Each thread has a `tcache_perthread_struct` on the heap, and in its thread-local storage a
//! pointer to it, at the same distance from `pthread_self()` in all threads.

use super::arena::Arena;
use super::bins::{Budget, Lists};
use crate::addr::{Addr, AddrRange};
use crate::target::memory::Memory;

/// The thread-local storage of the C library and what is linked before it, in bytes.
const STORAGE_BYTES: u64 = 8 << 10;
/// From a chunk to the memory that its owner sees.
const HEADER: u64 = 16;

/// A `tcache_perthread_struct` of some releases, known by the size of its chunk.
#[derive(Debug, Clone, Copy)]
struct CacheLayout {
    chunk_bytes: u64,
    /// Where the lists are: behind a count for each.
    entries: u64,
    lists: u64,
}

const LAYOUTS: [CacheLayout; 3] = [
    // 2.26 to 2.29: 64 counts of a byte.
    CacheLayout { chunk_bytes: 0x250, entries: 64, lists: 64 },
    // 2.30 to 2.41: 64 counts of two bytes.
    CacheLayout { chunk_bytes: 0x290, entries: 128, lists: 64 },
    // 2.42: 64 lists of one size each and 12 of large sizes, counts of two bytes.
    CacheLayout { chunk_bytes: 0x300, entries: 152, lists: 76 },
];
/// The lists of one size each.
const SMALL_LISTS: u64 = 64;

/// Adds to each arena what threads keep of it; gives how many threads' caches were found. `threads`
/// are their `pthread_self()`, the first that of a thread that has a cache.
pub(super) fn find(
    memory: &impl Memory,
    threads: &[Addr],
    arenas: &mut [Arena],
    budget: &Budget,
) -> u64 {
    let mut regions: Vec<(AddrRange, usize)> = Vec::new();
    for (nth, arena) in arenas.iter().enumerate() {
        regions.extend(arena.regions.iter().map(|&region| (region, nth)));
    }
    regions.sort_by_key(|(region, _)| region.start);
    let owner = |chunk: AddrRange| {
        let after = regions.partition_point(|(region, _)| region.start <= chunk.start);
        let (region, nth) = regions.get(after.checked_sub(1)?)?;
        (chunk.end <= region.end).then_some(*nth)
    };
    let is_inside = |chunk: AddrRange| owner(chunk).is_some();
    let lists = Lists { memory, is_inside, budget };
    let cache = |thread: Addr, distance: u64| {
        let at = memory.addr(distant(thread, distance)).ok()?;
        cached(&lists, at)
    };
    let candidates = (0..STORAGE_BYTES / 8).map(|nth| nth * 8);
    let distance = threads
        .first()
        .and_then(|&main| candidates.into_iter().find(|&distance| cache(main, distance).is_some()));
    let Some(distance) = distance else { return 0 };
    let mut caches: Vec<Addr> = Vec::new();
    for &thread in threads {
        let Ok(at) = memory.addr(distant(thread, distance)) else { continue };
        let Some(chunks) = cached(&lists, at).filter(|_| !caches.contains(&at)) else { continue };
        caches.push(at);
        for chunk in chunks {
            if let Some(arena) = owner(chunk).and_then(|nth| arenas.get_mut(nth)) {
                arena.cached.push(chunk);
            }
        }
    }
    u64::try_from(caches.len()).unwrap_or(u64::MAX)
}

/// A place in a thread's storage: below `pthread_self()` on x86-64, where that is the end of it, and
/// above on aarch64.
fn distant(thread: Addr, distance: u64) -> Addr {
    if cfg!(target_arch = "aarch64") { thread + distance } else { thread - 8 - distance }
}

/// The free chunks of a cache, if there is one: its chunk has the size of one, its counts are those of
/// its lists, and each list has chunks of its size.
fn cached<M: Memory>(
    lists: &Lists<'_, M, impl Fn(AddrRange) -> bool>,
    at: Addr,
) -> Option<Vec<AddrRange>> {
    let chunk = lists.chunk(at - HEADER).filter(|_| at.is_aligned(16))?;
    let layout = LAYOUTS.into_iter().find(|layout| layout.chunk_bytes == chunk.len())?;
    let mut chunks = Vec::new();
    for nth in 0..layout.lists {
        let first = lists.memory.addr(at + layout.entries + nth * 8).ok()?;
        let before = chunks.len();
        let size = (nth + 2) * 16;
        let member = |entry: Addr| {
            let chunk = lists.chunk(entry - HEADER)?;
            (nth >= SMALL_LISTS || chunk.len() == size).then_some(chunk)
        };
        lists.one_way(first, 0, member, &mut chunks)?;
        let found = u64::try_from(chunks.len() - before).ok()?;
        if layout.lists == SMALL_LISTS && found != count(lists.memory, at, layout, nth)? {
            return None;
        }
    }
    Some(chunks)
}

fn count(memory: &impl Memory, at: Addr, layout: CacheLayout, nth: u64) -> Option<u64> {
    if layout.entries == SMALL_LISTS {
        return memory.u8(at + nth).ok().map(u64::from);
    }
    memory.u16(at + nth * 2).ok().map(u64::from)
}
