//! A pool: blocks of one size, some of them free.

use crate::addr::Addr;
use crate::cpython::layout::Layout;

/// Blocks are multiples of this (`ALIGNMENT`), in bytes.
pub const ALIGNMENT: u64 = 16;
/// The size of the largest blocks (`SMALL_REQUEST_THRESHOLD`), in bytes.
pub const LARGEST: u64 = 512;
/// The words of 64 bits that have a bit for each block of the largest pool.
const WORDS: usize = 16;

/// A pool as its header and its free list tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pool {
    /// No block of it is in use: it waits for blocks of any size.
    Free,
    /// It holds blocks.
    Used(UsedPool),
}

/// A pool with blocks that are in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsedPool {
    /// Its address.
    pub at: Addr,
    /// The size of its blocks, in bytes.
    pub block_bytes: u64,
    /// How many blocks it has room for.
    pub capacity: u32,
    /// How many blocks are in use.
    pub live: u32,
    /// The number of its arena, by its own header.
    pub arena: u32,
    /// Where its first block is.
    first: Addr,
    /// Which blocks are in use.
    bits: [u64; WORDS],
}

impl UsedPool {
    /// Whether the n-th block is in use.
    #[must_use]
    pub fn is_live(&self, nth: u32) -> bool {
        self.bits.get(nth as usize / 64).is_some_and(|word| word >> (nth % 64) & 1 != 0)
    }

    /// The n-th block.
    #[must_use]
    pub fn block(&self, nth: u32) -> Addr {
        self.first + u64::from(nth) * self.block_bytes
    }

    /// The number of the block that an address lies in; nothing if that is in none.
    #[must_use]
    pub fn block_of(&self, addr: Addr) -> Option<u32> {
        let nth = addr.0.checked_sub(self.first.0)? / self.block_bytes;
        u32::try_from(nth).ok().filter(|&nth| nth < self.capacity)
    }

    /// The blocks that are in use, ascending.
    pub fn live_blocks(&self) -> impl Iterator<Item = Addr> {
        (0..self.capacity).filter(|&nth| self.is_live(nth)).map(|nth| self.block(nth))
    }
}

/// The bytes of a pool's header that tell what it holds.
#[derive(Debug, Clone, Copy)]
struct Header {
    count: u32,
    freeblock: u64,
    arenaindex: u32,
    szidx: u32,
    nextoffset: u32,
    maxnextoffset: u32,
}

impl Header {
    fn read(bytes: &[u8], layout: &Layout) -> Option<Self> {
        let at = &layout.at.pool_header;
        let number = |offset: u64| {
            let start = usize::try_from(offset).ok()?;
            Some(u32::from_le_bytes(bytes.get(start..)?.first_chunk().copied()?))
        };
        Some(Self {
            count: number(at.count)?,
            freeblock: word(bytes, at.freeblock)?,
            arenaindex: number(at.arenaindex)?,
            szidx: number(at.szidx)?,
            nextoffset: number(at.nextoffset)?,
            maxnextoffset: number(at.maxnextoffset)?,
        })
    }
}

fn word(bytes: &[u8], offset: u64) -> Option<u64> {
    let start = usize::try_from(offset).ok()?;
    Some(u64::from_le_bytes(bytes.get(start..)?.first_chunk().copied()?))
}

impl Pool {
    /// Reads a pool from its bytes (`pymalloc_pool_extend`, `Objects/obmalloc.c`).
    ///
    /// # Errors
    /// It cannot be a pool; the text says which part of it is wrong.
    pub fn read(at: Addr, bytes: &[u8], layout: &Layout) -> Result<Self, &'static str> {
        let pool_size = layout.has.pool_size;
        let header_size = layout.at.pool_header.sizeof;
        let header = Header::read(bytes, layout).ok_or("a pool's header cannot be read")?;
        if header.count == 0 {
            return Ok(Self::Free);
        }
        let block_bytes = pool_size.saturating_sub(header.maxnextoffset.into());
        let is_sane = block_bytes == (u64::from(header.szidx) + 1) * ALIGNMENT
            && block_bytes <= LARGEST
            && (header_size..=pool_size + block_bytes).contains(&header.nextoffset.into());
        if !is_sane {
            return Err("a pool's header cannot be right");
        }
        let capacity = (pool_size - header_size) / block_bytes;
        // Blocks behind `nextoffset` have never been handed out.
        let carved = (u64::from(header.nextoffset) - header_size) / block_bytes;
        let carved = carved.min(capacity);
        let mut bits = [0; WORDS];
        for nth in 0..carved {
            set(&mut bits, nth, true);
        }
        let mut left = carved;
        let mut link = header.freeblock;
        while link != 0 {
            let offset = link.wrapping_sub(at.0 + header_size);
            let nth = offset / block_bytes;
            // A block that is on the list twice closes a circle.
            if nth >= carved || !offset.is_multiple_of(block_bytes) || !set(&mut bits, nth, false) {
                return Err("a pool's list of free blocks cannot be right");
            }
            left -= 1;
            let next = word(bytes, header_size + offset);
            link = next.ok_or("a pool's list of free blocks cannot be right")?;
        }
        if left != u64::from(header.count) {
            return Err("a pool's count of blocks is not what its list of free blocks leaves");
        }
        Ok(Self::Used(UsedPool {
            at,
            block_bytes,
            capacity: u32::try_from(capacity).unwrap_or(0),
            live: header.count,
            arena: header.arenaindex,
            first: at + header_size,
            bits,
        }))
    }
}

