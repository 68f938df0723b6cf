//! Where C code keeps what nothing else holds: the address of the object is looked for in all memory
//! that was copied, and the place where it stands is named.
//!
//! A place is named only if it can be in use: data of a binary, or a stack above the thread's stack
//! pointer. What stands elsewhere may be in free memory, or in what a known object has out of use.

use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};

use super::blocks::Orphan;
use super::types::Types;
use crate::addr::{Addr, AddrRange};
use crate::cpython::discovery::Found;
use crate::cpython::object::Objects;
use crate::facts::{OrphanFacts, ThreadFacts};
use crate::graph::{HeapGraph, ObjectId, RootKind};
use crate::limits::Limits;
use crate::target::maps::{Mapping, MemoryMap};
use crate::target::memory::Memory;
use crate::target::threads::OsThread;

/// How much is looked at in one piece, in bytes.
const PIECE: u64 = 1 << 20;
/// More places are not looked at: a hostile target may have an address everywhere.
const MOST_PLACES: usize = 1 << 18;
/// The size of a page, in bytes.
const PAGE: u64 = 4096;
/// The bits of the filter before the hash set, as a power of two.
const FILTER_BITS: u32 = 16;
/// The largest part of an object that is searched for a place, in bytes.
const MOST_OBJECT: u64 = 1 << 20;

/// The place of an orphan whose address stands in a block of Python's allocator to which something
/// known leads: a structure of a C type, of the interpreter, or of a binary.
const REFERRED: &str = "memory of C code";

/// What is known of a process besides its objects.
pub struct Surroundings<'a> {
    /// Its address space.
    pub map: &'a MemoryMap,
    /// The writable memory that can be read.
    pub saved: &'a [AddrRange],
    /// Its threads as the kernel saw them.
    pub os_threads: &'a [OsThread],
    /// Its threads that have a Python state.
    pub threads: &'a [ThreadFacts],
}

/// A place where an address stands. The first kinds say more than the later ones.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Data(String),
    Stack(String),
}

impl Place {
    fn name(&self) -> &str {
        match self {
            Self::Data(name) | Self::Stack(name) => name,
        }
    }
}

/// Gives the roots of kind `c` the name of the place where their object's address stands; the others
/// keep the number of their references. The orphans are looked for at the same time.
pub fn name_c_holders(
    memory: &impl Memory,
    found: &Found,
    limits: Limits,
    surroundings: &Surroundings<'_>,
    graph: &mut HeapGraph,
    orphans: &[Orphan],
) -> Vec<OrphanFacts> {
    let objects = Objects { memory, layout: &found.layout, limits, known: found.known, code: None };
    let types = Types::default();
    let roots = graph.roots.iter().enumerate().filter(|(_, root)| root.kind == RootKind::C);
    let roots: Vec<(usize, Addr)> =
        roots.map(|(index, root)| (index, graph.addr(root.object))).collect();
    if roots.is_empty() && orphans.is_empty() {
        return Vec::new();
    }
    let search = Search {
        objects: &objects,
        types: &types,
        surroundings,
        binaries: binaries(surroundings.map),
        graph,
    };
    let wanted = roots.iter().map(|&(_, object)| object);
    let wanted = wanted.chain(orphans.iter().map(|orphan| orphan.addr));
    let best = search.places(&wanted.collect::<Vec<_>>());
    for (index, object) in roots {
        if let Some(place) = best.get(&object)
            && let name = graph.strings.intern(place.name())
            && let Some(root) = graph.roots.get_mut(index)
        {
            root.name = name;
        }
    }
    orphans_by_type(orphans, |orphan| best.get(&orphan.addr).map(Place::name))
}

