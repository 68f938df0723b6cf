//! From an interpreter to a graph: the only bridge between Python's layouts and the analyses.
//!
//! Two passes over memory that stands still. The first finds which objects there are, from the
//! collector's lists and the roots; their number is the rank of their address. The second decodes
//! each into a row. Errors in the target become anomalies; nothing in it ends a walk.

mod address_set;
mod blocks;
mod build;
mod contents;
mod deferred;
mod discover;
mod gc_lists;
mod join;
mod native;
mod pending;
mod reader;
mod recover;
mod roots;
mod set_aside;
mod shapes;
mod tasks;
mod threads;
mod torn;
mod types;

use crate::addr::{Addr, AddrRange};
use crate::cpython::discovery::Found;
use crate::cpython::emulate::Code;
use crate::cpython::object::{ArrowClasses, Objects};
use crate::cpython::pymalloc::{FreePools, Pymalloc};
use crate::cpython::tracemalloc::TraceTable;
use crate::facts::{AllocatorFacts, GenerationFacts};
use crate::graph::{Anomalies, HeapGraph};
use crate::limits::Limits;
use crate::target::maps::MemoryMap;
use crate::target::memory::Memory;

pub use blocks::Orphan;
pub use contents::Contents;
pub use deferred::fetch_deferred;
pub use native::{HeldByC, NativeMemory, Remainder, Surroundings, name_c_holders};
pub use threads::{Observed, Threads, threads};
pub use torn::{torn_objects, torn_storage};

use address_set::AddressSet;
use blocks::Blocks;
use build::Build;
use discover::Discovery;
use gc_lists::{Collector, Tracked};
use roots::{RawRoot, RootFinder};
use types::Types;

/// How many tracked objects are looked at to see how the allocator was set up.
const SAMPLES: usize = 1 << 12;

/// What a walk gives besides the graph.
#[derive(Debug, Clone)]
pub struct Walked {
    /// The objects.
    pub graph: HeapGraph,
    /// How many interpreters the process has.
    pub interpreters: u32,
    /// The generations of the main interpreter's collector.
    pub generations: Vec<GenerationFacts>,
    /// Whether that collector comes by itself.
    pub gc_enabled: Option<bool>,
    /// The arenas, pools and blocks of Python's own allocator.
    pub pymalloc: Pymalloc,
    /// The same in numbers.
    pub allocator: AllocatorFacts,
    /// Live objects that only the allocator knows of. They are not in the graph.
    pub orphans: Vec<Orphan>,
    /// What of the allocators' blocks is not an object's.
    pub remainder: Remainder,
    /// Where what made no sense lies, by address.
    pub torn: Vec<Addr>,
}

/// What is wanted of a walk.
#[derive(Debug, Clone, Copy, Default)]
pub struct WalkOptions<'a> {
    /// Bounds on what the target may claim.
    pub limits: Limits,
    /// Whether the contents of texts and numbers are kept.
    pub values: bool,
    /// What numbers the contents of texts and bytes, if duplicates are to be found.
    pub contents: Option<&'a Contents>,
    /// Where blocks were allocated, if the target keeps book of it.
    pub traces: Option<&'a TraceTable>,
}

/// The interpreters of a process, the newest first, as its list has them.
pub fn interpreters(memory: &impl Memory, found: &Found, limits: Limits) -> Vec<Addr> {
    let at = &found.layout.at;
    let mut interpreters = Vec::new();
    let mut next = memory.addr(found.runtime + at.runtime.interpreters_head).unwrap_or_default();
    while !next.is_null() && interpreters.len() < limits.threads && !interpreters.contains(&next) {
        interpreters.push(next);
        next = memory.addr(next + at.interpreter.next).unwrap_or_default();
    }
    interpreters
}

