//! Who owns a block: an object, the interpreter, a variable of a binary.

use rayon::prelude::*;

use super::{Blocks, Use};
use crate::addr::{Addr, AddrRange};
use crate::cpython::object::Objects;
use crate::heap::discover::Discovery;
use crate::heap::types::TypeCache;
use crate::target::maps::MemoryMap;
use crate::target::memory::Memory;

/// How much of a mapping is read at once, in bytes: pages that were never touched are not saved.
const PIECE: usize = 4096;

impl Blocks<'_> {
    /// Every block with an object in it, and every block that an object owns by a rule. Gives the
    /// objects of which no rule says what they own.
    pub(super) fn claim_objects<M: Memory>(
        &self,
        discovery: &Discovery<'_, '_, M>,
    ) -> Vec<Vec<Addr>> {
        let claim = |chunk: Vec<Addr>| {
            let mut types = TypeCache::new(discovery.types);
            let mut without_rule = Vec::new();
            for object in chunk {
                self.claim_object(object);
                if self.claim_owned(discovery.objects, object, &mut types) {
                    without_rule.push(object);
                }
            }
            without_rule
        };
        discovery.found.par_chunks().map(claim).collect()
    }

    /// Every block that one object owns by a rule; whether there is no rule.
    pub(super) fn claim_owned(
        &self,
        objects: &Objects<'_, impl Memory>,
        object: Addr,
        types: &mut TypeCache<'_>,
    ) -> bool {
        let Ok(ty) = types.of(objects, object) else { return false };
        // What cannot be read was noted when the object was discovered.
        let without_rule = objects.owned_blocks(object, ty, |block| self.claim_owned_at(block));
        without_rule == Ok(true)
    }

    /// What the words of objects lead to of which no rule says what they own, and what that leads to.
    /// Called when all objects are known.
    pub(super) fn claim_structures<M: Memory>(
        &self,
        discovery: &Discovery<'_, '_, M>,
        without_rule: &[Vec<Addr>],
    ) {
        let objects = discovery.objects;
        without_rule.par_iter().for_each(|chunk| {
            let mut types = TypeCache::new(discovery.types);
            let mut left = Vec::new();
            for &object in chunk {
                let Ok(ty) = types.of(objects, object) else { continue };
                let each = |word| left.extend(self.claim_start(word, Use::Buffer));
                let _ = objects.own_words(object, ty, each);
                self.follow(discovery, &mut left, Use::Buffer);
            }
        });
    }

    /// Claims what the words of claimed blocks lead to. Each block is claimed once, so this ends.
    fn follow<M: Memory>(
        &self,
        discovery: &Discovery<'_, '_, M>,
        left: &mut Vec<AddrRange>,
        what: Use,
    ) {
        let head = discovery.objects.layout.gc_head_size;
        while let Some(block) = left.pop() {
            let start = self.inside(block).start;
            let freed = [start, start + head].into_iter().find(|&at| names_type(discovery, at));
            // Of a freed object only the link to the next one counts (`_PyFreeList_Push`,
            // Include/internal/pycore_freelist.h): the rest is of its former life.
            let range = freed.map_or(block, |object| AddrRange::new(object, object + 8));
            self.claim_words(discovery, range, what, left);
        }
    }

    /// Claims an object on a free list by its address, which is behind the collector's header.
    fn claim_freed_at<M: Memory>(
        &self,
        discovery: &Discovery<'_, '_, M>,
        object: Addr,
    ) -> Option<AddrRange> {
        let block = self.at(object)?;
        let begin = self.inside(block.range).start;
        let is_one = block.what() == Use::Unexplained
            && begin + discovery.objects.layout.gc_head_size == object
            && names_type(discovery, object);
        if is_one { self.claim(object, Use::Kept) } else { None }
    }

    fn claim_words<M: Memory>(
        &self,
        discovery: &Discovery<'_, '_, M>,
        range: AddrRange,
        what: Use,
        left: &mut Vec<AddrRange>,
    ) {
        let objects = discovery.objects;
        let mut each = |word: Addr| {
            let claimed = self.claim_start(word, what);
            left.extend(match what {
                Use::Kept => claimed.or_else(|| self.claim_freed_at(discovery, word)),
                _ => claimed,
            });
        };
        let mut at = range.start;
        while at < range.end {
            let len = usize::try_from(range.end.0 - at.0).unwrap_or(PIECE).min(PIECE);
            let owned;
            let bytes = match objects.memory.slice(at, len) {
                Some(slice) => slice,
                None => {
                    owned = objects.memory.bytes(at, len).unwrap_or_default();
                    &owned
                }
            };
            let words = bytes.as_chunks::<8>().0.iter();
            words.map(|word| Addr(u64::from_le_bytes(*word))).for_each(&mut each);
            at = at + len as u64;
        }
    }

    /// What the interpreters and the variables of binaries lead to. Called when objects have claimed
    /// what is theirs.
    pub(super) fn claim_kept<M: Memory>(
        &self,
        discovery: &Discovery<'_, '_, M>,
        map: &MemoryMap,
        interpreters: &[Addr],
    ) {
        let objects = discovery.objects;
        let at = &objects.layout.at;
        let mut ranges: Vec<AddrRange> = variables(map, &self.starts).collect();
        for &interpreter in interpreters {
            ranges.push(AddrRange::new(interpreter, interpreter + at.interpreter.sizeof));
            let threads = objects.threads(interpreter).0;
            ranges.extend(threads.iter().map(|&at| AddrRange::new(at, at + THREAD_BYTES)));
        }
        let mut left = Vec::new();
        for range in ranges {
            self.claim_words(discovery, range, Use::Kept, &mut left);
        }
        self.follow(discovery, &mut left, Use::Kept);
    }
}

