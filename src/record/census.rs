//! A census: a heap of which only the sums by type are kept. It is read by a thread of its own, so that
//! the sampling goes on.

use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;

use crate::analysis::garbage::{Garbage, GarbageType};
use crate::analysis::{Collection, Histogram, SortBy};
use crate::recording::{Census, TypeCount};
use crate::snapshot::{self, Snapshot};
use crate::take::{self, TakeError, TakeOptions};

/// What came of a census.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The sums, and why the snapshot file that was asked for is not there, if it is not.
    Taken(Census, Option<String>),
    /// Nothing, and why. The target would have been stopped for too long.
    TooLong(String),
    /// Nothing, and why.
    Failed(String),
}

/// A census that is being taken.
pub(super) struct Pending {
    result: Receiver<Outcome>,
}

impl Pending {
    /// Begins to read the heap of a process; reckons what is garbage, and writes a file, if wanted.
    pub(super) fn start(
        pid: u32,
        options: TakeOptions,
        garbage: bool,
        file: Option<PathBuf>,
    ) -> Self {
        let (send, result) = mpsc::channel();
        thread::spawn(move || {
            // Nobody waits any more if the recording has ended.
            let _ = send.send(take(pid, &options, garbage, file));
        });
        Self { result }
    }

    /// What came of it, if it is over.
    pub(super) fn poll(&self) -> Option<Outcome> {
        match self.result.try_recv() {
            Ok(outcome) => Some(outcome),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(died()),
        }
    }

    /// Waits for what comes of it.
    pub(super) fn wait(self) -> Outcome {
        self.result.recv().unwrap_or_else(|_| died())
    }
}

fn died() -> Outcome {
    Outcome::Failed("the thread that took it has died".to_owned())
}

fn take(pid: u32, options: &TakeOptions, garbage: bool, file: Option<PathBuf>) -> Outcome {
    match take::take(pid, options) {
        Ok((facts, graph)) => {
            let snapshot = Snapshot { facts, graph };
            let failed = file.and_then(|file| {
                snapshot::save(&snapshot, &file, false).err().map(|error| error.to_string())
            });
            Outcome::Taken(census(&snapshot, garbage), failed)
        }
        Err(TakeError::Pause(error)) => Outcome::TooLong(error.to_string()),
        Err(TakeError::Capture(error)) => Outcome::TooLong(error.to_string()),
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

/// The sums over a heap. Whoever asked for it says when it was.
fn census(snapshot: &Snapshot, garbage: bool) -> Census {
    let histogram = Histogram::new(&snapshot.graph, SortBy::Bytes);
    let types = histogram.types.iter().map(|row| TypeCount {
        name: row.name.as_str().into(),
        objects: row.totals.objects,
        shallow_bytes: row.totals.shallow_bytes,
        buffer_bytes: row.totals.buffer_bytes,
    });
    Census {
        seconds: 0.0,
        pause_seconds: snapshot.facts.pause.seconds,
        objects: histogram.totals.objects,
        shallow_bytes: histogram.totals.shallow_bytes,
        buffer_bytes: histogram.totals.buffer_bytes,
        garbage_bytes: garbage.then(|| {
            let garbage = Garbage::new(&snapshot.graph, &Collection::new(&snapshot.graph));
            let bytes = garbage.types.iter().map(GarbageType::bytes);
            bytes.fold(0, u64::saturating_add)
        }),
        types: types.collect(),
    }
}
