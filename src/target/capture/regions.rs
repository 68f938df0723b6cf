//! From an address to the copied bytes, in a few nanoseconds.

use crate::addr::{Addr, AddrRange};
use std::ops::Range;

/// Regions are found by the 1 MiB piece of the address space in which they lie.
const PIECE_BITS: u32 = 20;

/// Some addresses whose bytes lie in one piece.
#[derive(Debug, Clone, Copy)]
pub(super) struct Region {
    range: AddrRange,
    /// Which copy, of those that several regions may share.
    copy: usize,
    /// Where the region starts in it.
    offset: usize,
}

impl Region {
    /// The regions of a copied range without the (sorted) holes in it; the copy of number `copy`
    /// holds what is at `start` and behind it.
    pub(super) fn cut(
        range: AddrRange,
        start: Addr,
        copy: usize,
        holes: &[AddrRange],
    ) -> Vec<Self> {
        let first = holes.partition_point(|hole| hole.end <= range.start);
        let holes = holes.get(first..).unwrap_or_default().iter();
        let holes = holes.copied().take_while(|hole| hole.start < range.end).collect::<Vec<_>>();
        super::plan::without(vec![range], &holes)
            .into_iter()
            .filter_map(|part| {
                let offset = usize::try_from(part.start - start).ok()?;
                Some(Self { range: part, copy, offset })
            })
            .collect()
    }

    /// Where the bytes from an address to the end lie in the copy.
    #[inline]
    fn place_of(&self, addr: Addr) -> Option<Range<usize>> {
        let start = self.offset.checked_add(usize::try_from(addr - self.range.start).ok()?)?;
        let len = usize::try_from(self.range.end - addr).ok()?;
        Some(start..start.checked_add(len)?)
    }
}

/// All that was copied.
#[derive(Debug)]
pub(super) struct Regions {
    /// By address.
    regions: Vec<Region>,
    /// The bytes, as the regions number them.
    copies: Vec<Vec<u8>>,
    /// A hash table with linear probing, a power of two long and at most half full: the number of
    /// a piece, and the first region that reaches into it.
    table: Vec<(u64, u32)>,
}

/// No piece has this number, for no address is so high.
const EMPTY: u64 = u64::MAX;

impl Regions {
    pub(super) fn new(mut regions: Vec<Region>, copies: Vec<Vec<u8>>) -> Self {
        regions.sort_by_key(|region| region.range.start);
        let mut pieces: Vec<(u64, u32)> = Vec::new();
        for (index, region) in (0_u32..).zip(&regions) {
            let last = region.range.end.0.saturating_sub(1) >> PIECE_BITS;
            for piece in region.range.start.0 >> PIECE_BITS..=last {
                if pieces.last().is_none_or(|&(before, _)| before < piece) {
                    pieces.push((piece, index));
                }
            }
        }
        let len = (pieces.len() * 2).next_power_of_two().max(2);
        let mut table = Self { regions, copies, table: vec![(EMPTY, 0); len] };
        for (piece, region) in pieces {
            let mut slot = table.slot(piece);
            while table.table.get(slot).is_some_and(|&(other, _)| other != EMPTY) {
                slot = (slot + 1) & (len - 1);
            }
            if let Some(place) = table.table.get_mut(slot) {
                *place = (piece, region);
            }
        }
        table
    }

    #[inline]
    fn slot(&self, piece: u64) -> usize {
        let mixed = piece.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        // The mask is what makes the number fit.
        usize::try_from(mixed).unwrap_or(0) & (self.table.len() - 1)
    }