/// The generations of each interpreter's collector, with the number of the interpreter. Up to 3.8 all
/// interpreters share one collector.
pub fn generations(
    memory: &impl Memory,
    found: &Found,
    limits: Limits,
    interpreters: &[Addr],
) -> Vec<(u64, Vec<GenerationFacts>)> {
    let objects = Objects { memory, layout: &found.layout, limits, known: found.known, code: None };
    let collectors = if found.layout.has.gc_in_runtime { 1 } else { usize::MAX };
    let oldest_first = interpreters.iter().rev().take(collectors);
    oldest_first
        .filter_map(|&interpreter| {
            let id = memory.u64(interpreter + found.layout.at.interpreter.id).ok()?;
            Some((id, Collector::of(&objects, found.runtime, interpreter)?.facts(&objects)))
        })
        .collect()
}

/// How much of Python's own allocator is free, to be asked again and again of a process that runs.
pub fn free_pools(
    memory: &impl Memory,
    map: &MemoryMap,
    found: &Found,
    limits: Limits,
    interpreters: &[Addr],
) -> FreePools {
    /// Enough objects to find the pools that the allocator is recognised by.
    const SAMPLES: usize = 2000;
    let objects = Objects { memory, layout: &found.layout, limits, known: found.known, code: None };
    let main = interpreters.last().copied().unwrap_or_default();
    let collector = Collector::of(&objects, found.runtime, main);
    let samples = collector.map(|one| one.sample(&objects, SAMPLES)).unwrap_or_default();
    FreePools::find(&objects, map, interpreters, &samples)
}

/// Whether the collector of any interpreter was at work: its lists are then being rearranged, and
/// another look a moment later sees more.
pub fn is_collecting(memory: &impl Memory, found: &Found, limits: Limits) -> bool {
    let objects = Objects { memory, layout: &found.layout, limits, known: found.known, code: None };
    interpreters(memory, found, limits)
        .into_iter()
        .filter_map(|interpreter| Collector::of(&objects, found.runtime, interpreter))
        .any(|collector| collector.is_collecting(&objects))
}

/// What a walk begins with: what the collectors know, and the roots.
struct Beginning {
    tracked: Tracked,
    roots: Vec<RawRoot>,
    generations: Vec<GenerationFacts>,
    gc_enabled: Option<bool>,
    anomalies: Anomalies,
}

impl Beginning {
    /// Reads the collector's lists and the roots of all interpreters.
    fn of(
        memory: &impl Memory,
        map: &MemoryMap,
        found: &Found,
        limits: Limits,
        interpreters: &[Addr],
    ) -> Self {
        let generations = std::array::from_fn(|_| objects_of(map));
        let mut beginning = Self {
            tracked: Tracked { generations, objects: Vec::new(), broken: false },
            roots: Vec::new(),
            generations: Vec::new(),
            gc_enabled: None,
            anomalies: Anomalies::default(),
        };
        let mut known = found.known;
        for &interpreter in interpreters.iter().rev() {
            known.interpreter = interpreter;
            let objects = Objects { memory, layout: &found.layout, limits, known, code: None };
            let collector = Collector::of(&objects, found.runtime, interpreter);
            // Up to 3.8 all interpreters share one collector: its lists are walked once.
            let is_first = beginning.roots.is_empty();
            if let Some(collector) = collector
                && (is_first || !found.layout.has.gc_in_runtime)
            {
                collector.walk(&objects, &mut beginning.tracked, &mut beginning.anomalies);
                if is_first {
                    beginning.generations = collector.facts(&objects);
                    beginning.gc_enabled = collector.is_enabled(&objects);
                }
            }
            let mut finder = RootFinder::new(&objects);
            if is_first {
                finder.runtime(found.runtime);
            }
            finder.interpreter(interpreter, collector);
            finder.static_types();
            beginning.roots.append(&mut finder.roots);
            beginning.anomalies.merge(&finder.anomalies);
        }
        beginning
    }
}

/// What the roots lead to that are doubtful, or those that are not.
fn targets(roots: &[RawRoot], is_doubtful: bool) -> Vec<Addr> {
    let wanted = roots.iter().filter(|root| root.is_doubtful == is_doubtful);
    wanted.map(|root| root.target).collect()
}

/// An empty set for the objects of a process.
fn objects_of(map: &MemoryMap) -> AddressSet {
    let readable = map.iter().filter(|mapping| mapping.read).map(|mapping| mapping.range);
    AddressSet::covering(ranges(readable))
}

