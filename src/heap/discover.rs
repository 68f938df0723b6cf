//! Which objects there are: everything that is reachable from the collector's lists and the roots.

use std::sync::Arc;

use rayon::prelude::*;

use super::address_set::AddressSet;
use super::deferred::DEBUG_HEADER;
use super::types::{TypeCache, Types};
use crate::addr::Addr;
use crate::cpython::layout::features::HAVE_GC;
use crate::cpython::object::{Count, EdgeSink, Label, Objects, Run, Sight};
use crate::cpython::pymalloc::{BlockAt, Pymalloc};
use crate::graph::Anomalies;
use crate::target::memory::Memory;

/// What is reached, and what is known about it besides.
pub(super) struct Discovered {
    /// All objects.
    pub(super) objects: AddressSet,
    /// The dictionaries of modules, classes and instances.
    pub(super) namespaces: AddressSet,
    /// What made no sense.
    pub(super) anomalies: Anomalies,
}

/// Objects that one worker handles before it gives back what is left, so that others can share it.
const BUDGET: usize = 1 << 14;
/// As many objects as are worth being shared.
const WORTH_SHARING: usize = 1 << 10;

/// Follows references until nothing new is found.
pub(super) struct Discovery<'a, 'o, M> {
    pub(super) objects: &'a Objects<'o, M>,
    pub(super) types: &'a Types,
    pub(super) found: AddressSet,
    pub(super) namespaces: AddressSet,
    pub(super) anomalies: Anomalies,
}

/// What one worker brings back.
#[derive(Default)]
struct Share {
    left: Vec<Addr>,
    scanned: Scanned,
    anomalies: Anomalies,
}

/// Objects of unknown C types, whose memory has to be searched.
#[derive(Default)]
struct Scanned {
    /// What these visit is known from their own code.
    followed: Vec<Addr>,
    /// What these visit is not.
    guessed: Vec<Addr>,
}

impl Scanned {
    fn append(&mut self, other: &mut Self) {
        self.followed.append(&mut other.followed);
        self.guessed.append(&mut other.guessed);
    }
}

impl<'a, 'o, M: Memory> Discovery<'a, 'o, M> {
    pub(super) fn new(
        objects: &'a Objects<'o, M>,
        types: &'a Types,
        found: AddressSet,
        namespaces: AddressSet,
    ) -> Self {
        Self { objects, types, found, namespaces, anomalies: Anomalies::default() }
    }

    /// Finds everything that `seeds` lead to, and those of `doubtful` that are objects. Objects of
    /// unknown C types are searched last, since what is found in them has to be weighed.
    pub(super) fn run(
        mut self,
        seeds: &[Addr],
        doubtful: &[Addr],
        pymalloc: &Pymalloc,
    ) -> Discovered {
        let left: Vec<Addr> =
            seeds.iter().copied().filter(|&seed| self.found.insert(seed) == Some(true)).collect();
        self.spread(left);
        let left = self.weigh(doubtful, pymalloc);
        self.spread(left);
        Discovered { objects: self.found, namespaces: self.namespaces, anomalies: self.anomalies }
    }

    /// Finds everything that new objects lead to.
    fn spread(&mut self, mut left: Vec<Addr>) {
        let mut scanned = Scanned::default();
        while !left.is_empty() {
            self.close(left, &mut scanned);
            left = self.scan(&scanned.followed, true);
            left.append(&mut self.scan(&scanned.guessed, false));
            scanned = Scanned::default();
        }
    }

    /// Those of some addresses at which there is an object that nothing has led to: it looks alive, and
    /// the allocator has handed out a block for it.
    fn weigh(&self, doubtful: &[Addr], pymalloc: &Pymalloc) -> Vec<Addr> {
        let mut types = TypeCache::new(self.types);
        let is_new = |word: &Addr| {
            !self.found.contains(*word)
                && self.looks_alive(*word, &mut types)
                && self.fills_block(*word, pymalloc, &mut types)
                && self.found.insert(*word) == Some(true)
        };
        doubtful.iter().copied().filter(is_new).collect()
    }

    /// Whether an object is where the allocator has handed out a block for it. Of large objects it
    /// knows nothing.
    fn fills_block(&self, object: Addr, pymalloc: &Pymalloc, types: &mut TypeCache<'_>) -> bool {
        let Ok(ty) = types.of(self.objects, object) else { return false };
        let start = object - self.objects.bytes_before(object, ty);
        match pymalloc.block_at(start) {
            BlockAt::Unknown => true,
            BlockAt::Free => false,
            BlockAt::Used(block) => start == block || start == block + DEBUG_HEADER,
        }
    }

    /// The closure over exact references.
    fn close(&mut self, mut left: Vec<Addr>, scanned: &mut Scanned) {
        while !left.is_empty() {
            let shares: Vec<Share> = if left.len() < WORTH_SHARING {
                vec![self.work(left)]
            } else {
                let size = left.len().div_ceil(rayon::current_num_threads() * 8).max(256);
                left.par_chunks(size).map(|chunk| self.work(chunk.to_vec())).collect()
            };
            left = Vec::new();
            for mut share in shares {
                left.append(&mut share.left);
                scanned.append(&mut share.scanned);
                self.anomalies.merge(&share.anomalies);
            }
        }
    }

