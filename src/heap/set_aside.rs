//! Objects that a collection in progress has set aside: they hang on lists whose heads are variables of
//! the collector (`unreachable`, `finalizers`, `wrcb_to_call`; `Modules/gcmodule.c`, from 3.14 on
//! `Python/gc.c`), so on the C stack of the thread that collects.
//!
//! A head cannot be mistaken: the first and the last object of the list both point at it, there where
//! it stands.

use std::sync::Arc;

use rayon::prelude::*;
use rustc_hash::FxHashSet;

use super::gc_lists::{FLAGS, Tracked};
use super::recover::OLDEST;
use super::types::{TypeCache, Types};
use crate::addr::{Addr, AddrRange};
use crate::cpython::layout::features::HAVE_GC;
use crate::cpython::object::Objects;
use crate::target::maps::MemoryMap;
use crate::target::memory::Memory;

/// How much of a stack is looked at in one piece, in bytes.
const PIECE: u64 = 1 << 20;
/// The largest mapping that is taken for a stack, in bytes.
const STACK_BYTES: u64 = 1 << 32;
/// The lowest address at which something can be.
const LOWEST: u64 = 1 << 16;

/// Adds the objects on such lists to `tracked`, and says how many there were.
pub(super) fn set_aside(
    objects: &Objects<'_, impl Memory>,
    map: &MemoryMap,
    interpreters: &[Addr],
    types: &Types,
    tracked: &mut Tracked,
) -> u64 {
    let pieces: Vec<AddrRange> =
        stacks(objects, map, interpreters).into_iter().flat_map(pieces).collect();
    let heads: Vec<Addr> =
        pieces.into_par_iter().flat_map_iter(|piece| heads(objects, piece)).collect();
    let mut types = TypeCache::new(types);
    let mut found = 0;
    for head in heads {
        found += walk(objects, head, &mut types, tracked);
    }
    found
}

/// The C stacks of the threads that have a Python state: that of the first thread is known to the
/// kernel, and where the others' thread-local data is, there is the end of their stack.
fn stacks(
    objects: &Objects<'_, impl Memory>,
    map: &MemoryMap,
    interpreters: &[Addr],
) -> Vec<AddrRange> {
    let thread_id = objects.layout.at.thread.thread_id;
    let threads = interpreters.iter().flat_map(|&interpreter| objects.threads(interpreter).0);
    let threads = threads.filter_map(|thread| objects.memory.addr(thread + thread_id).ok());
    let mut seen: FxHashSet<Addr> = FxHashSet::default();
    let first = map.iter().find(|mapping| mapping.path.as_deref() == Some("[stack]"));
    threads
        .filter_map(|thread| map.find(thread))
        .chain(first)
        .filter(|mapping| mapping.write && mapping.range.len() <= STACK_BYTES)
        .map(|mapping| mapping.range)
        .filter(|range| seen.insert(range.start))
        .collect()
}

/// A range in pieces, each with the word that follows it.
fn pieces(range: AddrRange) -> impl Iterator<Item = AddrRange> {
    let starts = (range.start.0..range.end.0).step_by(usize::try_from(PIECE).unwrap_or(1 << 20));
    starts.map(move |start| AddrRange::new(Addr(start), Addr(start + PIECE + 8).min(range.end)))
}

/// The heads of lists that are not empty in a part of a stack.
fn heads(objects: &Objects<'_, impl Memory>, piece: AddrRange) -> Vec<Addr> {
    let memory = objects.memory;
    let len = usize::try_from(piece.len()).unwrap_or(0);
    // What was not saved is not known.
    let bytes = memory.bytes(piece.start, len).unwrap_or_default();
    let words = bytes.as_chunks::<8>().0;
    let link = |word: &[u8; 8]| Addr(u64::from_le_bytes(*word)).without_tag(FLAGS);
    let may_be = |addr: Addr| addr.0 > LOWEST && addr.0 >> 47 == 0 && addr.is_aligned(8);
    let mut heads = Vec::new();
    for (nth, pair) in (0_u64..).zip(words.windows(2)) {
        let [next, prev] = pair else { continue };
        let (next, prev) = (link(next), link(prev));
        let head = piece.start + nth * 8;
        if next == head || !may_be(next) || !may_be(prev) {
            continue;
        }
        let points_back = |at: Addr| memory.addr(at).is_ok_and(|it| it.without_tag(FLAGS) == head);
        if points_back(next + 8) && points_back(prev) {
            heads.push(head);
        }
    }
    heads
}

/// Walks one list, as long as there are objects on it that no other list has.
fn walk(
    objects: &Objects<'_, impl Memory>,
    head: Addr,
    types: &mut TypeCache<'_>,
    tracked: &mut Tracked,
) -> u64 {
    let mut found = 0;
    let mut node = head;
    loop {
        let Ok(next) = objects.memory.addr(node) else { return found };
        node = next.without_tag(FLAGS);
        let object = node + objects.layout.gc_head_size;
        let is_known = tracked.generations.iter().any(|set| set.contains(object));
        if node == head || is_known || !is_object(objects, object, types) {
            return found;
        }
        let oldest = tracked.generations.get(usize::from(OLDEST));
        if oldest.and_then(|set| set.insert(object)) != Some(true) {
            return found;
        }
        tracked.objects.push(object);
        found += 1;
    }
}

/// Whether there is an object that the collector can know.
fn is_object(objects: &Objects<'_, impl Memory>, object: Addr, types: &mut TypeCache<'_>) -> bool {
    if !objects.has_sane_ref_count(object) {
        return false;
    }
    let Ok(ty) = types.of(objects, object) else { return false };
    let ty = Arc::clone(ty);
    ty.has(HAVE_GC) && objects.is_gc(object, &ty)
}
