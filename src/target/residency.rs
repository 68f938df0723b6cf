//! Which bytes of a process are in memory, page by page where that is known, else mapping by mapping.

use super::maps::MemoryMap;
use super::smaps::Smaps;
use crate::addr::{Addr, AddrRange};

/// A mapping, and how much of it is in memory.
#[derive(Debug, Clone, Copy)]
struct Part {
    range: AddrRange,
    /// By the pages that were seen.
    seen: u64,
    /// As the kernel counts it.
    counted: u64,
}

/// What is in memory.
#[derive(Debug, Clone, Default)]
pub struct Residency {
    /// By address.
    parts: Vec<Part>,
    /// Ranges of pages that are there, by address, each with the bytes of all before it.
    present: Vec<(AddrRange, u64)>,
}

impl Residency {
    /// `present` are ranges of pages in memory, by address and apart, of the mappings for which that was
    /// looked up; `smaps` knows how much of the others is. Without it, what is present is all.
    #[must_use]
    pub fn new(map: &MemoryMap, present: &[AddrRange], smaps: Option<&Smaps>) -> Self {
        let mut sum = 0_u64;
        let present: Vec<(AddrRange, u64)> = present
            .iter()
            .map(|&range| {
                let before = sum;
                sum = sum.saturating_add(range.len());
                (range, before)
            })
            .collect();
        let mut residency = Self { parts: Vec::new(), present };
        for mapping in map {
            let range = mapping.range;
            let seen = residency.present_bytes(range);
            // The page of zeros that untouched memory is read from is present and not counted; and
            // what was given back since is not there any more.
            let counted = match smaps {
                None => seen,
                Some(smaps) => match smaps.find(range.start) {
                    Some((same, counts)) if same == range && seen > 0 => counts.rss.min(seen),
                    Some((same, counts)) if same == range => counts.rss,
                    _ => seen,
                },
            };
            residency.parts.push(Part { range, seen, counted });
        }
        residency
    }

    /// How many bytes of a range are in memory.
    #[must_use]
    pub fn bytes(&self, range: AddrRange) -> u64 {
        let first = self.parts.partition_point(|part| part.range.end <= range.start);
        let parts = self.parts.get(first..).unwrap_or_default();
        let parts = parts.iter().take_while(|part| part.range.start < range.end);
        parts.map(|part| self.bytes_of(part, range)).sum()
    }

    fn bytes_of(&self, part: &Part, range: AddrRange) -> u64 {
        let both = AddrRange::new(part.range.start.max(range.start), part.range.end.min(range.end));
        if both == part.range || part.seen == 0 {
            return scaled(part.counted, both.len(), part.range.len());
        }
        scaled(self.present_bytes(both), part.counted, part.seen)
    }

    fn present_bytes(&self, range: AddrRange) -> u64 {
        self.before(range.end).saturating_sub(self.before(range.start))
    }

    /// The bytes in pages that are there, below an address.
    fn before(&self, addr: Addr) -> u64 {
        let after = self.present.partition_point(|(range, _)| range.start <= addr);
        let last = after.checked_sub(1).and_then(|last| self.present.get(last));
        last.map_or(0, |(range, before)| before + range.len().min(addr - range.start))
    }
}

/// `number * part / whole`.
fn scaled(number: u64, part: u64, whole: u64) -> u64 {
    if part == whole || whole == 0 {
        return number;
    }
    let product = u128::from(number) * u128::from(part);
    u64::try_from(product / u128::from(whole)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: u64, end: u64) -> AddrRange {
        AddrRange::new(Addr(start), Addr(end))
    }

    const MAPS: &str = "10000-20000 rw-p 0 00:00 0\n20000-30000 r--p 0 08:01 5 /lib\n";
    const SMAPS: &str =
        "10000-20000 rw-p 0 00:00 0\nRss: 8 kB\n20000-30000 r--p 0 08:01 5 /lib\nRss: 16 kB\n";

    #[test]
    fn pages_that_were_seen_are_exact() {
        let smaps = Smaps::parse(SMAPS);
        let present = [range(0x11000, 0x12000), range(0x1f000, 0x20000)];
        let residency = Residency::new(&MemoryMap::parse(MAPS), &present, Some(&smaps));
        assert_eq!(residency.bytes(range(0x10000, 0x20000)), 0x2000);
        assert_eq!(residency.bytes(range(0x11800, 0x1f010)), 0x810);
        assert_eq!(residency.bytes(range(0x12000, 0x1f000)), 0);
        assert_eq!(residency.bytes(range(0x10000, 0x30000)), 0x2000 + 0x4000);
        assert_eq!(residency.bytes(range(0, 0x10000)), 0);
    }

    #[test]
    fn pages_of_zeros_do_not_count() {
        let smaps = Smaps::parse(SMAPS);
        let present = [range(0x10000, 0x14000)];
        let residency = Residency::new(&MemoryMap::parse(MAPS), &present, Some(&smaps));
        assert_eq!(residency.bytes(range(0x10000, 0x12000)), 0x1000);
        assert_eq!(residency.bytes(range(0x10000, 0x20000)), 0x2000);
    }

    #[test]
    fn without_the_kernel_what_is_present_is_all() {
        let residency = Residency::new(&MemoryMap::parse(MAPS), &[range(0x10000, 0x14000)], None);
        assert_eq!(residency.bytes(range(0x10000, 0x30000)), 0x4000);
    }
}
