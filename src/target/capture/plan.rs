//! What of an address space is copied, what is known to be zeros, and what is put off.

use super::CaptureError;
use crate::addr::{Addr, AddrRange};
use crate::target::maps::{Mapping, MemoryMap};
use crate::target::process::Process;
use crate::target::stat::Status;
use nix::unistd::{SysconfVar, sysconf};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Instant;

/// Untouched gaps up to this size, in bytes, do not split a copy: they are zeros in the copy too,
/// and cost it address space only.
const GAP_BYTES: u64 = 16 << 10;
/// How much of a file may be read for pages that the target has not touched, in bytes in a row.
const UNTOUCHED_FILE_BYTES: u64 = 64 << 10;
/// The size of `malloc`'s smallest blocks that are put off, in bytes.
pub(super) const BLOCK_BYTES: u64 = 1 << 20;
/// How many pages are looked up at once: 256 MiB of the target.
const LOOKUP_PAGES: u64 = 1 << 16;

/// One piece of memory of our own, for copies that lie close together.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) range: AddrRange,
    pub(super) copies: Vec<Copy>,
}

/// A range that is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Copy {
    pub(super) range: AddrRange,
    /// The mapping, by its place in [`Plan::block_mappings`], if `malloc`'s blocks may be in it.
    pub(super) blocks: Option<usize>,
}

/// What to do with an address space. All lists are by address.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) segments: Vec<Segment>,
    pub(super) zeros: Vec<AddrRange>,
    pub(super) later: Vec<AddrRange>,
    pub(super) constant: Vec<AddrRange>,
    pub(super) block_mappings: Vec<AddrRange>,
    /// Private writable memory whose pages are there.
    pub(super) present: Vec<AddrRange>,
    pub(super) swapped_bytes: u64,
    /// Untouched pages behind the last segment: part of it if another copy follows.
    gap: Option<AddrRange>,
}

/// What the kernel says about a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Page {
    Present,
    Swapped,
    Untouched,
    /// Made inaccessible (`MADV_GUARD_INSTALL`).
    Guard,
}

impl Page {
    /// By its entry in `/proc/PID/pagemap`. A page that the kernel moves to another place (to make huge
    /// pages, at any moment) has the mark of a swapped one meanwhile: whoever reads it waits until it is there.
    fn of(entry: u64, has_swap: bool) -> Self {
        let bit = |bit: u32| entry & (1 << bit) != 0;
        match (bit(63), bit(62), bit(58)) {
            (true, _, _) => Self::Present,
            // A guard is a marker where a swapped page would be, so both bits are set.
            (_, _, true) => Self::Guard,
            (_, true, _) if has_swap => Self::Swapped,
            (_, true, _) => Self::Present,
            _ => Self::Untouched,
        }
    }
}

impl Plan {
    pub(super) fn new(
        process: &Process,
        map: &MemoryMap,
        lost: &[AddrRange],
        deadline: Option<Instant>,
    ) -> Result<Self, CaptureError> {
        let page_map = File::open(format!("/proc/{}/pagemap", process.pid())).ok();
        let pages = Pages { map: page_map, bytes: page_bytes(), has_swap: has_swap(process.pid()) };
        let mut plan = Self::default();
        for mapping in map.iter().filter(|mapping| mapping.read) {
            if lost.iter().any(|lost| lost.contains(mapping.range.start)) {
                // It is not there as it was.
            } else if !mapping.write {
                push_merged(&mut plan.constant, mapping.range);
            } else if is_device(mapping) {
                // Reading it may do something.
            } else if mapping.shared {
                plan.put_off(mapping.range);
            } else {
                plan.add_private(mapping, &pages, deadline)?;
            }
        }
        plan.close_gap();
        Ok(plan)
    }

    pub(super) fn copies(&self) -> impl Iterator<Item = AddrRange> {
        self.segments.iter().flat_map(|segment| segment.copies.iter().map(|copy| copy.range))
    }

    fn add_private(
        &mut self,
        mapping: &Mapping,
        pages: &Pages,
        deadline: Option<Instant>,
    ) -> Result<(), CaptureError> {
        let anonymous = mapping.is_anonymous();
        let blocks = (anonymous && mapping.range.len() >= BLOCK_BYTES).then(|| {
            self.block_mappings.push(mapping.range);
            self.block_mappings.len() - 1
        });
        let mut at = mapping.range.start;
        let mut run = (Page::Present, AddrRange::new(at, at));
        while at < mapping.range.end {
            if deadline.is_some_and(|deadline| Instant::now() > deadline) {
                return Err(CaptureError::TooSlow);
            }
            let count = ((mapping.range.end - at) / pages.bytes).clamp(1, LOOKUP_PAGES);
            for page in pages.at(at, count) {
                if page != run.0 {
                    self.add_run(run, anonymous, blocks);
                    run = (page, AddrRange::new(at, at));
                }
                at = at + pages.bytes;
                run.1.end = at.min(mapping.range.end);
            }
        }
        self.add_run(run, anonymous, blocks);
        Ok(())
    }