/// Sets or clears a bit, and says whether it was the other way.
fn set(bits: &mut [u64; WORDS], nth: u64, value: bool) -> bool {
    let Some(word) = usize::try_from(nth / 64).ok().and_then(|nth| bits.get_mut(nth)) else {
        return false;
    };
    let bit = 1 << (nth % 64);
    let was = *word & bit != 0;
    if value {
        *word |= bit;
    } else {
        *word &= !bit;
    }
    was != value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpython::version::Build;

    const AT: Addr = Addr(0x7f00_0000_4000);
    const BLOCK: u64 = 64;

    fn layout() -> Layout {
        Layout::resolve("3.11.7".parse().unwrap(), Build::default()).unwrap()
    }

    /// A pool of blocks of 64 bytes, of which ten were handed out; `free` are on the list, in order.
    fn pool(count: u32, free: &[u64]) -> Vec<u8> {
        let layout = layout();
        let size = layout.has.pool_size;
        let header = layout.at.pool_header;
        let mut bytes = vec![0; usize::try_from(size).unwrap()];
        let mut put = |offset: u64, value: &[u8]| {
            let start = usize::try_from(offset).unwrap();
            bytes[start..start + value.len()].copy_from_slice(value);
        };
        let number = |value: u64| u32::try_from(value).unwrap().to_le_bytes();
        put(header.count, &count.to_le_bytes());
        put(header.szidx, &number(BLOCK / ALIGNMENT - 1));
        put(header.nextoffset, &number(header.sizeof + 10 * BLOCK));
        put(header.maxnextoffset, &number(size - BLOCK));
        let mut link = header.freeblock;
        for &nth in free {
            put(link, &(AT.0 + header.sizeof + nth * BLOCK).to_le_bytes());
            link = header.sizeof + nth * BLOCK;
        }
        bytes
    }

    #[test]
    fn blocks_that_are_not_free_are_in_use() {
        let Ok(Pool::Used(read)) = Pool::read(AT, &pool(7, &[3, 0, 9]), &layout()) else {
            panic!("no pool")
        };
        let live: Vec<u32> = (0..read.capacity).filter(|&nth| read.is_live(nth)).collect();
        assert_eq!(live, [1, 2, 4, 5, 6, 7, 8]);
        assert_eq!(read.live_blocks().next(), Some(AT + 48 + BLOCK));
        assert_eq!(read.block_of(AT + 48 + BLOCK + 63), Some(1));
        assert_eq!(read.block_of(AT), None);
        assert_eq!(Pool::read(AT, &pool(0, &[]), &layout()), Ok(Pool::Free));
    }

    #[test]
    fn a_list_that_loops_leaves_or_hits_no_block_is_refused() {
        for free in [&[3, 0, 3][..], &[10], &[0, 5, 5]] {
            let read = Pool::read(AT, &pool(7, free), &layout());
            assert_eq!(read, Err("a pool's list of free blocks cannot be right"), "{free:?}");
        }
        let mut between = pool(9, &[3]);
        between[8] += 8;
        assert!(Pool::read(AT, &between, &layout()).is_err());
    }

    #[test]
    fn a_count_that_lies_and_a_header_of_nonsense_are_refused() {
        for count in [6, 8, 11, u32::MAX] {
            assert!(Pool::read(AT, &pool(count, &[3, 0, 9]), &layout()).is_err(), "{count}");
        }
        for (offset, value) in [(36, 0xFF), (40, 0xFF), (47, 0xFF)] {
            let mut bytes = pool(7, &[3, 0, 9]);
            bytes[offset] = value;
            bytes[offset.min(46) + 1] = value;
            assert!(Pool::read(AT, &bytes, &layout()).is_err(), "{offset}");
        }
        assert!(Pool::read(AT, &[1; 20], &layout()).is_err());
    }
}
