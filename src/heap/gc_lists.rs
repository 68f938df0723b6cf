//! The collector's lists: every container that it tracks, with its generation
//! (`Modules/gcmodule.c`, from 3.14 on `Python/gc.c`).

use super::address_set::AddressSet;
use crate::addr::Addr;
use crate::cpython::layout::features::GcStats;
use crate::cpython::object::Objects;
use crate::facts::GenerationFacts;
use crate::graph::Anomalies;
use crate::target::memory::{Memory, ReadError};

/// The tracked objects of all interpreters, by generation; the last set is the permanent one.
pub(super) struct Tracked {
    pub(super) generations: [AddressSet; 4],
    pub(super) objects: Vec<Addr>,
    /// Whether a list does not hang together, so that not all of its objects are here.
    pub(super) broken: bool,
}

/// The number of the set of frozen objects.
pub(super) const FROZEN: usize = 3;

/// The collector of one interpreter.
#[derive(Clone, Copy)]
pub(super) struct Collector {
    /// Its state.
    at: Addr,
}

impl Collector {
    /// The collector of an interpreter; nothing if the layout has none.
    pub(super) fn of(
        objects: &Objects<'_, impl Memory>,
        runtime: Addr,
        interpreter: Addr,
    ) -> Option<Self> {
        let at = &objects.layout.at;
        let at = match objects.layout.has.gc_in_runtime {
            true => runtime + at.runtime.gc?,
            false => interpreter + at.interpreter.gc?,
        };
        Some(Self { at })
    }

    /// Whether a collection was under way: its lists are then being rearranged.
    pub(super) fn is_collecting(self, objects: &Objects<'_, impl Memory>) -> bool {
        objects.memory.u32(self.at + objects.layout.at.gc.collecting).is_ok_and(|word| word != 0)
    }

    /// Whether it comes by itself.
    pub(super) fn is_enabled(self, objects: &Objects<'_, impl Memory>) -> Option<bool> {
        let word = objects.memory.u32(self.at + objects.layout.at.gc.enabled).ok()?;
        Some(word != 0)
    }

    /// The objects that it keeps by itself: `gc.garbage` and `gc.callbacks`.
    pub(super) fn roots(self, objects: &Objects<'_, impl Memory>) -> [(&'static str, Addr); 2] {
        let at = &objects.layout.at.gc;
        [("gc.garbage", at.garbage), ("gc.callbacks", at.callbacks)]
            .map(|(name, offset)| (name, objects.memory.addr(self.at + offset).unwrap_or_default()))
    }

    /// The heads of its lists: three generations and the permanent one.
    fn heads(self, objects: &Objects<'_, impl Memory>) -> [Addr; 4] {
        let at = &objects.layout.at;
        let young = self.at + at.gc.generations;
        let stride = at.gc_generation.sizeof;
        [young, young + stride, young + 2 * stride, self.at + at.gc.permanent_generation]
    }

    /// Walks all lists.
    pub(super) fn walk(
        self,
        objects: &Objects<'_, impl Memory>,
        tracked: &mut Tracked,
        anomalies: &mut Anomalies,
    ) {
        let collecting = self.is_collecting(objects);
        for (generation, head) in self.heads(objects).into_iter().enumerate() {
            let Some(set) = tracked.generations.get(generation) else { continue };
            let mut walk = ListWalk { objects, set, found: &mut tracked.objects };
            let end = walk.forwards(head, collecting);
            match end {
                Ok(End::Closed) => {}
                Ok(End::Broken(at)) if collecting => {
                    anomalies.note("a list of the collector was torn by a collection", at);
                }
                Ok(End::Broken(at)) => {
                    anomalies.note("a link in a list of the collector is broken", at);
                    walk.backwards(head);
                    tracked.broken = true;
                }
                Err(error) => {
                    anomalies.note("a list of the collector could not be read", error.addr);
                    walk.backwards(head);
                    tracked.broken = true;
                }
            }
        }
    }

    /// Some of its objects, the oldest first, of a process that may be running.
    pub(super) fn sample(self, objects: &Objects<'_, impl Memory>, most: usize) -> Vec<Addr> {
        let mut sample = Vec::new();
        let [young, middle, old, _] = self.heads(objects);
        for head in [old, middle, young] {
            let mut node = objects.memory.addr(head).unwrap_or(head).without_tag(FLAGS);
            while node != head && sample.len() < most {
                sample.push(node + objects.layout.gc_head_size);
                node = objects.memory.addr(node).unwrap_or(head).without_tag(FLAGS);
            }
        }
        sample
    }

    /// Counters, thresholds and collections of its generations.
    pub(super) fn facts(self, objects: &Objects<'_, impl Memory>) -> Vec<GenerationFacts> {
        let at = &objects.layout.at;
        let number = |at: Addr| objects.memory.i32(at).map(i64::from).unwrap_or_default();
        let heads = self.heads(objects);
        (0..3_u32)
            .zip(heads)
            .map(|(generation, head)| GenerationFacts {
                generation,
                count: number(head + at.gc_generation.count),
                threshold: number(head + at.gc_generation.threshold),
                collections: self.collections(objects, generation).unwrap_or_default(),
            })
            .collect()
    }

    /// How often a generation was collected.
    fn collections(
        self,
        objects: &Objects<'_, impl Memory>,
        generation: u32,
    ) -> Result<i64, ReadError> {
        /// `struct gc_stats` of 3.15: rings of items, the young one first, whose index says which
        /// item holds the current sums (`Include/internal/pycore_interp_structs.h`).
        const ITEM: u64 = 64;
        const COLLECTIONS: u64 = 16;
        const RINGS: [(u64, u64, u8); 3] = [(0, 704, 11), (712, 712 + 192, 3), (912, 912 + 192, 3)];
        let at = &objects.layout.at;
        let stats = self.at + at.gc.generation_stats;
        match objects.layout.has.gc_stats {
            GcStats::Array => {
                let stats = stats + u64::from(generation) * at.gc_generation_stats.sizeof;
                objects.memory.i64(stats + at.gc_generation_stats.collections)
            }
            GcStats::Rings => {
                let rings = objects.memory.addr(stats)?;
                let ring = RINGS.get(generation as usize).copied().unwrap_or((0, 704, 11));
                let (items, index, len) = ring;
                let index = objects.memory.u8(rings + index)?.min(len - 1);
                objects.memory.i64(rings + items + u64::from(index) * ITEM + COLLECTIONS)
            }
        }
    }
}

