//! Where an interpreter's allocator keeps its arenas.

use crate::addr::Addr;
use crate::cpython::emulate::variables;
use crate::cpython::layout::features::{AllocatorState, USE_MAIN_OBMALLOC};
use crate::cpython::object::Objects;
use crate::target::maps::{Mapping, MemoryMap};
use crate::target::memory::Memory;

use super::arena::ArenaObject;
use super::pool::{Pool, UsedPool};

/// The array of arenas of one allocator, and what it counts besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    /// The interpreter whose state it is, the main one's if several share it.
    pub(super) interpreter: Addr,
    /// The variable `arenas`, and what it leads to.
    pub(super) variable: Addr,
    /// See `variable`.
    pub(super) arenas: Addr,
    /// `maxarenas`, if it is known.
    pub(super) maxarenas: Option<u32>,
    /// What is counted besides the blocks in pools, if that is known.
    pub(super) counter: Option<Counter>,
}

/// What the allocator counts in a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counter {
    /// Blocks that were too large and came from `malloc` (`raw_allocated_blocks`).
    Raw(u64),
    /// All blocks (`_Py_AllocatedBlocks`).
    All(u64),
}

/// The allocators of all interpreters, each once.
pub(super) fn states(
    objects: &Objects<'_, impl Memory>,
    map: &MemoryMap,
    interpreters: &[Addr],
    samples: &[Addr],
) -> Vec<State> {
    let mut states: Vec<State> = Vec::new();
    match objects.layout.has.allocator_state {
        AllocatorState::Static => {
            states.extend(interpreters.last().and_then(|&main| fixed(objects, map, main, samples)));
        }
        AllocatorState::InInterpreter | AllocatorState::BehindInterpreter => {
            // The main interpreter is the oldest.
            for (nth, &interpreter) in interpreters.iter().rev().enumerate() {
                let state = state(objects, interpreter, nth == 0);
                states.extend(
                    state.filter(|state| states.iter().all(|known| known.arenas != state.arenas)),
                );
            }
        }
    }
    states
}

/// The allocator of one interpreter (`get_state`, `Objects/obmalloc.c`), unless it has none of its
/// own or has never used it.
fn state(objects: &Objects<'_, impl Memory>, interpreter: Addr, is_main: bool) -> Option<State> {
    let memory = objects.memory;
    let at = &objects.layout.at;
    let field = interpreter + at.interpreter.obmalloc?;
    let state = match objects.layout.has.allocator_state {
        AllocatorState::BehindInterpreter => memory.addr(field).ok()?.non_null()?,
        _ => {
            let flags = memory.u64(interpreter + at.interpreter.feature_flags?).ok()?;
            if flags & USE_MAIN_OBMALLOC != 0 && !is_main {
                return None;
            }
            field
        }
    };
    let raw = memory.u64(state + at.obmalloc.raw_allocated_blocks?).ok()?;
    let variable = state + at.obmalloc.arenas?;
    Some(State {
        interpreter,
        variable,
        arenas: memory.addr(variable).ok()?.non_null()?,
        maxarenas: Some(memory.u32(state + at.obmalloc.maxarenas?).ok()?),
        counter: Some(Counter::Raw(raw)),
    })
}

/// The allocator whose state is in variables of the binary. They are no symbols in a stripped one,
/// so they are recognised: an array in which the pools of known objects find their arenas.
fn fixed(
    objects: &Objects<'_, impl Memory>,
    map: &MemoryMap,
    interpreter: Addr,
    samples: &[Addr],
) -> Option<State> {
    let pools = sample_pools(objects, samples);
    let mut found = None;
    for mapping in data(map, objects.known.type_type) {
        let Ok(len) = usize::try_from(mapping.range.len()) else { continue };
        let owned;
        let bytes = match objects.memory.slice(mapping.range.start, len) {
            Some(slice) => slice,
            None => {
                owned = objects.memory.bytes(mapping.range.start, len).unwrap_or_default();
                &owned
            }
        };
        for (nth, word) in bytes.as_chunks::<8>().0.iter().enumerate() {
            let arenas = Addr(u64::from_le_bytes(*word));
            if arenas.is_aligned(8) && !pools.is_empty() && has_all(objects, arenas, &pools) {
                found = Some((mapping.range.start + nth as u64 * 8, arenas));
                break;
            }
        }
    }
    let (variable, arenas) = found?;
    let counter = counter(objects, variable);
    Some(State { interpreter, variable, arenas, maxarenas: None, counter })
}

/// The pools that known objects lie in: enough of them that no other array fits.
fn sample_pools(objects: &Objects<'_, impl Memory>, samples: &[Addr]) -> Vec<UsedPool> {
    const ENOUGH: usize = 16;
    let pool_size = objects.layout.has.pool_size;
    let len = usize::try_from(pool_size).unwrap_or(0);
    let mut pools: Vec<UsedPool> = Vec::new();
    for sample in samples {
        let at = sample.without_tag(pool_size - 1);
        if pools.iter().all(|pool| pool.at != at)
            && let Ok(bytes) = objects.memory.bytes(at, len)
            && let Ok(Pool::Used(pool)) = Pool::read(at, &bytes, objects.layout)
        {
            pools.push(pool);
        }
        if pools.len() == ENOUGH {
            break;
        }
    }
    pools
}

/// Whether each pool lies in the arena that its header names.
fn has_all(objects: &Objects<'_, impl Memory>, arenas: Addr, pools: &[UsedPool]) -> bool {
    let has = &objects.layout.has;
    pools.iter().all(|pool| {
        ArenaObject::read(objects, arenas, pool.arena.into()).is_some_and(|arena| {
            arena.is_sane(has.pool_size, has.arena_size)
                && (arena.address..arena.pool_address).contains(&pool.at)
        })
    })
}

/// The data of the binary that the interpreter is in: writable, from the file or behind it.
fn data(map: &MemoryMap, inside: Addr) -> impl Iterator<Item = &Mapping> {
    let own = map.find(inside).map(|mapping| (mapping.dev_major, mapping.dev_minor, mapping.inode));
    let mut end = Addr::NULL;
    map.iter().filter(move |mapping| {
        let file = (mapping.dev_major, mapping.dev_minor, mapping.inode);
        // What is zero at the start has no place in the file; the kernel maps it right behind.
        let is_behind = mapping.is_anonymous() && mapping.range.start == end;
        let is_own = !mapping.is_anonymous() && Some(file) == own;
        if is_own || is_behind {
            end = mapping.range.end;
        }
        (is_own || is_behind) && mapping.write && mapping.read
    })
}

/// What `_Py_GetAllocatedBlocks` reads besides the arenas.
fn counter(objects: &Objects<'_, impl Memory>, arenas: Addr) -> Option<Counter> {
    const WORD: usize = 8;
    let function = objects.known.get_allocated_blocks.non_null()?;
    let named: Vec<Addr> = variables(objects.memory, function)
        .into_iter()
        .filter_map(|variable| (variable.bytes == WORD).then_some(variable.at))
        .collect();
    let others: Vec<Addr> = named.iter().copied().filter(|&at| at != arenas).collect();
    let &[other] = others.as_slice() else { return None };
    let count = objects.memory.u64(other).ok()?;
    Some(if named.contains(&arenas) { Counter::Raw(count) } else { Counter::All(count) })
}
