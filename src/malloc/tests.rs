//! Arenas made by hand: what glibc would leave, and what only a hostile process would.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::sync::Mutex;
use std::time::Duration;

use super::*;
use crate::target::maps::Mapping;
use crate::target::memory::{ReadError, ReadErrorKind};

const DATA: u64 = 0x7f00_0000_0000;
const HEAP: u64 = 0x5500_0000_0000;
const HEAP_BYTES: u64 = 0x2_1000;
/// Where the state of the main arena is: as 2.27 to 2.42 have it.
const STATE: u64 = DATA + 0x100;
const BINS: u64 = STATE + 112;

/// Words of a process; the rest of what is mapped is zeros.
#[derive(Default)]
struct Words(Mutex<BTreeMap<u64, u64>>);

impl Words {
    fn set(&self, at: u64, word: u64) {
        self.0.lock().unwrap().insert(at, word);
    }
}

impl Memory for Words {
    fn read(&self, addr: Addr, buf: &mut [u8]) -> Result<(), ReadError> {
        let len = buf.len() as u64;
        let inside = |start: u64, bytes: u64| addr.0 >= start && addr.0 + len <= start + bytes;
        if !inside(DATA, 0x2000) && !inside(HEAP, HEAP_BYTES) {
            return Err(ReadError { addr, len, kind: ReadErrorKind::Unmapped });
        }
        let words = self.0.lock().unwrap();
        for (nth, byte) in buf.iter_mut().enumerate() {
            let at = addr.0 + nth as u64;
            let word = words.get(&(at & !7)).copied().unwrap_or(0);
            *byte = word.to_le_bytes()[usize::try_from(at & 7).unwrap()];
        }
        Ok(())
    }
}

struct NoFiles;

