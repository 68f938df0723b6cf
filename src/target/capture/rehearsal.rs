//! A copy made while the target still runs, so that the one that counts finds its memory ready.
//!
//! Most of the time of a first copy goes into our own page faults. A rehearsal touches the very
//! pages that the copy will fill, finds out where the big blocks are, and refuses a copy that is
//! too large before anything was stopped. Its bytes are of no instant and are never shown.

use super::plan::{Plan, Segment, without};
use super::{CaptureError, CaptureLimits, copy, headroom};
use crate::addr::AddrRange;
use crate::target::maps::MemoryMap;
use crate::target::process::Process;
use crate::target::sys;

/// How much a segment may grow, in bytes, and still fit into the buffer made for it.
const GROWTH_BYTES: u64 = 4 << 20;

/// Buffers whose pages are there. The default has none.
#[derive(Debug, Default)]
pub struct Rehearsal {
    /// By address.
    buffers: Vec<(Segment, Vec<u8>)>,
    /// What may be copied in all, decided before the buffers took their share of the memory.
    limit: Option<u64>,
}

/// Copies once what [`super::capture`] will copy, while the target runs.
///
/// # Errors
/// It would take too much memory, or the process is gone.
pub fn rehearse(
    process: &Process,
    map: &MemoryMap,
    limits: &CaptureLimits,
) -> Result<Rehearsal, CaptureError> {
    let limit = limit(process.pid(), limits);
    let mut plan = Plan::new(process, map, None)?;
    let mut buffers = Vec::with_capacity(plan.segments.len());
    for segment in &plan.segments {
        let len = usize::try_from(segment.range.len().saturating_add(GROWTH_BYTES)).ok();
        buffers.push(len.and_then(sys::zeroed).ok_or(CaptureError::TooLarge { limit })?);
    }
    copy::copy(&process.memory(), &plan, &mut buffers, limit, None)?;
    let segments = std::mem::take(&mut plan.segments);
    Ok(Rehearsal { buffers: segments.into_iter().zip(buffers).collect(), limit: Some(limit) })
}

/// Half of what is left, or what the caller allows if that is less.
fn limit(pid: u32, limits: &CaptureLimits) -> u64 {
    let half = headroom::bytes(pid).map_or(u64::MAX, |bytes| bytes / 2);
    limits.max_bytes.unwrap_or(u64::MAX).min(half)
}

impl Rehearsal {
    /// The most bytes that may be copied.
    pub(super) fn limit(&self, pid: u32, limits: &CaptureLimits) -> u64 {
        self.limit.unwrap_or_else(|| limit(pid, limits))
    }

    /// A buffer for a segment that holds zeros wherever the segment copies nothing.
    pub(super) fn buffer(&mut self, segment: &Segment) -> Option<Vec<u8>> {
        let len = usize::try_from(segment.range.len()).ok()?;
        let start = segment.range.start;
        let place = self.buffers.binary_search_by_key(&start, |(before, _)| before.range.start);
        let rehearsed = place.ok().and_then(|place| self.buffers.get_mut(place));
        let Some((before, buffer)) = rehearsed.filter(|(_, buffer)| buffer.len() >= len) else {
            return sys::zeroed(len);
        };
        let mut buffer = std::mem::take(buffer);
        let ranges = |segment: &Segment| segment.copies.iter().map(|copy| copy.range).collect();
        let copies: Vec<AddrRange> = ranges(segment);
        for stale in without(ranges(before), &copies) {
            let from = usize::try_from(stale.start - start).unwrap_or(usize::MAX);
            let to = usize::try_from(stale.end - start).unwrap_or(usize::MAX);
            buffer.get_mut(from..to)?.fill(0);
        }
        Some(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::Copy;
    use super::*;
    use crate::addr::Addr;

    fn segment(end: u64, copies: &[(u64, u64)]) -> Segment {
        let range = |start, end| AddrRange::new(Addr(start), Addr(end));
        let copies = copies.iter().map(|&(from, to)| Copy { range: range(from, to), blocks: None });
        Segment { range: range(0x1000, end), copies: copies.collect() }
    }

    #[test]
    fn nothing_of_a_rehearsal_shows_where_nothing_is_copied() {
        let before = segment(0x5000, &[(0x1000, 0x3000), (0x4000, 0x5000)]);
        let buffers = vec![(before, vec![7; 0x8000])];
        let mut rehearsal = Rehearsal { buffers, limit: None };
        // A page was given back since, and the segment has grown.
        let now = segment(0x6000, &[(0x1000, 0x2000), (0x4000, 0x6000)]);
        let buffer = rehearsal.buffer(&now).unwrap();
        assert!(buffer[0x1000..0x2000].iter().all(|&byte| byte == 0));
        assert_eq!((buffer.len(), buffer[0], buffer[0x3000]), (0x8000, 7, 7));
        // It is given out once; what is larger gets a new one.
        assert!(rehearsal.buffer(&now).unwrap().iter().all(|&byte| byte == 0));
    }
}
