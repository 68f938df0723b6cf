//! One snapshot of a running process: find the interpreter, copy, decode. How the copy comes to be
//! is a file for each mode.

mod cow;
mod outlook;
mod post_mortem;
mod running;
mod stopped;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::addr::AddrRange;
use crate::cpython::discovery::{self, Binaries, DiscoveryError, Found};
use crate::cpython::tracemalloc::{TraceTable, Traces};
use crate::facts::{
    Facts, InterpreterFacts, MemoryFacts, Pause, ProcessFacts, ThreadFacts, Timings,
};
use crate::footprint::{self, Evidence};
use crate::graph::HeapGraph;
use crate::heap::{
    self, Contents, HeldByC, NativeMemory, Observed, Surroundings, Threads, WalkOptions, Walked,
};
use crate::limits::Limits;
use crate::target::capture::{CapturedMemory, be_the_first_to_go};
use crate::target::memory::Memory;
use crate::target::pause::PauseError;
use crate::target::process::{AttachError, Process};
use crate::target::threads::{self, OsThread};
use crate::target::{
    CaptureError, CoreError, CowError, MappedFiles, MemoryMap, Natives, PageCache, Smaps,
};
pub use outlook::Outlook;
pub use post_mortem::take_core;

/// How much of the target's read-only memory is remembered while its interpreter is looked for.
const CACHE_BYTES: usize = 64 << 20;
/// How often, and after which wait, a target that is in the middle of a collection is let go on: a
/// young collection takes well under a millisecond, a full one of millions of objects seconds.
const COLLECTION_RETRIES: u32 = 20;
const COLLECTION_WAIT: Duration = Duration::from_millis(5);
/// Texts and bytes that are not copied may make the pause twice as long as it would be, or longer by
/// this.
const CONTENTS_WAIT: Duration = Duration::from_millis(50);

/// How the heap is made to stand still.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum PauseMode {
    /// Stop every thread while the memory is copied.
    #[default]
    Stop,
    /// Fork the target and read the child.
    Cow,
    /// Read while it runs.
    None,
}

/// What is wanted of a snapshot.
#[derive(Debug, Clone, Copy, Default)]
pub struct TakeOptions {
    /// How the heap is made to stand still.
    pub mode: PauseMode,
    /// Give up rather than pause the target for longer.
    pub max_pause: Option<Duration>,
    /// Whether the contents of texts and numbers are kept.
    pub values: bool,
    /// Whether duplicate texts and bytes can be found in the result.
    pub contents: bool,
    /// Bounds on what the target may claim.
    pub limits: Limits,
}

