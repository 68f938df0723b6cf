//! pymalloc (`Objects/obmalloc.c`): the arenas, pools and blocks that Python's small objects are in.
//!
//! An arena is memory from the system. It is cut into pools, and each pool into blocks of one size.
//! A block that was handed out and is not on its pool's list of free blocks is in use: by an object,
//! by something that an object owns, or by C code.
//!
//! Everything is hostile: an arena has as many pools as fit into it, a pool as many blocks, a list of
//! free blocks ends where it meets a block for the second time. What makes no sense is noted.

mod arena;
mod free;
mod pool;
mod state;

use rayon::prelude::*;

use crate::addr::{Addr, AddrRange};
use crate::cpython::object::Objects;
use crate::target::maps::MemoryMap;
use crate::target::memory::Memory;

pub use arena::{Arena, Usage};
pub use free::FreePools;
pub use pool::{ALIGNMENT, LARGEST, Pool, UsedPool};

use arena::ArenaObject;
use state::{Counter, State};

/// The most arenas of one allocator: 16 TB.
const MOST_ARENAS: u64 = 1 << 24;

/// The allocators of a process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pymalloc {
    /// One for each interpreter that has its own, the main one's first. None where the process uses
    /// another allocator (`PYTHONMALLOC=malloc`).
    pub allocators: Vec<Allocator>,
    /// The size of a pool, in bytes.
    pub pool_size: u64,
    /// Blocks that sub-interpreters which have ended did not free; nobody knows their arenas.
    pub leaked_by_ended: u64,
    /// What made no sense, and where.
    pub notes: Vec<(&'static str, Addr)>,
}

/// What the allocator knows of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockAt {
    /// It is none of its own, or in a pool that could not be understood.
    Unknown,
    /// It is in no block that is in use.
    Free,
    /// It is in a block that is in use and that begins here.
    Used(Addr),
}

/// One allocator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allocator {
    /// The address of the interpreter whose allocator it is.
    pub interpreter: Addr,
    /// Its arenas, ascending.
    pub arenas: Vec<Arena>,
    /// Requests that were too large for it and went to `malloc`, as far as they are in use; nothing
    /// where that number could not be found.
    pub raw_blocks: Option<u64>,
}

impl Pymalloc {
    /// Reads all arenas. `interpreters` has the newest first; `samples` are objects that are known.
    #[must_use]
    pub fn read(
        objects: &Objects<'_, impl Memory>,
        map: &MemoryMap,
        runtime: Addr,
        interpreters: &[Addr],
        samples: &[Addr],
    ) -> Self {
        let states = state::states(objects, map, interpreters, samples);
        let mut notes = Vec::new();
        let allocators = states
            .into_iter()
            .map(|state| Allocator::read(objects, map, &state, &mut notes))
            .collect();
        let leaks = objects.layout.at.runtime.interpreter_leaks;
        let leaks = leaks.and_then(|at| objects.memory.u64(runtime + at).ok()).unwrap_or(0);
        let pool_size = objects.layout.has.pool_size;
        Self { allocators, pool_size, leaked_by_ended: leaks, notes }
    }

    /// `sys.getallocatedblocks()`; nothing where a part of it could not be found.
    #[must_use]
    pub fn allocated_blocks(&self) -> Option<u64> {
        let mut blocks = self.leaked_by_ended;
        for allocator in &self.allocators {
            blocks += allocator.usage(self.pool_size).live_blocks + allocator.raw_blocks?;
        }
        Some(blocks)
    }

    /// All arenas of all allocators.
    pub fn arenas(&self) -> impl Iterator<Item = &Arena> {
        self.allocators.iter().flat_map(|allocator| &allocator.arenas)
    }

    /// What is known of an address.
    #[must_use]
    pub fn block_at(&self, addr: Addr) -> BlockAt {
        let of = |allocator: &Allocator| -> Option<BlockAt> {
            let behind = allocator.arenas.partition_point(|arena| arena.range.start <= addr);
            let arena = allocator.arenas.get(behind.checked_sub(1)?)?;
            arena.range.contains(addr).then(|| arena.block_at(addr, self.pool_size))
        };
        self.allocators.iter().find_map(of).unwrap_or(BlockAt::Unknown)
    }

