//! Where C code keeps what nothing else explains: the address of the object is looked for in all memory
//! that was copied, and the place where it stands is named.
//!
//! A place is named only if it can be in use: data of a binary, a stack above the thread's stack
//! pointer, a block of an allocator that was handed out, an object of a C type that no rule describes.
//! Where an object leads to the block (`owners`), it holds what stands there: that is a hidden
//! reference, inferred. There are never more of these than the count has references that nothing else
//! explains, and what stands in data explains some first.

mod holders;
mod memory;
mod orphans;
mod owners;
mod search;
mod words;

use rustc_hash::{FxHashMap, FxHashSet};

use super::blocks::Orphan;
use super::types::Types;
use crate::addr::{Addr, AddrRange};
use crate::cpython::discovery::Found;
use crate::cpython::object::{Native, Objects};
use crate::facts::{NativeHolderFacts, OrphanFacts, ThreadFacts};
use crate::graph::{HeapGraph, ObjectId, RootKind};
use crate::limits::Limits;
use crate::target::maps::MemoryMap;
use crate::target::memory::Memory;
use crate::target::threads::OsThread;

pub use memory::{NativeMemory, Remainder};

use holders::Holders;
use owners::{Owner, Owners};
use search::{Place, Search};

/// What is known of a process besides its objects.
pub struct Surroundings<'a> {
    /// Its address space.
    pub map: &'a MemoryMap,
    /// The writable memory that can be read.
    pub saved: &'a [AddrRange],
    /// Its native memory.
    pub native: &'a NativeMemory,
    /// Its threads as the kernel saw them.
    pub os_threads: &'a [OsThread],
    /// Its threads that have a Python state.
    pub threads: &'a [ThreadFacts],
}

/// Who holds what nothing else explains.
#[derive(Debug, Clone, Default)]
pub struct HeldByC {
    /// The orphans, by type.
    pub orphans: Vec<OrphanFacts>,
    /// Objects that stand in native memory, and where.
    pub native: Vec<NativeHolderFacts>,
}

/// Looks for what has references that nothing explains, and for the orphans. Adds the references that
/// are found to the graph, and gives the roots of kind `c` the name of the place where their object's
/// address stands; the others keep the number of their references.
pub fn name_c_holders(
    memory: &impl Memory,
    found: &Found,
    limits: Limits,
    surroundings: &Surroundings<'_>,
    graph: &mut HeapGraph,
    orphans: &[Orphan],
) -> HeldByC {
    let objects = Objects { memory, layout: &found.layout, limits, known: found.known, code: None };
    let types = Types::default();
    let left = unexplained(graph);
    if left.is_empty() && orphans.is_empty() {
        return HeldByC::default();
    }
    let search = Search {
        objects: &objects,
        types: &types,
        surroundings,
        binaries: search::binaries(surroundings.map),
        graph,
    };
    let wanted = left.keys().map(|&object| graph.addr(object));
    let wanted: Vec<Addr> = wanted.chain(orphans.iter().map(|orphan| orphan.addr)).collect();
    let places = search.places(&wanted);
    let owners = owners(&search, &places);
    let holders = Holders::new(graph, &left, &places, &owners);
    let orphans = orphans::by_type(orphans, |orphan| holders.place(orphan.addr));
    let native = holders.facts();
    let Holders { edges, names, .. } = holders;
    if !edges.is_empty() {
        // What has a holder now needs no root.
        graph.add_hidden(edges);
        graph.roots.retain(|root| root.kind != RootKind::C);
        graph.root_what_c_holds();
    }
    let roots = graph.roots.iter().enumerate().filter(|(_, root)| root.kind == RootKind::C);
    let roots: Vec<(usize, Addr)> =
        roots.map(|(index, root)| (index, graph.addr(root.object))).collect();
    for (index, object) in roots {
        if let Some(name) = names.get(&object)
            && let name = graph.strings.intern(&name.exact)
            && let Some(root) = graph.roots.get_mut(index)
        {
            root.name = name;
        }
    }
    HeldByC { orphans, native }
}

/// The objects with references that were not found, and how many of these each has.
fn unexplained(graph: &HeapGraph) -> FxHashMap<ObjectId, u64> {
    let found = graph.found_references();
    let left = graph.ids().filter_map(|object| {
        let left = graph.unexplained_references(object, &found)?;
        Some((object, u64::try_from(left).ok().filter(|&left| left > 0)?))
    });
    left.collect()
}

/// Who leads to the blocks among some places.
fn owners<M: Memory>(search: &Search<'_, '_, M>, places: &[(Addr, Place)]) -> Owners {
    let block = |(_, place): &(Addr, Place)| match place {
        Place::Block(block) => Some(block.start),
        _ => None,
    };
    let wanted: FxHashSet<Addr> = places.iter().filter_map(block).collect();
    if wanted.is_empty() {
        return Owners::default();
    }
    let graph = search.graph;
    // What a rule describes has no native memory besides what the rule says.
    let is_foreign = |nth: usize| {
        let ty = graph.types.get(nth)?;
        let ty = search.types.resolve(search.objects, ty.addr).ok()?;
        ty.is_scanned().then_some(ty)
    };
    let foreign: Vec<_> = (0..graph.types.len()).map(is_foreign).collect();
    // What hangs on code, and old addresses in what it keeps for good, say less than objects do.
    let (mut objects, mut code) = (Vec::new(), Vec::new());
    for object in graph.ids() {
        let ty = foreign.get(graph.type_of(object).index()).and_then(Option::as_ref);
        let at = graph.addr(object);
        if let Some(ty) = ty
            && let Ok(bytes) = search.objects.own_bytes(at, ty)
        {
            let rank = if ty.native == Native::Scan { &mut objects } else { &mut code };
            rank.push((object, AddrRange::new(at, at + bytes.min(MOST_OBJECT))));
        }
    }
    Owners::trace(search, &[objects, code], wanted)
}

/// The largest part of an object that is searched for blocks, in bytes.
const MOST_OBJECT: u64 = 1 << 16;
