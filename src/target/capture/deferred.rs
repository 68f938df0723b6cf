//! A range whose bytes are copied only when someone asks for them.

use super::plan::whole_pages;
use crate::addr::{Addr, AddrRange};
use crate::target::memory::{ReadError, ReadErrorKind};
use crate::target::sys;
use rustc_hash::FxHashMap;
use std::sync::{OnceLock, PoisonError, RwLock};

/// Pieces from this size on, in bytes, are kept whole, so that they can be lent as slices.
const PART_BYTES: usize = 64 << 10;
const PAGE_BYTES: u64 = 4096;

/// A range that was put off, and what was fetched of it since.
#[derive(Debug)]
pub(super) struct Deferred {
    range: AddrRange,
    /// Filled from the front; nothing is ever taken out, so that slices of them can be lent.
    parts: [OnceLock<Part>; 8],
    /// Single pages, by address.
    pages: RwLock<FxHashMap<u64, Box<[u8]>>>,
}

#[derive(Debug)]
struct Part {
    start: Addr,
    bytes: Vec<u8>,
}

impl Part {
    fn from(&self, addr: Addr) -> Option<&[u8]> {
        let start = usize::try_from(addr.0.checked_sub(self.start.0)?).ok()?;
        self.bytes.get(start..).filter(|bytes| !bytes.is_empty())
    }
}

impl Deferred {
    pub(super) fn new(range: AddrRange) -> Self {
        Self { range, parts: Default::default(), pages: RwLock::default() }
    }

    pub(super) const fn range(&self) -> AddrRange {
        self.range
    }

    fn part_from(&self, addr: Addr) -> Option<&[u8]> {
        self.parts.iter().map_while(OnceLock::get).find_map(|part| part.from(addr))
    }

    /// What of `wanted` lies in here and is not there, from the first missing page on.
    pub(super) fn missing(&self, wanted: AddrRange) -> Option<AddrRange> {
        let mut at = wanted.start.max(self.range.start);
        let end = wanted.end.min(self.range.end);
        let pages = self.pages.read().unwrap_or_else(PoisonError::into_inner);
        while at < end {
            if let Some(bytes) = self.part_from(at) {
                at = at + u64::try_from(bytes.len()).unwrap_or(0);
            } else if pages.contains_key(&at.without_tag(PAGE_BYTES - 1).0) {
                at = at.without_tag(PAGE_BYTES - 1) + PAGE_BYTES;
            } else {
                let missing = whole_pages(AddrRange::new(at, end));
                let start = missing.start.max(self.range.start);
                return Some(AddrRange::new(start, missing.end.min(self.range.end)));
            }
        }
        None
    }

    /// Keeps bytes that start at a page in here.
    pub(super) fn add(&self, start: Addr, bytes: Vec<u8>) {
        let mut part = Part { start, bytes };
        if part.bytes.len() >= PART_BYTES {
            for place in &self.parts {
                match place.set(part) {
                    Ok(()) => return,
                    Err(back) => part = back,
                }
            }
        }
        let mut pages = self.pages.write().unwrap_or_else(PoisonError::into_inner);
        let step = usize::try_from(PAGE_BYTES).unwrap_or(4096);
        let mut at = start.0;
        for page in part.bytes.chunks(step) {
            pages.insert(at, page.into());
            at = at.wrapping_add(PAGE_BYTES);
        }
    }

    /// Fills the start of `buf` with what is there from `addr` on; gives how much.
    pub(super) fn read(&self, addr: Addr, buf: &mut [u8]) -> usize {
        if let Some(bytes) = self.part_from(addr) {
            return super::copy_start(bytes, buf);
        }
        let page = addr.without_tag(PAGE_BYTES - 1);
        let pages = self.pages.read().unwrap_or_else(PoisonError::into_inner);
        let within = usize::try_from(addr - page).unwrap_or(0);
        let bytes = pages.get(&page.0).and_then(|page| page.get(within..));
        bytes.map_or(0, |bytes| super::copy_start(bytes, buf))
    }

