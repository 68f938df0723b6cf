//! A copy of a process's changeable memory as it was at one instant.
//!
//! What the target can write is copied while it stands still; what it cannot is read when it is
//! asked for. Big blocks of `malloc` are put off: a reader that needs one fetches it while the
//! target still stands still. What was not fetched by then is "not saved", never zeros.

mod copy;
mod deferred;
mod forecast;
pub(super) mod headroom;
mod plan;
mod regions;
mod rehearsal;

use super::Failure;
use super::cache::PageCache;
use super::live::LiveMemory;
use super::maps::MemoryMap;
use super::memory::{Memory, ReadError, ReadErrorKind, read_in_pieces};
use super::process::Process;
use crate::addr::{Addr, AddrRange};
use deferred::Deferred;
pub use forecast::Forecast;
pub use headroom::be_the_first_to_go;
use plan::Plan;
pub(crate) use plan::without;
use regions::{Region, Regions};
pub use rehearsal::{Rehearsal, rehearse};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// How much read-only memory of the target is remembered, in bytes.
const CACHE_BYTES: usize = 64 << 20;

/// What untouched memory holds.
static ZEROS: [u8; 1 << 16] = [0; 1 << 16];

/// The bounds of one capture, besides what the machine has to spare.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CaptureLimits {
    /// The most bytes that may be copied.
    pub max_bytes: Option<u64>,
    /// When the copy must be complete.
    pub deadline: Option<Instant>,
}

/// What to read in place of a process itself: a fork of it that stands still.
#[derive(Debug, Clone, Copy)]
pub struct Fork<'a> {
    /// The fork.
    pub process: &'a Process,
    /// What of the process the fork has not: not saved.
    pub lost: &'a [AddrRange],
}

/// Why a process was not captured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// The copy would take more than half of the memory that is left.
    #[error(
        "the copy would take more than {limit} bytes, half of what this machine or container has left"
    )]
    TooLarge {
        /// How much would have been allowed, in bytes.
        limit: u64,
    },
    /// The copy was not complete in time.
    #[error("the copy was not complete within the time allowed for the pause")]
    TooSlow,
    /// The memory of the target could not be read.
    #[error("cannot copy the memory of process {pid}")]
    Read {
        /// The process.
        pid: u32,
        /// The failed read.
        #[source]
        source: ReadError,
    },
    /// Another error of the operating system.
    #[error("cannot copy the memory of process {pid}")]
    System {
        /// The process.
        pid: u32,
        /// The error.
        #[source]
        source: io::Error,
    },
}

impl CaptureError {
    /// What this failure means.
    #[must_use]
    pub const fn failure(&self) -> Failure {
        match self {
            Self::TooLarge { .. } | Self::TooSlow => Failure::Refused,
            Self::Read { source, .. } => match source.kind {
                ReadErrorKind::Gone => Failure::Gone,
                ReadErrorKind::Denied => Failure::Permission,
                _ => Failure::Other,
            },
            Self::System { .. } => Failure::Other,
        }
    }
}

/// Memory of a target that does not change any more.
#[derive(Debug)]
pub struct CapturedMemory {
    regions: Regions,
    /// What was never touched, by address.
    zeros: Vec<AddrRange>,
    /// What was put off, by address.
    deferred: Vec<Deferred>,
    /// What the target cannot write.
    constant: Vec<AddrRange>,
    /// What is of no use where it is read, by address.
    lost: Vec<AddrRange>,
    live: PageCache<LiveMemory>,
    /// What the target can write, as long as it stands still.
    writable: LiveMemory,
    attachment: deferred::Attachment,
    captured_bytes: AtomicU64,
    deferred_bytes: u64,
    deferred_blocks: Vec<DeferredBlock>,
    swapped_bytes: u64,
    /// Private writable memory whose pages were there, by address.
    present: Vec<AddrRange>,
    limit: u64,
}

/// A big block of `malloc` that was put off, except for its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeferredBlock {
    /// The whole block, with `malloc`'s header of two words.
    pub block: AddrRange,
    /// What was copied of it: a page at least, so that it can be seen what the block holds.
    pub head: AddrRange,
}

impl DeferredBlock {
    /// The blocks of which a part was put off.
    fn of(blocks: &[AddrRange], deferred: &[AddrRange]) -> Vec<Self> {
        let with_rest = |&block: &AddrRange| {
            let first = deferred.partition_point(|range| range.end <= block.start);
            let rest = deferred.get(first).filter(|range| range.start < block.end)?;
            let head = AddrRange::new(block.start, rest.start.max(block.start));
            Some(Self { block, head })
        };
        blocks.iter().filter_map(with_rest).collect()
    }
}