/// Walks the heap of a process whose memory stands still.
pub fn walk(
    memory: &impl Memory,
    map: &MemoryMap,
    found: &Found,
    options: WalkOptions<'_>,
) -> Walked {
    let limits = options.limits;
    let interpreters = interpreters(memory, found, limits);
    let Beginning { mut tracked, roots, generations, gc_enabled, mut anomalies } =
        Beginning::of(memory, map, found, limits, &interpreters);
    let code = code(memory, found, limits);
    let objects =
        Objects { memory, layout: &found.layout, limits, known: found.known, code: Some(&code) };
    let types = Types::default();
    let pymalloc = Pymalloc::read(&objects, map, found.runtime, &interpreters, &tracked.objects);
    for &(kind, at) in &pymalloc.notes {
        anomalies.note(kind, at);
    }
    let collecting = is_collecting(memory, found, limits);
    if collecting {
        let aside = set_aside::set_aside(&objects, map, &interpreters, &types, &mut tracked);
        tracing::debug!(aside, "a collection is under way");
    }
    if tracked.broken || collecting {
        let recovered = recover::recover(&objects, &pymalloc, &types, &mut tracked);
        tracing::debug!(recovered, "the lists of the collector do not say all");
    }
    let samples: Vec<Addr> = tracked.objects.iter().take(SAMPLES).copied().collect();
    let (mut seeds, doubtful) = (targets(&roots, false), targets(&roots, true));
    seeds.append(&mut tracked.objects);
    let discovered = code.settle_traversals(|| {
        let namespaces = objects_of(map);
        for root in roots.iter().filter(|root| root.namespace) {
            namespaces.insert(root.target);
        }
        Discovery::new(&objects, &types, objects_of(map), namespaces)
            .run(&seeds, &doubtful, &pymalloc)
    });
    drop(seeds);
    let build = Build {
        objects: &objects,
        types: &types,
        discovered: &discovered,
        tracked: &tracked,
        values: options.values,
        contents: options.contents,
        traces: options.traces,
        arrow: ArrowClasses::default(),
    };
    let mut graph = code.settle_numbers(|| build.run(&roots));
    graph.anomalies.merge(&discovered.anomalies);
    graph.anomalies.merge(&anomalies);
    let torn = graph.anomalies.take_places();
    let of = (&objects, &types, discovered);
    let (allocator, orphans, remainder) =
        Blocks::account(&pymalloc, of, map, &interpreters, &samples);
    Walked {
        graph,
        torn,
        interpreters: u32::try_from(interpreters.len()).unwrap_or(u32::MAX),
        generations,
        gc_enabled,
        allocator,
        orphans,
        remainder,
        pymalloc,
    }
}

/// The code of a process, to be followed for what no rule knows of its objects.
#[must_use]
pub fn code(memory: &impl Memory, found: &Found, limits: Limits) -> Code {
    let int_makers = found.known.long_from.into_iter().filter_map(Addr::non_null).collect();
    let interpreters = interpreters(memory, found, limits);
    Code::new(thread_pointer(memory, found, &interpreters), int_makers, found.known.strcmp)
}

/// What `pthread_self()` is in the oldest thread: on x86-64 that is where its thread-local variables
/// are found from.
fn thread_pointer(memory: &impl Memory, found: &Found, interpreters: &[Addr]) -> Addr {
    let known = found.known;
    let limits = Limits::default();
    let objects = Objects { memory, layout: &found.layout, limits, known, code: None };
    let main = interpreters.last().map(|&main| objects.threads(main).0).unwrap_or_default();
    let thread_id = found.layout.at.thread.thread_id;
    main.last().and_then(|&thread| memory.addr(thread + thread_id).ok()).unwrap_or_default()
}

/// Ranges of user space.
fn ranges(ranges: impl Iterator<Item = AddrRange>) -> impl Iterator<Item = AddrRange> {
    ranges.filter(|range| range.end.0 <= 1 << 47)
}
