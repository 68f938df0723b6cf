//! The blocks of Python's own allocator: what each that is in use is for.
//!
//! A block is an object, or belongs to one, or the interpreter keeps it, or nothing that is known
//! explains it. What is known of an object is used; where that is not enough (C structures), every
//! word of the object that leads into a block claims that block, and so on from there.
//!
//! All of this is behind the walk, and changes nothing of it: what only the allocator knows to be an
//! object is listed apart (`orphans.rs`), and is not in the graph.

mod facts;
mod orphans;
mod owners;

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Instant;

use crate::addr::{Addr, AddrRange};
use crate::cpython::object::Objects;
use crate::cpython::pymalloc::{Arena, Pool, Pymalloc, UsedPool};
use crate::facts::AllocatorFacts;
use crate::target::maps::MemoryMap;
use crate::target::memory::Memory;

use super::address_set::AddressSet;
use super::discover::{Discovered, Discovery};
use super::native::Remainder;
use super::types::{TypeCache, Types};
pub use orphans::Orphan;
pub(super) use owners::variables;

/// What a block is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
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
            2 | ORPHAN | REFERRED => Self::Object,
            3 => Self::Buffer,
            4 => Self::Kept,
            _ => Self::Free,
        }
    }
}

/// An object is in it that nothing known refers to.
const ORPHAN: u8 = 5;
/// The same, but its address stands in memory that something known leads to.
const REFERRED: u8 = 6;

/// What the debug hooks of the allocators put before a block.
const DEBUG_HEADER: u64 = 16;
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
    has_debug_hooks: bool,
    /// What objects own by a rule that lies outside of all arenas.
    outside: AddressSet,
}

/// One block.
struct Block<'b> {
    range: AddrRange,
    used: &'b AtomicU8,
}

impl Block<'_> {
    /// What it is for.
    fn what(&self) -> Use {
        Use::of(self.used.load(Ordering::Relaxed))
    }
}

impl<'p> Blocks<'p> {
    /// All blocks that are in use, unexplained yet.
    fn new(pymalloc: &'p Pymalloc, map: &MemoryMap) -> Self {
        let mut arenas: Vec<Accounted<'p>> = pymalloc.arenas().map(Accounted::new).collect();
        arenas.sort_by_key(|accounted| accounted.arena.range.start);
        let starts = arenas.iter().map(|accounted| accounted.arena.range.start).collect();
        let mapped = map.iter().map(|mapping| mapping.range);
        let outside = AddressSet::covering(super::ranges(mapped));
        Self { pool_size: pymalloc.pool_size, arenas, starts, has_debug_hooks: false, outside }
    }

    /// Says what each block is for, in numbers, which live objects only the allocator knows of, and what
    /// belongs to no object as far as rules say.
    /// `samples` are some of those that were discovered; `interpreters` has the newest first.
    pub(super) fn account<M: Memory>(
        pymalloc: &'p Pymalloc,
        (objects, types, discovered): (&Objects<'_, M>, &Types, Discovered),
        map: &MemoryMap,
        interpreters: &[Addr],
        samples: &[Addr],
    ) -> (AllocatorFacts, Vec<Orphan>, Remainder) {
        let began = Instant::now();
        let mut blocks = Self::new(pymalloc, map);
        // The target's code is not followed again: what it says of known objects is said.
        let objects = &Objects { code: None, ..*objects };
        let discovery = &Discovery::new(objects, types, discovered.objects, discovered.namespaces);
        blocks.look_for_debug_hooks(objects, &mut TypeCache::new(types), samples);
        let without_rule = blocks.claim_objects(discovery);
        let alive = blocks.find_orphans(discovery);
        blocks.claim_freed(discovery);
        let remainder = blocks.remainder();
        blocks.claim_structures(discovery, &without_rule);
        blocks.claim_kept(discovery, map, interpreters);
        let orphans = blocks.describe(discovery, alive);
        tracing::debug!(elapsed = ?began.elapsed(), orphans = orphans.len(), "accounted for blocks");
        (facts::facts(pymalloc, interpreters, &blocks), orphans, remainder)
    }

    /// What is not an object's, as far as rules say. Called before structures are claimed.
    fn remainder(&self) -> Remainder {
        let small = self.arenas.iter().flat_map(Self::unexplained);
        let owned = self.outside.addrs(self.outside.seal());
        Remainder { small: small.map(|block| self.inside(block)).collect(), owned }
    }

    /// The block that an address lies in.
    fn at(&self, addr: Addr) -> Option<Block<'_>> {
        let nth = self.starts.partition_point(|&start| start <= addr).checked_sub(1)?;
        let accounted = self.arenas.get(nth)?;
        let pool = addr.0.checked_sub(accounted.arena.first_pool.0)? / self.pool_size;
        let pool = usize::try_from(pool).ok()?;
        let Some(Some(Pool::Used(used))) = accounted.arena.pools.get(pool) else { return None };
        accounted.block(used, pool, used.block_of(addr)?)
    }

    /// Says what the block at an address is for, if it was unexplained; gives its memory then.
    fn claim(&self, addr: Addr, what: Use) -> Option<AddrRange> {
        let block = self.at(addr)?;
        let (from, to) = (Use::Unexplained as u8, what as u8);
        let order = Ordering::Relaxed;
        block.used.compare_exchange(from, to, order, order).ok().map(|_| block.range)
    }

    /// Says that an object owns what is at an address.
    fn claim_owned_at(&self, addr: Addr) {
        match self.at(addr) {
            Some(_) => drop(self.claim(addr, Use::Buffer)),
            None => drop(self.outside.insert(addr)),
        }
    }

    /// The same for an address that must be the one that a request got: what is kept of freed objects
    /// leads elsewhere into blocks that are long since used anew.
    fn claim_start(&self, addr: Addr, what: Use) -> Option<AddrRange> {
        let block = self.at(addr)?;
        if self.inside(block.range).start == addr {
            let order = Ordering::Relaxed;
            let _ = block.used.compare_exchange(ORPHAN, REFERRED, order, order);
            return self.claim(addr, what);
        }
        None
    }

    /// Says that an object is at an address, whatever else its block may have been taken for.
    fn claim_object(&self, object: Addr) {
        if let Some(block) = self.at(object)
            && block.what() != Use::Free
        {
            block.used.store(Use::Object as u8, Ordering::Relaxed);
        }
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
    fn look_for_debug_hooks(
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