/// Copies the writable private memory of a process that stands still, into the memory of a
/// rehearsal where it fits. What stays in the rehearsal is to be dropped when the process runs.
///
/// # Errors
/// It would take too much memory or time, or the process is gone.
pub fn capture(
    process: &Process,
    map: &MemoryMap,
    limits: &CaptureLimits,
    rehearsal: &mut Rehearsal,
) -> Result<CapturedMemory, CaptureError> {
    copy_of(process, None, map, limits, rehearsal)
}

/// As [`capture`], but from a fork of the process. Only what the process cannot write is read from
/// itself, for it outlives the fork.
///
/// # Errors
/// As [`capture`].
pub fn capture_fork(
    process: &Process,
    fork: Fork<'_>,
    map: &MemoryMap,
    limits: &CaptureLimits,
) -> Result<CapturedMemory, CaptureError> {
    copy_of(process, Some(fork), map, limits, &mut Rehearsal::default())
}

fn copy_of(
    process: &Process,
    fork: Option<Fork<'_>>,
    map: &MemoryMap,
    limits: &CaptureLimits,
    rehearsal: &mut Rehearsal,
) -> Result<CapturedMemory, CaptureError> {
    let pid = process.pid();
    let limit = rehearsal.limit(pid, limits);
    let source = fork.map_or(process, |fork| fork.process);
    let lost = fork.map_or(&[][..], |fork| fork.lost);
    let plan = Plan::new(source, map, lost, limits.deadline)?;
    let live = source.memory();
    let mut rooms = rehearsal.rooms(&plan.segments).ok_or(CaptureError::TooLarge { limit })?;
    let copied = copy::copy(&live, &plan, &mut rooms, limit, limits.deadline);
    let copy::Copied { ranges: copied, blocks } = match copied {
        Ok(copied) => copied,
        Err(error) => {
            rehearsal.keep(rooms);
            return Err(error);
        }
    };
    let captured_bytes = copied.iter().map(|range| range.len()).sum();

    // Whatever should have been copied and was not, for whichever reason, was put off.
    let mut deferred = without(plan.copies().collect(), &copied);
    let (mut regions, mut copies) = (Vec::new(), Vec::new());
    for room in rooms {
        for segment in plan.segments.get(room.segments).unwrap_or_default() {
            regions.extend(Region::cut(segment.range, room.start, copies.len(), &deferred));
        }
        copies.push(room.bytes);
    }
    let deferred_blocks = DeferredBlock::of(&blocks, &deferred);
    deferred.extend(&plan.later);
    deferred.sort_by_key(|range| range.start);
    Ok(CapturedMemory {
        regions: Regions::new(regions, copies),
        zeros: plan.zeros,
        deferred_blocks,
        deferred_bytes: deferred.iter().map(|range| range.len()).sum(),
        deferred: deferred.into_iter().map(Deferred::new).collect(),
        constant: plan.constant,
        lost: lost.to_vec(),
        live: PageCache::new(process.memory(), CACHE_BYTES),
        writable: live,
        attachment: deferred::Attachment::default(),
        captured_bytes: AtomicU64::new(captured_bytes),
        swapped_bytes: plan.swapped_bytes,
        present: plan.present,
        limit,
    })
}

impl CapturedMemory {
    /// Copies what was put off in a range. Does nothing for what is there already.
    ///
    /// # Errors
    /// The target runs again, is gone, or the copy would take too much memory.
    pub fn fetch(&self, range: AddrRange) -> Result<(), ReadError> {
        let first = self.deferred.partition_point(|deferred| deferred.range().end <= range.start);
        for deferred in self.deferred.get(first..).unwrap_or_default() {
            if deferred.range().start >= range.end {
                break;
            }
            let Some(missing) = deferred.missing(range) else { continue };
            self.reserve(missing)?;
            self.attachment
                .read(missing, |buf| self.writable.read(missing.start, buf))
                .map(|bytes| deferred.add(missing.start, bytes))?;
        }
        Ok(())
    }

    /// Reads from the target, past the copy and without keeping anything, while it stands still.
    ///
    /// # Errors
    /// The target runs again or is gone, or the range cannot be read.
    pub fn read_target(&self, addr: Addr, buf: &mut [u8]) -> Result<(), ReadError> {
        let len = u64::try_from(buf.len()).unwrap_or(0);
        let range = AddrRange::new(addr, addr + len);
        self.attachment.read_into(range, || self.live.inner().read(addr, buf))
    }

    /// Counts bytes that are about to be copied against the limit.
    fn reserve(&self, range: AddrRange) -> Result<(), ReadError> {
        let before = self.captured_bytes.fetch_add(range.len(), Ordering::Relaxed);
        if before.saturating_add(range.len()) > self.limit {
            self.captured_bytes.fetch_sub(range.len(), Ordering::Relaxed);
            let kind = ReadErrorKind::Os(nix::libc::ENOMEM);
            return Err(ReadError { addr: range.start, len: range.len(), kind });
        }
        Ok(())
    }

