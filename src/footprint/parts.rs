//! From pieces of the address space to the parts that people are told.

use rustc_hash::FxHashMap;

use super::Evidence;
use super::regions::{Owner, Region, is_shared_anonymous};
use super::stacks::Stack;
use crate::addr::AddrRange;
use crate::cpython::pymalloc::Usage;
use crate::facts::{MemoryDetail, MemoryPart};
use crate::malloc::Malloc;
use crate::target::maps::Mapping;
use crate::target::residency::Residency;

/// How many pieces of a part are named; the rest is one piece.
const NAMED: usize = 30;

/// What is in memory, by owner, in bytes.
pub(super) struct Books<'a> {
    evidence: &'a Evidence<'a>,
    residency: &'a Residency,
    malloc: &'a Malloc,
    regions: &'a [Region],
    stacks: &'a [Stack],
}

/// What Python has of allocators' memory.
#[derive(Debug, Clone, Copy, Default)]
struct Python {
    objects: u64,
    buffers: u64,
}

impl<'a> Books<'a> {
    pub(super) const fn new(
        evidence: &'a Evidence<'a>,
        residency: &'a Residency,
        malloc: &'a Malloc,
        regions: &'a [Region],
        stacks: &'a [Stack],
    ) -> Self {
        Self { evidence, residency, malloc, regions, stacks }
    }

    /// All parts, in the order of the contract.
    pub(super) fn parts(&self) -> Vec<MemoryPart> {
        let pymalloc = self.resident(|owner| owner == Owner::Pymalloc);
        let usage = self.evidence.pymalloc.usage();
        let live = (usage.live_bytes + usage.unknown_bytes).min(pymalloc);
        let (arenas_used, arenas_free) = self.arenas();
        let blocks = self.resident(|owner| owner == Owner::MappedBlock);
        let other = self.resident(|owner| owner == Owner::OtherAllocator);
        let used =
            live + arenas_used.iter().map(|detail| detail.bytes).sum::<u64>() + blocks + other;
        let python = self.python();
        let objects = python.objects.min(used);
        let buffers = python.buffers.min(used - objects);
        vec![
            part("python_objects", vec![detail("objects and what their size counts", objects)]),
            part("python_free", python_free(&usage, pymalloc - live)),
            part("buffers", vec![detail("memory that objects own outside of them", buffers)]),
            part(
                "malloc_used",
                vec![detail("allocated, and of no known object", used - objects - buffers)],
            ),
            part("malloc_free", arenas_free),
            part(
                "anonymous_mappings",
                self.mappings(|owner| match owner {
                    Owner::Anonymous(nth) => Some(nth),
                    _ => None,
                }),
            ),
            part(
                "file_mappings",
                self.mappings(|owner| match owner {
                    Owner::File(nth) => Some(nth),
                    _ => None,
                }),
            ),
            part("stacks", self.thread_stacks()),
        ]
    }

    fn resident(&self, is_wanted: impl Fn(Owner) -> bool) -> u64 {
        let wanted = self.regions.iter().filter(|region| is_wanted(region.owner));
        wanted.map(|region| self.residency.bytes(region.range)).sum()
    }

    /// What of glibc's arenas is used and what is free.
    fn arenas(&self) -> (Vec<MemoryDetail>, Vec<MemoryDetail>) {
        let mut used = Vec::new();
        let (mut main, mut threads, mut caches) = (0, 0, 0);
        let mut others = 0_u64;
        for (nth, arena) in self.malloc.arenas.iter().enumerate() {
            let all = self.resident(|owner| owner == Owner::Arena(nth));
            let cached = self.bytes(&arena.cached);
            let free = arena.free().map(|range| self.residency.bytes(range)).sum::<u64>().min(all);
            used.push(detail("arena", all - free));
            let free = free.saturating_sub(cached);
            caches += cached;
            if arena.is_main {
                main += free;
            } else {
                threads += free;
                others += 1;
            }
        }
        let mut free = vec![detail("main arena", main)];
        if others > 0 {
            free.push(MemoryDetail { count: Some(others), ..detail("arenas of threads", threads) });
        }
        if caches > 0 {
            let count = Some(self.malloc.caches);
            free.push(MemoryDetail { count, ..detail("caches of threads", caches) });
        }
        (used, free)
    }

    fn bytes(&self, ranges: &[AddrRange]) -> u64 {
        ranges.iter().map(|&range| self.residency.bytes(range)).sum()
    }

    /// What objects say of themselves, without those that are in the data of binaries.
    fn python(&self) -> Python {
        let graph = self.evidence.graph;
        let mut python = Python::default();
        let mut regions = self.regions.iter().peekable();
        let mut blocks = BigBlocks::new(&self.malloc.mapped.ranges);
        for object in graph.ids() {
            let at = graph.addr(object);
            while regions.next_if(|region| region.range.end <= at).is_some() {}
            let region = regions.peek().filter(|region| region.range.contains(at));
            let owner = region.map(|region| region.owner);
            let payload = graph.payload_bytes.get(&object).copied().unwrap_or_default();
            let buffers = graph.buffers_of(object);
            // Of memory that was never touched nothing is there, whatever the object says.
            let block = blocks.take(buffers);
            let buffers = block.map_or(buffers, |block| self.residency.bytes(block).min(buffers));
            // What a torn object claims may be any number.
            python.buffers = python.buffers.saturating_add(buffers);
            if !matches!(owner, None | Some(Owner::File(_) | Owner::Stack(_))) {
                let own = graph.shallow_bytes_of(object).saturating_sub(payload);
                let block = region.filter(|region| region.owner == Owner::MappedBlock);
                let there = block.map_or(own, |block| self.residency.bytes(block.range));
                python.objects = python.objects.saturating_add(own.min(there));
            }
        }
        python
    }

