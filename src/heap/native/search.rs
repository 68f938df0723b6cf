//! Where addresses stand in all memory that was copied, and what those places are.

use rayon::prelude::*;
use rustc_hash::FxHashSet;

use super::Surroundings;
use super::words::words;
use crate::addr::{Addr, AddrRange};
use crate::cpython::layout::features::HAVE_GC;
use crate::cpython::object::Objects;
use crate::graph::{HeapGraph, ObjectId};
use crate::heap::blocks::variables;
use crate::heap::types::Types;
use crate::target::maps::{Mapping, MemoryMap};
use crate::target::memory::Memory;

/// How much is looked at in one piece, in bytes.
const PIECE: u64 = 1 << 20;
/// More places are not looked at: a hostile target may have an address everywhere.
const MOST_PLACES: usize = 1 << 18;
/// The size of a page, in bytes.
const PAGE: u64 = 4096;
/// The bits of the filter before the hash set, as a power of two: at least, at most, and for each address.
const FILTER_BITS: std::ops::RangeInclusive<u32> = 16..=26;
const FILTER_BITS_EACH: u32 = 5;
/// The largest part of an object that is searched for a place, in bytes.
const MOST_OBJECT: u64 = 1 << 20;

/// A place where an address stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// The data of a binary, by name.
    Data(String),
    /// The stack of a thread, in use, by name.
    Stack(String),
    /// A block of native memory.
    Block(AddrRange),
    /// An object of a C type that no rule describes and the collector does not know, and where in it.
    Inside(ObjectId, u32),
}

pub(super) struct Search<'a, 'o, M> {
    pub(super) objects: &'a Objects<'o, M>,
    pub(super) types: &'a Types,
    pub(super) surroundings: &'a Surroundings<'a>,
    /// The first mapping of each file, by address.
    pub(super) binaries: Vec<&'a Mapping>,
    pub(super) graph: &'a HeapGraph,
}

impl<M: Memory> Search<'_, '_, M> {
    /// The places of each of some addresses that can be what holds it.
    pub(super) fn places(&self, wanted: &[Addr]) -> Vec<(Addr, Place)> {
        let hits = self.find(&Wanted::new(wanted.iter().copied()));
        hits.into_par_iter().filter_map(|(at, addr)| Some((addr, self.place(at)?))).collect()
    }

    /// Where some addresses stand, and which.
    fn find(&self, wanted: &Wanted) -> Vec<(Addr, Addr)> {
        let pieces: Vec<AddrRange> = self.surroundings.saved.iter().flat_map(pieces).collect();
        let mut hits: Vec<(Addr, Addr)> = pieces
            .par_iter()
            .flat_map_iter(|&piece| {
                let mut hits = Vec::new();
                words(self.objects.memory, piece, |at, word| {
                    if wanted.has(word) && hits.len() < MOST_PLACES {
                        hits.push((at, word));
                    }
                });
                hits
            })
            .collect();
        hits.truncate(MOST_PLACES);
        hits
    }

    /// What a place is, if it can be what holds the object.
    fn place(&self, at: Addr) -> Option<Place> {
        if let Some((object, is_foreign)) = self.object_around(at) {
            // Others tell themselves what they hold; further words of theirs are borrowed, or out of use.
            let offset = u32::try_from(at - self.graph.addr(object)).unwrap_or(u32::MAX);
            return is_foreign.then_some(Place::Inside(object, offset));
        }
        match self.stack(at) {
            Some(place) => place.map(Place::Stack),
            None => {
                let block = || self.surroundings.native.around(self.objects.memory, at);
                self.data(at).map(Place::Data).or_else(|| block().map(Place::Block))
            }
        }
    }

    /// What a place outside of all blocks and objects is called, if it is in use.
    pub(super) fn outside(&self, at: Addr) -> Option<String> {
        self.stack(at).unwrap_or_else(|| self.data(at))
    }

