//! How much of the arenas is free, asked again and again of a process that runs.

use crate::addr::Addr;
use crate::cpython::object::Objects;
use crate::target::maps::MemoryMap;
use crate::target::memory::Memory;

use super::MOST_ARENAS;
use super::state;

/// How many entries of an array are read beyond twice those that were in use the last time.
const AHEAD: u64 = 16;

/// The arrays of arenas of a process.
#[derive(Debug, Clone, Default)]
pub struct FreePools {
    arrays: Vec<Array>,
}

/// One of them.
#[derive(Debug, Clone)]
struct Array {
    /// The variable that leads to it: it moves when it grows.
    variable: Addr,
    /// How many entries are known to be there.
    entries: u64,
}

impl FreePools {
    /// Looks for the arrays. `interpreters` has the newest first; `samples` are objects that are
    /// known. None is found where the process uses another allocator.
    #[must_use]
    pub fn find(
        objects: &Objects<'_, impl Memory>,
        map: &MemoryMap,
        interpreters: &[Addr],
        samples: &[Addr],
    ) -> Self {
        let states = state::states(objects, map, interpreters, samples);
        let array = |state: state::State| Array { variable: state.variable, entries: 0 };
        Self { arrays: states.into_iter().map(array).collect() }
    }

    /// The bytes in pools that were in use once and have no block in use now. Pools that were never
    /// used are not counted: nothing has touched them.
    pub fn bytes(&mut self, objects: &Objects<'_, impl Memory>) -> u64 {
        self.arrays.iter_mut().map(|array| array.bytes(objects)).fold(0, u64::saturating_add)
    }
}

impl Array {
    fn bytes(&mut self, objects: &Objects<'_, impl Memory>) -> u64 {
        let at = &objects.layout.at.arena_object;
        let has = &objects.layout.has;
        let Some(array) = objects.memory.addr(self.variable).ok().and_then(Addr::non_null) else {
            return 0;
        };
        // Behind its end may be nothing: then what is known must do.
        let most = (self.entries * 2 + AHEAD).min(MOST_ARENAS);
        let bytes = [most, self.entries].into_iter().find_map(|entries| {
            let len = usize::try_from(entries.checked_mul(at.sizeof)?).ok()?;
            objects.memory.bytes(array, len).ok()
        });
        let bytes = bytes.unwrap_or_default();
        let mut free = 0_u64;
        let (mut in_use, mut ends) = (0, 0);
        let size = usize::try_from(at.sizeof).unwrap_or(1).max(1);
        for (nth, entry) in (1_u64..).zip(bytes.chunks_exact(size)) {
            let number = |offset: u64, len: usize| {
                let from = usize::try_from(offset).unwrap_or(usize::MAX);
                let bytes = entry.get(from..from.saturating_add(len)).unwrap_or_default();
                bytes.iter().rev().fold(0_u64, |number, &byte| number << 8 | u64::from(byte))
            };
            let address = number(at.address, 8);
            if address == 0 {
                // The list of entries that are not used has one end; zeros behind the array look
                // like many.
                ends += u32::from(number(at.nextarena, 8) == 0);
                if ends > 1 {
                    break;
                }
                continue;
            }
            let total = number(at.ntotalpools, 4);
            let first = address.checked_next_multiple_of(has.pool_size).unwrap_or(u64::MAX);
            let end = first.saturating_add(total.saturating_mul(has.pool_size));
            let never_used = end.saturating_sub(number(at.pool_address, 8)) / has.pool_size;
            let is_sane = total <= has.arena_size / has.pool_size
                && number(at.nfreepools, 4) <= total
                && never_used <= total
                && end <= address.saturating_add(has.arena_size);
            if !is_sane {
                break;
            }
            in_use = nth;
            let pools = number(at.nfreepools, 4).saturating_sub(never_used);
            free = free.saturating_add(pools.saturating_mul(has.pool_size));
        }
        self.entries = in_use;
        free
    }
}