    fn add_run(
        &mut self,
        (page, range): (Page, AddrRange),
        anonymous: bool,
        blocks: Option<usize>,
    ) {
        if range.is_empty() {
            return;
        }
        match page {
            Page::Present => {
                push_merged(&mut self.present, range);
                self.copy(Copy { range, blocks });
            }
            Page::Swapped => {
                self.swapped_bytes = self.swapped_bytes.saturating_add(range.len());
                self.put_off(range);
            }
            Page::Guard => {}
            Page::Untouched if anonymous => self.add_zeros(range),
            Page::Untouched if range.len() <= UNTOUCHED_FILE_BYTES => {
                self.copy(Copy { range, blocks });
            }
            Page::Untouched => self.put_off(range),
        }
    }

    fn copy(&mut self, copy: Copy) {
        if let Some(last) = self.segments.last_mut() {
            let gap = self.gap.map_or(last.range.end, |gap| gap.end);
            if gap == copy.range.start {
                self.gap = None;
                last.range.end = copy.range.end;
                last.copies.push(copy);
                return;
            }
        }
        self.close_gap();
        self.segments.push(Segment { range: copy.range, copies: vec![copy] });
    }

    fn add_zeros(&mut self, range: AddrRange) {
        self.close_gap();
        let follows = self.segments.last().is_some_and(|last| last.range.end == range.start);
        if follows && range.len() <= GAP_BYTES {
            self.gap = Some(range);
        } else {
            push_merged(&mut self.zeros, range);
        }
    }

    fn close_gap(&mut self) {
        if let Some(gap) = self.gap.take() {
            push_merged(&mut self.zeros, gap);
        }
    }

    fn put_off(&mut self, range: AddrRange) {
        push_merged(&mut self.later, range);
    }
}

fn push_merged(ranges: &mut Vec<AddrRange>, range: AddrRange) {
    match ranges.last_mut() {
        Some(last) if last.end == range.start => last.end = range.end,
        _ => ranges.push(range),
    }
}

/// Device memory, which is no memory of the program. Shared memory lies in `/dev` too.
fn is_device(mapping: &Mapping) -> bool {
    mapping.path.as_deref().is_some_and(|path| {
        path.starts_with("/dev/") && !path.starts_with("/dev/shm/") && path != "/dev/zero"
    })
}

/// The pages of a process.
struct Pages {
    /// `/proc/PID/pagemap`.
    map: Option<File>,
    /// The size of a page.
    bytes: u64,
    /// Whether any of them is in swap.
    has_swap: bool,
}

impl Pages {
    /// Looks up some; without an answer all of them count as present.
    fn at(&self, at: Addr, count: u64) -> Vec<Page> {
        let len = usize::try_from(count).unwrap_or(1);
        let mut entries = vec![0; len.saturating_mul(8)];
        let offset = (at.0 / self.bytes).saturating_mul(8);
        if self.map.as_ref().is_some_and(|map| map.read_exact_at(&mut entries, offset).is_ok()) {
            let (entries, _) = entries.as_chunks();
            let page = |&entry: &[u8; 8]| Page::of(u64::from_le_bytes(entry), self.has_swap);
            entries.iter().map(page).collect()
        } else {
            vec![Page::Present; len]
        }
    }
}

/// Whether a process has memory in swap, as far as the kernel says that.
fn has_swap(pid: u32) -> bool {
    let status = Status::read(&pid.to_string()).unwrap_or_default();
    status.number("VmSwap").is_none_or(|kib| kib > 0)
}

/// The size of a page of this machine, in bytes.
pub(super) fn page_bytes() -> u64 {
    let size = sysconf(SysconfVar::PAGE_SIZE).ok().flatten();
    size.and_then(|size| u64::try_from(size).ok())
        .filter(|size| size.is_power_of_two())
        .unwrap_or(4096)
}

/// A range with its ends moved apart to the borders of 4 KiB pages.
pub(super) fn whole_pages(range: AddrRange) -> AddrRange {
    let end = range.end.0.checked_next_multiple_of(4096).unwrap_or(range.end.0);
    AddrRange::new(range.start.without_tag(4095), Addr(end))
}