/// Why there is no snapshot. The target runs on in every case.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TakeError {
    /// There is no such process, or it may not be read.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// It has no interpreter that can be read.
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    /// It could not be stopped.
    #[error(transparent)]
    Pause(#[from] PauseError),
    /// It was not made to fork.
    #[error(transparent)]
    Cow(#[from] CowError),
    /// Its memory could not be copied.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The core file cannot be read.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// It ended while it was read, or runs another program.
    #[error("process {0} ended, or began to run another program, while it was read")]
    Gone(u32),
}

/// The interpreter of a process, without stopping it.
///
/// # Errors
/// There is no such process, it may not be read, or it has no interpreter that can be.
pub fn find(process: &Process, limits: Limits) -> Result<Found, TakeError> {
    find_with(process, limits, &Binaries::default())
}

/// As [`find`], for many processes: a binary that several of them run is looked at once.
///
/// # Errors
/// As [`find`].
pub fn find_with(
    process: &Process,
    limits: Limits,
    binaries: &Binaries,
) -> Result<Found, TakeError> {
    let map = process.memory_map()?;
    let memory = PageCache::new(process.memory(), CACHE_BYTES);
    let found = discovery::find(process, &map, &memory, limits, binaries);
    match found {
        Err(_) if !process.is_same() => Err(TakeError::Gone(process.pid())),
        found => Ok(found?),
    }
}

/// A copy of the target's memory, and what making it has cost.
struct Held {
    captured: CapturedMemory,
    map: MemoryMap,
    beside: Beside,
    pause: Pause,
    capture: Duration,
}

/// What is read beside the copy.
#[derive(Default)]
struct Beside {
    /// What texts and bytes hold that are not copied.
    contents: Option<Contents>,
    /// Where `tracemalloc` keeps the lines of blocks.
    traces: Option<TraceTable>,
}

/// Reads what is not copied, as far as there is time for it since the capture began. The target still
/// stands still, or nothing better is to be had.
fn beside(
    captured: &CapturedMemory,
    found: &Found,
    (options, traces): (&TakeOptions, Option<Traces>),
    began: Instant,
    deadline: Option<Instant>,
) -> Beside {
    let traces = traces.and_then(|traces| traces.table(captured));
    if let Some(traces) = &traces {
        // What is not there is not found: objects then have no line.
        let _ = captured.fetch(traces.buckets());
    }
    let until = Instant::now() + began.elapsed().max(CONTENTS_WAIT);
    let until = until.min(deadline.unwrap_or(until));
    let contents =
        options.contents.then(|| Contents::of_deferred(captured, found, options.limits, until));
    Beside { contents, traces }
}

/// Takes a snapshot of a running process.
///
/// # Errors
/// The process cannot be read, or may not be.
pub fn take(pid: u32, options: &TakeOptions) -> Result<(Facts, HeapGraph), TakeError> {
    let start = Instant::now();
    be_the_first_to_go();
    let process = Process::open(pid)?;
    match take_of(&process, options, start) {
        // Whatever did not work: that is why.
        Err(_) if !process.is_same() => Err(TakeError::Gone(pid)),
        taken => taken,
    }
}

/// The same of a process that was there a moment ago.
fn take_of(
    process: &Process,
    options: &TakeOptions,
    start: Instant,
) -> Result<(Facts, HeapGraph), TakeError> {
    let pid = process.pid();
    let found = find(process, options.limits)?;
    let attach = start.elapsed();
    let traces = traces_of(process, &found)?;
    // Before any stop, which would be what they wait for.
    let mut observed = Observed { pid: Some(pid), threads: threads::observe(pid) };
    let mut held = match options.mode {
        PauseMode::None => running::copy(process, &found, (options, traces))?,
        PauseMode::Cow => cow::copy(process, &found, (options, traces), &mut observed.threads)?,
        PauseMode::Stop => {
            stopped::copy(process, &found, (options, traces), &mut observed.threads)?
        }
    };
    // Soon after: what the target does meanwhile shows as unexplained.
    let smaps = Smaps::read(pid);
    let Beside { contents, traces } = std::mem::take(&mut held.beside);
    let (contents, traces) = (contents.as_ref(), traces.as_ref());
    let (limits, values) = (options.limits, options.values);
    let walk_options = WalkOptions { limits, values, contents, traces };
    let before_walk = Instant::now();
    let mut walked = heap::walk(&held.captured, &held.map, &found, walk_options);
    let torn = match options.mode {
        PauseMode::None => Some(running::mend(&mut held, &mut walked, &found, walk_options)),
        _ => None,
    };
    let walk = before_walk.elapsed();
    let Held { captured, map, pause, capture, .. } = held;
    let timings = Timings {
        attach: attach.as_secs_f64(),
        capture: capture.as_secs_f64(),
        walk: walk.as_secs_f64(),
        total: start.elapsed().as_secs_f64(),
    };
    let mut threads = heap::threads(&captured, &found, options.limits, &walked.graph, &observed);
    tell_native(process, &map, &observed, &mut threads.threads);
    let place = Place {
        memory: &captured,
        map: &map,
        files: process,
        saved: &captured.saved_ranges(),
        present: captured.present(),
        smaps: smaps.as_ref(),
        os_threads: &observed.threads,
        threads: &threads.threads,
    };
    let (held, memory) = place.look_around(&found, limits, &mut walked);
    let facts = facts(process, &found, &walked, pause, timings, &captured);
    let HeldByC { orphans, native } = held;
    let facts = Facts {
        memory: Some(memory),
        torn,
        orphans,
        native_holders: native,
        ..with_threads(facts, threads)
    };
    Ok((facts, finish(walked.graph, &found, &captured)))
}

/// A process whose memory stands still, and what is known of it besides its objects.
struct Place<'a, M> {
    memory: &'a M,
    map: &'a MemoryMap,
    files: &'a dyn MappedFiles,
    /// What of its memory can be read.
    saved: &'a [AddrRange],
    /// The pages that are there, as far as that was looked up.
    present: &'a [AddrRange],
    smaps: Option<&'a Smaps>,
    os_threads: &'a [OsThread],
    threads: &'a [ThreadFacts],
}