/// How a walk ended.
enum End {
    /// At the head again.
    Closed,
    /// At a link that makes no sense.
    Broken(Addr),
}

/// A walk along one list.
struct ListWalk<'a, 'o, M> {
    objects: &'a Objects<'o, M>,
    set: &'a AddressSet,
    found: &'a mut Vec<Addr>,
}

/// The low bits of a link carry flags of the collector.
pub(super) const FLAGS: u64 = 3;

impl<M: Memory> ListWalk<'_, '_, M> {
    /// Follows `_gc_next` from the head. While a collection is under way, `_gc_prev` holds counts.
    fn forwards(&mut self, head: Addr, collecting: bool) -> Result<End, ReadError> {
        let header = self.objects.layout.gc_head_size;
        let mut previous = head;
        let mut node = self.objects.memory.addr(head)?.without_tag(FLAGS);
        while node != head {
            let object = node + header;
            let words: [u8; 16] = self.objects.memory.array(node)?;
            let (next, prev) = split(words);
            if !collecting && prev.without_tag(FLAGS) != previous {
                return Ok(End::Broken(node));
            }
            // A node that is there already closes a ring without the head: a broken list.
            if self.set.insert(object) != Some(true) {
                return Ok(End::Broken(node));
            }
            self.found.push(object);
            previous = node;
            node = next.without_tag(FLAGS);
        }
        Ok(End::Closed)
    }

    /// Follows `_gc_prev` from the head up to where the list is known.
    fn backwards(&mut self, head: Addr) {
        let header = self.objects.layout.gc_head_size;
        let mut next = head;
        let mut node = match self.objects.memory.addr(head + 8) {
            Ok(node) => node.without_tag(FLAGS),
            Err(_) => return,
        };
        while node != head {
            let Ok(words) = self.objects.memory.array::<16>(node) else { return };
            let (forward, prev) = split(words);
            if forward.without_tag(FLAGS) != next || self.set.insert(node + header) != Some(true) {
                return;
            }
            self.found.push(node + header);
            next = node;
            node = prev.without_tag(FLAGS);
        }
    }
}

/// `_gc_next` and `_gc_prev`.
fn split(words: [u8; 16]) -> (Addr, Addr) {
    let both = u128::from_le_bytes(words);
    #[allow(clippy::cast_possible_truncation)]
    let next = both as u64;
    (Addr(next), Addr((both >> 64) as u64))
}