/// Sorted ranges without other sorted ranges.
pub(crate) fn without(ranges: Vec<AddrRange>, holes: &[AddrRange]) -> Vec<AddrRange> {
    let mut rest = Vec::new();
    let mut next = 0;
    for range in ranges {
        let mut start = range.start;
        while let Some(hole) = holes.get(next).filter(|hole| hole.start < range.end) {
            if hole.start > start {
                rest.push(AddrRange::new(start, hole.start));
            }
            start = start.max(hole.end);
            if hole.end > range.end {
                // It reaches into the next range.
                break;
            }
            next += 1;
        }
        if start < range.end {
            rest.push(AddrRange::new(start, range.end));
        }
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn range(start: u64, end: u64) -> AddrRange {
        AddrRange::new(Addr(start), Addr(end))
    }

    #[test]
    fn page_map_bits_are_told_apart() {
        for has_swap in [false, true] {
            assert_eq!(Page::of(1 << 63 | 5, has_swap), Page::Present);
            assert_eq!(Page::of(1 << 58, has_swap), Page::Guard);
            assert_eq!(Page::of(1 << 62 | 1 << 58, has_swap), Page::Guard);
            assert_eq!(Page::of(1 << 55 | 1 << 61, has_swap), Page::Untouched);
        }
        assert_eq!(Page::of(1 << 62, true), Page::Swapped);
        // It is on its way from one place to another.
        assert_eq!(Page::of(1 << 62, false), Page::Present);
    }

    #[test]
    fn small_untouched_gaps_join_and_large_ones_part() {
        let mut plan = Plan::default();
        plan.add_run((Page::Present, range(0x1000, 0x2000)), true, None);
        plan.add_run((Page::Untouched, range(0x2000, 0x5000)), true, None);
        plan.add_run((Page::Present, range(0x5000, 0x6000)), true, None);
        plan.add_run((Page::Untouched, range(0x6000, 0x7000)), true, None);
        plan.add_run((Page::Swapped, range(0x7000, 0x9000)), true, None);
        plan.add_run((Page::Present, range(0x9000, 0xa000)), true, None);
        plan.add_run((Page::Untouched, range(0xa000, 0x1a000)), true, None);
        plan.add_run((Page::Present, range(0x1a000, 0x1b000)), true, None);
        plan.close_gap();
        let segments: Vec<_> = plan.segments.iter().map(|segment| segment.range).collect();
        assert_eq!(
            segments,
            [range(0x1000, 0x6000), range(0x9000, 0xa000), range(0x1a000, 0x1b000)]
        );
        assert_eq!(plan.zeros, [range(0x6000, 0x7000), range(0xa000, 0x1a000)]);
        assert_eq!(
            (plan.later.as_slice(), plan.swapped_bytes),
            (&[range(0x7000, 0x9000)][..], 0x2000)
        );
        assert_eq!(plan.copies().map(|range| range.len()).sum::<u64>(), 0x4000);
    }

    #[test]
    fn untouched_pages_of_a_file_are_not_zeros() {
        let mut plan = Plan::default();
        plan.add_run((Page::Untouched, range(0x1000, 0x2000)), false, None);
        plan.add_run((Page::Untouched, range(0x10_0000, 0x20_0000)), false, None);
        assert_eq!(plan.copies().collect::<Vec<_>>(), [range(0x1000, 0x2000)]);
        assert_eq!(plan.later, [range(0x10_0000, 0x20_0000)]);
        assert!(plan.zeros.is_empty());
    }

    #[test]
    fn devices_are_not_read_but_shared_memory_is() {
        let text = |path: &str| format!("1000-2000 rw-s 0 00:05 6 {path}");
        let device = |path| MemoryMap::parse(&text(path)).iter().all(is_device);
        assert!(device("/dev/nvidia0"));
        assert!(!device("/dev/shm/x") && !device("/dev/zero (deleted)") && !device("/tmp/dev/x"));
    }

    proptest! {
        #[test]
        fn without_is_the_difference_of_sets(
            a in prop::collection::btree_set(0_u64..100, 0..20),
            b in prop::collection::btree_set(0_u64..100, 0..20),
        ) {
            let pairs = |set: std::collections::BTreeSet<u64>| {
                let all: Vec<u64> = set.into_iter().collect();
                all.chunks_exact(2).map(|pair| range(pair[0], pair[1])).collect::<Vec<_>>()
            };
            let (a, b) = (pairs(a), pairs(b));
            let has = |ranges: &[AddrRange], at| ranges.iter().any(|range| range.contains(Addr(at)));
            let rest = without(a.clone(), &b);
            for at in 0..100 {
                prop_assert_eq!(has(&rest, at), has(&a, at) && !has(&b, at));
            }
            prop_assert!(rest.iter().all(|range| !range.is_empty()));
        }
    }
}
