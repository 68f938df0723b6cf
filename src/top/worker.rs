//! The thread that reads the heap: it counts, and it finds out who holds a type. One thing at a time, so that the
//! process is never stopped twice at once.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use super::count::{Count, Ways};
use super::event::Event;
use super::session::Message;
use crate::analysis::Paths;
use crate::error::Error;
use crate::snapshot::Snapshot;
use crate::take::TakeOptions;
use crate::target::Process;
use crate::watch::{self, Missed};

/// What it is asked for.
#[derive(Debug)]
pub(super) enum Ask {
    Count,
    Ways(Arc<str>),
}

/// The last heap that was read.
struct Heap {
    snapshot: Snapshot,
    at: Duration,
    /// Walked when somebody asks.
    paths: Option<Paths>,
}

/// Reads the heap of a process.
pub(super) struct Worker {
    process: Arc<Process>,
    options: TakeOptions,
    began: Instant,
    heap: Option<Heap>,
}

impl Worker {
    pub(super) const fn new(process: Arc<Process>, options: TakeOptions, began: Instant) -> Self {
        Self { process, options, began, heap: None }
    }

    /// Answers until nobody asks any more.
    pub(super) fn run(mut self, asked: &Receiver<Ask>, answers: &Sender<Message>) {
        while let Ok(ask) = asked.recv() {
            // A panic is a bug of ours, and no reason to stop watching.
            let answer = catch_unwind(AssertUnwindSafe(|| self.answer(ask)));
            let answer = answer.unwrap_or_else(|_| {
                let why = "pyheap has a bug: what it said is told at the end".to_owned();
                Message::Event(Event::Missed { why, hint: None, stopped: Duration::ZERO })
            });
            if answers.send(answer).is_err() {
                return;
            }
        }
    }

    fn answer(&mut self, ask: Ask) -> Message {
        match ask {
            Ask::Count => match self.count() {
                Ok(count) => Message::Event(Event::Counted(Arc::new(count))),
                Err(missed) => self.missed(missed),
            },
            Ask::Ways(name) => Message::Event(Event::Ways(Arc::new(self.ways(&name)))),
        }
    }

    fn count(&mut self) -> Result<Count, Missed> {
        let at = self.began.elapsed();
        let snapshot = watch::heap_of(&self.process, &self.options)?;
        let count = Count::of(&snapshot, at);
        self.heap = Some(Heap { snapshot, at, paths: None });
        Ok(count)
    }

    fn ways(&mut self, name: &Arc<str>) -> Ways {
        let Some(Heap { snapshot, at, paths }) = &mut self.heap else {
            return Ways { name: Arc::clone(name), ..Ways::default() };
        };
        let paths = paths.get_or_insert_with(|| Paths::new(&snapshot.graph));
        Ways::of(name, snapshot, paths, *at)
    }

    /// What is told of a heap that could not be read. What will never be better ends the view, if there was nothing to
    /// show yet.
    fn missed(&self, missed: Missed) -> Message {
        let stopped = match missed.is_too_long() {
            true => self.options.max_pause.unwrap_or_default(),
            false => Duration::ZERO,
        };
        let error = match missed {
            Missed::Take(error) => Error::from(error),
            missed @ Missed::Another(_) => Error::Refused(missed.to_string()),
        };
        if self.heap.is_none() && matches!(error.exit_code(), 4..=6) {
            return Message::Failed(error);
        }
        let line = |text: String| text.lines().next().unwrap_or_default().to_owned();
        let (why, hint) = (line(error.to_string()), error.hint().map(line));
        Message::Event(Event::Missed { why, hint, stopped })
    }
}
