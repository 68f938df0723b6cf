//! Blocks that have a mapping of their own, and what glibc has counted of them (`mp_`, a
//! `struct malloc_par`).

use super::PAGE_BYTES;
use super::arena::Arena;
use super::bins::SIZE_BITS;
use super::state::words;
use crate::addr::{Addr, AddrRange};
use crate::target::maps::{Mapping, MemoryMap};
use crate::target::memory::Memory;

/// The flag of a block that has a mapping of its own.
const IS_MMAPPED: u64 = 2;
/// The smallest mapping for one: `mallopt` and `memalign` allow a page.
const LEAST_BYTES: u64 = PAGE_BYTES;

/// Blocks with a mapping of their own.
#[derive(Debug, Clone, Default)]
pub struct MappedChunks {
    /// The mappings that were found, by address.
    pub ranges: Vec<AddrRange>,
    /// How many there are by glibc's own count (mallinfo's `hblks`), if that was found.
    pub count: Option<u64>,
    /// Their size by glibc's own count (mallinfo's `hblkhd`), in bytes.
    pub bytes: Option<u64>,
}

impl MappedChunks {
    /// Their size in bytes: as glibc counts them, else as found.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.bytes.unwrap_or_else(|| self.ranges.iter().map(|range| range.len()).sum())
    }

    pub(super) fn add_counters(&mut self, counters: Option<(u64, u64)>) {
        let Some((count, bytes)) = counters else { return };
        self.count = Some(self.count.unwrap_or(0).saturating_add(count));
        self.bytes = Some(self.bytes.unwrap_or(0).saturating_add(bytes));
    }
}

/// `n_mmaps` and `mmapped_mem`. They are found by `sbrk_base`, which is where the main arena begins,
/// and stands behind them.
pub(super) fn counters(
    memory: &impl Memory,
    map: &MemoryMap,
    state: Addr,
    base: Option<Addr>,
) -> Option<(u64, u64)> {
    let base = base?;
    let data = map.find(state)?;
    // What is zero at first lies behind the mapping of the file, in one without a file.
    let parts = map.iter().filter(|mapping| {
        mapping.write && (mapping.range == data.range || mapping.range.start == data.range.end)
    });
    let mut found = None;
    for part in parts {
        let words = words(memory, part);
        for (nth, _) in words.iter().enumerate().filter(|(_, word)| **word == base.0) {
            let at = part.range.start + nth as u64 * 8;
            // `max_total_mem` stands between in old releases.
            let here = [0, 8].into_iter().find_map(|more| counted(memory, at - more));
            found = found.or(here);
        }
    }
    found
}

/// The counters before `max_mmapped_mem`, which stands before an address.
fn counted(memory: &impl Memory, behind: Addr) -> Option<(u64, u64)> {
    let (bytes, most_bytes) = (memory.u64(behind - 16).ok()?, memory.u64(behind - 8).ok()?);
    // A flag for huge pages came between, so that they are no longer aligned.
    [16, 20].into_iter().find_map(|back| {
        let word = |nth: u64| memory.u32(behind - 16 - back + nth * 4).ok();
        let (count, allowed, most) = (word(0)?, word(1)?, word(2)?);
        let sound = bytes <= most_bytes
            && bytes.is_multiple_of(PAGE_BYTES)
            && (bytes == 0) == (count == 0)
            && (most_bytes == 0) == (most == 0)
            && (count <= most && most <= allowed || most == 0)
            && word(3)? <= 1
            && allowed > 0;
        sound.then_some((u64::from(count), bytes))
    })
}

/// Finds the blocks: each begins at a page, with a header that says how far it goes.
pub(super) fn find(
    memory: &impl Memory,
    map: &MemoryMap,
    arenas: &[Arena],
    taken: &[AddrRange],
) -> Vec<AddrRange> {
    let mut others: Vec<AddrRange> =
        arenas.iter().flat_map(|arena| &arena.regions).copied().collect();
    others.extend(taken);
    others.sort_by_key(|range| range.start);
    let mut found = Vec::new();
    let mut other = 0;
    for mapping in map.iter().filter(|mapping| may_hold(mapping)) {
        let mut at = mapping.range.start;
        while at < mapping.range.end {
            while others.get(other).is_some_and(|range| range.end <= at) {
                other += 1;
            }
            match others.get(other).filter(|range| range.contains(at)) {
                Some(range) => at = range.end.without_tag(PAGE_BYTES - 1).max(at + PAGE_BYTES),
                None => match block_end(memory, at, mapping.range.end) {
                    Some(end) => {
                        found.push(AddrRange::new(at, end));
                        at = end;
                    }
                    None => at = at + PAGE_BYTES,
                },
            }
        }
    }
    found
}

fn may_hold(mapping: &Mapping) -> bool {
    mapping.read
        && mapping.write
        && !mapping.shared
        && mapping.is_anonymous()
        && !matches!(mapping.path.as_deref(), Some("[heap]" | "[stack]"))
}

/// The end of the block that begins at a page. A block that `memalign` asked for has its header at the
/// multiple that was asked for, less itself; before 2.43 there is one at the page as well.
fn block_end(memory: &impl Memory, page: Addr, mapping_end: Addr) -> Option<Addr> {
    let header = |distance: u64| {
        let (before, size) =
            memory.u64(page + distance).ok().zip(memory.u64(page + distance + 8).ok())?;
        let end = size & !SIZE_BITS;
        // From 2.43 on the lowest bit is for huge pages, and the header counts for itself.
        let lengths = [end.checked_add(before), end.checked_add((before & !1).checked_add(16)?)];
        let sound = size & SIZE_BITS == IS_MMAPPED && before & !1 == distance;
        let fits = |length: &u64| {
            length.is_multiple_of(PAGE_BYTES) && (LEAST_BYTES..=mapping_end - page).contains(length)
        };
        lengths.into_iter().flatten().find(fits).filter(|_| sound).map(|length| page + length)
    };
    let aligned = (5..=12).map(|shift| (1 << shift) - 16);
    [0].into_iter().chain(aligned).find_map(header)
}