    /// The ranges that were copied, by address.
    pub(super) fn ranges(&self) -> impl Iterator<Item = AddrRange> + '_ {
        self.regions.iter().map(|region| region.range)
    }

    #[inline]
    fn bytes(&self, region: &Region, addr: Addr) -> Option<&[u8]> {
        self.copies.get(region.copy)?.get(region.place_of(addr)?)
    }

    /// The places of a range, each with its address, that were copied: to be filled anew.
    pub(super) fn overwrite(&mut self, range: AddrRange, mut fill: impl FnMut(Addr, &mut [u8])) {
        let first = self.regions.partition_point(|region| region.range.end <= range.start);
        for region in self.regions.get(first..).unwrap_or_default() {
            if region.range.start >= range.end {
                break;
            }
            let start = region.range.start.max(range.start);
            let len = usize::try_from(region.range.end.min(range.end) - start).unwrap_or(0);
            let copy = self.copies.get_mut(region.copy).map(Vec::as_mut_slice);
            let bytes =
                region.place_of(start).and_then(|place| copy?.get_mut(place)?.get_mut(..len));
            if let Some(bytes) = bytes {
                fill(start, bytes);
            }
        }
    }

    /// The copied bytes from an address to the end of its region.
    #[inline]
    pub(super) fn at(&self, addr: Addr) -> Option<&[u8]> {
        let piece = addr.0 >> PIECE_BITS;
        let mut slot = self.slot(piece);
        let mut index = loop {
            match self.table.get(slot) {
                Some(&(found, region)) if found == piece => break usize::try_from(region).ok()?,
                Some(&(EMPTY, _)) | None => return None,
                Some(_) => slot = (slot + 1) & (self.table.len() - 1),
            }
        };
        // Small regions share a piece: the next few, or, where there are many, by halves.
        for _ in 0..4 {
            let region = self.regions.get(index)?;
            if addr < region.range.end {
                return (addr >= region.range.start).then(|| self.bytes(region, addr))?;
            }
            index += 1;
        }
        let after = self.regions.partition_point(|region| region.range.start <= addr);
        let region = self.regions.get(after.checked_sub(1)?)?;
        region.range.contains(addr).then(|| self.bytes(region, addr))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: u64, end: u64) -> AddrRange {
        AddrRange::new(Addr(start), Addr(end))
    }

    fn region(start: u64, len: u64, copies: &mut Vec<Vec<u8>>) -> Vec<Region> {
        // The data starts before the region.
        copies.push((start - 3..start + len).map(|at| (at % 251) as u8).collect());
        Region::cut(range(start, start + len), Addr(start - 3), copies.len() - 1, &[])
    }

    #[test]
    fn each_address_has_its_bytes_up_to_the_end_of_its_region() {
        let (mut all, mut copies) = (Vec::new(), Vec::new());
        let mut ranges = Vec::new();
        // Many small ones in one piece, some across pieces, one far away.
        for (start, len) in (0..300).map(|i| (0x10_0000 + i * 0x1000, 0x800)).chain([
            (0x50_0000, 0x35_0000),
            (0x85_1000, 0x10),
            (0x7fff_ffff_0000, 0x1000),
        ]) {
            ranges.push(range(start, start + len));
            all.extend(region(start, len, &mut copies));
        }
        let regions = Regions::new(all, copies);
        for range in &ranges {
            for addr in [range.start, range.start + 5, range.end - 1] {
                let bytes = regions.at(addr).unwrap();
                assert_eq!(bytes.len() as u64, range.end - addr);
                assert_eq!(u64::from(bytes[0]), addr.0 % 251);
            }
            let around = |addr| ranges.iter().any(|range| range.contains(addr));
            for addr in [range.start - 1, range.end] {
                assert_eq!(regions.at(addr).is_some(), around(addr));
            }
        }
        for addr in [0, 1, u64::MAX, 1 << 47, 1 << 63] {
            assert_eq!(regions.at(Addr(addr)), None);
        }
        assert_eq!(Regions::new(Vec::new(), Vec::new()).at(Addr(0)), None);
    }

    #[test]
    fn holes_are_cut_out() {
        let data = vec![(0..0x4000_u64).map(|at| (at % 251) as u8).collect()];
        let holes = [range(0x500, 0x1000), range(0x2000, 0x3000), range(0x4f00, 0x9000)];
        let start = Addr(0x1000);
        let regions = Regions::new(Region::cut(range(0x1000, 0x5000), start, 0, &holes), data);
        assert_eq!(regions.at(Addr(0x1000)).unwrap().len(), 0x1000);
        assert_eq!(regions.at(Addr(0x2000)), None);
        assert_eq!(regions.at(Addr(0x3000)).unwrap()[0], (0x2000 % 251) as u8);
        assert_eq!(regions.at(Addr(0x3000)).unwrap().len(), 0x1f00);
        assert_eq!(regions.at(Addr(0x4f00)), None);
    }

    #[test]
    fn what_is_overwritten_is_what_was_copied_of_the_range() {
        let data = vec![vec![1; 0x4000]];
        let holes = [range(0x2000, 0x3000)];
        let cut = Region::cut(range(0x1000, 0x5000), Addr(0x1000), 0, &holes);
        let mut regions = Regions::new(cut, data);
        let mut filled = Vec::new();
        regions.overwrite(range(0x1800, 0x3400), |at, bytes| {
            filled.push(range(at.0, at.0 + bytes.len() as u64));
            bytes.fill(2);
        });
        assert_eq!(filled, [range(0x1800, 0x2000), range(0x3000, 0x3400)]);
        let at = |addr| regions.at(Addr(addr)).unwrap()[0];
        assert_eq!([at(0x17ff), at(0x1800), at(0x33ff), at(0x3400)], [1, 2, 2, 1]);
    }
}