impl MappedFiles for NoFiles {
    fn executable(&self) -> String {
        String::new()
    }
    fn open_mapped(&self, _: &Mapping) -> io::Result<File> {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// A main arena without free blocks: a block of 0x100 bytes, one of 0x50, and the top.
fn process() -> Words {
    let words = Words::default();
    for nth in 0..127 {
        let bin = BINS + nth * 16;
        words.set(bin, bin - 16);
        words.set(bin + 8, bin - 16);
    }
    words.set(BINS - 16, HEAP + 0x150);
    words.set(BINS + 127 * 16 + 16, STATE);
    words.set(BINS + 127 * 16 + 32, 1);
    words.set(BINS + 127 * 16 + 40, HEAP_BYTES);
    words.set(BINS + 127 * 16 + 48, HEAP_BYTES);
    words.set(HEAP + 8, 0x101);
    words.set(HEAP + 0x108, 0x51);
    words.set(HEAP + 0x158, HEAP_BYTES - 0x150 + 1);
    words
}

/// Puts the first block into a bin.
fn free_first(words: &Words, nth: u64) {
    let bin = BINS + nth * 16;
    words.set(bin, HEAP);
    words.set(bin + 8, HEAP);
    words.set(HEAP + 16, bin - 16);
    words.set(HEAP + 24, bin - 16);
}

fn map() -> MemoryMap {
    let (heap_end, data_end) = (HEAP + HEAP_BYTES, DATA + 0x2000);
    MemoryMap::parse(&format!(
        "{HEAP:x}-{heap_end:x} rw-p 0 00:00 0 [heap]\n\
         {DATA:x}-{data_end:x} rw-p 0 08:01 5 /lib/libc.so.6\n"
    ))
}

fn found(words: &Words) -> Malloc {
    let known = Known { threads: &[], taken: &[] };
    examine(words, &map(), &NoFiles, known)
}

#[test]
fn of_a_process_that_runs_the_top_and_large_blocks_are_free() {
    let free = |words: &Words| FreeMemory::find(words, &map()).bytes(words, Duration::ZERO);
    let top = HEAP_BYTES - 0x150;
    let words = process();
    assert_eq!(free(&words), top);
    // A list of small blocks is not followed, the unsorted one and those of large blocks are.
    for (nth, expected) in [(15, top), (0, top + 0x100), (70, top + 0x100)] {
        let words = process();
        free_first(&words, nth);
        assert_eq!(free(&words), expected, "list {nth}");
    }
    words.set(BINS + 127 * 16 + 16, 0);
    assert_eq!(free(&words), 0, "a ring that does not close");
}

#[test]
fn an_arena_is_found_without_symbols_and_adds_up() {
    let malloc = found(&process());
    let [arena] = &malloc.arenas[..] else { panic!("{malloc:?}") };
    assert!(arena.is_main && arena.is_complete);
    assert_eq!((arena.state.start, arena.system_bytes), (Addr(STATE), HEAP_BYTES));
    assert_eq!((arena.used_bytes(), arena.free_bytes()), (0x150, HEAP_BYTES - 0x150));
    assert_eq!(malloc.allocator, Allocator::Glibc(None));
}

#[test]
fn free_blocks_are_counted_in_their_lists() {
    let words = process();
    free_first(&words, 15);
    // A fastbin of one block, its link mixed with its place as it is from 2.32 on.
    words.set(BINS - 96 + 3 * 8, HEAP + 0x100);
    words.set(HEAP + 0x110, (HEAP + 0x110) >> 12);
    let malloc = found(&words);
    let arena = &malloc.arenas[0];
    assert!(arena.is_complete);
    assert_eq!(arena.binned, [AddrRange::new(Addr(HEAP), Addr(HEAP + 0x100))]);
    assert_eq!(arena.fast, [AddrRange::new(Addr(HEAP + 0x100), Addr(HEAP + 0x150))]);
    assert_eq!(arena.used_bytes(), 0);
}

#[test]
fn a_fastbin_that_goes_round_in_a_circle_ends() {
    let words = process();
    words.set(BINS - 96 + 3 * 8, HEAP + 0x100);
    words.set(HEAP + 0x110, HEAP + 0x100);
    let malloc = found(&words);
    assert!(malloc.arenas[0].fast.is_empty() && !malloc.arenas[0].is_complete);
}

#[test]
fn sizes_that_cannot_be_are_not_believed() {
    for size in [0, 1, 0x18, 0x28, u64::MAX, HEAP_BYTES * 2] {
        let words = process();
        free_first(&words, 15);
        words.set(HEAP + 8, size);
        let malloc = found(&words);
        assert!(!malloc.arenas[0].is_complete && malloc.arenas[0].binned.is_empty(), "{size:#x}");
    }
    let words = process();
    words.set(BINS + 127 * 16 + 40, u64::MAX - 4095);
    words.set(BINS + 127 * 16 + 48, u64::MAX - 4095);
    assert_eq!(found(&words).arenas.len(), 0);
}

#[test]
fn a_ring_that_does_not_close_is_no_arena() {
    for next in [0, STATE + 16, DATA + 0x1000, HEAP] {
        let words = process();
        words.set(BINS + 127 * 16 + 16, next);
        assert_eq!(found(&words).arenas.len(), 0, "{next:#x}");
    }
    let words = process();
    // A bin that leads nowhere.
    words.set(BINS + 64 * 16, 0x1234_5670);
    assert_eq!(found(&words).arenas.len(), 0);
}

#[test]
fn every_address_of_a_block_in_use_leads_to_it_and_none_of_a_free_one() {
    let words = process();
    let used = UsedBlocks::find(&words, &found(&words));
    let around = |used: &UsedBlocks, at: u64| {
        let block = used.around(&words, Addr(HEAP + at))?;
        Some((block.start - Addr(HEAP), block.end - Addr(HEAP)))
    };
    // Up to the size of the next one, whose first word belongs to it.
    for at in [0x10, 0x18, 0x80, 0x100, 0x107] {
        assert_eq!(around(&used, at), Some((0x10, 0x108)), "{at:#x}");
    }
    assert_eq!(around(&used, 0x110), Some((0x110, 0x158)));
    // Headers, and the top.
    for at in [0, 0x8, 0x108, 0x158, 0x160, 0x1000, HEAP_BYTES] {
        assert_eq!(around(&used, at), None, "{at:#x}");
    }
    let own = [STATE, BINS, BINS + 127 * 16 + 48].map(|at| used.is_own(Addr(at)));
    assert_eq!((own, used.is_own(Addr(STATE - 8))), ([true; 3], false));
    free_first(&words, 15);
    let mut used = UsedBlocks::find(&words, &found(&words));
    assert_eq!((around(&used, 0x80), around(&used, 0x120)), (None, Some((0x110, 0x158))));
    used.remove(&words, Addr(HEAP + 0x140));
    assert_eq!(around(&used, 0x120), None);
}

#[test]
fn a_walk_over_blocks_ends_at_a_size_that_cannot_be() {
    for size in [0, 0x18, 0x28, 0x10, u64::MAX, HEAP_BYTES * 2] {
        let words = process();
        words.set(HEAP + 0x108, size);
        let used = UsedBlocks::find(&words, &found(&words));
        assert!(used.around(&words, Addr(HEAP + 0x80)).is_some());
        assert!(used.around(&words, Addr(HEAP + 0x120)).is_none(), "{size:#x}");
    }
}
