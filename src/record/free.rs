//! What glibc's `malloc` keeps free of the process's memory, as far as large blocks go: resident, and
//! nobody's. Without it a line that takes what another has freed would not be seen to grow, and
//! the line that next needs fresh pages would be blamed.
//!
//! A running process is read, so lists change meanwhile. The heads are read again after the walk; where
//! they have changed the smaller sum counts, for free memory that was missed shows as a rise
//! that falls again, and memory counted twice would take growth from the line that has it.

use std::time::Duration;

use crate::addr::Addr;
use crate::target::memory::Memory;
use crate::target::{LiveMemory, Mapping, MemoryMap};

/// `NBINS - 1` of `malloc/malloc.c`: the lists of free blocks, each a head of two links.
const BINS: usize = 127;
/// The first list of large blocks (`NSMALLBINS`), counted from the first list, which is unsorted.
const LARGE: usize = 63;
/// From `bins` of a `struct malloc_state` to `next`: over the lists and the 16 bytes of `binmap`.
const NEXT: u64 = 127 * 16 + 16;
/// Where `bins` is in a `struct malloc_state`: up to 2.26, up to 2.42, and without fastbins.
const BINS_OFFSETS: [u64; 3] = [104, 112, 24];
/// From `top` to `bins`; between them is `last_remainder`.
const TOP: u64 = 16;
/// The bits of a size that are none.
const SIZE_BITS: u64 = 7;
/// The data of a C library is smaller than this, in bytes.
const DATA_BYTES: u64 = 1 << 20;
/// How many arenas are looked at, and how many blocks each time.
const ARENAS: usize = 16;
const BLOCKS: usize = 64;
/// How often the walk is tried.
const TRIES: usize = 3;
/// How often it is looked for arenas of new threads.
const TRUST: Duration = Duration::from_secs(2);

/// The arenas of a process's `malloc`.
#[derive(Debug, Default)]
pub(super) struct FreeMemory {
    /// `main_arena.bins`, and where that is in its structure.
    main: Option<(Addr, u64)>,
    /// `bins` of all arenas.
    arenas: Vec<Addr>,
    looked_at: Duration,
}

impl FreeMemory {
    /// Looks for the main arena: 127 lists in a row that lead back to themselves.
    pub(super) fn find(memory: &LiveMemory, map: &MemoryMap) -> Self {
        let is_data = |mapping: &&Mapping| {
            mapping.write
                && mapping.read
                && !mapping.is_anonymous()
                && !mapping.shared
                && mapping.range.len() <= DATA_BYTES
        };
        // The lists of a process that runs may change under our eyes.
        let once = || map.iter().filter(is_data).find_map(|mapping| main_arena(memory, mapping));
        let main = (0..TRIES).find_map(|_| once());
        let mut found = Self { main, arenas: Vec::new(), looked_at: Duration::ZERO };
        found.arenas = found.ring(memory);
        found
    }

    /// The bytes that are free now; nothing with another allocator.
    pub(super) fn bytes(&mut self, memory: &LiveMemory, now: Duration) -> u64 {
        if now.saturating_sub(self.looked_at) >= TRUST {
            self.looked_at = now;
            self.arenas = self.ring(memory);
        }
        self.arenas.iter().map(|&bins| arena(memory, bins)).fold(0, u64::saturating_add)
    }

    /// The arenas, the main one first.
    fn ring(&self, memory: &LiveMemory) -> Vec<Addr> {
        let Some((main, offset)) = self.main else { return Vec::new() };
        let mut arenas = vec![main];
        let mut next = memory.addr(main + NEXT).unwrap_or_default();
        while !next.is_null() && next + offset != main && arenas.len() < ARENAS {
            arenas.push(next + offset);
            next = memory.addr(next + offset + NEXT).unwrap_or_default();
        }
        arenas
    }
}

