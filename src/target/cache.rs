//! A memory of the pages that were read before.

use super::memory::{Memory, ReadError, ReadErrorKind};
use crate::addr::Addr;
use rustc_hash::FxHashMap;
use std::sync::{Arc, PoisonError, RwLock};

const PAGE_BYTES: u64 = 4096;
const SHARDS: u64 = 64;

type Page = Arc<[u8; 4096]>;

/// Remembers the 4 KiB pages read from another memory, up to a bound.
///
/// For what does not change while it is read: the read-only data of a live target, a core file.
/// Its pages lie in shards with a lock each, so that parallel readers do not wait for each other.
#[derive(Debug)]
pub struct PageCache<M> {
    memory: M,
    shards: Vec<RwLock<FxHashMap<u64, Page>>>,
    pages_per_shard: usize,
}

impl<M: Memory> PageCache<M> {
    /// A cache of at most `bytes` bytes over `memory` (but at least one page a shard).
    #[must_use]
    pub fn new(memory: M, bytes: usize) -> Self {
        let shards = (0..SHARDS).map(|_| RwLock::default()).collect();
        let pages_per_shard = (bytes >> 18).max(1);
        Self { memory, shards, pages_per_shard }
    }

    /// The memory behind the cache.
    pub const fn inner(&self) -> &M {
        &self.memory
    }

    fn page(&self, number: u64) -> Result<Page, ReadError> {
        // Neighbouring pages lie in different shards.
        let shard = usize::try_from(number % SHARDS).ok().and_then(|shard| self.shards.get(shard));
        if let Some(page) = shard.and_then(|shard| {
            shard.read().unwrap_or_else(PoisonError::into_inner).get(&number).cloned()
        }) {
            return Ok(page);
        }
        let page: Page = Arc::new(self.memory.array(Addr(number.wrapping_mul(PAGE_BYTES)))?);
        if let Some(shard) = shard {
            let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
            if shard.len() >= self.pages_per_shard {
                // Starting over is cheaper than keeping track of what was used last, and what is
                // read often comes back at once.
                shard.clear();
            }
            shard.insert(number, Arc::clone(&page));
        }
        Ok(page)
    }

    fn read_pages(&self, addr: Addr, buf: &mut [u8]) -> Result<(), ReadError> {
        let mut at = addr.0;
        let mut rest = buf;
        while !rest.is_empty() {
            let page = self.page(at / PAGE_BYTES)?;
            let within = usize::try_from(at % PAGE_BYTES).unwrap_or(0);
            let bytes = page.get(within..).unwrap_or_default();
            let len = bytes.len().min(rest.len());
            let (now, later) = rest.split_at_mut(len);
            now.copy_from_slice(bytes.get(..len).unwrap_or_default());
            rest = later;
            at = at.wrapping_add(u64::try_from(len).unwrap_or(0));
        }
        Ok(())
    }
}

impl<M: Memory> Memory for PageCache<M> {
    fn read(&self, addr: Addr, buf: &mut [u8]) -> Result<(), ReadError> {
        let len = u64::try_from(buf.len()).unwrap_or(u64::MAX);
        if addr.0.checked_add(len).is_none() {
            return Err(ReadError { addr, len, kind: ReadErrorKind::Overflow });
        }
        // A large range would only push the others out, and is read once.
        if buf.len() >= 64 << 10 || self.read_pages(addr, buf).is_err() {
            // A range may be readable where its whole pages are not: at the end of what a core
            // file saved. And the error has to name what was asked for.
            return self.memory.read(addr, buf);
        }
        Ok(())
    }

    fn slice(&self, addr: Addr, len: usize) -> Option<&[u8]> {
        self.memory.slice(addr, len)
    }

    fn forget(&self) {
        for shard in &self.shards {
            shard.write().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Bytes from `0x10000` up to `end`, each of them a function of its address.
    struct Counted {
        end: u64,
        reads: AtomicUsize,
    }

    fn byte(addr: u64) -> u8 {
        (addr.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
    }

    impl Memory for Counted {
        fn read(&self, addr: Addr, buf: &mut [u8]) -> Result<(), ReadError> {
            self.reads.fetch_add(1, Ordering::Relaxed);
            let len = buf.len() as u64;
            if addr.0 < 0x10000 || addr.0 + len > self.end {
                return Err(ReadError { addr, len, kind: ReadErrorKind::Unmapped });
            }
            for (at, place) in (addr.0..).zip(buf) {
                *place = byte(at);
            }
            Ok(())
        }
    }

    fn counted(end: u64) -> Counted {
        Counted { end, reads: AtomicUsize::new(0) }
    }

    #[test]
    fn the_bytes_are_those_of_the_memory_across_pages() {
        let cache = PageCache::new(counted(0x40000), 1 << 20);
        for addr in (0x10000_u64..0x3ff00).step_by(771) {
            let bytes = cache.bytes(Addr(addr), 200).unwrap();
            assert!(bytes.iter().zip(addr..).all(|(&found, at)| found == byte(at)), "{addr:#x}");
        }
    }

    #[test]
    fn a_page_is_read_once() {
        let cache = PageCache::new(counted(0x40000), 1 << 20);
        for addr in 0x10000..0x10100 {
            cache.u64(Addr(addr)).unwrap();
        }
        assert_eq!(cache.inner().reads.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn it_stays_below_its_bound() {
        let cache = PageCache::new(counted(u64::MAX), 0);
        for page in 16..10_000 {
            cache.u8(Addr(page * PAGE_BYTES)).unwrap();
        }
        let kept: usize = cache.shards.iter().map(|shard| shard.read().unwrap().len()).sum();
        assert_eq!(kept, 64);
    }

    #[test]
    fn errors_name_what_was_asked_for_and_partial_pages_read() {
        let cache = PageCache::new(counted(0x10f00), 1 << 20);
        assert_eq!(cache.bytes(Addr(0x10e00), 0x100).unwrap().len(), 0x100);
        let error = cache.u64(Addr(0x10efc)).unwrap_err();
        assert_eq!((error.addr, error.len), (Addr(0x10efc), 8));
        assert_eq!(cache.u64(Addr(u64::MAX - 3)).unwrap_err().kind, ReadErrorKind::Overflow);
    }
}