    /// Copies parts anew, where they were copied before. What cannot be read stays as it was.
    pub fn read_again(&mut self, ranges: &[AddrRange]) {
        let live = &self.writable;
        let mut fresh = Vec::new();
        for &range in ranges {
            self.regions.overwrite(range, |at, bytes| {
                fresh.resize(bytes.len(), 0);
                if live.read(at, &mut fresh).is_ok() {
                    bytes.copy_from_slice(&fresh);
                }
            });
        }
    }

    /// To be called just before the target runs again: from here on nothing that it can write is
    /// read from it. Waits for reads that are under way.
    pub fn detach(&self) {
        self.attachment.end();
    }

    /// How many bytes were copied, fetched ones included.
    #[must_use]
    pub fn captured_bytes(&self) -> u64 {
        self.captured_bytes.load(Ordering::Relaxed)
    }

    /// What was copied at once, by address.
    #[must_use]
    pub fn saved_ranges(&self) -> Vec<AddrRange> {
        self.regions.ranges().collect()
    }

    /// How many bytes were put off at first.
    #[must_use]
    pub const fn deferred_bytes(&self) -> u64 {
        self.deferred_bytes
    }

    /// The big blocks of `malloc` of which only the beginning was copied, by address.
    #[must_use]
    pub fn deferred_blocks(&self) -> &[DeferredBlock] {
        &self.deferred_blocks
    }

    /// How many bytes of the target's writable memory are in swap: they are put off too.
    #[must_use]
    pub const fn swapped_bytes(&self) -> u64 {
        self.swapped_bytes
    }

    /// The private writable memory whose pages were there, by address.
    #[must_use]
    pub fn present(&self) -> &[AddrRange] {
        &self.present
    }

    /// Fills the start of `buf` from the one place that holds `addr`; gives how much.
    fn read_some(&self, addr: Addr, buf: &mut [u8]) -> Result<usize, ReadErrorKind> {
        if let Some(bytes) = self.regions.at(addr) {
            return Ok(copy_start(bytes, buf));
        }
        if let Some(range) = find(&self.zeros, addr) {
            let len = usize::try_from(range.end - addr).unwrap_or(usize::MAX).min(buf.len());
            buf.iter_mut().take(len).for_each(|byte| *byte = 0);
            return Ok(len);
        }
        let after = self.deferred.partition_point(|deferred| deferred.range().start <= addr);
        let deferred = after.checked_sub(1).and_then(|index| self.deferred.get(index));
        if let Some(deferred) = deferred.filter(|deferred| deferred.range().contains(addr)) {
            let within = AddrRange::new(addr, addr + u64::try_from(buf.len()).unwrap_or(0));
            if deferred.missing(within).is_some() {
                self.fetch(plan::whole_pages(within)).map_err(|error| error.kind)?;
            }
            let read = deferred.read(addr, buf);
            return if read == 0 { Err(ReadErrorKind::NotSaved) } else { Ok(read) };
        }
        if find(&self.lost, addr).is_some() {
            return Err(ReadErrorKind::NotSaved);
        }
        let Some(range) = find(&self.constant, addr) else { return Err(ReadErrorKind::Unmapped) };
        let len = usize::try_from(range.end - addr).unwrap_or(usize::MAX).min(buf.len());
        let part = buf.get_mut(..len).unwrap_or_default();
        self.live.read(addr, part).map_err(|error| error.kind)?;
        Ok(len)
    }

    #[cold]
    fn uncommon_slice(&self, addr: Addr, len: usize) -> Option<&[u8]> {
        let bytes = u64::try_from(len).ok()?;
        if let Some(range) = find(&self.zeros, addr) {
            return ZEROS.get(..len).filter(|_| range.end - addr >= bytes);
        }
        let after = self.deferred.partition_point(|deferred| deferred.range().start <= addr);
        self.deferred.get(after.checked_sub(1)?)?.slice(addr, len)
    }
}

fn copy_start(from: &[u8], to: &mut [u8]) -> usize {
    let len = from.len().min(to.len());
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
    len
}

/// The range that covers an address.
fn find(ranges: &[AddrRange], addr: Addr) -> Option<AddrRange> {
    let after = ranges.partition_point(|range| range.start <= addr);
    ranges.get(after.checked_sub(1)?).copied().filter(|range| range.contains(addr))
}

impl Memory for CapturedMemory {
    fn read(&self, addr: Addr, buf: &mut [u8]) -> Result<(), ReadError> {
        read_in_pieces(addr, buf, |at, rest| self.read_some(at, rest))
    }

    #[inline]
    fn slice(&self, addr: Addr, len: usize) -> Option<&[u8]> {
        match self.regions.at(addr) {
            Some(bytes) => bytes.get(..len),
            None => self.uncommon_slice(addr, len),
        }
    }
}

#[cfg(test)]
#[path = "capture_tests.rs"]
mod tests;
