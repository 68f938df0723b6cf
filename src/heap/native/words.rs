//! The words of memory, a piece at a time.

use crate::addr::{Addr, AddrRange};
use crate::target::memory::Memory;

/// The size of a page, in bytes.
const PAGE: u64 = 4096;

/// Gives `each` every aligned word of a range, and where it stands. Pages that cannot be read are
/// passed over.
pub(super) fn words(memory: &impl Memory, range: AddrRange, mut each: impl FnMut(Addr, Addr)) {
    let mut at = Addr(range.start.0.next_multiple_of(8));
    let len = usize::try_from(range.end.0.saturating_sub(at.0)).unwrap_or(0);
    if let Some(bytes) = memory.slice(at, len) {
        return words_of(bytes, at, &mut each);
    }
    while at < range.end {
        let end = Addr(at.without_tag(PAGE - 1).0.saturating_add(PAGE)).min(range.end);
        let len = usize::try_from(end - at).unwrap_or(0);
        if let Ok(bytes) = memory.bytes(at, len) {
            words_of(&bytes, at, &mut each);
        }
        at = end;
    }
}

fn words_of(bytes: &[u8], start: Addr, each: &mut impl FnMut(Addr, Addr)) {
    for (nth, word) in (0_u64..).zip(bytes.as_chunks::<8>().0) {
        each(start + nth * 8, Addr(u64::from_le_bytes(*word)));
    }
}
