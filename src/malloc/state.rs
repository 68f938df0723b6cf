//! Where glibc keeps the state of its main arena (`main_arena`, a `struct malloc_state`), found by its
//! bins: 127 lists in a row, of which each is empty and leads to itself, or leads to a block and back.

use super::PAGE_BYTES;
use crate::addr::Addr;
use crate::target::maps::{Mapping, MemoryMap};
use crate::target::memory::Memory;

/// `NBINS - 1`: bin 0 does not exist.
pub(super) const BINS: u64 = 127;
/// From a list's header, as a chunk, to its links `fd` and `bk`.
pub(super) const FD: u64 = 16;
pub(super) const BK: u64 = 24;
/// Where `bins` is in a `struct malloc_state`: before 2.27, up to 2.42, and without fastbins.
const BINS_OFFSETS: [u64; 3] = [104, 112, 24];
const WITHOUT_FASTBINS: u64 = 24;
/// Where `next` is, from `bins` on: behind them and the 16 bytes of `binmap`.
const NEXT: u64 = BINS * 16 + 16;
/// The most arenas: glibc makes eight for a core unless told otherwise.
const ARENAS: usize = 1 << 16;
/// How often a list is looked at that does not come back.
const TRIES: usize = 4;
/// The bit of `flags` that says that the main arena is not one piece.
const NONCONTIGUOUS_BIT: u32 = 2;

/// A main arena.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MainArena {
    /// `main_arena.bins`.
    pub(super) bins: Addr,
    pub(super) layout: StateLayout,
}

/// How a `struct malloc_state` is laid out in a release of glibc. All else is at the same distance
/// from `bins` in all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StateLayout {
    /// The offset of `bins`.
    pub(super) bins: u64,
    /// Whether there is `attached_threads` (2.23 and later).
    has_attached: bool,
}

impl StateLayout {
    pub(super) fn next(self, bins: Addr) -> Addr {
        bins + NEXT
    }

    pub(super) fn system_mem(self, bins: Addr) -> Addr {
        bins + NEXT + 16 + if self.has_attached { 8 } else { 0 }
    }

    /// The end of the state: behind `system_mem` is `max_system_mem`.
    pub(super) fn end(self, bins: Addr) -> Addr {
        self.system_mem(bins) + 16
    }

    pub(super) fn top(self, bins: Addr) -> Addr {
        bins - 16
    }

    /// The heads of the fastbins, where there are any.
    pub(super) fn fastbins(self, bins: Addr) -> Option<Addr> {
        (self.bins != WITHOUT_FASTBINS).then_some(bins - 96)
    }

    pub(super) fn is_contiguous(self, memory: &impl Memory, bins: Addr) -> bool {
        memory.u32(bins - self.bins + 4).is_ok_and(|flags| flags & NONCONTIGUOUS_BIT == 0)
    }
}

/// The main arenas of a process: usually one, of the C library. It is looked for in the data of binaries, of
/// at most so many bytes each.
pub(super) fn find(memory: &impl Memory, map: &MemoryMap, most_bytes: u64) -> Vec<MainArena> {
    let is_data = |mapping: &&Mapping| {
        mapping.read
            && mapping.write
            && !mapping.shared
            && mapping.inode != 0
            && mapping.range.len() <= most_bytes
    };
    let mut found = Vec::new();
    for mapping in map.iter().filter(is_data) {
        let words = words(memory, mapping);
        let start = mapping.range.start;
        let mut nth = 0;
        while nth + 1 < words.len() {
            let at = start + nth as u64 * 8;
            let is_empty = [nth, nth + 1].iter().all(|&nth| words.get(nth) == Some(&(at - 16).0));
            let bins = is_empty.then(|| first_bin(memory, at)).flatten();
            let main =
                bins.and_then(|bins| Some(MainArena { bins, layout: layout(memory, bins)? }));
            nth += if main.is_some() { BINS as usize * 2 } else { 1 };
            found.extend(main);
        }
    }
    found.dedup();
    found
}

/// The states of the arenas that hang on a main one, in the order of the ring, which ends where it comes
/// back to the main one or cannot be read. Whether they are arenas is not known.
pub(super) fn others(memory: &impl Memory, main: MainArena) -> impl Iterator<Item = Addr> + '_ {
    let MainArena { bins, layout } = main;
    let first = bins - layout.bins;
    let next = move |bins: Addr| memory.addr(layout.next(bins)).ok().filter(|&next| next != first);
    std::iter::successors(next(bins), move |&state| next(state + layout.bins)).take(ARENAS)
}

/// The words of a mapping; pages that cannot be read are zeros.
pub(super) fn words(memory: &impl Memory, mapping: &Mapping) -> Vec<u64> {
    let mut words = Vec::new();
    let mut at = mapping.range.start;
    while at < mapping.range.end {
        let page = memory.array::<{ PAGE_BYTES as usize }>(at).unwrap_or([0; PAGE_BYTES as usize]);
        words.extend(page.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)));
        at = at + PAGE_BYTES;
    }
    words
}

/// The first of the bins to which an empty one belongs.
fn first_bin(memory: &impl Memory, empty: Addr) -> Option<Addr> {
    let mut first = empty;
    for _ in 1..BINS {
        if !is_bin(memory, first - 16) {
            break;
        }
        first = first - 16;
    }
    let all = (0..BINS).all(|nth| is_bin(memory, first + nth * 16));
    all.then_some(first)
}

/// Whether the two words are the ends of a list that comes back to them. Asked again if not: the list of a
/// process that runs may have changed between two reads.
fn is_bin(memory: &impl Memory, links: Addr) -> bool {
    (0..TRIES).any(|_| is_bin_now(memory, links))
}

fn is_bin_now(memory: &impl Memory, links: Addr) -> bool {
    let bin = links - FD;
    let (Ok(first), Ok(last)) = (memory.addr(links), memory.addr(links + 8)) else { return false };
    if first == bin || last == bin {
        return first == last;
    }
    memory.addr(first + BK) == Ok(bin) && memory.addr(last + FD) == Ok(bin)
}

/// Follows the ring of arenas until it comes back: where it does is where the state begins.
fn layout(memory: &impl Memory, bins: Addr) -> Option<StateLayout> {
    let is_main = |state: Addr| BINS_OFFSETS.into_iter().find(|&offset| state + offset == bins);
    let first = memory.addr(bins + NEXT).ok()?;
    let of = |offset| {
        let mut state = first;
        for _ in 0..ARENAS {
            if state.is_null() || !state.is_aligned(8) {
                return None;
            }
            if let Some(main) = is_main(state) {
                return (main == offset).then(|| StateLayout {
                    bins: offset,
                    has_attached: has_attached(memory, bins, offset),
                });
            }
            state = memory.addr(state + offset + NEXT).ok()?;
        }
        None
    };
    BINS_OFFSETS.into_iter().find_map(of)
}

/// Whether a count of threads stands before the size: the size is one of whole pages.
fn has_attached(memory: &impl Memory, bins: Addr, offset: u64) -> bool {
    let word = |nth: u64| memory.u64(bins + NEXT + 16 + nth * 8).unwrap_or_default();
    let (first, second) = (word(0), word(1));
    let is_size = first >= PAGE_BYTES && first.is_multiple_of(PAGE_BYTES) && second >= first;
    offset != 104 || !is_size
}