impl<M: Memory> Place<'_, M> {
    /// Says what C code holds, and where the memory is.
    fn look_around(
        &self,
        found: &Found,
        limits: Limits,
        walked: &mut Walked,
    ) -> (HeldByC, MemoryFacts) {
        let malloc = footprint::examine(self.memory, &self.evidence(walked));
        let remainder = std::mem::take(&mut walked.remainder);
        let native = NativeMemory::new(self.memory, &walked.graph, &malloc, remainder);
        let surroundings = Surroundings {
            map: self.map,
            saved: self.saved,
            native: &native,
            os_threads: self.os_threads,
            threads: self.threads,
        };
        let orphans = std::mem::take(&mut walked.orphans);
        let graph = &mut walked.graph;
        let held = heap::name_c_holders(self.memory, found, limits, &surroundings, graph, &orphans);
        (held, footprint::measure(self.memory, self.evidence(walked), &malloc))
    }

    fn evidence<'w>(&'w self, walked: &'w Walked) -> Evidence<'w> {
        Evidence {
            map: self.map,
            files: self.files,
            present: self.present,
            smaps: self.smaps,
            pymalloc: &walked.pymalloc,
            graph: &walked.graph,
            os_threads: self.os_threads,
            threads: self.threads,
        }
    }
}

/// Adds what the threads were doing.
fn with_threads(facts: Facts, threads: Threads) -> Facts {
    Facts {
        threads: threads.threads,
        deadlocks: threads.deadlocks,
        asynchronous: threads.asynchronous,
        ..facts
    }
}

/// Where the tables of `tracemalloc` are in a process, which may run; nothing if it does not trace.
fn traces_of(process: &Process, found: &Found) -> Result<Option<Traces>, TakeError> {
    let live = PageCache::new(process.memory(), CACHE_BYTES);
    Ok(Traces::find(&process.memory_map()?, &live, found))
}

/// Tells the function of C code that each thread is in.
fn tell_native(
    files: &impl MappedFiles,
    map: &MemoryMap,
    observed: &Observed,
    threads: &mut [ThreadFacts],
) {
    let mut natives = Natives::new(files, map);
    for thread in threads {
        let is_it = |seen: &&OsThread| seen.namespace_tid == thread.os_thread_id;
        let seen = observed.threads.iter().find(is_it);
        let instruction = seen.and_then(|seen| seen.instruction);
        thread.native = instruction.and_then(|instruction| natives.place(instruction));
    }
}

/// Adds what was noticed besides the walk.
fn finish(mut graph: HeapGraph, found: &Found, captured: &CapturedMemory) -> HeapGraph {
    note_disagreements(&mut graph, found);
    let swapped = captured.swapped_bytes();
    if swapped > 0 {
        let kind = "pages of the target are swapped out and were not read";
        graph.anomalies.add(kind, swapped / 4096, &[]);
    }
    graph
}

/// Where the target and the tables name different offsets.
fn note_disagreements(graph: &mut HeapGraph, found: &Found) {
    // The size of a state moves with every patch release; what matters is where its fields are.
    for disagreement in found.disagreements.iter().filter(|row| row.field != "sizeof") {
        let kind = format!(
            "the target keeps {}.{} at {}, not at {} as in the tables",
            disagreement.structure,
            disagreement.field,
            disagreement.target,
            disagreement.table.map_or_else(|| "none".to_owned(), |offset| offset.to_string()),
        );
        graph.anomalies.add(&kind, 1, &[]);
    }
}

/// The facts of a snapshot.
fn facts(
    process: &Process,
    found: &Found,
    walked: &Walked,
    pause: Pause,
    timings: Timings,
    captured: &CapturedMemory,
) -> Facts {
    Facts {
        process: ProcessFacts {
            pid: process.pid(),
            executable: process.executable(),
            rss_bytes: process.rss_bytes(),
            start_ticks: process.start_ticks(),
            boot_id: Process::boot_id().unwrap_or_default(),
        },
        interpreter: InterpreterFacts {
            version: found.version.to_string(),
            build: found.build.to_string(),
            interpreters: walked.interpreters,
        },
        pause,
        timings,
        captured_bytes: captured.captured_bytes(),
        tracer: process.tracer_pid(),
        generations: walked.generations.clone(),
        gc_enabled: walked.gc_enabled,
        allocator: walked.allocator.clone(),
        taken_at: SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0.0, |since| since.as_secs_f64()),
        ..Facts::default()
    }
}
