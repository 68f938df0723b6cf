//! A set of object addresses that many threads fill at once, and the rank of each.
//!
//! One bit for every eight bytes, in chunks of a mebibyte that exist where there are objects: 1/64
//! of the heap. The rank of an address is the number of the object, so no table from address to
//! number is needed.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;

use crate::addr::{Addr, AddrRange};

/// The bytes of address space that a chunk covers, as a power of two.
const CHUNK_BITS: u32 = 20;
/// The bytes that a bit stands for, as a power of two: objects are aligned to no less.
const GRANULE_BITS: u32 = 3;
/// Words of 64 bits in a chunk.
const WORDS: usize = 1 << (CHUNK_BITS - GRANULE_BITS - 6);
/// The chunks that one entry of the first level covers, as a power of two: a gibibyte.
const LEVEL_BITS: u32 = 10;
/// The words between two ranks that are kept.
const RANK_STRIDE: usize = 8;

/// The bits of one chunk.
struct Chunk {
    words: Box<[AtomicU64]>,
    /// The rank of the first bit of every [`RANK_STRIDE`] words, once ranks are asked for.
    ranks: OnceLock<Box<[u32]>>,
}

impl Chunk {
    fn new() -> Self {
        Self { words: (0..WORDS).map(|_| AtomicU64::new(0)).collect(), ranks: OnceLock::new() }
    }

    /// Adds its addresses, ascending; `base` is the first that it covers.
    fn push_to(&self, addrs: &mut Vec<Addr>, base: u64) {
        for (at, word) in self.words.iter().enumerate() {
            let mut word = word.load(Ordering::Relaxed);
            while word != 0 {
                let bit = u64::from(word.trailing_zeros());
                addrs.push(Addr(base + ((at as u64 * 64 + bit) << GRANULE_BITS)));
                word &= word - 1;
            }
        }
    }
}

/// The chunks of a gibibyte.
type Group = Box<[OnceLock<Box<Chunk>>]>;

/// A set of addresses.
pub(super) struct AddressSet {
    /// For each gibibyte of address space the number of its group of chunks, plus one.
    groups: Box<[u32]>,
    /// Groups exist where there are objects: a target may map terabytes that it never touches.
    chunks: Vec<OnceLock<Group>>,
    /// The first address that each group of chunks covers, in ascending order.
    starts: Vec<u64>,
}

/// Where an address is in a set.
#[derive(Clone, Copy)]
struct Place {
    group: usize,
    chunk: usize,
    word: usize,
    bit: u64,
}

/// The upper end of user space on 64-bit Linux, in bits, without 5-level page tables.
const USER_BITS: u32 = 47;

impl AddressSet {
    /// An empty set that can hold addresses in these ranges.
    pub(super) fn covering(ranges: impl Iterator<Item = AddrRange>) -> Self {
        let level = CHUNK_BITS + LEVEL_BITS;
        let mut groups = vec![0_u32; 1 << (USER_BITS - level)];
        for range in ranges {
            let last = range.end.0.saturating_sub(1);
            for group in (range.start.0 >> level)..=(last >> level) {
                if let Some(slot) =
                    usize::try_from(group).ok().and_then(|group| groups.get_mut(group))
                {
                    *slot = 1;
                }
            }
        }
        let mut starts = Vec::new();
        for (nth, group) in groups.iter_mut().enumerate().filter(|(_, group)| **group != 0) {
            starts.push((nth as u64) << level);
            *group = u32::try_from(starts.len()).unwrap_or(0);
        }
        let chunks = starts.iter().map(|_| OnceLock::new()).collect();
        Self { groups: groups.into_boxed_slice(), chunks, starts }
    }

    fn locate(&self, addr: Addr) -> Option<Place> {
        if !addr.is_aligned(1 << GRANULE_BITS) {
            return None;
        }
        let group = usize::try_from(addr.0 >> (CHUNK_BITS + LEVEL_BITS)).ok()?;
        let group = (*self.groups.get(group)?).checked_sub(1)? as usize;
        let chunk = (addr.0 >> CHUNK_BITS) as usize & ((1 << LEVEL_BITS) - 1);
        let bit = (addr.0 >> GRANULE_BITS) & ((1 << (CHUNK_BITS - GRANULE_BITS)) - 1);
        Some(Place { group, chunk, word: (bit >> 6) as usize, bit: bit & 63 })
    }

    /// The chunk of a place, if anything was ever in it.
    fn chunk(&self, at: Place) -> Option<&Chunk> {
        Some(self.chunks.get(at.group)?.get()?.get(at.chunk)?.get()?)
    }

    fn word(&self, at: Place) -> Option<&AtomicU64> {
        self.chunk(at)?.words.get(at.word)
    }

    /// Adds an address; `None` if it cannot be an object's, else whether it is new.
    pub(super) fn insert(&self, addr: Addr) -> Option<bool> {
        let at = self.locate(addr)?;
        let new_group = || (0..1 << LEVEL_BITS).map(|_| OnceLock::new()).collect();
        let group = self.chunks.get(at.group)?.get_or_init(new_group);
        let chunk = group.get(at.chunk)?.get_or_init(|| Box::new(Chunk::new()));
        let (word, bit) = (chunk.words.get(at.word)?, at.bit);
        // Most edges lead to objects that are known already: look before writing.
        if word.load(Ordering::Relaxed) >> bit & 1 != 0 {
            return Some(false);
        }
        Some(word.fetch_or(1 << bit, Ordering::Relaxed) >> bit & 1 == 0)
    }