    /// The bytes themselves, if they were fetched in one piece.
    pub(super) fn slice(&self, addr: Addr, len: usize) -> Option<&[u8]> {
        self.parts.iter().map_while(OnceLock::get).find_map(|part| part.from(addr)?.get(..len))
    }
}

/// Whether the target still stands still.
#[derive(Debug, Default)]
pub(super) struct Attachment {
    ended: RwLock<bool>,
}

impl Attachment {
    /// Reads from the target if it still stands still; it does so until this is done.
    pub(super) fn read(
        &self,
        range: AddrRange,
        read: impl FnOnce(&mut [u8]) -> Result<(), ReadError>,
    ) -> Result<Vec<u8>, ReadError> {
        self.read_into(range, || {
            let kind = ReadErrorKind::Os(nix::libc::ENOMEM);
            let buf = usize::try_from(range.len()).ok().and_then(sys::zeroed);
            let mut buf = buf.ok_or(ReadError { addr: range.start, len: range.len(), kind })?;
            read(&mut buf)?;
            Ok(buf)
        })
    }

    /// The same with a reader that has a place of its own for what it reads.
    pub(super) fn read_into<T>(
        &self,
        range: AddrRange,
        read: impl FnOnce() -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        let ended = self.ended.read().unwrap_or_else(PoisonError::into_inner);
        if *ended {
            let kind = ReadErrorKind::NotSaved;
            return Err(ReadError { addr: range.start, len: range.len(), kind });
        }
        read()
    }

    /// Waits for the reads under way, and permits no more.
    pub(super) fn end(&self) {
        *self.ended.write().unwrap_or_else(PoisonError::into_inner) = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: u64, end: u64) -> AddrRange {
        AddrRange::new(Addr(start), Addr(end))
    }

    #[test]
    fn what_is_missing_shrinks_as_parts_and_pages_come_in() {
        let deferred = Deferred::new(range(0x10_0000, 0x20_0000));
        assert_eq!(
            deferred.missing(range(0x10_0800, 0x10_0900)),
            Some(range(0x10_0000, 0x10_1000))
        );
        assert_eq!(deferred.missing(range(0, u64::MAX)), Some(range(0x10_0000, 0x20_0000)));
        deferred.add(Addr(0x10_0000), vec![1; 0x1000]);
        deferred.add(Addr(0x10_1000), vec![2; 0x1_0000]);
        assert_eq!(deferred.missing(range(0x10_0800, 0x11_1000)), None);
        assert_eq!(
            deferred.missing(range(0x10_0800, 0x11_1001)),
            Some(range(0x11_1000, 0x11_2000))
        );
        let mut buf = [0; 8];
        assert_eq!(deferred.read(Addr(0x10_0ffc), &mut buf), 4);
        assert_eq!(buf, [1, 1, 1, 1, 0, 0, 0, 0]);
        assert_eq!(deferred.slice(Addr(0x10_1000), 0x1_0000).unwrap(), vec![2; 0x1_0000]);
        assert_eq!(deferred.slice(Addr(0x10_1001), 0x1_0000), None);
        assert_eq!(deferred.slice(Addr(0x10_0000), 8), None);
        assert_eq!(deferred.read(Addr(0x12_0000), &mut buf), 0);
    }

    #[test]
    fn more_parts_than_places_are_kept_as_pages() {
        let deferred = Deferred::new(range(0, 0x100_0000));
        for part in 0..12 {
            deferred.add(Addr(part * 0x2_0000), vec![part as u8; 0x2_0000]);
        }
        assert_eq!(deferred.missing(range(0, 12 * 0x2_0000)), None);
        let mut buf = [0; 4];
        assert_eq!(deferred.read(Addr(11 * 0x2_0000 + 5), &mut buf), 4);
        assert_eq!(buf, [11; 4]);
    }

    #[test]
    fn after_the_end_nothing_is_read() {
        let attachment = Attachment::default();
        let fill = |buf: &mut [u8]| {
            buf.fill(7);
            Ok(())
        };
        assert_eq!(attachment.read(range(0, 4), fill).unwrap(), [7; 4]);
        attachment.end();
        assert_eq!(attachment.read(range(0, 4), fill).unwrap_err().kind, ReadErrorKind::NotSaved);
    }
}
