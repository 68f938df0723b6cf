//! Where the memory of a process is: its resident pages, cut into parts of which each has one owner.
//!
//! The address space is cut first (`regions`), so that nothing is counted twice. What is in memory of
//! each piece comes from the page tables. Allocators say what of their pieces is free; what is in
//! use of them belongs to Python's objects and their buffers as far as the graph explains it.

mod parts;
mod regions;
mod stacks;

use crate::addr::{Addr, AddrRange};
use crate::cpython::pymalloc::Pymalloc;
use crate::facts::{MallocArenaFacts, MallocFacts, MemoryFacts, ReclaimableFacts, ThreadFacts};
use crate::graph::HeapGraph;
use crate::malloc::{self, Arena, Known, Malloc};
use crate::target::mapped_files::MappedFiles;
use crate::target::maps::MemoryMap;
use crate::target::memory::Memory;
use crate::target::residency::Residency;
use crate::target::smaps::Smaps;
use crate::target::threads::OsThread;

use parts::Books;

/// The header of a free block, which `malloc_trim` leaves alone, in bytes (`struct malloc_chunk`).
const CHUNK_HEADER: u64 = 48;
const PAGE_BYTES: u64 = 4096;

/// What is known of a process.
#[derive(Clone, Copy)]
#[allow(missing_debug_implementations, reason = "files are a trait")]
pub struct Evidence<'a> {
    /// Its address space.
    pub map: &'a MemoryMap,
    /// The files behind it.
    pub files: &'a dyn MappedFiles,
    /// The pages that are there, as far as that was looked up.
    pub present: &'a [AddrRange],
    /// What the kernel counts; nothing of a core file.
    pub smaps: Option<&'a Smaps>,
    /// What Python's own allocator has.
    pub pymalloc: &'a Pymalloc,
    /// Its objects.
    pub graph: &'a HeapGraph,
    /// Its threads, as the kernel sees them.
    pub os_threads: &'a [OsThread],
    /// Its threads that have a Python state, the main thread first.
    pub threads: &'a [ThreadFacts],
}

/// What the C library's `malloc` of a process has, whose memory stands still.
#[must_use]
pub fn examine(memory: &impl Memory, evidence: &Evidence<'_>) -> Malloc {
    let stacks = stacks::find(memory, evidence.map, evidence.os_threads, evidence.threads);
    examine_beside(memory, evidence, &evidence.pymalloc.ranges(), &stacks)
}

/// Takes stock of a process whose memory stands still.
#[must_use]
pub fn measure(memory: &impl Memory, evidence: Evidence<'_>, malloc: &Malloc) -> MemoryFacts {
    let Evidence { map, smaps, pymalloc, .. } = evidence;
    let residency = Residency::new(map, evidence.present, smaps);
    let arenas = pymalloc.ranges();
    let stacks = stacks::find(memory, map, evidence.os_threads, evidence.threads);
    let regions = regions::cut(memory, map, &arenas, malloc, &stacks);
    let books = Books::new(&evidence, &residency, malloc, &regions, &stacks);
    let parts = books.parts();
    let explained: u64 = parts.iter().map(|part| part.bytes).sum();
    let total = smaps.map(Smaps::total);
    let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let mut facts = MemoryFacts {
        rss_bytes: total.map(|total| total.rss),
        pss_bytes: total.map(|total| total.pss),
        private_dirty_bytes: total.map(|total| total.private_dirty),
        shared_bytes: total.map(|total| total.shared),
        swap_bytes: total.map(|total| total.swap),
        unexplained_bytes: total.map_or(0, |total| signed(total.rss) - signed(explained)),
        malloc: malloc_facts(malloc, &residency),
        reclaimable: ReclaimableFacts::default(),
        parts,
        unknown: Vec::new(),
    };
    facts.reclaimable.malloc_trim_bytes = trimmable_bytes(malloc, &residency);
    facts.reclaimable.restart_bytes = facts.part("python_free") + facts.part("malloc_free");
    facts.unknown = unknown(malloc, smaps, evidence.present);
    facts
}

fn examine_beside(
    memory: &impl Memory,
    evidence: &Evidence<'_>,
    arenas: &[AddrRange],
    stacks: &[stacks::Stack],
) -> Malloc {
    let mut threads: Vec<Addr> =
        evidence.threads.iter().map(|thread| Addr(thread.thread_id)).collect();
    for descriptor in stacks.iter().filter_map(|stack| stack.descriptor) {
        if !threads.contains(&descriptor) {
            threads.push(descriptor);
        }
    }
    let mut taken = arenas.to_vec();
    taken.extend(stacks.iter().map(|stack| stack.range));
    taken.sort_by_key(|range| range.start);
    let known = Known { threads: &threads, taken: &taken };
    malloc::examine(memory, evidence.map, evidence.files, known)
}

/// What `malloc_trim(0)` gives back: whole pages of free blocks (`mtrim`), and the top.
fn trimmable_bytes(malloc: &Malloc, residency: &Residency) -> u64 {
    let pages = |free: AddrRange| {
        let start = (free.start + CHUNK_HEADER + (PAGE_BYTES - 1)).without_tag(PAGE_BYTES - 1);
        AddrRange::new(start, free.end.without_tag(PAGE_BYTES - 1))
    };
    let free = malloc.arenas.iter().flat_map(Arena::trimmable).map(pages);
    free.filter(|pages| !pages.is_empty()).map(|pages| residency.bytes(pages)).sum()
}

fn malloc_facts(malloc: &Malloc, residency: &Residency) -> MallocFacts {
    let sum = |ranges: &[AddrRange]| ranges.iter().map(|range| range.len()).sum();
    let arena = |arena: &Arena| MallocArenaFacts {
        address: arena.state.start.to_string(),
        is_main: arena.is_main,
        system_bytes: arena.system_bytes,
        used_bytes: arena.used_bytes(),
        top_bytes: arena.top.map_or(0, AddrRange::len),
        binned_bytes: sum(&arena.binned),
        unsorted_bytes: sum(&arena.unsorted),
        fast_bytes: sum(&arena.fast),
        cached_bytes: sum(&arena.cached),
        free_blocks: u64::try_from(arena.free().count()).unwrap_or(u64::MAX),
        resident_bytes: arena.regions.iter().map(|&region| residency.bytes(region)).sum(),
        is_complete: arena.is_complete,
    };
    let found = u64::try_from(malloc.mapped.ranges.len()).unwrap_or(u64::MAX);
    MallocFacts {
        allocator: malloc.allocator.name(),
        arenas: malloc.arenas.iter().map(arena).collect(),
        mapped_blocks: malloc.mapped.count.unwrap_or(found),
        mapped_bytes: malloc.mapped.total_bytes(),
        thread_caches: malloc.caches,
    }
}

fn unknown(malloc: &Malloc, smaps: Option<&Smaps>, present: &[AddrRange]) -> Vec<String> {
    let mut unknown = Vec::new();
    if smaps.is_none() {
        unknown.push(
            "A core file does not say what was in memory: what it has saved is counted instead. It has no \
             mapped files, and no PSS."
                .to_owned(),
        );
    } else if present.is_empty() {
        unknown.push("The page tables may not be read: pages are counted by mapping.".to_owned());
    }
    if malloc.allocator.name() == "unknown" {
        unknown.push(
            "The C library's allocator was not recognised: what it has is in anonymous mappings."
                .to_owned(),
        );
    }
    if malloc.arenas.iter().any(|arena| !arena.is_complete) {
        unknown.push(
            "A list of free blocks of malloc was being changed: some of its free memory counts as used."
                .to_owned(),
        );
    }
    unknown
}
