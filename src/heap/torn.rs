//! Which memory to read again where an object made no sense: its own, and what it points to.

use crate::addr::{Addr, AddrRange};
use crate::target::memory::Memory;

/// What lies before an object and belongs to it, in bytes.
const BEFORE: u64 = 64;
/// What of an object is read again, in bytes. Larger ones are rare, and their storage is elsewhere.
const OBJECT_BYTES: u64 = 512;
/// The words of an object that may point to its storage.
const WORDS: usize = 16;
/// What of its storage is read again, in bytes: 8,000 items of a list.
const STORAGE_BYTES: u64 = 64 << 10;
/// The most that is read again in all, in bytes. It takes some 20 ms, and what takes longer would
/// be torn anew.
const MOST_BYTES: u64 = 64 << 20;

/// Where the objects are that made no sense.
#[must_use]
pub fn torn_objects(places: &[Addr]) -> Vec<AddrRange> {
    let mut parts = Parts::default();
    places.iter().all(|&place| parts.add(place, OBJECT_BYTES));
    parts.merged()
}

/// Where their storage is, as far as the objects say: to be asked when these were read again.
#[must_use]
pub fn torn_storage(memory: &impl Memory, places: &[Addr]) -> Vec<AddrRange> {
    let mut parts = Parts::default();
    for &place in places {
        let Ok(words) = memory.array::<{ WORDS * 8 }>(place) else { continue };
        let words = words.as_chunks::<8>().0.iter().map(|word| Addr(u64::from_le_bytes(*word)));
        let mut pointers = words
            .filter(|&word| word.0 >= PAGE_BYTES && word.is_aligned(8) && memory.u8(word).is_ok());
        if !pointers.all(|pointer| parts.add(pointer, STORAGE_BYTES)) {
            break;
        }
    }
    parts.merged()
}

/// The size of the pages that are read again, in bytes.
const PAGE_BYTES: u64 = 4096;

/// Ranges of whole pages, up to a bound.
#[derive(Default)]
struct Parts {
    ranges: Vec<AddrRange>,
    bytes: u64,
}

impl Parts {
    /// Adds the pages of an object or its storage; says whether there is room for more.
    fn add(&mut self, at: Addr, len: u64) -> bool {
        let start = Addr(at.0.saturating_sub(BEFORE)).without_tag(PAGE_BYTES - 1);
        let end = at.0.saturating_add(len).checked_next_multiple_of(PAGE_BYTES);
        let range = AddrRange::new(start, Addr(end.unwrap_or(start.0)));
        // Many objects share a page.
        if self.ranges.last() != Some(&range) {
            self.bytes = self.bytes.saturating_add(range.len());
            self.ranges.push(range);
        }
        self.bytes < MOST_BYTES
    }

    /// The ranges by address, without overlaps.
    fn merged(self) -> Vec<AddrRange> {
        let mut ranges = self.ranges;
        ranges.sort_unstable_by_key(|range| range.start);
        ranges.dedup_by(|next, before| {
            let touches = next.start <= before.end;
            if touches {
                before.end = before.end.max(next.end);
            }
            touches
        });
        ranges
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: u64, end: u64) -> AddrRange {
        AddrRange::new(Addr(start), Addr(end))
    }

    #[test]
    fn the_pages_around_each_place_are_named_once() {
        let places = [Addr(0x5010), Addr(0x5f00), Addr(0x9800), Addr(u64::MAX)];
        let whole = range(!4095, !4095);
        assert_eq!(torn_objects(&places[..3]), [range(0x4000, 0x7000), range(0x9000, 0xa000)]);
        assert!(torn_objects(&places).ends_with(&[whole]));
    }

    #[test]
    fn what_is_read_again_has_a_bound() {
        let places: Vec<Addr> = (1..1_000_000).map(|nth| Addr(nth * 0x10_0000)).collect();
        let bytes: u64 = torn_objects(&places).iter().map(|range| range.len()).sum();
        assert!((MOST_BYTES..MOST_BYTES * 2).contains(&bytes));
    }
}
