//! A census that is taken by a thread of its own, so that the sampling goes on.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;

use crate::analysis::Collection;
use crate::analysis::garbage::Garbage;
use crate::recording::Census;
use crate::snapshot;
use crate::take::TakeOptions;
use crate::target::Process;
use crate::watch;

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
    match watch::heap_of(process, options) {
        Ok(snapshot) => {
            let failed = file.and_then(|file| {
                snapshot::save(&snapshot, &file, false).err().map(|error| error.to_string())
            });
            let graph = &snapshot.graph;
            let garbage = garbage.then(|| Garbage::new(graph, &Collection::new(graph)).bytes());
            let census = Census { garbage_bytes: garbage, ..watch::sums(&snapshot) };
            Outcome::Taken(census, failed)
        }
        Err(missed) if missed.is_too_long() => Outcome::TooLong(missed.to_string()),
        Err(missed) => Outcome::Failed(missed.to_string()),
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
    fn of_another_program_no_snapshot_is_written() {
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
