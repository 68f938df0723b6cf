//! A copy made while the target still runs, so that the one that counts finds its memory ready.
//!
//! Most of the time of a first copy goes into our own page faults. A rehearsal touches the very
//! pages that the copy will fill, and refuses a copy that is too large before anything was
//! stopped. It reads, for only the contents tell which pages belong to big blocks, and memory for
//! those is not to be taken. What it has read is of no instant, and is never shown.

use super::plan::{Plan, Segment, without};
use super::{CaptureError, CaptureLimits, copy, headroom};
use crate::addr::{Addr, AddrRange};
use crate::target::maps::MemoryMap;
use crate::target::process::Process;
use crate::target::sys;
use std::ops::Range;

/// From which size on, in bytes, a segment is given room to grow: smaller ones cost little anew.
const GROWING_BYTES: u64 = 8 << 20;

/// Memory whose pages are there. The default has none.
#[derive(Debug, Default)]
pub struct Rehearsal {
    /// By address; what was given out is empty.
    rooms: Vec<Room>,
    /// What a copy that failed has given back.
    returned: Vec<Room>,
    /// What may be copied in all, decided before the rooms took their share of the memory.
    limit: Option<u64>,
}

/// Memory of our own for some addresses of the target.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) start: Addr,
    pub(super) bytes: Vec<u8>,
    /// Which segments of the plan are copied to it.
    pub(super) segments: Range<usize>,
    /// What holds zeros for sure, by address.
    clean: Vec<AddrRange>,
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
    let plan = Plan::new(process, map, &[], None)?;
    let mut rooms = Vec::with_capacity(plan.segments.len());
    for (index, segment) in plan.segments.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|before| plan.segments.get(before));
        let start = before.map_or(Addr(0), |before| before.range.end);
        let end = plan.segments.get(index + 1).map_or(Addr(u64::MAX), |next| next.range.start);
        let room = Room::new(grown(segment.range, AddrRange::new(start, end)), index)
            .or_else(|| Room::new(segment.range, index))
            .ok_or(CaptureError::TooLarge { limit })?;
        rooms.push(room);
    }
    copy::copy(&process.memory(), &plan, &mut rooms, limit, None)?;
    for (room, segment) in rooms.iter_mut().zip(&plan.segments) {
        let copies: Vec<AddrRange> = segment.copies.iter().map(|copy| copy.range).collect();
        room.clean = without(vec![room.range()], &copies);
    }
    Ok(Rehearsal { rooms, limit: Some(limit), ..Rehearsal::default() })
}

/// A range with a quarter more on either side, as far as nothing else is there: the heap grows
/// upwards, and mappings are placed below those that are there.
fn grown(range: AddrRange, free: AddrRange) -> AddrRange {
    if range.len() < GROWING_BYTES {
        return range;
    }
    let more = range.len() / 4;
    let start = Addr(range.start.0.saturating_sub(more)).max(free.start);
    AddrRange::new(start, Addr(range.end.0.saturating_add(more)).min(free.end))
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

    /// Rooms for segments, in their order: those of the rehearsal where they fit. What lies
    /// between the copies of a segment is zeros. Nothing if memory is lacking.
    pub(super) fn rooms(&mut self, segments: &[Segment]) -> Option<Vec<Room>> {
        let mut rooms: Vec<Room> = Vec::new();
        for (index, segment) in segments.iter().enumerate() {
            match rooms.last_mut().filter(|room| room.covers(segment.range)) {
                Some(room) => room.segments.end = index + 1,
                None => rooms.push(self.room(segment.range, index)?),
            }
            rooms.last_mut()?.clear_gaps(segment)?;
        }
        Some(rooms)
    }

    fn room(&mut self, range: AddrRange, index: usize) -> Option<Room> {
        let after = self.rooms.partition_point(|room| room.start <= range.start);
        let ready = after.checked_sub(1).and_then(|place| self.rooms.get_mut(place));
        let Some(ready) = ready.filter(|room| room.covers(range)) else {
            return Room::new(range, index);
        };
        let (bytes, clean) = (std::mem::take(&mut ready.bytes), std::mem::take(&mut ready.clean));
        Some(Room { start: ready.start, bytes, segments: index..index + 1, clean })
    }

    /// Takes rooms back: to give memory back takes time that the target need not stand still for.
    pub(super) fn keep(&mut self, rooms: Vec<Room>) {
        self.returned = rooms;
    }
}

