//! What `malloc` keeps free of the memory of a process that runs, as far as large blocks go: resident, and
//! nobody's. Without it a line that takes what another has freed would not be seen to grow, and
//! the line that next needs fresh pages would be blamed.
//!
//! Lists change while they are read. The heads are read again after the walk; where
//! they have changed the smaller sum counts, for free memory that was missed shows as a rise
//! that falls again, and memory counted twice would take growth from the line that has it.

use std::time::Duration;

use super::bins::SIZE_BITS;
use super::state::{self, BINS, FD, MainArena, StateLayout};
use crate::addr::Addr;
use crate::target::maps::MemoryMap;
use crate::target::memory::Memory;

/// The first list of large blocks (`NSMALLBINS`), counted from the first list, which is unsorted.
const LARGE: usize = 63;
/// The lists, as an index.
const LISTS: usize = BINS as usize;
/// The data of a C library is smaller than this, in bytes. What is read of a process that runs and was not in
/// use yet makes the process larger.
const DATA_BYTES: u64 = 1 << 20;
/// How many arenas of a library are looked at, and how many blocks each time.
const ARENAS: usize = 16;
const BLOCKS: usize = 64;
/// How often the walk is tried.
const TRIES: usize = 3;
/// How often it is looked for arenas of new threads.
const TRUST: Duration = Duration::from_secs(2);

/// The arenas of a running process's `malloc`.
#[derive(Debug, Default)]
pub struct FreeMemory {
    mains: Vec<MainArena>,
    /// `bins` of all arenas.
    arenas: Vec<(Addr, StateLayout)>,
    looked_at: Duration,
}

impl FreeMemory {
    /// Looks for the arenas.
    #[must_use]
    pub fn find(memory: &impl Memory, map: &MemoryMap) -> Self {
        // A ring that was extended while it was followed does not close.
        let find = |_| state::find(memory, map, DATA_BYTES);
        let found = (0..TRIES).map(find).find(|found| !found.is_empty());
        let mut found = Self { mains: found.unwrap_or_default(), ..Self::default() };
        found.arenas = found.rings(memory);
        found
    }

    /// The bytes that are free now; nothing with another allocator.
    pub fn bytes(&mut self, memory: &impl Memory, now: Duration) -> u64 {
        if now.saturating_sub(self.looked_at) >= TRUST {
            self.looked_at = now;
            self.arenas = self.rings(memory);
        }
        let arenas = self.arenas.iter().map(|&(bins, layout)| arena(memory, bins, layout));
        arenas.fold(0, u64::saturating_add)
    }

    /// All arenas, each main one before those of its threads.
    fn rings(&self, memory: &impl Memory) -> Vec<(Addr, StateLayout)> {
        let ring = |&main: &MainArena| {
            let others = state::others(memory, main).take_while(|state| !state.is_null());
            let bins = others.map(move |state| state + main.layout.bins);
            std::iter::once(main.bins).chain(bins).take(ARENAS).map(move |bins| (bins, main.layout))
        };
        self.mains.iter().flat_map(ring).collect()
    }
}

/// The free bytes of an arena.
fn arena(memory: &impl Memory, bins: Addr, layout: StateLayout) -> u64 {
    let mut least = u64::MAX;
    for _ in 0..TRIES {
        let Some(before) = heads(memory, bins, layout) else { return 0 };
        let bytes = walk(memory, bins, &before);
        least = least.min(bytes);
        if heads(memory, bins, layout).as_ref() == Some(&before) {
            return bytes;
        }
    }
    least
}

/// The top, its size, and the heads of all lists.
#[derive(PartialEq, Eq)]
struct Heads {
    top_bytes: u64,
    /// `fd` and `bk` of each list.
    words: Vec<u64>,
}

fn heads(memory: &impl Memory, bins: Addr, layout: StateLayout) -> Option<Heads> {
    let top = memory.addr(layout.top(bins)).ok()?;
    let top_bytes = memory.u64(top + 8).unwrap_or_default() & !SIZE_BITS;
    let bytes: [u8; LISTS * 16] = memory.array(bins).ok()?;
    let words = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
    Some(Heads { top_bytes, words })
}

/// The sum over the top, the unsorted list and the lists of large blocks, the largest first.
fn walk(memory: &impl Memory, bins: Addr, heads: &Heads) -> u64 {
    let mut sum = heads.top_bytes;
    let mut left = BLOCKS;
    for nth in std::iter::once(0).chain((LARGE..LISTS).rev()) {
        let bin = bins + nth as u64 * 16 - FD;
        let mut next = Addr(heads.words.get(nth * 2).copied().unwrap_or(bin.0));
        while next != bin && left > 0 {
            left -= 1;
            // `size` and `fd` of a free block.
            let Ok(block) = memory.array::<16>(next + 8) else { return sum };
            let words = u128::from_le_bytes(block);
            #[allow(clippy::cast_possible_truncation)]
            let size = words as u64;
            sum = sum.saturating_add(size & !SIZE_BITS);
            next = Addr((words >> 64) as u64);
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Process;
    use crate::target::program::Program;

    /// Frees every second block when it is told to. They are below the size from which blocks get
    /// mappings of their own.
    const PROGRAM: &str = "
blocks = [bytearray(100_000) for _ in range(64)]
print('ready', flush=True)
input()
del blocks[::2]
print('freed', flush=True)
input()
";

    #[test]
    fn blocks_that_are_freed_are_seen_to_be_free() {
        let mut program = Program::ready(PROGRAM);
        let process = Process::open(program.pid()).unwrap();
        let memory = process.memory();
        let mut free = FreeMemory::find(&memory, &process.memory_map().unwrap());
        assert!(!free.mains.is_empty(), "no main arena was found");
        let before = free.bytes(&memory, TRUST);
        program.go_on("freed");
        let after = free.bytes(&memory, TRUST * 2);
        let rise = after.saturating_sub(before);
        assert!((3_100_000..3_500_000).contains(&rise), "{before} {after}");
    }
}
