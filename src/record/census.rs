//! A census: a heap of which only the sums by type are kept. It is read by a thread of its own, so that
//! the sampling goes on.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;

use crate::analysis::garbage::{Garbage, GarbageType};
use crate::analysis::{Collection, Histogram, SortBy};
use crate::recording::{Census, TypeCount};
use crate::snapshot::{self, Snapshot};
use crate::take::{self, TakeError, TakeOptions};
use crate::target::Process;

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
        process: Arc<Process>,
        options: TakeOptions,
        garbage: bool,
        file: Option<PathBuf>,
    ) -> Self {
        let (send, result) = mpsc::channel();
        thread::spawn(move || {
            // Nobody waits any more if the recording has ended.
            let _ = send.send(take(&process, &options, garbage, file));
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

fn take(process: &Process, options: &TakeOptions, garbage: bool, file: Option<PathBuf>) -> Outcome {
    match take::take(process.pid(), options) {
        // It is taken by number, and the number may have been given to another process meanwhile.
        Ok((facts, _))
            if facts.process.start_ticks != process.start_ticks() || process.is_replaced() =>
        {
            Outcome::Failed(format!("process {} is another one by now", process.pid()))
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::program::Program;

    /// Runs another program when it is told to.
    const PROGRAM: &str = "
import os, sys
print('ready', flush=True)
sys.stdin.readline()
os.execv(sys.executable, [sys.executable, '-c', 'print(\"other\", flush=True); input()'])
";

    #[test]
    fn a_census_of_another_program_is_none() {
        let mut program = Program::ready(PROGRAM);
        let process = Process::open(program.pid()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let census = |name: &str| {
            let file = folder.path().join(name);
            (take(&process, &TakeOptions::default(), false, Some(file.clone())), file.exists())
        };
        let (first, is_saved) = census("before");
        assert!(matches!(first, Outcome::Taken(_, None)) && is_saved, "{first:?}");
        program.go_on("other");
        let (second, is_saved) = census("after");
        assert!(matches!(second, Outcome::Failed(_)) && !is_saved, "{second:?}");
    }
}
