//! The heaps of arenas that are not the main one (`heap_info`, `malloc/arena.c`): mappings that begin
//! at multiples of `HEAP_MAX_SIZE` and know their arena.

use super::PAGE_BYTES;
use crate::addr::{Addr, AddrRange};
use crate::target::memory::Memory;

/// `HEAP_MAX_SIZE` is 64 MiB on 64-bit machines; with huge pages (`glibc.malloc.hugetlb`) it was four
/// of them in some releases.
const MOST_BYTES: [u64; 3] = [64 << 20, 8 << 20, 4 << 30];
/// Where a `heap_info` has its arena, the heap before it, and its size.
const AR_PTR: u64 = 0;
const PREV: u64 = 8;
const SIZE: u64 = 16;
/// The size of a `heap_info`: up to 2.34, and with `pagesize`.
const HEADERS: [u64; 2] = [32, 48];
/// The most heaps of one arena: 4 TiB.
const HEAPS: usize = 1 << 16;

/// The size of the `heap_info` of an arena's heaps: its state lies right behind it in the first one.
pub(super) const fn header_bytes(state: Addr) -> u64 {
    state.0 % PAGE_BYTES
}

/// The heaps of an arena, the newest first, by its address and that of its top chunk. None if they do
/// not agree about whose they are.
pub(super) fn of(memory: &impl Memory, state: Addr, top: Addr) -> Option<Vec<AddrRange>> {
    let header = header_bytes(state);
    let first = state - header;
    if !HEADERS.contains(&header) || memory.addr(first + AR_PTR) != Ok(state) {
        return None;
    }
    MOST_BYTES.into_iter().find_map(|most| chain(memory, state, first, top, most))
}

fn chain(
    memory: &impl Memory,
    state: Addr,
    first: Addr,
    top: Addr,
    most: u64,
) -> Option<Vec<AddrRange>> {
    let mut heaps = Vec::new();
    let mut heap = top.without_tag(most - 1);
    while heaps.len() < HEAPS {
        let size = memory.u64(heap + SIZE).ok()?;
        let sound = memory.addr(heap + AR_PTR) == Ok(state) && (PAGE_BYTES..=most).contains(&size);
        if !sound || !size.is_multiple_of(PAGE_BYTES) {
            return None;
        }
        heaps.push(AddrRange::new(heap, heap + size));
        if heap == first {
            return Some(heaps);
        }
        heap = memory.addr(heap + PREV).ok().and_then(Addr::non_null)?;
    }
    // A circle without the first heap.
    None
}
