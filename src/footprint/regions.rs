//! The address space, cut into pieces of which each has one owner.

use super::stacks::Stack;
use crate::addr::{Addr, AddrRange};
use crate::malloc::{Allocator, Malloc};
use crate::target::capture::without;
use crate::target::elf::Image;
use crate::target::maps::{Mapping, MemoryMap};
use crate::target::memory::Memory;

/// Whose a piece is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// An arena of pymalloc.
    Pymalloc,
    /// An arena of glibc, by its place in [`Malloc::arenas`].
    Arena(usize),
    /// A block of `malloc` with a mapping of its own.
    MappedBlock,
    /// Another allocator.
    OtherAllocator,
    /// A thread, by the place of its stack.
    Stack(usize),
    /// A file, by the place of its mapping.
    File(usize),
    /// Nobody that is known, by the place of its mapping.
    Anonymous(usize),
}

/// A piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Region {
    pub(super) range: AddrRange,
    pub(super) owner: Owner,
}

/// Cuts the mappings. What comes first in the list of claims has it: an arena of pymalloc may lie in a
/// block of `malloc`.
pub(super) fn cut(
    memory: &impl Memory,
    map: &MemoryMap,
    pymalloc: &[AddrRange],
    malloc: &Malloc,
    stacks: &[Stack],
) -> Vec<Region> {
    let mut regions: Vec<Region> = Vec::new();
    let mut claim = |ranges: Vec<(AddrRange, Owner)>| {
        let mut taken: Vec<AddrRange> = regions.iter().map(|region| region.range).collect();
        taken.sort_by_key(|range| range.start);
        for (range, owner) in ranges {
            let first = taken.partition_point(|hole| hole.end <= range.start);
            let rest = without(vec![range], taken.get(first..).unwrap_or_default());
            regions.extend(rest.into_iter().map(|range| Region { range, owner }));
        }
    };
    claim(pymalloc.iter().map(|&range| (range, Owner::Pymalloc)).collect());
    let arenas = malloc.arenas.iter().enumerate();
    let arenas = arenas.flat_map(|(nth, arena)| {
        arena.regions.iter().map(move |&region| (region, Owner::Arena(nth)))
    });
    claim(arenas.collect());
    claim(malloc.mapped.ranges.iter().map(|&range| (range, Owner::MappedBlock)).collect());
    let threads = stacks.iter().enumerate();
    claim(threads.map(|(nth, stack)| (stack.range, Owner::Stack(nth))).collect());
    claim(zeroed_data(memory, map));
    let is_other = matches!(malloc.allocator, Allocator::Other(_));
    let rest = map.iter().enumerate().map(|(nth, mapping)| {
        let owner = match () {
            () if is_of_file(mapping) => Owner::File(nth),
            () if is_other && mapping.write && !mapping.shared => Owner::OtherAllocator,
            () => Owner::Anonymous(nth),
        };
        (mapping.range, owner)
    });
    claim(rest.collect());
    regions.sort_by_key(|region| region.range.start);
    regions
}

/// Files, shared memory with a name, and what the kernel lends (`[vdso]`). Shared memory without a name
/// looks like a file that was deleted.
fn is_of_file(mapping: &Mapping) -> bool {
    let path = mapping.path.as_deref().unwrap_or_default();
    let is_kernels = ["[vdso]", "[vvar]", "[vvar_vclock]", "[vsyscall]"].contains(&path);
    is_kernels || !mapping.is_anonymous() && !is_shared_anonymous(mapping)
}

/// What `mmap` with `MAP_SHARED | MAP_ANONYMOUS` makes.
pub(super) fn is_shared_anonymous(mapping: &Mapping) -> bool {
    mapping.shared && mapping.deleted && mapping.path.as_deref() == Some("/dev/zero")
}

/// The data of binaries that is zero at first (`.bss`): it belongs to the file, though it is mapped
/// without one.
fn zeroed_data(memory: &impl Memory, map: &MemoryMap) -> Vec<(AddrRange, Owner)> {
    let mut found = Vec::new();
    let binaries =
        map.iter().filter(|mapping| mapping.inode != 0 && mapping.offset == 0 && mapping.read);
    for header in binaries {
        let Ok(page) = memory.bytes(header.range.start, 4096) else { continue };
        let Ok(image) = Image::from_bytes(page) else { continue };
        let Some(bias) = image.bias(map, header) else { continue };
        let at = |addr: u64| Addr(addr.wrapping_add(bias));
        for load in image.loads().iter().filter(|load| load.write) {
            let from = load.addr.saturating_add(load.file_bytes);
            let to = load.addr.saturating_add(load.memory_bytes);
            let pages = |addr: u64| addr.checked_next_multiple_of(4096).unwrap_or(addr);
            let range = AddrRange::new(at(pages(from)), at(pages(to)));
            let is_anonymous = map.find(range.start).is_some_and(Mapping::is_anonymous);
            let data = map.iter().position(|mapping| {
                mapping.inode == header.inode && mapping.range.contains(at(load.addr))
            });
            if let Some(data) = data.filter(|_| is_anonymous && !range.is_empty()) {
                found.push((range, Owner::File(data)));
            }
        }
    }
    found
}
