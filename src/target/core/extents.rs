//! The saved bytes of a core file, read in pieces and remembered up to a bound.
//!
//! Pieces that fit into the bound stay for good, so that decoders can borrow from them. Beyond it
//! they are read anew each time, through a small cache of pages. The file is never mapped: one that
//! is truncated meanwhile would kill us with SIGBUS.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use nix::unistd::{Whence, lseek};

use crate::addr::{Addr, AddrRange};
use crate::target::memory::{Memory, ReadError, ReadErrorKind, read_in_pieces};

/// How much is read at once, in bytes.
const PIECE_BYTES: u64 = 1 << 20;

/// A range of addresses whose bytes are those of a file.
#[derive(Debug)]
pub(super) struct Extent {
    pub(super) range: AddrRange,
    file: Arc<File>,
    offset: u64,
    pieces: Box<[OnceLock<Box<[u8]>>]>,
}

impl Extent {
    /// The bytes of `file` from `offset` on, at the addresses of `range`. The caller has made sure
    /// that the file has so many.
    pub(super) fn new(range: AddrRange, file: Arc<File>, offset: u64) -> Self {
        let pieces = range.len().div_ceil(PIECE_BYTES);
        let pieces = (0..pieces).map(|_| OnceLock::new()).collect();
        Self { range, file, offset, pieces }
    }

    /// The parts of the range that are not holes of the file. A file system that does not tell has none.
    fn data(&self) -> Vec<AddrRange> {
        let mut parts = Vec::new();
        let end = self.offset.saturating_add(self.range.len());
        let mut at = self.offset;
        while at < end {
            let seek = |from: u64, what| {
                let from = i64::try_from(from).ok()?;
                u64::try_from(lseek(&*self.file, from, what).ok()?).ok()
            };
            let Some(data) = seek(at, Whence::SeekData) else {
                // Behind the last of the data, unless nothing is known at all.
                if seek(at, Whence::SeekHole).is_none() && parts.is_empty() {
                    parts.push(self.range);
                }
                break;
            };
            let hole = seek(data, Whence::SeekHole).unwrap_or(end).min(end);
            if data >= end || hole <= data {
                break;
            }
            let start = self.range.start + (data - self.offset);
            parts.push(AddrRange::new(start, start + (hole - data)));
            at = hole;
        }
        parts
    }

    fn read(&self, addr: Addr, buf: &mut [u8]) -> Result<(), ReadErrorKind> {
        let offset = self.offset.wrapping_add(addr - self.range.start);
        // A file that became shorter has lost these bytes; they are not zeros.
        self.file.read_exact_at(buf, offset).map_err(|_| ReadErrorKind::NotSaved)
    }
}

/// All that is saved.
#[derive(Debug)]
pub(super) struct Extents {
    /// By address, apart from each other.
    extents: Vec<Extent>,
    /// The ranges that were mapped, by address.
    mapped: Vec<AddrRange>,
    /// How many more bytes may stay in memory.
    room: AtomicU64,
}

impl Extents {
    /// Sorts the extents; of those that overlap the first stays.
    pub(super) fn new(mut extents: Vec<Extent>, mapped: Vec<AddrRange>, room: u64) -> Self {
        extents.sort_by_key(|extent| extent.range.start);
        let mut end = Addr::NULL;
        extents.retain(|extent| {
            let apart = extent.range.start >= end && !extent.range.is_empty();
            if apart {
                end = extent.range.end;
            }
            apart
        });
        Self { extents, mapped, room: AtomicU64::new(room) }
    }

    /// How many bytes are saved.
    pub(super) fn len(&self) -> u64 {
        self.extents.iter().map(|extent| extent.range.len()).sum()
    }

    /// The ranges of which the files have bytes: without the holes, which are zeros that nobody wrote.
    pub(super) fn data(&self) -> Vec<AddrRange> {
        self.extents.iter().flat_map(Extent::data).collect()
    }

    fn at(&self, addr: Addr) -> Option<&Extent> {
        let after = self.extents.partition_point(|extent| extent.range.start <= addr);
        let extent = self.extents.get(after.checked_sub(1)?)?;
        extent.range.contains(addr).then_some(extent)
    }

    fn is_mapped(&self, addr: Addr) -> bool {
        let after = self.mapped.partition_point(|range| range.start <= addr);
        let range = after.checked_sub(1).and_then(|index| self.mapped.get(index));
        range.is_some_and(|range| range.contains(addr))
    }

