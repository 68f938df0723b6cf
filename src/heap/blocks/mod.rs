//! The blocks of Python's own allocator: what each that is in use is for.
//!
//! A block is an object, or belongs to one, or the interpreter keeps it, or nothing that is known
//! explains it. What is known of an object is used; where that is not enough (C structures), every
//! word of the object that leads into a block claims that block, and so on from there.

mod facts;
mod orphans;
mod owners;

use std::sync::atomic::{AtomicU8, Ordering};

use crate::addr::{Addr, AddrRange};
use crate::cpython::object::Objects;
use crate::cpython::pymalloc::{Arena, Pool, Pymalloc, UsedPool};
use crate::facts::AllocatorFacts;
use crate::graph::Anomalies;
use crate::target::maps::MemoryMap;
use crate::target::memory::Memory;

use super::discover::{Discovered, Discovery};
use super::types::TypeCache;

/// What a block is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// It is not in use.
    Free = 0,
    /// It is in use, and nothing that is known explains it.
    Unexplained = 1,
    /// An object is in it.
    Object = 2,
    /// An object owns it.
    Buffer = 3,
    /// The interpreter, or a variable of a binary, leads to it; or it waits on a free list of objects.
    Kept = 4,
}

impl Use {
    const fn of(byte: u8) -> Self {
        match byte {
            1 => Self::Unexplained,
            2 | FRESH => Self::Object,
            3 => Self::Buffer,
            4 => Self::Kept,
            _ => Self::Free,
        }
    }
}

/// An object is in it that has not claimed yet what it owns.
const FRESH: u8 = 5;

/// What the debug hooks of the allocators put before a block.
pub(super) const DEBUG_HEADER: u64 = 16;
/// What they put behind it.
const DEBUG_TAIL: u64 = 8;

/// An arena, with the use of each block.
struct Accounted<'p> {
    arena: &'p Arena,
    /// For each pool the place of its first block in `uses`.
    first: Box<[u32]>,
    uses: Box<[AtomicU8]>,
}

/// All blocks, and what they are for. Many threads claim blocks at once.
pub(super) struct Blocks<'p> {
    pool_size: u64,
    /// By address.
    arenas: Vec<Accounted<'p>>,
    starts: Vec<Addr>,
    /// Whether the allocator's debug hooks are in place.
    pub(super) has_debug_hooks: bool,
}

/// One block.
pub(super) struct Block<'b> {
    pub(super) range: AddrRange,
    used: &'b AtomicU8,
}

impl Block<'_> {
    /// What it is for.
    pub(super) fn what(&self) -> Use {
        Use::of(self.used.load(Ordering::Relaxed))
    }
}

impl<'p> Blocks<'p> {
    /// All blocks that are in use, unexplained yet.
    pub(super) fn new(pymalloc: &'p Pymalloc) -> Self {
        let mut arenas: Vec<Accounted<'p>> = pymalloc.arenas().map(Accounted::new).collect();
        arenas.sort_by_key(|accounted| accounted.arena.range.start);
        let starts = arenas.iter().map(|accounted| accounted.arena.range.start).collect();
        Self { pool_size: pymalloc.pool_size, arenas, starts, has_debug_hooks: false }
    }

    /// Finds all objects that `seeds` lead to, and those that only the allocator knows of; and what
    /// each block is for. `samples` are objects that are known.
    pub(super) fn discover<M: Memory>(
        pymalloc: &'p Pymalloc,
        discovery: Discovery<'_, '_, M>,
        seeds: &[Addr],
        samples: &[Addr],
    ) -> (Discovered, Self) {
        let mut blocks = Self::new(pymalloc);
        let (objects, types) = (discovery.objects, discovery.types);
        blocks.look_for_debug_hooks(objects, &mut TypeCache::new(types), samples);
        let mut notes = Anomalies::default();
        let mut discovered = discovery.run(seeds, |discovery| {
            notes.merge(&blocks.claim_objects(objects, types, &discovery.found));
            let orphans = blocks.find_orphans(discovery);
            if orphans.is_empty() {
                blocks.claim_structures(objects, types, &discovery.found);
                blocks.claim_freed(discovery);
            }
            orphans
        });
        discovered.anomalies.merge(&notes);
        (discovered, blocks)
    }

    /// Claims what the interpreters and the binaries keep, and gives all in numbers.
    pub(super) fn finish(
        self,
        objects: &Objects<'_, impl Memory>,
        map: &MemoryMap,
        pymalloc: &Pymalloc,
        interpreters: &[Addr],
    ) -> AllocatorFacts {
        self.claim_kept(objects, map, interpreters);
        facts::facts(pymalloc, interpreters, &self)
    }