/// The orphans in numbers, by the names of their types. `place` says where the address of one stands.
fn orphans_by_type<'p>(
    orphans: &[Orphan],
    place: impl Fn(&Orphan) -> Option<&'p str>,
) -> Vec<OrphanFacts> {
    /// Enough to look at; the file need not have them all.
    const MOST_EXAMPLES: usize = 4096;
    let mut types: FxHashMap<&str, OrphanFacts> = FxHashMap::default();
    let place = |orphan| match place(orphan) {
        None if orphan.is_referred => Some(REFERRED),
        place => place,
    };
    let (held, lost): (Vec<_>, Vec<_>) = orphans.iter().partition(|it| place(it).is_some());
    for orphan in lost.into_iter().chain(held) {
        let row = types.entry(&orphan.ty.name).or_insert_with(|| OrphanFacts {
            type_name: orphan.ty.name.clone(),
            ..OrphanFacts::default()
        });
        row.objects += 1;
        row.shallow_bytes = row.shallow_bytes.saturating_add(orphan.shallow_bytes);
        row.buffer_bytes = row.buffer_bytes.saturating_add(orphan.buffer_bytes);
        row.references = row.references.saturating_add(orphan.references.into());
        if row.examples.len() < MOST_EXAMPLES {
            row.examples.push(orphan.addr.0);
        }
        match place(orphan) {
            Some(place) => match row.held_by.iter_mut().find(|(name, _)| name == place) {
                Some((_, count)) => *count += 1,
                None => row.held_by.push((place.to_owned(), 1)),
            },
            None => {
                row.lost += 1;
                let bytes = orphan.shallow_bytes.saturating_add(orphan.buffer_bytes);
                row.lost_bytes = row.lost_bytes.saturating_add(bytes);
            }
        }
    }
    let mut types: Vec<OrphanFacts> = types.into_values().collect();
    types.sort_by(|a, b| a.type_name.cmp(&b.type_name));
    types
}

struct Search<'a, 'o, M> {
    objects: &'a Objects<'o, M>,
    types: &'a Types,
    surroundings: &'a Surroundings<'a>,
    /// The first mapping of each file, by address.
    binaries: Vec<&'a Mapping>,
    graph: &'a HeapGraph,
}

impl<M: Memory> Search<'_, '_, M> {
    /// The best place of each object that stands anywhere.
    fn places(&self, wanted: &[Addr]) -> FxHashMap<Addr, Place> {
        let hits = self.find(&Wanted::new(wanted.iter().copied()));
        let places: Vec<(Addr, Place)> = hits
            .into_par_iter()
            .filter_map(|(at, object)| Some((object, self.place(at)?)))
            .collect();
        let mut best: FxHashMap<Addr, Place> = FxHashMap::default();
        for (object, place) in places {
            match best.get_mut(&object) {
                Some(known) if *known <= place => {}
                Some(known) => *known = place,
                None => {
                    best.insert(object, place);
                }
            }
        }
        best
    }

    /// Where some addresses stand, and which.
    fn find(&self, wanted: &Wanted) -> Vec<(Addr, Addr)> {
        let pieces: Vec<AddrRange> = self.surroundings.saved.iter().flat_map(pieces).collect();
        let mut hits: Vec<(Addr, Addr)> = pieces
            .par_iter()
            .flat_map_iter(|&piece| {
                let mut hits = Vec::new();
                let len = usize::try_from(piece.len()).unwrap_or(0);
                let owned;
                let bytes = match self.objects.memory.slice(piece.start, len) {
                    Some(bytes) => bytes,
                    None => {
                        owned = self.objects.memory.bytes(piece.start, len).unwrap_or_default();
                        &owned
                    }
                };
                for (nth, word) in (0_u64..).zip(bytes.as_chunks::<8>().0) {
                    let word = Addr(u64::from_le_bytes(*word));
                    if wanted.has(word) && hits.len() < MOST_PLACES {
                        hits.push((piece.start + nth * 8, word));
                    }
                }
                hits
            })
            .collect();
        hits.truncate(MOST_PLACES);
        hits
    }

    /// What a place is, if it can be what holds the object.
    fn place(&self, at: Addr) -> Option<Place> {
        // Objects tell themselves what they hold; other words of theirs are borrowed, or out of use.
        if self.is_in_object(at) {
            return None;
        }
        let mapping = self.surroundings.map.find(at)?;
        match self.stack(mapping.range, at) {
            Some(place) => place,
            None if mapping.shared => None,
            None => self.data(at),
        }
    }

