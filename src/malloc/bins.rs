//! Free blocks (chunks) of an arena, as its lists have them.

use std::cell::Cell;

use super::state::{BINS, BK, FD};
use crate::addr::{Addr, AddrRange};
use crate::target::memory::Memory;

/// The smallest chunk, in bytes (`MINSIZE`).
pub(super) const LEAST_BYTES: u64 = 32;
/// Chunks begin at multiples of this, in bytes (`MALLOC_ALIGNMENT`).
pub(super) const ALIGNMENT: u64 = 16;
/// `PREV_INUSE`, `IS_MMAPPED` and `NON_MAIN_ARENA`.
pub(super) const SIZE_BITS: u64 = 7;
/// `NFASTBINS`.
const FASTBINS: u64 = 10;
/// The most free chunks of a process: as many as fit into 32 GiB.
const CHUNKS: u64 = 1 << 30;

/// How many chunks may still be looked at, of all lists together: lists of hostile memory may have
/// each other's members.
#[derive(Debug)]
pub(super) struct Budget(Cell<u64>);

impl Budget {
    /// For so much mapped memory.
    pub(super) fn new(mapped_bytes: u64) -> Self {
        Self(Cell::new((mapped_bytes / LEAST_BYTES).min(CHUNKS)))
    }

    fn take(&self) -> Option<()> {
        self.0.set(self.0.get().checked_sub(1)?);
        Some(())
    }
}

/// The free chunks of the lists, and whether each list could be followed to its end.
#[derive(Debug, Clone, Default)]
pub(super) struct FreeLists {
    pub(super) unsorted: Vec<AddrRange>,
    pub(super) binned: Vec<AddrRange>,
    pub(super) fast: Vec<AddrRange>,
    pub(super) is_complete: bool,
}

/// Lists whose members lie where the caller says that they may.
pub(super) struct Lists<'a, M, F> {
    pub(super) memory: &'a M,
    /// Whether a chunk may lie there.
    pub(super) is_inside: F,
    pub(super) budget: &'a Budget,
}

impl<M: Memory, F: Fn(AddrRange) -> bool> Lists<'_, M, F> {
    /// Follows all lists of an arena.
    pub(super) fn follow(&self, bins: Addr, fastbins: Option<Addr>) -> FreeLists {
        let mut lists = FreeLists { is_complete: true, ..FreeLists::default() };
        for nth in 0..BINS {
            let list = if nth == 0 { &mut lists.unsorted } else { &mut lists.binned };
            lists.is_complete &= self.bin(bins + nth * 16 - FD, list).is_some();
        }
        for nth in 0..fastbins.map_or(0, |_| FASTBINS) {
            let head = fastbins.unwrap_or_default() + nth * 8;
            let size = (nth + 2) * 16;
            lists.is_complete &= self.fastbin(head, size, &mut lists.fast).is_some();
        }
        lists
    }

    /// The chunk at an address, if it can be one.
    pub(super) fn chunk(&self, at: Addr) -> Option<AddrRange> {
        let size = self.memory.u64(at + 8).ok()? & !SIZE_BITS;
        let range = AddrRange::new(at, at + size);
        let sound = at.is_aligned(16) && size >= LEAST_BYTES && size.is_multiple_of(16);
        (sound && range.end > range.start && (self.is_inside)(range)).then_some(range)
    }

    /// A list in both directions. Each member must lead back to the one before, so it ends.
    fn bin(&self, bin: Addr, chunks: &mut Vec<AddrRange>) -> Option<()> {
        let mut before = bin;
        let mut at = self.memory.addr(bin + FD).ok()?;
        while at != bin {
            self.budget.take()?;
            let chunk = self.chunk(at)?;
            if self.memory.addr(at + BK) != Ok(before) {
                return None;
            }
            chunks.push(chunk);
            before = at;
            at = self.memory.addr(at + FD).ok()?;
        }
        Some(())
    }

    fn fastbin(&self, head: Addr, size: u64, chunks: &mut Vec<AddrRange>) -> Option<()> {
        let member = |at| self.chunk(at).filter(|chunk| chunk.len() == size);
        self.one_way(self.memory.addr(head).ok()?, FD, member, chunks)
    }

    /// A list in one direction, with its links at an offset of what they lead to. One that goes round
    /// in a circle ends where that shows, and adds nothing.
    pub(super) fn one_way(
        &self,
        first: Addr,
        link: u64,
        member: impl Fn(Addr) -> Option<AddrRange>,
        chunks: &mut Vec<AddrRange>,
    ) -> Option<()> {
        let before = chunks.len();
        let (mut mark, mut count) = (Addr::NULL, 0_u64);
        let mut at = first;
        while !at.is_null() {
            let chunk = self.budget.take().and_then(|()| member(at)).filter(|_| at != mark);
            let next = chunk.and_then(|_| self.next(at + link, |next| member(next).is_some()));
            let (Some(chunk), Some(next)) = (chunk, next) else {
                chunks.truncate(before);
                return None;
            };
            chunks.push(chunk);
            count += 1;
            if count.is_power_of_two() {
                mark = at;
            }
            at = next;
        }
        Some(())
    }

    /// The link at an address. From 2.32 on it is mixed with where it stands (`PROTECT_PTR`); the two
    /// cannot be confused, for neither reading of the other leads to a chunk, or to null.
    fn next(&self, link: Addr, is_member: impl Fn(Addr) -> bool) -> Option<Addr> {
        let plain = self.memory.addr(link).ok()?;
        let mixed = Addr(plain.0 ^ (link.0 >> 12));
        [plain, mixed].into_iter().find(|&next| next.is_null() || is_member(next))
    }
}
