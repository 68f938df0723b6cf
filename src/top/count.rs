//! What is kept of a look at the heap: the sums by type, and who holds a type.

use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;

use super::words::clean;
use crate::analysis::garbage::Garbage;
use crate::analysis::{Collection, HeldBy, Paths, lookup};
use crate::facts::ThreadFacts;
use crate::recording::{Census, TypeCount};
use crate::report::text::{allocation, hang, path};
use crate::snapshot::Snapshot;
use crate::watch;

/// The most ways by which objects are held that are shown; more is nothing that a person reads.
const WAYS: usize = 500;
/// The most threads that are listed.
const THREADS: usize = 1000;

/// A heap, counted.
#[derive(Debug, Clone, Default)]
pub(super) struct Count {
    /// When it was read, since the view began.
    pub(super) at: Duration,
    /// How long that took, from beginning to end.
    pub(super) took: Duration,
    /// The sums, of all types.
    pub(super) census: Census,
    /// How it was made to stand still (`stop`, `cow`, `none`, `frozen`).
    pub(super) mode: String,
    /// What a collection would free: objects, and bytes.
    pub(super) garbage: (u64, u64),
    /// Whether the collector comes by itself, where that is known.
    pub(super) gc_enabled: Option<bool>,
    /// What the process hangs on, if it does.
    pub(super) hang: Option<String>,
    pub(super) threads: Vec<ThreadLine>,
    /// Which part of the objects makes no sense, if it ran meanwhile.
    pub(super) torn_share: Option<f64>,
    /// What made no sense in it.
    pub(super) anomalies: u64,
    /// Where in the census a type is.
    pub(super) index: FxHashMap<Arc<str>, usize>,
}

/// A thread in a line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ThreadLine {
    pub(super) name: String,
    /// `running`, `waiting`, ….
    pub(super) state: String,
    pub(super) holds_gil: bool,
    /// What it waits for, or does.
    pub(super) doing: String,
}

impl Count {
    /// Counts a heap that was read at a moment.
    pub(super) fn of(snapshot: &Snapshot, at: Duration) -> Self {
        let Snapshot { facts, graph } = snapshot;
        let garbage = Garbage::new(graph, &Collection::new(graph));
        let took = Duration::try_from_secs_f64(facts.timings.total).unwrap_or_default();
        Self {
            at,
            took,
            mode: facts.pause.mode.clone(),
            garbage: (garbage.objects, garbage.bytes()),
            gc_enabled: facts.gc_enabled,
            hang: hang::hang(facts).map(|text| clean(&text)),
            threads: facts.threads.iter().take(THREADS).map(ThreadLine::of).collect(),
            anomalies: graph
                .anomalies
                .iter()
                .map(|anomaly| anomaly.count)
                .fold(0, u64::saturating_add),
            torn_share: facts.torn.as_ref().map(|torn| torn.object_share),
            ..Self::default()
        }
        .with(watch::sums(snapshot))
    }

    /// The same with other sums.
    pub(super) fn with(self, census: Census) -> Self {
        let names = census.types.iter().enumerate();
        let index = names.map(|(nth, row)| (Arc::clone(&row.name), nth)).collect();
        Self { census, index, ..self }
    }

    /// The objects of a type; nothing if it has none.
    pub(super) fn of_type(&self, name: &str) -> Option<&TypeCount> {
        self.census.types.get(*self.index.get(name)?)
    }
}

impl ThreadLine {
    fn of(thread: &ThreadFacts) -> Self {
        let frame = thread.frames.first().map(|frame| {
            let file = frame.file.rsplit('/').next().unwrap_or(&frame.file);
            let line = frame.line.map(|line| format!(":{line}")).unwrap_or_default();
            format!("{} ({file}{line})", frame.function)
        });
        let wait =
            thread.waiting_for.as_ref().map(|wait| format!("waits for {}", wait.description));
        let doing = match (wait, frame) {
            (Some(wait), Some(frame)) => format!("{wait}, in {frame}"),
            (wait, frame) => wait.or(frame).unwrap_or_else(|| "no Python frame".to_owned()),
        };
        Self {
            name: clean(&thread.name),
            state: thread.state.clone(),
            holds_gil: thread.holds_gil,
            doing: clean(&doing),
        }
    }
}

/// The ways by which the objects of a type are held.
#[derive(Debug, Clone, Default)]
pub(super) struct Ways {
    /// The type.
    pub(super) name: Arc<str>,
    /// When the heap was read that this is of.
    pub(super) at: Duration,
    /// All objects of the type, and their bytes.
    pub(super) objects: u64,
    pub(super) bytes: u64,
    /// The ways, most bytes first.
    pub(super) ways: Vec<Way>,
    /// How many more there are.
    pub(super) more: usize,
}

/// One way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) objects: u64,
    pub(super) bytes: u64,
    /// All of it in a line.
    pub(super) line: String,
    /// What it begins with, then an object a line.
    pub(super) steps: Vec<String>,
    /// The address of one of the objects, as `hex(id(obj))`.
    pub(super) example: String,
    /// The line that has allocated that one, where the process traces.
    pub(super) allocated: Option<String>,
}

impl Ways {
    /// Finds out who holds the objects of a type, in a heap that was read at a moment.
    pub(super) fn of(name: &Arc<str>, snapshot: &Snapshot, paths: &Paths, at: Duration) -> Self {
        let graph = &snapshot.graph;
        let name = Arc::clone(name);
        // A full name is no other's.
        let Ok(found) = lookup::find_type(graph, &name) else {
            return Self { name, at, ..Self::default() };
        };
        let held = paths.holders(graph, found.objects(graph));
        let objects = held.iter().map(|held| held.objects).fold(0, u64::saturating_add);
        let bytes = held.iter().map(|held| held.bytes).fold(0, u64::saturating_add);
        let more = held.len().saturating_sub(WAYS);
        let way = |held: &HeldBy| Way {
            objects: held.objects,
            bytes: held.bytes,
            line: path::holder(held, false),
            steps: steps(held),
            example: graph.addr(held.example).to_string(),
            allocated: allocation::of(graph, held.example).map(|line| clean(&line)),
        };
        let ways = held.iter().take(WAYS).map(way).collect();
        Self { name, at, objects, bytes, ways, more }
    }
}

/// A way, an object a line.
fn steps(held: &HeldBy) -> Vec<String> {
    let mut lines = vec![path::root(&held.path.root, true)];
    if !held.cycle.is_empty() {
        lines.push(format!("cycle {}", path::circle(&held.cycle, true)));
    }
    lines.extend(held.path.steps.iter().map(|step| path::step(step, true)));
    lines.iter().map(|line| clean(line)).collect()
}