    /// Mappings by name, those of one file together.
    fn mappings(&self, nth: impl Fn(Owner) -> Option<usize>) -> Vec<MemoryDetail> {
        let mut by_name: FxHashMap<String, (u64, u64)> = FxHashMap::default();
        let all: Vec<&Mapping> = self.evidence.map.iter().collect();
        for region in self.regions {
            let Some(mapping) = nth(region.owner).and_then(|nth| all.get(nth)) else { continue };
            let bytes = self.residency.bytes(region.range);
            let sum = by_name.entry(name(mapping, region.range)).or_default();
            *sum = (sum.0 + bytes, sum.1 + 1);
        }
        let rows = by_name.into_iter().filter(|(_, (bytes, _))| *bytes > 0);
        rows.map(|(name, (bytes, _))| MemoryDetail { name, bytes, count: None }).collect()
    }

    fn thread_stacks(&self) -> Vec<MemoryDetail> {
        let stack = |(nth, stack): (usize, &Stack)| {
            let name =
                stack.name.clone().unwrap_or_else(|| format!("thread at {}", stack.range.start));
            detail(&name, self.resident(|owner| owner == Owner::Stack(nth)))
        };
        self.stacks.iter().enumerate().map(stack).collect()
    }
}

/// What a mapping is called: its file, or where it is.
fn name(mapping: &Mapping, range: AddrRange) -> String {
    let address = || format!("{}-{:x}", range.start, range.end);
    match mapping.path.as_deref() {
        _ if is_shared_anonymous(mapping) => format!("shared {}", address()),
        Some(path) if path.starts_with("[anon") => format!("{path} {}", address()),
        Some(path) if mapping.deleted => format!("{path} (deleted)"),
        Some(path) => path.to_owned(),
        None => address(),
    }
}

/// Blocks with a mapping of their own, by length: the data of a big array is in one of them, and its
/// length tells in which, or at least in one of the same kind.
struct BigBlocks(FxHashMap<u64, Vec<AddrRange>>);

impl BigBlocks {
    /// glibc gives no smaller block a mapping of its own by itself, in bytes.
    const LEAST_BYTES: u64 = 128 << 10;

    fn new(ranges: &[AddrRange]) -> Self {
        let mut blocks: FxHashMap<u64, Vec<AddrRange>> = FxHashMap::default();
        for &range in ranges {
            blocks.entry(range.len()).or_default().push(range);
        }
        Self(blocks)
    }

    /// A block for so many bytes and the header, in whole pages.
    fn take(&mut self, bytes: u64) -> Option<AddrRange> {
        if bytes < Self::LEAST_BYTES {
            return None;
        }
        let len = bytes.checked_add(16)?.checked_next_multiple_of(4096)?;
        self.0.get_mut(&len)?.pop()
    }
}

/// What of the pages of pymalloc's arenas is not in use.
fn python_free(usage: &Usage, free: u64) -> Vec<MemoryDetail> {
    let blocks = usage.free_block_bytes.min(free);
    let overhead = usage.overhead_bytes.min(free - blocks);
    vec![
        detail("free blocks between used ones", blocks),
        detail("free pools", free - blocks - overhead),
        detail("headers of pools, and ends where no block fits", overhead),
    ]
}

fn detail(name: &str, bytes: u64) -> MemoryDetail {
    MemoryDetail { name: name.to_owned(), bytes, count: None }
}

/// A part of its pieces: the biggest first, and beyond some number together.
fn part(name: &str, mut pieces: Vec<MemoryDetail>) -> MemoryPart {
    pieces.retain(|piece| piece.bytes > 0);
    pieces.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
    let bytes = pieces.iter().map(|piece| piece.bytes).sum();
    let rest = pieces.split_off(pieces.len().min(NAMED));
    if !rest.is_empty() {
        let count = u64::try_from(rest.len()).ok();
        let bytes = rest.iter().map(|piece| piece.bytes).sum();
        pieces.push(MemoryDetail { name: "others".to_owned(), bytes, count });
    }
    MemoryPart { name: name.to_owned(), bytes, detail: pieces }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::Addr;

    #[test]
    fn the_block_of_a_big_array_is_found_by_its_size_and_once() {
        let range =
            |start: u64, pages: u64| AddrRange::new(Addr(start), Addr(start + pages * 4096));
        let mut blocks = BigBlocks::new(&[range(0x10_0000, 64), range(0x80_0000, 65)]);
        assert_eq!(blocks.take(64 * 4096), Some(range(0x80_0000, 65)));
        assert_eq!(blocks.take(64 * 4096), None);
        assert_eq!(blocks.take(64 * 4096 - 16), Some(range(0x10_0000, 64)));
        assert_eq!(blocks.take(u64::MAX), None);
        assert_eq!(blocks.take(4096), None);
    }

    #[test]
    fn the_smallest_pieces_are_told_together() {
        let pieces = (0..40).map(|nth| detail(&format!("{nth}"), nth + 1)).collect();
        let part = part("file_mappings", pieces);
        assert_eq!((part.bytes, part.detail.len()), (820, 31));
        assert_eq!(part.detail[30].count, Some(10));
        assert_eq!(part.detail.iter().map(|piece| piece.bytes).sum::<u64>(), 820);
    }
}
