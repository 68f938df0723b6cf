//! An arena: a piece of memory from the system, cut into pools.

use crate::addr::{Addr, AddrRange};
use crate::cpython::object::Objects;
use crate::target::memory::Memory;

use super::BlockAt;
use super::pool::{Pool, UsedPool};

/// What the allocator says of one arena (`struct arena_object`, `Objects/obmalloc.c`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ArenaObject {
    pub(super) address: Addr,
    /// The first pool that was never used.
    pub(super) pool_address: Addr,
    pub(super) nfreepools: u32,
    pub(super) ntotalpools: u32,
    pub(super) nextarena: Addr,
}

impl ArenaObject {
    /// The n-th entry of an allocator's array of arenas.
    pub(super) fn read(objects: &Objects<'_, impl Memory>, array: Addr, nth: u64) -> Option<Self> {
        let at = &objects.layout.at.arena_object;
        let entry = array + nth.checked_mul(at.sizeof)?;
        let memory = objects.memory;
        Some(Self {
            address: memory.addr(entry + at.address).ok()?,
            pool_address: memory.addr(entry + at.pool_address).ok()?,
            nfreepools: memory.u32(entry + at.nfreepools).ok()?,
            ntotalpools: memory.u32(entry + at.ntotalpools).ok()?,
            nextarena: memory.addr(entry + at.nextarena).ok()?,
        })
    }

    /// Where it begins to have pools.
    pub(super) fn first_pool(&self, pool_size: u64) -> Addr {
        Addr(self.address.0.checked_next_multiple_of(pool_size).unwrap_or(u64::MAX))
    }

    /// Whether it can be an arena: its pools lie in it, and it has as many as fit.
    pub(super) fn is_sane(&self, pool_size: u64, arena_size: u64) -> bool {
        let first = self.first_pool(pool_size);
        let end = self.address + arena_size;
        let fit = (end.0.saturating_sub(first.0)) / pool_size;
        !self.address.is_null()
            && end > self.address
            && self.pool_address.is_aligned(pool_size)
            && (first..=end).contains(&self.pool_address)
            && u64::from(self.ntotalpools) == fit
            && self.nfreepools <= self.ntotalpools
    }
}

/// An arena and its pools.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arena {
    /// The memory of it.
    pub range: AddrRange,
    /// Where its first pool is.
    pub first_pool: Addr,
    /// The pools that have been used at least once, in order; nothing for one that cannot be right.
    pub pools: Vec<Option<Pool>>,
}

/// What the bytes of arenas are, in bytes. The parts add up to the arenas.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// In blocks that are in use.
    pub live_bytes: u64,
    /// In free blocks of pools that have others in use: only objects of that size can go there.
    pub free_block_bytes: u64,
    /// In pools that have none in use.
    pub free_pool_bytes: u64,
    /// In headers of pools, behind the last block of a pool, and at the ends of an arena that does
    /// not begin where a pool can.
    pub overhead_bytes: u64,
    /// In pools that could not be understood.
    pub unknown_bytes: u64,
    /// How many blocks are in use.
    pub live_blocks: u64,
}

impl Usage {
    /// Of both together.
    pub const fn add(&mut self, other: &Self) {
        self.live_bytes += other.live_bytes;
        self.free_block_bytes += other.free_block_bytes;
        self.free_pool_bytes += other.free_pool_bytes;
        self.overhead_bytes += other.overhead_bytes;
        self.unknown_bytes += other.unknown_bytes;
        self.live_blocks += other.live_blocks;
    }
}

impl Arena {
    /// Reads all pools of an arena; what made no sense goes to `note` with its address.
    pub(super) fn read(
        objects: &Objects<'_, impl Memory>,
        nth: u64,
        object: &ArenaObject,
        note: &mut impl FnMut(&'static str, Addr),
    ) -> Self {
        let pool_size = objects.layout.has.pool_size;
        let first_pool = object.first_pool(pool_size);
        let range = AddrRange::new(object.address, object.address + objects.layout.has.arena_size);
        let mut pools = Vec::new();
        let mut used = 0;
        let mut at = first_pool;
        let len = usize::try_from(pool_size).unwrap_or(0);
        while at < object.pool_address {
            let owned;
            let bytes = match objects.memory.slice(at, len) {
                Some(slice) => slice,
                None => {
                    owned = objects.memory.bytes(at, len).unwrap_or_default();
                    &owned
                }
            };
            pools.push(match Pool::read(at, bytes, objects.layout) {
                Ok(Pool::Used(pool)) if u64::from(pool.arena) != nth => {
                    note("a pool belongs to another arena", at);
                    None
                }
                Ok(pool) => {
                    used += u32::from(pool != Pool::Free);
                    Some(pool)
                }
                Err(reason) => {
                    used += 1;
                    note(reason, at);
                    None
                }
            });
            at = at + pool_size;
        }
        if object.ntotalpools - object.nfreepools != used {
            note("an arena's count of free pools is not what its pools say", object.address);
        }
        Self { range, first_pool, pools }
    }

    /// The pools that have blocks in use.
    pub fn used_pools(&self) -> impl Iterator<Item = &UsedPool> {
        self.pools.iter().filter_map(|pool| match pool {
            Some(Pool::Used(pool)) => Some(pool),
            _ => None,
        })
    }

    /// What is known of an address in it.
    pub(super) fn block_at(&self, addr: Addr, pool_size: u64) -> BlockAt {
        let pool =
            addr.0.checked_sub(self.first_pool.0).and_then(|into| into.checked_div(pool_size));
        let pool = pool.and_then(|nth| self.pools.get(usize::try_from(nth).ok()?));
        match pool {
            Some(Some(Pool::Used(pool))) => match pool.block_of(addr) {
                Some(nth) if pool.is_live(nth) => BlockAt::Used(pool.block(nth)),
                _ => BlockAt::Free,
            },
            Some(Some(Pool::Free)) | None => BlockAt::Free,
            Some(None) => BlockAt::Unknown,
        }
    }

    /// What its bytes are.
    #[must_use]
    pub fn usage(&self, pool_size: u64) -> Usage {
        let mut usage = Usage::default();
        for pool in &self.pools {
            match pool {
                Some(Pool::Used(pool)) => {
                    let live = u64::from(pool.live) * pool.block_bytes;
                    let all = u64::from(pool.capacity) * pool.block_bytes;
                    usage.live_blocks += u64::from(pool.live);
                    usage.live_bytes += live;
                    usage.free_block_bytes += all.saturating_sub(live);
                    usage.overhead_bytes += pool_size.saturating_sub(all);
                }
                Some(Pool::Free) => usage.free_pool_bytes += pool_size,
                None => usage.unknown_bytes += pool_size,
            }
        }
        let untouched = self.first_pool + self.pools.len() as u64 * pool_size;
        let behind = self.range.end.0.saturating_sub(untouched.0);
        usage.free_pool_bytes += behind / pool_size * pool_size;
        usage.overhead_bytes += behind % pool_size + (self.first_pool.0 - self.range.start.0);
        usage
    }
}
