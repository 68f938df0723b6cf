//! Arenas: what glibc has from the system for one of its pools of memory, and what of it is free.

use super::bins::{ALIGNMENT, Budget, FreeLists, Lists, SIZE_BITS};
use super::heaps;
use super::state::{self, MainArena, StateLayout};
use crate::addr::{Addr, AddrRange};
use crate::target::maps::{Mapping, MemoryMap};
use crate::target::memory::Memory;

/// An arena. All bytes are counted with the headers of blocks, as glibc counts them.
#[derive(Debug, Clone, Default)]
pub struct Arena {
    /// Its `struct malloc_state`.
    pub state: AddrRange,
    /// Whether it is the main arena, which grows by `brk`.
    pub is_main: bool,
    /// Where its memory is.
    pub regions: Vec<AddrRange>,
    /// The parts of it in which blocks lie one behind the other, from the first block on.
    pub pieces: Vec<AddrRange>,
    /// What it has from the system, in bytes: `system_mem`, mallinfo's `arena`.
    pub system_bytes: u64,
    /// The free memory at its end, which no list has.
    pub top: Option<AddrRange>,
    /// Free blocks in the unsorted list.
    pub unsorted: Vec<AddrRange>,
    /// Free blocks in the sorted lists.
    pub binned: Vec<AddrRange>,
    /// Free blocks in fastbins, which are not joined with their neighbours.
    pub fast: Vec<AddrRange>,
    /// Free blocks that threads keep for themselves (`tcache`): in use as far as mallinfo knows.
    pub cached: Vec<AddrRange>,
    /// Whether all its lists could be followed to their ends.
    pub is_complete: bool,
}

impl Arena {
    /// All free blocks.
    pub fn free(&self) -> impl Iterator<Item = AddrRange> + '_ {
        let lists = [&self.unsorted, &self.binned, &self.fast, &self.cached];
        self.top.into_iter().chain(lists.into_iter().flatten().copied())
    }

    /// What is free, in bytes, caches of threads included.
    #[must_use]
    pub fn free_bytes(&self) -> u64 {
        self.free().map(AddrRange::len).sum()
    }

    /// What is in use, in bytes, headers of blocks included.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.system_bytes.saturating_sub(self.free_bytes())
    }

    /// The free blocks that `malloc_trim` looks at: not those of threads.
    pub fn trimmable(&self) -> impl Iterator<Item = AddrRange> + '_ {
        // It joins the fastbins first. The top is given back of the main arena alone.
        let top = self.top.filter(|_| self.is_main);
        top.into_iter().chain([&self.unsorted, &self.binned].into_iter().flatten().copied())
    }
}

/// The arenas of one C library, the main one first. What cannot be an arena ends the ring.
pub(super) fn ring(
    memory: &impl Memory,
    map: &MemoryMap,
    main: MainArena,
    budget: &Budget,
) -> Vec<Arena> {
    let mut arenas = vec![main_arena(memory, map, main, budget)];
    for state in state::others(memory, main) {
        let Some(arena) = thread_arena(memory, state, main, budget) else {
            if let Some(first) = arenas.first_mut() {
                first.is_complete = false;
            }
            break;
        };
        arenas.push(arena);
    }
    arenas
}

