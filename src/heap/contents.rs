//! Equal texts and bytes have equal numbers: a keyed hash of each, so that duplicates are found
//! without keeping what they say.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use rayon::prelude::*;
use rustc_hash::FxHashMap;

use crate::addr::Addr;
use crate::cpython::discovery::Found;
use crate::cpython::object::{Content, Objects, TypeInfo};
use crate::graph::UNREAD_CONTENT;
use crate::limits::Limits;
use crate::target::capture::{CapturedMemory, DeferredBlock};
use crate::target::memory::{Memory, ReadError, ReadErrorKind};

use super::deferred::{DEBUG_HEADER, MALLOC_HEADER};

/// How much is read at once, in bytes.
const CHUNK: usize = 1 << 20;
/// How much is read in all, in bytes: honest texts do not overlap, those of a hostile target may.
const MOST_BYTES: u64 = 1 << 40;

/// Numbers for contents.
///
/// The key is made anew for each snapshot and stored nowhere, so that nobody who has the file can try
/// texts out. The standard library's keyed hash is `SipHash-1-3`.
#[derive(Debug)]
pub struct Contents {
    key: RandomState,
    /// Those of blocks that were not copied, by the object.
    of_deferred: FxHashMap<Addr, u64>,
    /// How much may still be read.
    budget: AtomicU64,
}

impl Default for Contents {
    fn default() -> Self {
        let key = RandomState::new();
        Self { key, of_deferred: FxHashMap::default(), budget: AtomicU64::new(MOST_BYTES) }
    }
}

impl Contents {
    /// Reads the texts and bytes in blocks that the copy left out, as far as time allows. Called while
    /// the target stands still; nothing of them is kept.
    #[must_use]
    pub fn of_deferred(
        captured: &CapturedMemory,
        found: &Found,
        limits: Limits,
        until: Instant,
    ) -> Self {
        let contents = Self::default();
        let objects = Objects {
            memory: captured,
            layout: &found.layout,
            limits,
            known: found.known,
            code: None,
        };
        let target = StandingStill { captured, until };
        let of_deferred = captured
            .deferred_blocks()
            .par_iter()
            .filter_map(|block| {
                let (object, content) = content_in(&objects, block)?;
                Some((object, contents.hash(&target, content)?))
            })
            .collect();
        Self { of_deferred, ..contents }
    }

    /// The number of an object's contents, [`UNREAD_CONTENT`] if they cannot be read; nothing for what
    /// is no text or bytes.
    pub(super) fn number<M: Memory>(
        &self,
        objects: &Objects<'_, M>,
        object: Addr,
        ty: &TypeInfo,
    ) -> Option<u64> {
        let content = match objects.content(object, ty) {
            Ok(content) => content?,
            Err(_) => return Some(UNREAD_CONTENT),
        };
        let number = match self.of_deferred.get(&object) {
            Some(&known) => Some(known),
            None => self.hash(objects.memory, content),
        };
        Some(number.unwrap_or(UNREAD_CONTENT))
    }

    /// The hash of some contents, unless they cannot be read or too much was read before.
    fn hash(&self, memory: &impl Memory, content: Content) -> Option<u64> {
        let bytes = content.range.len();
        let reserve = |left: u64| left.checked_sub(bytes);
        self.budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, reserve).ok()?;
        let mut hasher = self.key.build_hasher();
        hasher.write_u8(content.kind);
        hasher.write_u64(content.length);
        let mut buf = Vec::new();
        let mut at = content.range.start;
        while at < content.range.end {
            let len = usize::try_from(content.range.end - at).unwrap_or(CHUNK).min(CHUNK);
            match memory.slice(at, len) {
                Some(bytes) => hasher.write(bytes),
                None => {
                    buf.resize(len, 0);
                    memory.read(at, &mut buf).ok()?;
                    hasher.write(&buf);
                }
            }
            at = at + len as u64;
        }
        // The one number that says something else.
        Some(hasher.finish().max(UNREAD_CONTENT + 1))
    }
}

/// The text or bytes that a block of `malloc` begins with and holds as a whole.
fn content_in(
    objects: &Objects<'_, CapturedMemory>,
    block: &DeferredBlock,
) -> Option<(Addr, Content)> {
    // Debug hooks put headers of their own between: one for each of the two allocators passed.
    [0, DEBUG_HEADER, 2 * DEBUG_HEADER].into_iter().find_map(|header| {
        let object = block.block.start + MALLOC_HEADER + header;
        let content = objects.content_by_flags(object).ok()??;
        let range = content.range;
        let within = block.block.contains(range.start) && range.end <= block.block.end;
        (within && objects.has_sane_ref_count(object)).then_some((object, content))
    })
}

/// The target itself, for as long as it stands still and may be kept waiting.
struct StandingStill<'a> {
    captured: &'a CapturedMemory,
    until: Instant,
}

impl Memory for StandingStill<'_> {
    fn read(&self, addr: Addr, buf: &mut [u8]) -> Result<(), ReadError> {
        if Instant::now() > self.until {
            let len = buf.len() as u64;
            return Err(ReadError { addr, len, kind: ReadErrorKind::NotSaved });
        }
        self.captured.read_target(addr, buf)
    }
}
