//! A snapshot of a core file: the process is dead, or was copied while it lived.

use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::{CACHE_BYTES, Place, TakeError, TakeOptions, note_disagreements, tell_native};
use crate::addr::Addr;
use crate::cpython::discovery::{self, Binaries, DiscoveryError};
use crate::cpython::tracemalloc::Traces;
use crate::facts::{Facts, InterpreterFacts, Pause, ProcessFacts, Timings};
use crate::graph::HeapGraph;
use crate::heap::{self, Contents, HeldByC, Observed, WalkOptions};
use crate::target::core::{BinaryState, CoreError, CoreFile, CoreOptions, CoreThread};
use crate::target::{MappedFiles, Memory, PageCache};

/// Reads the heap of a core file.
///
/// # Errors
/// It is no core file, or holds no interpreter that can be read.
pub fn take_core(
    path: &Path,
    core_options: &CoreOptions,
    options: &TakeOptions,
) -> Result<(Facts, HeapGraph), TakeError> {
    let start = Instant::now();
    let core = CoreFile::open(path, core_options)?;
    let memory = core.memory();
    let capture = start.elapsed();
    let map = core.memory_map();
    let binaries = Binaries::default();
    // The search for an interpreter reads much that the walk does not need.
    let cached = PageCache::new(memory.clone(), CACHE_BYTES);
    let found = match discovery::find(&core, map, &cached, options.limits, &binaries) {
        Err(DiscoveryError::NotFound(_)) if core.truncated_bytes() > 0 => {
            let missing = core.truncated_bytes();
            return Err(CoreError::CutOff { path: path.to_owned(), missing }.into());
        }
        found => found?,
    };
    let attach = start.elapsed() - capture;
    let contents = options.contents.then(Contents::default);
    let contents = contents.as_ref();
    let traces = Traces::find(map, &cached, &found).and_then(|traces| traces.table(&memory));
    let traces = traces.as_ref();
    let (limits, values) = (options.limits, options.values);
    let walk_options = WalkOptions { limits, values, contents, traces };
    let before_walk = Instant::now();
    let mut walked = heap::walk(&memory, map, &found, walk_options);
    let walk = before_walk.elapsed();
    let threads = core.threads().iter().map(CoreThread::observed).collect();
    let observed = Observed { pid: None, threads };
    let mut threads = heap::threads(&memory, &found, options.limits, &walked.graph, &observed);
    tell_native(&core, map, &observed, &mut threads.threads);
    // What a damaged file claims of its mappings may be the whole address space.
    let saved = core.saved_memory();
    let place = Place {
        memory: &memory,
        map,
        files: &core,
        saved: &saved,
        present: &saved,
        smaps: None,
        os_threads: &observed.threads,
        threads: &threads.threads,
    };
    let (held, memory) = place.look_around(&found, limits, &mut walked);
    let HeldByC { orphans, native: native_holders } = held;
    let facts = Facts {
        process: ProcessFacts {
            pid: core.pid(),
            executable: core.executable(),
            ..ProcessFacts::default()
        },
        interpreter: InterpreterFacts {
            version: found.version.to_string(),
            build: found.build.to_string(),
            interpreters: walked.interpreters,
        },
        pause: Pause { mode: "core".to_owned(), ..Pause::default() },
        timings: Timings {
            attach: attach.as_secs_f64(),
            capture: capture.as_secs_f64(),
            walk: walk.as_secs_f64(),
            total: start.elapsed().as_secs_f64(),
        },
        captured_bytes: core.saved_bytes(),
        memory: Some(memory),
        generations: walked.generations,
        gc_enabled: walked.gc_enabled,
        allocator: walked.allocator,
        orphans,
        native_holders,
        threads: threads.threads,
        deadlocks: threads.deadlocks,
        asynchronous: threads.asynchronous,
        tracer: None,
        torn: None,
        taken_at: written_at(path),
    };
    let mut graph = walked.graph;
    note_disagreements(&mut graph, &found);
    note_losses(&mut graph, &core);
    Ok((facts, graph))
}

/// When the core was written, in seconds since 1970: the state is of that time.
fn written_at(path: &Path) -> f64 {
    let modified = std::fs::metadata(path).and_then(|metadata| metadata.modified());
    let time = modified.unwrap_or_else(|_| SystemTime::now());
    time.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// What the answer lacks because the file, or a binary, does.
fn note_losses(graph: &mut HeapGraph, core: &CoreFile) {
    let truncated = core.truncated_bytes();
    if truncated > 0 {
        let kind = "pages that the core file promises and does not have: it is cut off";
        graph.anomalies.add(kind, truncated.div_ceil(4096), &[]);
    }
    // gdb gives up a mapping at the first page that it cannot read, such as the guard page that
    // newer C libraries have inside of a thread's stack, and leaves zeros for the rest of it.
    let memory = core.memory();
    let lost = |sp: &Addr| {
        memory.bytes(sp.without_tag(7), 256).map_or(true, |top| top.iter().all(|&byte| byte == 0))
    };
    let stacks: Vec<Addr> = core.threads().iter().filter_map(CoreThread::stack_pointer).collect();
    let stacks: Vec<Addr> = stacks.into_iter().filter(lost).collect();
    if !stacks.is_empty() {
        let kind = "stacks of threads are not in the core file: what only their frames hold is \
                    missing";
        graph.anomalies.add(kind, u64::try_from(stacks.len()).unwrap_or(u64::MAX), &stacks);
    }
    for (path, state) in core.binaries() {
        // Data files are mapped too, and nothing is read from them.
        let holds_code = core
            .memory_map()
            .iter()
            .any(|mapping| mapping.path.as_deref() == Some(path) && mapping.execute);
        let what = match state {
            BinaryState::Other => "is another one than the process had (its build-id differs)",
            BinaryState::Missing => "was not found: names of its types may be missing",
            BinaryState::Same | BinaryState::Unproved => continue,
        };
        if holds_code {
            let start = core.memory_map().iter().find(|m| m.path.as_deref() == Some(path));
            let at = start.map_or(Addr::NULL, |mapping| mapping.range.start);
            graph.anomalies.add(&format!("{path} {what}"), 1, &[at]);
        }
    }
}
