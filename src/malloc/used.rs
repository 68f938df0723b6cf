//! The blocks that are in use, and which of them an address lies in: what Rust, C++ and C have of
//! `malloc` lies there.
//!
//! The blocks of an arena lie one behind the other, each with its size in front (`struct
//! malloc_chunk`), so they are walked from the first one on. Where a size cannot be one, the walk of
//! that piece ends: what lies behind is in no block that is known.

use super::Malloc;
use super::bins::{ALIGNMENT, LEAST_BYTES, SIZE_BITS};
use crate::addr::{Addr, AddrRange};
use crate::target::memory::Memory;

/// From the header of a block to the memory that its owner sees.
const HEADER: u64 = 16;
/// The owner of a block has the first word of the next one's header, too.
const SHARED: u64 = 8;

/// The blocks of glibc's `malloc` that are in use.
#[derive(Debug, Clone, Default)]
pub struct UsedBlocks {
    /// By address.
    pieces: Vec<Piece>,
    /// Blocks with a mapping of their own, by address: what their owners see.
    mapped: Vec<AddrRange>,
    /// What `malloc` keeps for itself among the variables of binaries.
    states: Vec<AddrRange>,
}

/// A part of an arena in which blocks lie one behind the other.
#[derive(Debug, Clone)]
struct Piece {
    range: AddrRange,
    /// A bit for each place where a block can begin: whether one does that is in use.
    starts: Vec<u64>,
}

impl UsedBlocks {
    /// Walks all arenas.
    #[must_use]
    pub fn find(memory: &impl Memory, malloc: &Malloc) -> Self {
        let mut pieces = Vec::new();
        for arena in &malloc.arenas {
            let mut free: Vec<AddrRange> = arena.free().collect();
            free.sort_by_key(|chunk| chunk.start);
            pieces.extend(arena.pieces.iter().map(|&range| Piece::walk(memory, range, &free)));
        }
        pieces.sort_by_key(|piece| piece.range.start);
        let seen = |block: &AddrRange| AddrRange::new(block.start + HEADER, block.end);
        let mapped = malloc.mapped.ranges.iter().map(seen).collect();
        let states = malloc.arenas.iter().map(|arena| arena.state).collect();
        Self { pieces, mapped, states }
    }

    /// The block that an address lies in, as its owner sees it.
    pub fn around(&self, memory: &impl Memory, addr: Addr) -> Option<AddrRange> {
        let nth = self.mapped.partition_point(|block| block.start <= addr).checked_sub(1);
        let mapped = nth.and_then(|nth| self.mapped.get(nth)).filter(|block| block.contains(addr));
        mapped.copied().or_else(|| {
            let block = self.piece(addr)?.block_before(memory, addr)?;
            block.contains(addr).then_some(block)
        })
    }

    /// Whether a variable is one of `malloc` itself: its lists lead to the headers of free blocks, of which the
    /// first word is the last of the block in front, and to blocks that are not in use any more.
    pub fn is_own(&self, at: Addr) -> bool {
        self.states.iter().any(|state| state.contains(at))
    }

    /// Leaves out the block that an address lies in.
    pub fn remove(&mut self, memory: &impl Memory, addr: Addr) {
        self.mapped.retain(|block| !block.contains(addr));
        let after = self.pieces.partition_point(|piece| piece.range.start <= addr);
        let piece = after.checked_sub(1).and_then(|nth| self.pieces.get_mut(nth));
        if let Some(piece) = piece
            && let Some(block) = piece.block_before(memory, addr)
            && block.contains(addr)
        {
            piece.clear(block.start - HEADER);
        }
    }

    /// Whether an address may lie in a block: quickly, for words that may be anything.
    #[must_use]
    pub fn may_have(&self, addr: Addr) -> bool {
        self.piece(addr).is_some_and(|piece| piece.range.contains(addr))
            || self.mapped.first().is_some_and(|first| first.start <= addr)
                && self.mapped.last().is_some_and(|last| addr < last.end)
    }

    fn piece(&self, addr: Addr) -> Option<&Piece> {
        let after = self.pieces.partition_point(|piece| piece.range.start <= addr);
        self.pieces.get(after.checked_sub(1)?)
    }
}

impl Piece {
    /// Goes from block to block; `free` are those that are not in use, by address.
    fn walk(memory: &impl Memory, range: AddrRange, free: &[AddrRange]) -> Self {
        let places = usize::try_from(range.len() / ALIGNMENT).unwrap_or(0);
        let mut piece = Self { range, starts: vec![0; places.div_ceil(64)] };
        let first = free.partition_point(|chunk| chunk.start < range.start);
        let mut free = free.get(first..).unwrap_or_default().iter().peekable();
        let mut at = range.start;
        while let Some(end) = chunk_end(memory, at, range) {
            while free.next_if(|chunk| chunk.start < at).is_some() {}
            if free.peek().is_none_or(|chunk| chunk.start != at) {
                piece.set(at);
            }
            at = end;
        }
        piece
    }

    /// The place of a block's beginning among the bits.
    fn place(&self, at: Addr) -> Option<(usize, u64)> {
        let nth = at.0.checked_sub(self.range.start.0)? / ALIGNMENT;
        Some((usize::try_from(nth / 64).ok()?, nth % 64))
    }

    fn set(&mut self, at: Addr) {
        if let Some((word, bit)) = self.place(at)
            && let Some(word) = self.starts.get_mut(word)
        {
            *word |= 1 << bit;
        }
    }

    fn clear(&mut self, at: Addr) {
        if let Some((word, bit)) = self.place(at)
            && let Some(word) = self.starts.get_mut(word)
        {
            *word &= !(1 << bit);
        }
    }

    /// The last block whose owner sees memory before an address, or at it.
    fn block_before(&self, memory: &impl Memory, addr: Addr) -> Option<AddrRange> {
        let (word, bit) = self.place(Addr(addr.0.checked_sub(HEADER)?))?;
        let up_to = self.starts.get(word)? & (u64::MAX >> (63 - bit));
        let words = self.starts.get(..word)?.iter().rev().copied();
        let (back, bits) =
            std::iter::once(up_to).chain(words).enumerate().find(|&(_, bits)| bits != 0)?;
        let nth = (word - back) as u64 * 64 + u64::from(bits.ilog2());
        let at = self.range.start + nth * ALIGNMENT;
        let end = chunk_end(memory, at, self.range)?;
        Some(AddrRange::new(at + HEADER, end + SHARED))
    }
}

/// Where the block at an address ends, if there can be one.
fn chunk_end(memory: &impl Memory, at: Addr, piece: AddrRange) -> Option<Addr> {
    let size = memory.u64(at + SHARED).ok()? & !SIZE_BITS;
    let end = Addr(at.0.checked_add(size)?);
    let sound = size >= LEAST_BYTES && size.is_multiple_of(ALIGNMENT) && end <= piece.end;
    sound.then_some(end)
}