    /// Takes an address out.
    pub(super) fn remove(&self, addr: Addr) {
        if let Some(at) = self.locate(addr)
            && let Some(word) = self.word(at)
        {
            word.fetch_and(!(1 << at.bit), Ordering::Relaxed);
        }
    }

    /// Whether an address is in the set.
    pub(super) fn contains(&self, addr: Addr) -> bool {
        self.locate(addr)
            .and_then(|at| Some((self.word(at)?, at.bit)))
            .is_some_and(|(word, bit)| word.load(Ordering::Relaxed) >> bit & 1 != 0)
    }

    /// Counts, so that [`AddressSet::rank`] can tell ranks; nothing may be added afterwards.
    pub(super) fn seal(&self) -> u32 {
        let mut rank = 0_u32;
        let groups = self.chunks.iter().filter_map(OnceLock::get);
        for chunk in groups.flatten().filter_map(OnceLock::get) {
            let mut ranks = Vec::with_capacity(WORDS / RANK_STRIDE);
            for words in chunk.words.chunks(RANK_STRIDE) {
                ranks.push(rank);
                for word in words {
                    rank = rank.saturating_add(word.load(Ordering::Relaxed).count_ones());
                }
            }
            // Sealing twice gives the same ranks.
            let _ = chunk.ranks.set(ranks.into_boxed_slice());
        }
        rank
    }

    /// The number of addresses in the set that are lower; nothing if it is not in the set.
    pub(super) fn rank(&self, addr: Addr) -> Option<u32> {
        let place = self.locate(addr)?;
        let (chunk, at, bit) = (self.chunk(place)?, place.word, place.bit);
        let word = chunk.words.get(at)?.load(Ordering::Relaxed);
        if word >> bit & 1 == 0 {
            return None;
        }
        let mut rank = *chunk.ranks.get()?.get(at / RANK_STRIDE)?;
        for word in chunk.words.get(at - at % RANK_STRIDE..at)? {
            rank += word.load(Ordering::Relaxed).count_ones();
        }
        Some(rank + (word & ((1 << bit) - 1)).count_ones())
    }

    /// All addresses, ascending within a chunk, for several threads.
    pub(super) fn par_chunks(&self) -> impl ParallelIterator<Item = Vec<Addr>> {
        self.starts.par_iter().zip(&self.chunks).flat_map(|(&start, group)| {
            let chunks = group.get().map(|group| &group[..]).unwrap_or_default();
            chunks.par_iter().enumerate().filter_map(move |(nth, chunk)| {
                let mut addrs = Vec::new();
                chunk.get()?.push_to(&mut addrs, start + ((nth as u64) << CHUNK_BITS));
                Some(addrs)
            })
        })
    }

    /// All addresses, ascending, with room for as many as there are said to be.
    pub(super) fn addrs(&self, count: u32) -> Vec<Addr> {
        let mut addrs = Vec::with_capacity(count as usize);
        let groups = self.starts.iter().zip(&self.chunks);
        let groups = groups.filter_map(|(start, group)| Some((start, group.get()?)));
        let chunks = groups.flat_map(|(start, group)| {
            group.iter().enumerate().map(move |(nth, chunk)| (start, nth, chunk))
        });
        for (start, nth, chunk) in chunks {
            let Some(chunk) = chunk.get() else { continue };
            chunk.push_to(&mut addrs, start + ((nth as u64) << CHUNK_BITS));
        }
        addrs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set() -> AddressSet {
        let range = |start, end| AddrRange::new(Addr(start), Addr(end));
        AddressSet::covering(
            [range(0x7f00_0000_0000, 0x7f00_8000_0000), range(0x1000, 0x20_0000)].into_iter(),
        )
    }

    #[test]
    fn an_address_is_new_once() {
        let set = set();
        assert_eq!(set.insert(Addr(0x1000)), Some(true));
        assert_eq!(set.insert(Addr(0x1000)), Some(false));
        assert!(set.contains(Addr(0x1000)) && !set.contains(Addr(0x1008)));
        set.remove(Addr(0x1000));
        assert!(!set.contains(Addr(0x1000)));
    }

    #[test]
    fn what_cannot_be_an_object_is_not_taken() {
        let set = set();
        for addr in [0x1001, 0x6000_0000_0000, u64::MAX - 7, 1 << 47] {
            assert_eq!(set.insert(Addr(addr)), None, "{addr:#x}");
        }
    }

    #[test]
    fn terabytes_that_are_never_touched_cost_little() {
        // The shadow memory of a sanitizer, and what a virtual machine reserves.
        let all = AddrRange::new(Addr(0x1000), Addr((1 << USER_BITS) - 0x1000));
        let set = AddressSet::covering([all].into_iter());
        assert_eq!(set.insert(Addr(0x5555_0000_0000)), Some(true));
        assert_eq!(set.chunks.iter().filter_map(OnceLock::get).count(), 1);
        assert_eq!(set.addrs(set.seal()), [Addr(0x5555_0000_0000)]);
    }

    #[test]
    fn ranks_count_the_lower_addresses() {
        let set = set();
        let addrs: Vec<Addr> = [0x1000, 0x1008, 0x1_0000, 0x7f00_0000_0010, 0x7f00_4000_0000]
            .map(Addr)
            .into_iter()
            .collect();
        for &addr in addrs.iter().rev() {
            set.insert(addr);
        }
        assert_eq!(set.seal(), 5);
        assert_eq!(set.addrs(5), addrs);
        for (rank, &addr) in addrs.iter().enumerate() {
            assert_eq!(set.rank(addr), Some(u32::try_from(rank).unwrap()));
        }
        assert_eq!(set.rank(Addr(0x1010)), None);
    }
}
