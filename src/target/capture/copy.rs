//! The copy itself: two threads that take pieces in the order of addresses.

use super::CaptureError;
use super::plan::{BLOCK_BYTES, Plan, page_bytes};
use super::rehearsal::Room;
use crate::addr::{Addr, AddrRange};
use crate::target::live::{LiveMemory, PIECE_BYTES};
use crate::target::memory::{Memory, ReadError, ReadErrorKind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

/// Some bytes to copy, and where to.
struct Piece<'buf> {
    start: Addr,
    buf: &'buf mut [u8],
    blocks: Option<usize>,
}

/// What the two threads share.
struct Work<'work, Pieces> {
    live: &'work LiveMemory,
    plan: &'work Plan,
    pieces: Mutex<Pieces>,
    /// For each mapping that may hold big blocks: up to where a block is to be left out.
    skip_until: Vec<AtomicU64>,
    copied_bytes: AtomicU64,
    limit: u64,
    deadline: Option<Instant>,
    failed: AtomicBool,
    page_bytes: u64,
    /// The big blocks that were met.
    blocks: Mutex<Vec<AddrRange>>,
}

/// What a copy gave.
pub(super) struct Copied {
    /// The ranges that were copied, by address.
    pub(super) ranges: Vec<AddrRange>,
    /// The big blocks that were met, by address, each whole.
    pub(super) blocks: Vec<AddrRange>,
}

/// Copies what is planned, except the contents of big blocks.
pub(super) fn copy(
    live: &LiveMemory,
    plan: &Plan,
    rooms: &mut [Room],
    limit: u64,
    deadline: Option<Instant>,
) -> Result<Copied, CaptureError> {
    let pieces = rooms.iter_mut().flat_map(|room| {
        let mut rest = room.bytes.as_mut_slice();
        let mut at = room.start;
        let segments = plan.segments.get(room.segments.clone()).unwrap_or_default();
        segments.iter().flat_map(|segment| &segment.copies).flat_map(move |copy| {
            let before = usize::try_from(copy.range.start - at).unwrap_or(0);
            let len = usize::try_from(copy.range.len()).unwrap_or(0);
            let (_, behind) =
                std::mem::take(&mut rest).split_at_mut_checked(before).unwrap_or_default();
            let (buf, behind) = behind.split_at_mut_checked(len).unwrap_or_default();
            rest = behind;
            at = copy.range.end;
            let (start, blocks) = (copy.range.start, copy.blocks);
            let step = u64::try_from(PIECE_BYTES).unwrap_or(1);
            (0..).zip(buf.chunks_mut(PIECE_BYTES)).map(move |(index, buf): (u64, _)| Piece {
                start: start + index.wrapping_mul(step),
                buf,
                blocks,
            })
        })
    });
    let work = Work {
        live,
        plan,
        pieces: Mutex::new(pieces),
        skip_until: plan.block_mappings.iter().map(|range| AtomicU64::new(range.start.0)).collect(),
        copied_bytes: AtomicU64::new(0),
        limit,
        deadline,
        failed: AtomicBool::new(false),
        page_bytes: page_bytes(),
        blocks: Mutex::default(),
    };
    let (here, there) = thread::scope(|scope| {
        let other = thread::Builder::new().name("copy".to_owned());
        // Without a second thread the first one does it all.
        let other = other.spawn_scoped(scope, || work.run()).ok();
        let here = work.run();
        let there = other.map_or_else(
            || Ok(Vec::new()),
            |other| other.join().unwrap_or_else(|_| Ok(Vec::new())),
        );
        (here, there)
    });
    let mut copied = here?;
    copied.extend(there?);
    copied.sort_by_key(|range| range.start);
    copied.dedup_by(|next, before| {
        let follows = before.end == next.start;
        if follows {
            before.end = next.end;
        }
        follows
    });
    let mut blocks = work.blocks.into_inner().unwrap_or_else(PoisonError::into_inner);
    blocks.sort_by_key(|range| range.start);
    Ok(Copied { ranges: copied, blocks })
}