    /// The memory of all arenas, ascending.
    #[must_use]
    pub fn ranges(&self) -> Vec<AddrRange> {
        let mut ranges: Vec<AddrRange> = self.arenas().map(|arena| arena.range).collect();
        ranges.sort_by_key(|range| range.start);
        ranges
    }

    /// What the bytes of all arenas are.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let mut usage = Usage::default();
        for allocator in &self.allocators {
            usage.add(&allocator.usage(self.pool_size));
        }
        usage
    }
}

impl Allocator {
    fn read(
        objects: &Objects<'_, impl Memory>,
        map: &MemoryMap,
        state: &State,
        notes: &mut Vec<(&'static str, Addr)>,
    ) -> Self {
        let found = arena_objects(objects, map, state, notes);
        let read: Vec<(Arena, Vec<_>)> = found
            .par_iter()
            .map(|&(nth, ref object)| {
                let mut notes = Vec::new();
                let arena =
                    Arena::read(objects, nth, object, &mut |what, at| notes.push((what, at)));
                (arena, notes)
            })
            .collect();
        let mut arenas = Vec::with_capacity(read.len());
        for (arena, mut own) in read {
            arenas.push(arena);
            notes.append(&mut own);
        }
        let mut allocator = Self { interpreter: state.interpreter, arenas, raw_blocks: None };
        allocator.raw_blocks = state.counter.map(|counter| match counter {
            Counter::Raw(raw) => raw,
            Counter::All(all) => {
                all.saturating_sub(allocator.usage(objects.layout.has.pool_size).live_blocks)
            }
        });
        allocator
    }

    /// What the bytes of its arenas are.
    #[must_use]
    pub fn usage(&self, pool_size: u64) -> Usage {
        let mut usage = Usage::default();
        for arena in &self.arenas {
            usage.add(&arena.usage(pool_size));
        }
        usage
    }
}

/// The arenas of an allocator with their numbers, ascending by address.
fn arena_objects(
    objects: &Objects<'_, impl Memory>,
    map: &MemoryMap,
    state: &State,
    notes: &mut Vec<(&'static str, Addr)>,
) -> Vec<(u64, ArenaObject)> {
    let has = &objects.layout.has;
    let most = state.maxarenas.map_or(MOST_ARENAS, u64::from).min(MOST_ARENAS);
    let mut found: Vec<(u64, ArenaObject)> = Vec::new();
    let mut ends = 0;
    for nth in 0..most {
        let Some(arena) = ArenaObject::read(objects, state.arenas, nth) else { break };
        if arena.address.is_null() {
            // An entry that is not used leads to the next such one, in the same array.
            let entry = arena.nextarena.0.wrapping_sub(state.arenas.0);
            let size = objects.layout.at.arena_object.sizeof;
            let is_entry = arena.nextarena.is_null()
                || (entry.is_multiple_of(size) && entry / size < MOST_ARENAS);
            // Their list has one end, and memory of zeros behind the array looks like many.
            ends += u32::from(arena.nextarena.is_null());
            if state.maxarenas.is_none() && (!is_entry || ends > 1) {
                break;
            }
            continue;
        }
        let is_mapped = map.find(arena.address).is_some_and(|mapping| mapping.write);
        if arena.is_sane(has.pool_size, has.arena_size) && is_mapped {
            found.push((nth, arena));
        } else if state.maxarenas.is_some() {
            notes.push(("an entry of the allocator's arenas cannot be right", arena.address));
        } else {
            // How long the array is, is not known: it ends where entries make no sense any more.
            break;
        }
    }
    found.sort_by_key(|(_, arena)| arena.address);
    let mut end = Addr::NULL;
    found.retain(|(_, arena)| {
        let is_apart = arena.address >= end;
        if is_apart {
            end = arena.address + has.arena_size;
        } else {
            notes.push(("arenas overlap", arena.address));
        }
        is_apart
    });
    found
}