fn main_arena(
    memory: &impl Memory,
    map: &MemoryMap,
    MainArena { bins, layout }: MainArena,
    budget: &Budget,
) -> Arena {
    let state = AddrRange::new(bins - layout.bins, layout.end(bins));
    let system_bytes = memory.u64(layout.system_mem(bins)).unwrap_or_default();
    let mut arena = Arena { state, is_main: true, ..Arena::default() };
    let Some(top) = top(memory, bins, layout) else { return arena };
    let writable = |range: AddrRange| {
        let mapping = map.find(range.start);
        let covers = |mapping: &Mapping| mapping.write && range.end <= mapping.range.end;
        mapping.is_some_and(covers) || in_heap(map, range)
    };
    if system_bytes < top.len() || system_bytes > map.mapped_bytes() || !writable(top) {
        return arena;
    }
    let whole = AddrRange::new(top.end - system_bytes, top.end);
    let is_one = layout.is_contiguous(memory, bins) && writable(whole);
    let region = match map.find(top.start) {
        _ if is_one => whole,
        // It is in pieces: the rest of it is where nothing tells.
        Some(mapping) => AddrRange::new(mapping.range.start, top.end),
        None => top,
    };
    arena.system_bytes = system_bytes;
    arena.regions = vec![region];
    arena.pieces = vec![region];
    if !is_one {
        arena.regions.extend(map.iter().filter(|mapping| is_heap(mapping)).map(|m| m.range));
        arena.regions.sort_by_key(|range| range.start);
        arena.regions.dedup();
        arena.pieces.clone_from(&arena.regions);
    }
    let is_inside = |chunk: AddrRange| match is_one {
        true => whole.start <= chunk.start && chunk.end <= whole.end,
        false => writable(chunk),
    };
    let lists = Lists { memory, is_inside, budget };
    fill(&mut arena, top, lists.follow(bins, layout.fastbins(bins)));
    arena
}

fn thread_arena(
    memory: &impl Memory,
    state: Addr,
    MainArena { layout, .. }: MainArena,
    budget: &Budget,
) -> Option<Arena> {
    let bins = state + layout.bins;
    let top = top(memory, bins, layout)?;
    let regions = heaps::of(memory, state, top.start)?;
    let is_inside = |chunk: AddrRange| {
        regions.iter().any(|heap| heap.start < chunk.start && chunk.end <= heap.end)
    };
    let range = AddrRange::new(state, layout.end(bins));
    // The first heap has the arena's state behind its header, and the blocks behind that.
    let header = heaps::header_bytes(state);
    let behind_state = (range.end + (ALIGNMENT - 1)).without_tag(ALIGNMENT - 1);
    let pieces = regions.iter().map(|heap| {
        let first = if heap.contains(state) { behind_state } else { heap.start + header };
        AddrRange::new(first, heap.end)
    });
    let pieces = pieces.collect();
    let system_bytes: u64 = regions.iter().map(|heap| heap.len()).sum();
    if !is_inside(top) {
        return None;
    }
    let lists = Lists { memory, is_inside, budget };
    let lists = lists.follow(bins, layout.fastbins(bins));
    let mut arena = Arena { state: range, system_bytes, regions, pieces, ..Arena::default() };
    fill(&mut arena, top, lists);
    Some(arena)
}

fn fill(arena: &mut Arena, top: AddrRange, lists: FreeLists) {
    arena.top = Some(top);
    arena.unsorted = lists.unsorted;
    arena.binned = lists.binned;
    arena.fast = lists.fast;
    arena.is_complete = lists.is_complete;
}

/// The top chunk; none of an arena that was never asked for memory (`initial_top`).
fn top(memory: &impl Memory, bins: Addr, layout: StateLayout) -> Option<AddrRange> {
    let start = memory.addr(layout.top(bins)).ok()?;
    let size = memory.u64(start + 8).ok()? & !SIZE_BITS;
    let top = AddrRange::new(start, start + size);
    (start != bins - 16 && start.is_aligned(16) && top.end > top.start).then_some(top)
}

fn is_heap(mapping: &Mapping) -> bool {
    mapping.path.as_deref() == Some("[heap]")
}

/// Whether a range lies in the memory that grows by `brk`, of which `mprotect` and `madvise` make
/// several mappings.
fn in_heap(map: &MemoryMap, range: AddrRange) -> bool {
    let mut parts = map.iter().filter(|mapping| is_heap(mapping)).map(|mapping| mapping.range);
    let Some(first) = parts.next() else { return false };
    let end = parts.next_back().map_or(first.end, |last| last.end);
    first.start <= range.start && range.end <= end
}