/// Whether the second word of what may be an object is a type that is known.
fn names_type<M: Memory>(discovery: &Discovery<'_, '_, M>, object: Addr) -> bool {
    let objects = discovery.objects;
    let known = objects.type_at(object).is_ok_and(|at| {
        discovery.found.contains(at) && discovery.types.resolve(objects, at).is_ok()
    });
    known && object.is_aligned(8)
}

/// As much of a thread's state as every release has.
const THREAD_BYTES: u64 = 256;

/// The memory of the variables of binaries: what can be written and comes from a file, and what lies
/// right behind that, which is zero at the start. The kernel may have joined arenas to that, which
/// begin at `arenas`.
pub(in crate::heap) fn variables(
    map: &MemoryMap,
    arenas: &[Addr],
) -> impl Iterator<Item = AddrRange> {
    /// No binary has more variables that are zero at the start.
    const MOST_ZEROED: u64 = 4 << 20;
    /// None has more variables at all, whatever a list of mappings says: data files may be mapped, too,
    /// and a core may be damaged.
    const MOST_BYTES: u64 = 1 << 30;
    let mut end = Addr::NULL;
    map.iter().filter_map(move |mapping| {
        let mut range = mapping.range;
        let is_file = !mapping.is_anonymous();
        let is_behind = !is_file && range.start == end;
        if is_behind {
            let next = arenas.partition_point(|&start| start < range.start);
            let most = range.start + MOST_ZEROED;
            range.end = range.end.min(most).min(arenas.get(next).copied().unwrap_or(most));
        }
        end = if is_file { range.end } else { Addr::NULL };
        let is_own = mapping.write && mapping.read && !mapping.shared;
        range.end = range.end.min(range.start + MOST_BYTES);
        (is_own && (is_file || is_behind)).then_some(range)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_bounded_whatever_the_list_of_mappings_says() {
        let map = MemoryMap::parse(
            "00400000-00500000 rw-p 00000000 fe:00 11 /bin/a\n\
             00500000-00600000 rw-p 00000000 00:00 0 \n\
             10000000-7f0000000000 rw-p 00000000 fe:00 12 /lib/damaged.so\n\
             7f1000000000-7f1000100000 r--p 00000000 fe:00 13 /lib/constant.so\n",
        );
        let found: Vec<(u64, u64)> =
            variables(&map, &[]).map(|range| (range.start.0, range.len())).collect();
        assert_eq!(found, [(0x40_0000, 1 << 20), (0x50_0000, 1 << 20), (0x1000_0000, 1 << 30)]);
    }
}