/// The main arena in the data of a binary.
fn main_arena(memory: &LiveMemory, data: &Mapping) -> Option<(Addr, u64)> {
    let len = usize::try_from(data.range.len()).ok()?;
    let bytes = memory.bytes(data.range.start, len).ok()?;
    let words: Vec<u64> =
        bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
    let is_empty = |nth: usize| {
        let bin = (data.range.start + nth as u64 * 8).0.wrapping_sub(16);
        words.get(nth) == Some(&bin) && words.get(nth + 1) == Some(&bin)
    };
    // Most lists are empty at any time; those that are not lead to a block and back. Read as they are
    // now, not as they were a moment ago.
    let leads_back = |nth: usize| {
        let head = data.range.start + nth as u64 * 8;
        let Ok(first) = memory.addr(head) else { return false };
        let bin = head - 16;
        first == bin || (first.is_aligned(16) && memory.addr(first + 24).is_ok_and(|at| at == bin))
    };
    let mut nth = 0;
    while nth + BINS * 2 <= words.len() {
        if !is_empty(nth) {
            nth += 1;
            continue;
        }
        let mut first = nth;
        while first >= 2 && nth - first < BINS * 2 && leads_back(first - 2) {
            first -= 2;
        }
        if (0..BINS).all(|bin| leads_back(first + bin * 2)) {
            let bins = data.range.start + first as u64 * 8;
            return Some((bins, offset(memory, bins)?));
        }
        nth += 2;
    }
    None
}

/// Where `bins` is in its structure: where the ring of arenas comes back to it.
fn offset(memory: &LiveMemory, bins: Addr) -> Option<u64> {
    BINS_OFFSETS.into_iter().find(|&offset| {
        let mut next = memory.addr(bins + NEXT).unwrap_or_default();
        for _ in 0..1024 {
            if next.is_null() || next + offset == bins {
                break;
            }
            next = memory.addr(next + offset + NEXT).unwrap_or_default();
        }
        next + offset == bins
    })
}

/// The free bytes of an arena.
fn arena(memory: &LiveMemory, bins: Addr) -> u64 {
    let mut least = u64::MAX;
    for _ in 0..TRIES {
        let Some(before) = heads(memory, bins) else { return 0 };
        let bytes = walk(memory, bins, &before);
        least = least.min(bytes);
        if heads(memory, bins).as_ref() == Some(&before) {
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

fn heads(memory: &LiveMemory, bins: Addr) -> Option<Heads> {
    let bytes: [u8; TOP as usize + BINS * 16] = memory.array(bins - TOP).ok()?;
    let words: Vec<u64> =
        bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
    let top = Addr(*words.first()?);
    let top_bytes = memory.u64(top + 8).unwrap_or_default() & !SIZE_BITS;
    Some(Heads { top_bytes, words: words.get(2..)?.to_vec() })
}

/// The sum over the top, the unsorted list and the lists of large blocks, the largest first.
fn walk(memory: &LiveMemory, bins: Addr, heads: &Heads) -> u64 {
    let mut sum = heads.top_bytes;
    let mut left = BLOCKS;
    for nth in std::iter::once(0).chain((LARGE..BINS).rev()) {
        let bin = bins + nth as u64 * 16 - 16;
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
    use std::io::{BufRead, BufReader, Write};
    use std::process::{Command, Stdio};

    use super::*;
    use crate::target::Process;

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
        let mut child = Command::new("python3")
            .args(["-c", PROGRAM])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut says = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(says.next().unwrap().unwrap(), "ready");
        let process = Process::open(child.id()).unwrap();
        let memory = process.memory();
        let mut free = FreeMemory::find(&memory, &process.memory_map().unwrap());
        assert!(free.main.is_some(), "no main arena was found");
        let before = free.bytes(&memory, TRUST);
        child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        assert_eq!(says.next().unwrap().unwrap(), "freed");
        let after = free.bytes(&memory, TRUST * 2);
        child.kill().unwrap();
        child.wait().unwrap();
        let rise = after.saturating_sub(before);
        assert!((3_100_000..3_500_000).contains(&rise), "{before} {after}");
    }
}
