//! Event loops: which thread runs each, and whether it gets to its work.

use rustc_hash::FxHashSet;

use super::Tasks;
use crate::addr::Addr;
use crate::facts::{LoopFacts, TaskFacts, ThreadFacts};
use crate::heap::threads::RawThread;
use crate::target::memory::Memory;

impl<M: Memory> Tasks<'_, '_, M> {
    /// The loops that run or have tasks, by address.
    pub(super) fn loops(
        &self,
        found: FxHashSet<Addr>,
        told: &[ThreadFacts],
        tasks: &[TaskFacts],
    ) -> Vec<LoopFacts> {
        let mut found: Vec<Addr> = found.into_iter().collect();
        found.sort_unstable();
        let facts = found.into_iter().filter_map(|object| {
            let address = object.to_string();
            let thread = self.loop_thread(object);
            let running = tasks
                .iter()
                .find(|task| task.state == "running" && task.event_loop.as_ref() == Some(&address));
            let has_tasks = || tasks.iter().any(|task| task.event_loop.as_ref() == Some(&address));
            if thread.is_none() && !has_tasks() {
                return None;
            }
            let state = thread.map_or("stopped", |nth| self.loop_state(nth, told, running));
            let len = |name: &str| self.reader.len(self.reader.some_attribute(object, name)?);
            Some(LoopFacts {
                type_name: self.reader.type_name(object).unwrap_or_default(),
                thread_id: thread.and_then(|nth| Some(self.threads.get(nth)?.thread_id)),
                state: state.to_owned(),
                ready: len("_ready"),
                scheduled: len("_scheduled"),
                running: running.map(|task| task.address.clone()),
                address,
            })
        });
        facts.collect()
    }

    /// The thread that runs a loop: the loop says it, or a frame of that thread has the loop.
    fn loop_thread(&self, object: Addr) -> Option<usize> {
        if let Some(ident) = self.reader.int_attribute(object, "_thread_id") {
            return self.threads.iter().position(|thread| thread.thread_id == ident);
        }
        // A loop of Python code that runs always says it.
        if self.reader.attribute(object, "_thread_id").is_some() {
            return None;
        }
        self.threads.iter().position(|thread| {
            let mut frames = thread.frames.iter();
            frames.any(|frame| {
                let runs = matches!(frame.name(), "run" | "run_until_complete" | "run_forever");
                let runner = || self.reader.some_attribute(frame.local("self")?, "_loop");
                let has = |(_, local): &(String, Addr)| *local == object;
                runs && (frame.locals.iter().any(has) || runner() == Some(object))
            })
        })
    }

    /// What the thread of a loop does.
    fn loop_state(
        &self,
        nth: usize,
        told: &[ThreadFacts],
        running: Option<&TaskFacts>,
    ) -> &'static str {
        let Some(thread) = self.threads.get(nth) else { return "stopped" };
        if running.is_none() && is_polling(thread) {
            return "polling";
        }
        let told = told.get(nth);
        // A thread that only waits for the interpreter lock goes on when it gets it.
        let waits = |thread: &ThreadFacts| match &thread.waiting_for {
            Some(wait) => wait.kind != "gil",
            None => matches!(thread.state.as_str(), "waiting" | "uninterruptible"),
        };
        if told.is_some_and(waits) { "blocked" } else { "busy" }
    }
}

/// Whether the loop itself has the thread, and no callback. Of a loop in C code only its caller is
/// seen.
fn is_polling(thread: &RawThread) -> bool {
    let once = thread
        .frames
        .iter()
        .position(|frame| frame.name() == "_run_once" && frame.file_name() == "base_events.py");
    let innermost = thread.frames.first();
    match once {
        Some(0) => false,
        Some(1) => innermost.is_some_and(|frame| frame.file_name() == "selectors.py"),
        Some(_) => false,
        None => innermost.is_some_and(|frame| {
            matches!(frame.name(), "run" | "run_until_complete" | "run_forever")
        }),
    }
}