    /// The binary of whose writable data an address is a part, by its program headers: what follows it
    /// may be anything.
    fn data(&self, at: Addr) -> Option<Place> {
        /// `PT_LOAD`, and `PF_W` in `p_flags`.
        const LOAD: u32 = 1;
        const WRITABLE: u32 = 2;
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
                return Some(Place::Data(format!("data of {file}")));
            }
        }
        None
    }

    /// The stack that a mapping is, or nothing in it; nothing at all if it is no stack that is known.
    fn stack(&self, mapping: AddrRange, at: Addr) -> Option<Option<Place>> {
        let threads = self.surroundings.os_threads.iter();
        let mut on_it = threads.filter_map(|thread| Some((thread, thread.stack_pointer?)));
        let (thread, top) = on_it.find(|&(_, top)| mapping.contains(top))?;
        // Below the stack pointer is what earlier calls have left.
        let is_live = at >= top;
        let python = self.surroundings.threads.iter();
        let python = python.filter(|facts| facts.os_thread_id == thread.namespace_tid);
        let name = python.map(|facts| facts.name.as_str()).find(|name| !name.is_empty());
        let name = name.unwrap_or(&thread.name);
        let place = || Place::Stack(format!("C stack of thread {} ({name})", thread.namespace_tid));
        Some(is_live.then(place))
    }

    /// Whether an address lies in an object that is known.
    fn is_in_object(&self, at: Addr) -> bool {
        self.object_around(at).is_some()
    }

    fn object_around(&self, at: Addr) -> Option<ObjectId> {
        let after = self.graph.addrs.partition_point(|&addr| addr <= at);
        let object = ObjectId::from_index(after.checked_sub(1)?);
        let addr = self.graph.addr(object);
        let ty = self.types.resolve(self.objects, self.objects.type_at(addr).ok()?).ok()?;
        let items = match ty.tp_itemsize {
            0 => 0,
            size => self.objects.ob_size(addr).ok()?.unsigned_abs().saturating_mul(size),
        };
        let bytes = ty.tp_basicsize.saturating_add(items).min(MOST_OBJECT);
        (at - addr < bytes).then_some(object)
    }
}

/// The mappings of the beginnings of files, by address.
fn binaries(map: &MemoryMap) -> Vec<&Mapping> {
    map.iter().filter(|mapping| mapping.inode != 0 && mapping.offset == 0 && mapping.read).collect()
}

/// Addresses that are looked for.
struct Wanted {
    filter: Vec<u64>,
    addrs: FxHashSet<Addr>,
}

impl Wanted {
    fn new(addrs: impl Iterator<Item = Addr>) -> Self {
        let mut wanted = Self { filter: vec![0; 1 << (FILTER_BITS - 6)], addrs: addrs.collect() };
        for addr in &wanted.addrs {
            let (word, bit) = Self::slot(*addr);
            if let Some(word) = wanted.filter.get_mut(word) {
                *word |= bit;
            }
        }
        wanted
    }

    const fn slot(addr: Addr) -> (usize, u64) {
        let mixed = (addr.0 >> 3).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - FILTER_BITS);
        ((mixed >> 6) as usize, 1 << (mixed & 63))
    }

    fn has(&self, addr: Addr) -> bool {
        let (word, bit) = Self::slot(addr);
        self.filter.get(word).is_some_and(|word| word & bit != 0) && self.addrs.contains(&addr)
    }
}

/// A range in pieces.
fn pieces(range: &AddrRange) -> impl Iterator<Item = AddrRange> + use<> {
    let range = *range;
    let starts = (range.start.0..range.end.0).step_by(usize::try_from(PIECE).unwrap_or(1 << 20));
    starts.map(move |start| AddrRange::new(Addr(start), Addr(start + PIECE).min(range.end)))
}