    /// The memory in which variables of binaries may be, and what is in use of stacks.
    pub(super) fn variables_and_stacks(&self) -> impl Iterator<Item = AddrRange> + '_ {
        /// No thread has more in use, whatever a list of mappings says: a core may be damaged.
        const MOST_STACK: u64 = 1 << 30;
        let map = self.surroundings.map;
        let stacks = self.surroundings.os_threads.iter().filter_map(|thread| {
            let top = thread.stack_pointer?;
            Some(AddrRange::new(top, map.find(top)?.range.end.min(top + MOST_STACK)))
        });
        variables(map, &[]).chain(stacks)
    }

    /// The binary of whose writable data an address is a part, by its program headers: what follows it
    /// may be anything.
    fn data(&self, at: Addr) -> Option<String> {
        /// `PT_LOAD`, and `PF_W` in `p_flags`.
        const LOAD: u32 = 1;
        const WRITABLE: u32 = 2;
        if self.surroundings.map.find(at)?.shared || self.surroundings.native.is_of_allocator(at) {
            return None;
        }
        let after = self.binaries.partition_point(|first| first.range.start <= at);
        let first = self.binaries.get(after.checked_sub(1)?)?;
        let memory = self.objects.memory;
        let head = first.range.start;
        if memory.u32(head).ok()? != u32::from_le_bytes(*b"\x7fELF") {
            return None;
        }
        // Elf64_Ehdr: e_phoff, e_phentsize, e_phnum. Elf64_Phdr: p_type, p_flags, p_vaddr, p_memsz.
        let table = head + memory.u64(head + 32).ok()?;
        let size = u64::from(memory.u16(head + 54).ok()?);
        let mut bias = None;
        for nth in 0..u64::from(memory.u16(head + 56).ok()?) {
            let header = table + nth * size;
            if memory.u32(header).ok()? != LOAD {
                continue;
            }
            let start = memory.u64(header + 16).ok()?;
            // The first is what the file begins with.
            let bias = *bias.get_or_insert(head - (start & !(PAGE - 1)));
            let range = AddrRange::new(bias + start, bias + start + memory.u64(header + 40).ok()?);
            if memory.u32(header + 4).ok()? & WRITABLE != 0 && range.contains(at) {
                let path = first.path.as_deref()?;
                let file = path.rsplit('/').next().unwrap_or(path);
                return Some(format!("data of {file}"));
            }
        }
        None
    }

    /// The stack that an address is on, or nothing in it; nothing at all if it is on no stack that is known.
    fn stack(&self, at: Addr) -> Option<Option<String>> {
        let mapping = self.surroundings.map.find(at)?.range;
        let threads = self.surroundings.os_threads.iter();
        let mut on_it = threads.filter_map(|thread| Some((thread, thread.stack_pointer?)));
        let (thread, top) = on_it.find(|&(_, top)| mapping.contains(top))?;
        // Below the stack pointer is what earlier calls have left.
        let is_live = at >= top;
        let python = self.surroundings.threads.iter();
        let python = python.filter(|facts| facts.os_thread_id == thread.namespace_tid);
        let name = python.map(|facts| facts.name.as_str()).find(|name| !name.is_empty());
        let name = name.unwrap_or(&thread.name);
        let place = || format!("C stack of thread {} ({name})", thread.namespace_tid);
        Some(is_live.then(place))
    }

    /// The object that an address lies in, and whether it may hold what nobody visits: no rule describes
    /// its type, and the collector does not know it. What others do not visit is borrowed, or the
    /// collector would be wrong.
    fn object_around(&self, at: Addr) -> Option<(ObjectId, bool)> {
        let after = self.graph.addrs.partition_point(|&addr| addr <= at);
        let object = ObjectId::from_index(after.checked_sub(1)?);
        let addr = self.graph.addr(object);
        let ty = self.types.resolve(self.objects, self.objects.type_at(addr).ok()?).ok()?;
        let items = match ty.tp_itemsize {
            0 => 0,
            size => self.objects.ob_size(addr).ok()?.unsigned_abs().saturating_mul(size),
        };
        let bytes = ty.tp_basicsize.saturating_add(items).min(MOST_OBJECT);
        (at - addr < bytes).then(|| (object, ty.is_scanned() && !ty.has(HAVE_GC)))
    }
}

/// The mappings of the beginnings of files, by address.
pub(super) fn binaries(map: &MemoryMap) -> Vec<&Mapping> {
    map.iter().filter(|mapping| mapping.inode != 0 && mapping.offset == 0 && mapping.read).collect()
}

/// Addresses that are looked for.
struct Wanted {
    filter: Vec<u64>,
    shift: u32,
    addrs: FxHashSet<Addr>,
}

impl Wanted {
    fn new(addrs: impl Iterator<Item = Addr>) -> Self {
        let addrs: FxHashSet<Addr> = addrs.collect();
        let bits = addrs.len().checked_ilog2().unwrap_or(0) + FILTER_BITS_EACH;
        let bits = bits.clamp(*FILTER_BITS.start(), *FILTER_BITS.end());
        let mut wanted = Self { filter: vec![0; 1 << (bits - 6)], shift: 64 - bits, addrs };
        for addr in &wanted.addrs {
            let (word, bit) = slot(*addr, wanted.shift);
            if let Some(word) = wanted.filter.get_mut(word) {
                *word |= bit;
            }
        }
        wanted
    }

    fn has(&self, addr: Addr) -> bool {
        let (word, bit) = slot(addr, self.shift);
        self.filter.get(word).is_some_and(|word| word & bit != 0) && self.addrs.contains(&addr)
    }
}

/// The word of a filter that speaks of an address, and the bit of it.
const fn slot(addr: Addr, shift: u32) -> (usize, u64) {
    let mixed = (addr.0 >> 3).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> shift;
    ((mixed >> 6) as usize, 1 << (mixed & 63))
}

/// A range in pieces.
fn pieces(range: &AddrRange) -> impl Iterator<Item = AddrRange> + use<> {
    let range = *range;
    let starts = (range.start.0..range.end.0).step_by(usize::try_from(PIECE).unwrap_or(1 << 20));
    starts.map(move |start| AddrRange::new(Addr(start), Addr(start + PIECE).min(range.end)))
}