    /// One worker's part: depth first, so that long chains cost nothing, and for no longer than the
    /// budget.
    fn work(&self, seeds: Vec<Addr>) -> Share {
        let budget = seeds.len() + BUDGET;
        let mut types = TypeCache::new(self.types);
        let mut share = Share { left: seeds, ..Share::default() };
        for _ in 0..budget {
            let Some(object) = share.left.pop() else { break };
            let ty = match types.of(self.objects, object) {
                Ok(ty) => Arc::clone(ty),
                Err(error) => {
                    self.found.remove(object);
                    share.anomalies.note(error.kind(), object);
                    continue;
                }
            };
            if self.objects.ref_count(object) == Ok(Count::Of(0)) {
                self.found.remove(object);
                share.anomalies.note("an object that is referred to has been freed", object);
                continue;
            }
            let mut sink =
                Found { discovery: self, left: &mut share.left, guessed: false, dangling: 0 };
            if let Err(error) = self.objects.referents(object, &ty, false, &mut sink) {
                share.anomalies.note(error.kind(), object);
            }
            if sink.dangling > 0 {
                let kind = "a reference leads out of the target's memory";
                share.anomalies.add(kind, sink.dangling, &[object]);
            }
            match sink.guessed {
                true => share.scanned.guessed.push(object),
                false if ty.is_scanned() => share.scanned.followed.push(object),
                false => {}
            }
            // The type itself, whoever counts it.
            sink_type(self, ty.addr, &mut share.left);
        }
        share
    }

    /// Searches objects of unknown types for references to objects that nothing else leads to.
    fn scan(&self, scanned: &[Addr], followed: bool) -> Vec<Addr> {
        let found: Vec<Vec<Addr>> = scanned
            .par_chunks(1024)
            .map(|chunk| {
                let mut types = TypeCache::new(self.types);
                let mut new = Vec::new();
                for &object in chunk {
                    let Ok(ty) = types.of(self.objects, object) else { continue };
                    let ty = Arc::clone(ty);
                    // An instance that cannot be read whole has been noted already.
                    let _ = self.objects.scan(object, &ty, |_, word| {
                        if !self.found.contains(word)
                            && self.looks_alive(word, &mut types)
                            && (!followed || !self.is_collected(word, &mut types))
                            && self.found.insert(word) == Some(true)
                        {
                            new.push(word);
                        }
                    });
                }
                new
            })
            .collect();
        found.into_iter().flatten().collect()
    }

    /// Whether a word that was found by scanning points to a live object: it has a type, a sane
    /// reference count, and links that can be the collector's. A block on a free list has none of
    /// the latter two.
    pub(super) fn looks_alive(&self, word: Addr, types: &mut TypeCache<'_>) -> bool {
        if !word.is_aligned(8) || word.0 < 0x1_0000 || !self.objects.has_sane_ref_count(word) {
            return false;
        }
        let Ok(ty) = types.of(self.objects, word) else { return false };
        let ty = Arc::clone(ty);
        if ty.has(HAVE_GC) && self.objects.is_gc(word, &ty) && !self.has_gc_links(word) {
            return false;
        }
        // Its code is not asked: whatever that is, it makes no object of something else.
        let objects = Objects { code: None, ..*self.objects };
        objects.referents(word, &ty, false, &mut Nothing).is_ok() && objects.size(word, &ty).is_ok()
    }

    /// Whether objects of the type of one are known to the collector: what an object's own code does
    /// not visit of these is borrowed, or the collector would be wrong.
    fn is_collected(&self, word: Addr, types: &mut TypeCache<'_>) -> bool {
        types.of(self.objects, word).is_ok_and(|ty| ty.has(HAVE_GC))
    }

    /// Whether the collector's header before an object is either empty or part of a list.
    fn has_gc_links(&self, object: Addr) -> bool {
        let head = object - self.objects.layout.gc_head_size;
        let memory = self.objects.memory;
        let Ok(next) = memory.addr(head) else { return false };
        if next.is_null() {
            return true;
        }
        memory.addr(next.without_tag(3) + 8).is_ok_and(|back| back.without_tag(3) == head)
    }
}

/// Adds a type to what is found.
fn sink_type<M: Memory>(discovery: &Discovery<'_, '_, M>, ty: Addr, left: &mut Vec<Addr>) {
    if discovery.found.insert(ty) == Some(true) {
        left.push(ty);
    }
}

/// Puts new targets on a worker's stack.
struct Found<'d, 'a, 'o, 's, M> {
    discovery: &'d Discovery<'a, 'o, M>,
    left: &'s mut Vec<Addr>,
    /// What the object visits is not known.
    guessed: bool,
    /// Edges that lead to no object.
    dangling: u64,
}

impl<M: Memory> Found<'_, '_, '_, '_, M> {
    fn target(&mut self, target: Addr) {
        match self.discovery.found.insert(target) {
            Some(true) => self.left.push(target),
            Some(false) => {}
            None => self.dangling += 1,
        }
    }
}

impl<M: Memory> EdgeSink for Found<'_, '_, '_, '_, M> {
    fn edge(&mut self, _: Sight, target: Addr, label: Label) {
        if matches!(label, Label::Namespace(_) | Label::Keywords(_)) {
            self.discovery.namespaces.insert(target);
        }
        self.target(target);
    }

    fn in_run(&mut self, _: Sight, target: Addr, _: Run, _: u32) {
        self.target(target);
    }

    fn guessed(&mut self) {
        self.guessed = true;
    }
}

/// Takes edges and forgets them: to see whether an object can be decoded.
struct Nothing;

impl EdgeSink for Nothing {
    fn edge(&mut self, _: Sight, _: Addr, _: Label) {}
    fn in_run(&mut self, _: Sight, _: Addr, _: Run, _: u32) {}
}
