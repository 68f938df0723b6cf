//! Recordings of a process and, if wanted, of all its descendants, each with a file of its own.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use super::metrics::{Board, Exporter};
use super::{Plan, RecordError, Recorder};
use crate::processes;
use crate::recording::{Recording, RecordingError};
use crate::snapshot;
use crate::take::TakeOptions;

/// How often it is looked for new descendants.
const LOOKS: Duration = Duration::from_secs(1);
/// How often a descendant that cannot be read is tried again.
const TRIES: u32 = 5;
/// The most processes that are recorded at once.
const MOST: usize = 256;

/// What is to be recorded.
#[derive(Debug, Clone, Default)]
pub struct Order {
    /// The process.
    pub pid: u32,
    /// Whether all its descendants are recorded too, those to come included.
    pub subprocesses: bool,
    /// What a recording is to do. With descendants, `file` is a pattern: the number of the process is
    /// put before its ending.
    pub plan: Plan,
    /// How a heap is read for a census.
    pub options: TakeOptions,
    /// Whether the recording in the file goes on.
    pub resume: bool,
    /// Where Prometheus may ask for metrics meanwhile.
    pub prometheus: Option<SocketAddr>,
}

/// A recording that is over.
#[derive(Debug)]
pub struct Recorded {
    /// What was recorded.
    pub recording: Recording,
    /// The file that it is in.
    pub file: Option<PathBuf>,
    /// Why not all of it is in the file.
    pub failure: Option<RecordingError>,
}

/// Records until the plan is fulfilled, the processes have ended, or `stop` is set. `note` is called with
/// what a person should know meanwhile.
///
/// # Errors
/// The process cannot be recorded at all. Of descendants, those that cannot are left out.
pub fn record(
    order: &Order,
    stop: &AtomicBool,
    note: &mut dyn FnMut(&str),
) -> Result<Vec<Recorded>, RecordError> {
    let sharers = Arc::new(AtomicUsize::new(0));
    let (recorder, plan) = prepare(order, order.pid, &sharers)?;
    let board = order.prometheus.map(|_| Board::default());
    let exporter = order.prometheus.zip(board.clone()).map(|(address, board)| {
        Exporter::start(address, board).map_err(|source| RecordError::Address { address, source })
    });
    let exporter = exporter.transpose()?;
    note(&recorder.describe());
    if let Some(address) = exporter.as_ref().and_then(Exporter::address) {
        note(&format!("Prometheus may ask at http://{address}/metrics"));
    }
    if !order.subprocesses {
        return Ok(vec![run(recorder, &plan, board, stop)]);
    }
    thread::scope(|scope| {
        let first = board.clone();
        let mut threads = vec![scope.spawn(move || run(recorder, &plan, first, stop))];
        let mut known = BTreeMap::from([(order.pid, TRIES)]);
        let started = std::time::Instant::now();
        // New descendants are looked for as long as anything is recorded.
        while threads.iter().any(|thread| !thread.is_finished()) {
            let left = order.plan.duration.map(|all| all.saturating_sub(started.elapsed()));
            let is_over = left == Some(Duration::ZERO) || stop.load(Ordering::Relaxed);
            for pid in processes::tree(order.pid) {
                let tries = known.entry(pid).or_insert(0);
                if is_over || threads.len() >= MOST || *tries >= TRIES {
                    continue;
                }
                *tries += 1;
                match prepare(order, pid, &sharers) {
                    Ok((recorder, plan)) => {
                        *tries = TRIES;
                        note(&recorder.describe());
                        let plan = Plan { duration: left, ..plan };
                        let board = board.clone();
                        threads.push(scope.spawn(move || run(recorder, &plan, board, stop)));
                    }
                    Err(error) if *tries == TRIES => {
                        let error = error.to_string();
                        let why = error.lines().next().unwrap_or_default();
                        note(&format!("process {pid} is left out: {why}"));
                    }
                    // It may be just starting.
                    Err(_) => {}
                }
            }
            wait(&threads);
        }
        // A recording that has panicked is left out; there is nothing to tell of it.
        Ok(threads.into_iter().filter_map(|thread| thread.join().ok()).collect())
    })
}

/// Waits a moment, but not when all are done.
fn wait<T>(threads: &[thread::ScopedJoinHandle<'_, T>]) {
    const STEP: Duration = Duration::from_millis(50);
    let mut waited = Duration::ZERO;
    while waited < LOOKS && threads.iter().any(|thread| !thread.is_finished()) {
        thread::sleep(STEP);
        waited += STEP;
    }
}

fn prepare(
    order: &Order,
    pid: u32,
    sharers: &Arc<AtomicUsize>,
) -> Result<(Recorder, Plan), RecordError> {
    let file = order.plan.file.as_deref().map(|file| match order.subprocesses {
        true => snapshot::numbered(file, pid),
        false => file.to_owned(),
    });
    let garbage = order.prometheus.is_some();
    let resume: Option<&Path> = file.as_deref().filter(|file| order.resume && file.exists());
    let recorder = Recorder::open(pid, order.options, garbage, resume, Arc::clone(sharers))?;
    Ok((recorder, Plan { file, ..order.plan.clone() }))
}

fn run(recorder: Recorder, plan: &Plan, board: Option<Board>, stop: &AtomicBool) -> Recorded {
    let (recording, result) = recorder.run(plan, board, stop);
    Recorded { recording, file: plan.file.clone(), failure: result.err() }
}