    /// The piece that holds an address, and where it begins.
    fn piece(&self, addr: Addr) -> Option<(Addr, &[u8])> {
        let extent = self.at(addr)?;
        let nth = (addr - extent.range.start) / PIECE_BYTES;
        let start = extent.range.start + nth * PIECE_BYTES;
        let piece = extent.pieces.get(usize::try_from(nth).ok()?)?;
        if let Some(bytes) = piece.get() {
            return Some((start, bytes));
        }
        let len = PIECE_BYTES.min(extent.range.end - start);
        let room = |room: u64| room.checked_sub(len);
        self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).ok()?;
        let mut bytes = vec![0; usize::try_from(len).ok()?];
        if extent.read(start, &mut bytes).is_err() {
            self.room.fetch_add(len, Ordering::Relaxed);
            return None;
        }
        Some((start, piece.get_or_init(|| bytes.into_boxed_slice())))
    }

    /// Fills the start of `buf`; gives how much.
    fn read_some(&self, addr: Addr, buf: &mut [u8]) -> Result<usize, ReadErrorKind> {
        if let Some((start, piece)) = self.piece(addr) {
            let within = usize::try_from(addr - start).unwrap_or(usize::MAX);
            let from = piece.get(within..).unwrap_or_default();
            let len = from.len().min(buf.len());
            let to = buf.get_mut(..len).unwrap_or_default();
            to.copy_from_slice(from.get(..len).unwrap_or_default());
            return Ok(len);
        }
        let Some(extent) = self.at(addr) else {
            let is_mapped = self.is_mapped(addr);
            return Err(if is_mapped { ReadErrorKind::NotSaved } else { ReadErrorKind::Unmapped });
        };
        let len = usize::try_from(extent.range.end - addr).unwrap_or(usize::MAX).min(buf.len());
        extent.read(addr, buf.get_mut(..len).unwrap_or_default())?;
        Ok(len)
    }
}

impl Memory for Extents {
    fn read(&self, addr: Addr, buf: &mut [u8]) -> Result<(), ReadError> {
        read_in_pieces(addr, buf, |at, rest| self.read_some(at, rest))
    }

    fn slice(&self, addr: Addr, len: usize) -> Option<&[u8]> {
        let (start, piece) = self.piece(addr)?;
        let within = usize::try_from(addr - start).ok()?;
        piece.get(within..within.checked_add(len)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extents_of(room: u64) -> Extents {
        let file = tempfile::tempfile().unwrap();
        let bytes: Vec<u8> = (0..(4_u32 << 20)).map(|nth| (nth * 31 / 7) as u8).collect();
        file.write_all_at(&bytes, 0).unwrap();
        let file = Arc::new(file);
        let range = |start: u64, end: u64| AddrRange::new(Addr(start), Addr(end));
        let extents = vec![
            Extent::new(range(0x50_0000, 0x58_0000), Arc::clone(&file), 0x8_0000),
            Extent::new(range(0x10_0000, 0x38_0000), file, 0),
        ];
        Extents::new(extents, vec![range(0x10_0000, 0x39_0000), range(0x50_0000, 0x58_0000)], room)
    }

    #[test]
    fn what_does_not_fit_into_memory_reads_the_same() {
        for room in [0, PIECE_BYTES, u64::MAX] {
            let extents = extents_of(room);
            let mut buf = vec![0; 0x17_0001];
            extents.read(Addr(0x10_fff0), &mut buf).unwrap();
            for (nth, byte) in buf.iter().enumerate().step_by(977) {
                assert_eq!(*byte, ((0xfff0 + nth as u32) * 31 / 7) as u8, "{nth} with {room}");
            }
            assert_eq!(extents.u8(Addr(0x50_0000)).unwrap(), (0x8_0000_u32 * 31 / 7) as u8);
        }
    }

    #[test]
    fn what_is_not_saved_is_an_error_with_its_address() {
        let extents = extents_of(u64::MAX);
        let kind = |addr| extents.u64(Addr(addr)).map_err(|error| error.kind);
        assert_eq!(kind(0x37_fff9), Err(ReadErrorKind::NotSaved));
        assert_eq!(kind(0x38_8000), Err(ReadErrorKind::NotSaved));
        assert_eq!(kind(0x39_0000), Err(ReadErrorKind::Unmapped));
        assert_eq!(kind(u64::MAX - 3), Err(ReadErrorKind::Overflow));
    }

    #[test]
    fn a_slice_is_borrowed_only_within_a_piece() {
        let extents = extents_of(u64::MAX);
        assert!(extents.slice(Addr(0x10_0000), 4096).is_some());
        assert!(extents.slice(Addr(0x10_0000 + PIECE_BYTES - 4), 8).is_none());
        assert!(extents_of(0).slice(Addr(0x10_0000), 8).is_none());
    }
}
