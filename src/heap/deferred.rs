//! Large blocks of `malloc` that the capture put off: a numpy array of 20 GB costs its first
//! mebibyte, but the storage of a list, dictionary, set or tuple is needed. Which of the two a block
//! is shows in what it begins with.

use crate::addr::Addr;
use crate::cpython::discovery::Found;
use crate::cpython::layout::features::TYPE_SUBCLASS;
use crate::cpython::object::Objects;
use crate::limits::Limits;
use crate::target::capture::{CapturedMemory, DeferredBlock};
use crate::target::memory::Memory;

/// The words of a block's head that are looked at.
const SAMPLES: usize = 4096;
/// Of the words that are not null, one in so many must lead to an object: a table of a set holds a
/// hash after each member.
const ONE_IN: usize = 4;
/// The header of a block of `malloc`, before what its owner points to.
pub(super) const MALLOC_HEADER: u64 = 16;
/// What the debug hooks of CPython's allocators put before a block.
pub(super) const DEBUG_HEADER: u64 = 16;

/// Copies the blocks that hold references. Called while the target stands still.
///
/// A block that cannot be copied stays put off, and what refers into it becomes an anomaly.
pub fn fetch_deferred(captured: &CapturedMemory, found: &Found, limits: Limits) {
    let objects =
        Objects { memory: captured, layout: &found.layout, limits, known: found.known, code: None };
    for block in captured.deferred_blocks() {
        if is_keys(&objects, block) || leads_to_objects(&objects, block) {
            // A failure shows when the walk comes here.
            let _ = captured.fetch(block.block);
        }
    }
}

/// Whether a block begins as the keys of a dictionary do: those begin with indices, not references.
fn is_keys(objects: &Objects<'_, CapturedMemory>, block: &DeferredBlock) -> bool {
    let size = block.block.len();
    // Debug hooks put headers of their own between: one for each of the two allocators passed.
    [0, DEBUG_HEADER, 2 * DEBUG_HEADER].into_iter().any(|header| {
        objects
            .dict_keys_header(block.block.start + MALLOC_HEADER + header)
            .is_ok_and(|keys| keys.bytes <= size && keys.bytes > size / 2 && keys.refcnt > 0)
    })
}

/// Whether enough of the words that a block begins with lead to objects.
fn leads_to_objects(objects: &Objects<'_, CapturedMemory>, block: &DeferredBlock) -> bool {
    let Ok(len) = usize::try_from(block.head.len()) else { return false };
    let Ok(head) = objects.memory.bytes(block.head.start, len) else { return true };
    let words: Vec<Addr> = head
        .as_chunks::<8>()
        .0
        .iter()
        .map(|word| Addr(u64::from_le_bytes(*word)))
        .filter(|word| !word.is_null())
        .collect();
    // An odd step, so that samples do not fall on the hashes of a set's table alone.
    let step = words.len().div_ceil(SAMPLES) | 1;
    let sampled: Vec<Addr> = words.into_iter().step_by(step).collect();
    let leading = sampled.iter().filter(|&&word| is_object(objects, word)).count();
    leading * ONE_IN >= sampled.len() && leading > 0
}

/// Whether there seems to be an object: its type has a type that is a metatype.
fn is_object(objects: &Objects<'_, CapturedMemory>, word: Addr) -> bool {
    let flags = || {
        let metatype = objects.type_at(objects.type_at(word).ok()?).ok()?;
        objects.memory.u64(metatype + objects.layout.at.ty.tp_flags).ok()
    };
    word.is_aligned(8) && flags().is_some_and(|flags| flags & TYPE_SUBCLASS != 0)
}