impl Room {
    fn new(range: AddrRange, segment: usize) -> Option<Self> {
        let bytes = usize::try_from(range.len()).ok().and_then(sys::zeroed)?;
        Some(Self { start: range.start, bytes, segments: segment..segment + 1, clean: vec![range] })
    }

    fn range(&self) -> AddrRange {
        let len = u64::try_from(self.bytes.len()).unwrap_or(0);
        AddrRange::new(self.start, self.start + len)
    }

    fn covers(&self, range: AddrRange) -> bool {
        self.range().start <= range.start && range.end <= self.range().end
    }

    /// Makes zeros of what a rehearsal has left between the copies of a segment.
    fn clear_gaps(&mut self, segment: &Segment) -> Option<()> {
        let copies: Vec<AddrRange> = segment.copies.iter().map(|copy| copy.range).collect();
        for stale in without(without(vec![segment.range], &copies), &self.clean) {
            let from = usize::try_from(stale.start - self.start).ok()?;
            let to = usize::try_from(stale.end - self.start).ok()?;
            self.bytes.get_mut(from..to)?.fill(0);
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::capture::plan::Copy;

    fn range(start: u64, end: u64) -> AddrRange {
        AddrRange::new(Addr(start), Addr(end))
    }

    fn segment(copies: &[(u64, u64)]) -> Segment {
        let copy = |&(from, to): &(u64, u64)| Copy { range: range(from, to), blocks: None };
        let (start, end) = (copies[0].0, copies[copies.len() - 1].1);
        Segment { range: range(start, end), copies: copies.iter().map(copy).collect() }
    }

    /// A rehearsal with one room full of sevens, except for a page.
    fn rehearsal() -> Rehearsal {
        let mut bytes = vec![7; 0x8000];
        bytes[0x3000..0x4000].fill(0);
        let clean = vec![range(0x13000, 0x14000)];
        let room = Room { start: Addr(0x10000), bytes, segments: 0..1, clean };
        Rehearsal { rooms: vec![room], ..Rehearsal::default() }
    }

    #[test]
    fn nothing_of_a_rehearsal_shows_between_copies() {
        let now = segment(&[(0x11000, 0x12000), (0x15000, 0x16000)]);
        let rooms = rehearsal().rooms(&[now]).unwrap();
        assert_eq!(rooms.len(), 1);
        let (bytes, start) = (&rooms[0].bytes, rooms[0].start);
        assert!(bytes[0x2000..0x5000].iter().all(|&byte| byte == 0));
        assert_eq!((start, bytes[0x1000], bytes[0x5000]), (Addr(0x10000), 7, 7));
    }

    #[test]
    fn segments_that_moved_apart_share_a_room_and_others_get_new_ones() {
        let mut rehearsal = rehearsal();
        let below = segment(&[(0xf000, 0x11000)]);
        let parts = [segment(&[(0x10000, 0x12000)]), segment(&[(0x16000, 0x18000)])];
        let above = segment(&[(0x18000, 0x19000)]);
        let [first, last] = parts;
        let rooms = rehearsal.rooms(&[first, last, above]).unwrap();
        let placed: Vec<_> = rooms.iter().map(|room| (room.start, room.segments.clone())).collect();
        assert_eq!(placed, [(Addr(0x10000), 0..2), (Addr(0x18000), 2..3)]);
        // A room is given out once, and what starts below it does not fit.
        for other in [below, segment(&[(0x10000, 0x12000)])] {
            let rooms = rehearsal.rooms(&[other]).unwrap();
            assert!(rooms[0].bytes.len() == 0x2000 && rooms[0].bytes.iter().all(|&byte| byte == 0));
        }
    }

    #[test]
    fn large_segments_may_grow_up_to_their_neighbours() {
        let large = range(0x1000_0000, 0x1100_0000);
        let all = range(0, u64::MAX);
        assert_eq!(grown(large, all), range(0xfc0_0000, 0x1140_0000));
        assert_eq!(grown(large, range(0xfff_0000, 0x1100_1000)), range(0xfff_0000, 0x1100_1000));
        assert_eq!(grown(range(0x1000, 0x2000), all), range(0x1000, 0x2000));
    }
}