    /// The block that an address lies in.
    pub(super) fn at(&self, addr: Addr) -> Option<Block<'_>> {
        let nth = self.starts.partition_point(|&start| start <= addr).checked_sub(1)?;
        let accounted = self.arenas.get(nth)?;
        let pool = addr.0.checked_sub(accounted.arena.first_pool.0)? / self.pool_size;
        let pool = usize::try_from(pool).ok()?;
        let Some(Some(Pool::Used(used))) = accounted.arena.pools.get(pool) else { return None };
        accounted.block(used, pool, used.block_of(addr)?)
    }

    /// Says what the block at an address is for, if it was unexplained; gives its memory then.
    pub(super) fn claim(&self, addr: Addr, what: Use) -> Option<AddrRange> {
        let block = self.at(addr)?;
        let (from, to) = (Use::Unexplained as u8, what as u8);
        let order = Ordering::Relaxed;
        block.used.compare_exchange(from, to, order, order).ok().map(|_| block.range)
    }

    /// The same for an address that must be the one that a request got: what is kept of freed
    /// objects leads elsewhere into blocks that are long since used anew.
    fn claim_start(&self, addr: Addr, what: Use) -> Option<AddrRange> {
        let block = self.at(addr)?;
        if self.inside(block.range).start != addr {
            return None;
        }
        self.claim(addr, what)
    }

    /// Says that an object is at an address; whether the block there is in use, if there is one.
    pub(super) fn claim_object(&self, object: Addr) -> Option<bool> {
        let block = self.at(object)?;
        let what = block.what();
        if what != Use::Free && what != Use::Object {
            block.used.store(FRESH, Ordering::Relaxed);
        }
        Some(what != Use::Free)
    }

    /// Whether the object at an address has yet to claim what it owns: it is asked once for one in a
    /// block, and always for one elsewhere.
    fn is_fresh(&self, object: Addr) -> bool {
        let Some(block) = self.at(object) else { return true };
        let (from, to) = (FRESH, Use::Object as u8);
        let order = Ordering::Relaxed;
        block.used.compare_exchange(from, to, order, order).is_ok()
    }

    /// The blocks of an arena that nothing explains yet.
    fn unexplained<'a>(accounted: &'a Accounted<'_>) -> impl Iterator<Item = AddrRange> + 'a {
        accounted
            .blocks()
            .filter(|(_, block)| block.what() == Use::Unexplained)
            .map(|(_, block)| block.range)
    }

    /// Finds out whether debug hooks are in place: known objects begin where their blocks do, or
    /// behind the hooks' header.
    pub(super) fn look_for_debug_hooks(
        &mut self,
        objects: &Objects<'_, impl Memory>,
        types: &mut TypeCache<'_>,
        samples: &[Addr],
    ) {
        const ENOUGH: usize = 64;
        let (mut plain, mut hooked) = (0, 0);
        for &sample in samples {
            let Some(block) = self.at(sample) else { continue };
            let Ok(ty) = types.of(objects, sample) else { continue };
            let begin = sample - objects.bytes_before(sample, ty);
            plain += usize::from(begin == block.range.start);
            hooked += usize::from(begin == block.range.start + DEBUG_HEADER);
            if plain + hooked >= ENOUGH {
                break;
            }
        }
        self.has_debug_hooks = hooked > plain;
    }

    /// What a request gets of a block, without what debug hooks keep.
    fn inside(&self, block: AddrRange) -> AddrRange {
        match self.has_debug_hooks {
            true => AddrRange::new(block.start + DEBUG_HEADER, block.end - DEBUG_TAIL),
            false => block,
        }
    }
}

impl<'p> Accounted<'p> {
    fn new(arena: &'p Arena) -> Self {
        let mut first = Vec::with_capacity(arena.pools.len());
        let mut uses = Vec::new();
        for pool in &arena.pools {
            first.push(u32::try_from(uses.len()).unwrap_or(u32::MAX));
            let Some(Pool::Used(pool)) = pool else { continue };
            uses.extend((0..pool.capacity).map(|nth| {
                let what = if pool.is_live(nth) { Use::Unexplained } else { Use::Free };
                AtomicU8::new(what as u8)
            }));
        }
        Self { arena, first: first.into_boxed_slice(), uses: uses.into_boxed_slice() }
    }

    fn block(&self, used: &UsedPool, pool: usize, nth: u32) -> Option<Block<'_>> {
        let place = *self.first.get(pool)? as usize + nth as usize;
        let start = used.block(nth);
        let range = AddrRange::new(start, start + used.block_bytes);
        Some(Block { range, used: self.uses.get(place)? })
    }

    /// All blocks with the pools that they are in.
    fn blocks(&self) -> impl Iterator<Item = (&UsedPool, Block<'_>)> {
        self.arena.pools.iter().enumerate().flat_map(move |(nth, pool)| {
            let used = match pool {
                Some(Pool::Used(used)) => Some(used),
                _ => None,
            };
            used.into_iter().flat_map(move |used| {
                (0..used.capacity)
                    .filter_map(move |block| Some((used, self.block(used, nth, block)?)))
            })
        })
    }
}