impl<'buf, Pieces: Iterator<Item = Piece<'buf>>> Work<'_, Pieces> {
    fn run(&self) -> Result<Vec<AddrRange>, CaptureError> {
        let mut copied = Vec::new();
        while !self.failed.load(Ordering::Relaxed) {
            let piece = self.pieces.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(piece) = piece else { break };
            let result = self.copy_piece(piece, &mut copied);
            if result.is_err() {
                self.failed.store(true, Ordering::Relaxed);
            }
            result?;
        }
        Ok(copied)
    }

    fn copy_piece(
        &self,
        mut piece: Piece<'_>,
        copied: &mut Vec<AddrRange>,
    ) -> Result<(), CaptureError> {
        if self.deadline.is_some_and(|deadline| Instant::now() > deadline) {
            return Err(CaptureError::TooSlow);
        }
        let skip = piece.blocks.and_then(|blocks| self.skip_until.get(blocks));
        let (Some(skip), Some(mapping)) =
            (skip, piece.blocks.and_then(|blocks| self.plan.block_mappings.get(blocks)))
        else {
            return self.copy_all(piece.start, piece.buf, copied);
        };
        loop {
            let block_end = Addr(skip.load(Ordering::Relaxed));
            if block_end > piece.start {
                piece = piece.behind(block_end);
            }
            if piece.buf.is_empty() {
                return Ok(());
            }
            if block_end != piece.start {
                self.copy_all(piece.start, piece.buf, copied)?;
                self.find_blocks(piece.start, piece.buf, mapping.end, skip);
                return Ok(());
            }
            // Blocks start a mapping or follow each other: there a look at the first page may
            // spare the rest.
            let page = piece.start + self.page_bytes;
            let len = usize::try_from(self.page_bytes).unwrap_or(4096).min(piece.buf.len());
            let (first, _) = piece.buf.split_at_mut(len);
            self.copy_all(piece.start, first, copied)?;
            self.find_blocks(piece.start, first, mapping.end, skip);
            piece = piece.behind(page);
        }
    }

    /// Marks what big blocks that start in these bytes cover.
    fn find_blocks(&self, start: Addr, bytes: &[u8], mapping_end: Addr, skip: &AtomicU64) {
        let mut at = start;
        for page in bytes.chunks(usize::try_from(self.page_bytes).unwrap_or(4096)) {
            // What lies inside of a block that was found is its contents.
            if at.0 >= skip.load(Ordering::Relaxed)
                && let Some(end) = block_end(at, page, mapping_end, self.page_bytes)
            {
                skip.fetch_max(end.0, Ordering::Relaxed);
                let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
                blocks.push(AddrRange::new(at, end));
            }
            at = at + self.page_bytes;
        }
    }

    /// Copies a range, or those of its pages that can be read.
    fn copy_all(
        &self,
        start: Addr,
        buf: &mut [u8],
        copied: &mut Vec<AddrRange>,
    ) -> Result<(), CaptureError> {
        let len = u64::try_from(buf.len()).unwrap_or(u64::MAX);
        let before = self.copied_bytes.fetch_add(len, Ordering::Relaxed);
        if before.saturating_add(len) > self.limit {
            return Err(CaptureError::TooLarge { limit: self.limit });
        }
        match self.live.read(start, buf) {
            Ok(()) => copied.push(AddrRange::new(start, start + len)),
            Err(ReadError { kind: ReadErrorKind::Unmapped, .. }) => {
                let mut at = start;
                for page in buf.chunks_mut(usize::try_from(self.page_bytes).unwrap_or(4096)) {
                    let end = at + u64::try_from(page.len()).unwrap_or(0);
                    match self.live.read(at, page) {
                        Ok(()) => copied.push(AddrRange::new(at, end)),
                        Err(ReadError { kind: ReadErrorKind::Unmapped, .. }) => {}
                        Err(error) => return Err(self.error(error)),
                    }
                    at = end;
                }
            }
            Err(error) => return Err(self.error(error)),
        }
        Ok(())
    }

    fn error(&self, source: ReadError) -> CaptureError {
        CaptureError::Read { pid: self.live.pid(), source }
    }
}

/// The end of a big block of glibc's `malloc` that starts with these bytes: a block that has
/// a mapping of its own has no predecessor (0), and its size has the flag 2 (`IS_MMAPPED`).
pub(super) fn block_end(
    at: Addr,
    bytes: &[u8],
    mapping_end: Addr,
    page_bytes: u64,
) -> Option<Addr> {
    let (predecessor, rest) = bytes.split_first_chunk()?;
    let (size, _) = rest.split_first_chunk()?;
    let size = u64::from_le_bytes(*size);
    if u64::from_le_bytes(*predecessor) != 0 || size & 7 != 2 {
        return None;
    }
    let size = size & !7;
    let sound = size >= BLOCK_BYTES && size % page_bytes == 0 && size <= mapping_end - at;
    sound.then_some(at + size)
}

impl Piece<'_> {
    /// What of the piece lies behind an address.
    fn behind(self, addr: Addr) -> Self {
        let before = usize::try_from(addr - self.start).unwrap_or(usize::MAX).min(self.buf.len());
        Self { start: addr, buf: self.buf.split_at_mut(before).1, blocks: self.blocks }
    }
}
