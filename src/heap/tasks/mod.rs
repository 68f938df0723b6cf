//! What the tasks of asyncio wait for, and who waits for them: from the objects of the heap, so that
//! it is known of a file as of a process.
//!
//! A task knows its coroutine; a suspended coroutine has what it awaits on top of its evaluation
//! stack (`Objects::delegate`). The last in that chain is a future: a task, or what a task, a lock, a
//! timer or a file will complete.

mod future;
mod kinds;
mod loops;
mod pools;
mod waits;

use rustc_hash::{FxHashMap, FxHashSet};

use super::reader::{RawFrame, Reader};
use super::threads::RawThread;
use crate::addr::Addr;
use crate::cpython::object::TypeInfo;
use crate::facts::{
    AsyncFacts, FrameFacts, TaskExceptionFacts, TaskFacts, TaskWaitFacts, ThreadFacts,
};
use crate::graph::HeapGraph;
use crate::target::memory::Memory;

use future::{Future, FutureState};
use kinds::{Kind, Kinds};
use waits::Wait;

/// How many tasks are told: the metadata of a snapshot file holds them, and a screen shows fewer.
const MOST_TASKS: usize = 20_000;
/// Of how many of these the local variables are told.
const MOST_LOCALS: usize = 1_000;

/// Reads tasks from memory that stands still.
struct Tasks<'a, 'o, M> {
    reader: &'a Reader<'a, 'o, M>,
    kinds: Kinds,
    graph: &'a HeapGraph,
    threads: &'a [RawThread],
    /// The threads' frames, by their addresses: the thread, and the number of the frame in it.
    running: FxHashMap<Addr, (usize, usize)>,
}

/// A task before it is told.
struct RawTask {
    object: Addr,
    future: Future,
    coroutine: Option<Addr>,
    /// The thread that runs it at this moment, and the number of its outermost frame there.
    running: Option<(usize, usize)>,
    /// The frames of one that is suspended, the innermost first.
    frames: Vec<RawFrame>,
    /// The future that it waits for.
    waiter: Option<Addr>,
    /// What is awaited at the end of the chain and is no frame of Python code.
    end: Option<Addr>,
}

/// The tasks, event loops and pools of threads of a process.
pub(super) fn asynchronous<M: Memory>(
    reader: &Reader<'_, '_, M>,
    graph: &HeapGraph,
    threads: &[RawThread],
    told: &[ThreadFacts],
) -> AsyncFacts {
    let mut running = FxHashMap::default();
    for (nth, thread) in threads.iter().enumerate() {
        for (at, frame) in thread.frames.iter().enumerate() {
            running.insert(frame.view.at, (nth, at));
        }
    }
    let tasks = Tasks { reader, kinds: Kinds::default(), graph, threads, running };
    tasks.read(told)
}

impl<M: Memory> Tasks<'_, '_, M> {
    fn read(&self, told: &[ThreadFacts]) -> AsyncFacts {
        let mut facts = AsyncFacts::default();
        let mut raw = Vec::new();
        let mut loops = FxHashSet::default();
        let kinds: Vec<Kind> = {
            let of_type = |row: &crate::graph::TypeRow| self.kinds.of(self.reader, row.addr);
            self.graph.types.iter().map(of_type).collect()
        };
        for id in self.graph.ids() {
            let kind = kinds.get(self.graph.type_of(id).index()).copied().unwrap_or_default();
            let object = self.graph.addr(id);
            match kind {
                Kind::Task => {
                    let Some(task) = self.task(object) else { continue };
                    let is_told =
                        task.future.state == FutureState::Pending || task.future.is_unretrieved;
                    if !is_told {
                        facts.done_tasks += 1;
                    } else if raw.len() < MOST_TASKS {
                        raw.push(task);
                    } else {
                        facts.omitted_tasks += 1;
                    }
                }
                Kind::EventLoop => {
                    loops.insert(object);
                }
                Kind::ThreadPool => facts.pools.extend(self.pool(object)),
                Kind::Future | Kind::Other => {}
            }
        }
        loops.extend(raw.iter().filter_map(|task| task.future.event_loop));
        self.tell(raw, &mut facts);
        facts.loops = self.loops(loops, told, &facts.tasks);
        for task in &mut facts.tasks {
            let its_loop =
                facts.loops.iter().find(|found| Some(&found.address) == task.event_loop.as_ref());
            task.thread_id = task.thread_id.or_else(|| its_loop?.thread_id);
        }
        facts
    }

    /// What a task is and where it is.
    fn task(&self, object: Addr) -> Option<RawTask> {
        let future = self.future(object)?;
        let coroutine = self.task_coroutine(object);
        let waiter = self.task_waiter(object);
        let mut task = RawTask {
            object,
            future,
            coroutine,
            running: None,
            frames: Vec::new(),
            waiter,
            end: None,
        };
        if task.future.state != FutureState::Pending {
            return Some(task);
        }
        self.follow(&mut task);
        Some(task)
    }

    /// Follows the chain of what a coroutine awaits, down to what is no coroutine.
    fn follow(&self, task: &mut RawTask) {
        let mut seen = FxHashSet::default();
        let mut next = task.coroutine;
        while let Some(object) = next.take() {
            if !seen.insert(object) || seen.len() > self.reader.objects.limits.frames {
                break;
            }
            let Some(ty) = self.reader.type_of(object) else { break };
            if self.kinds.of(self.reader, ty.addr).is_future() {
                task.end = Some(object);
                break;
            }
            let frame = self.reader.objects.generator_frame(object, &ty).ok().flatten();
            if let Some(view) = frame {
                if let Some(&place) = self.running.get(&view.at) {
                    task.running = Some(place);
                    break;
                }
                task.frames.push(self.reader.frame(view));
            }
            next = self.delegate(object, &ty);
            if next.is_none() && frame.is_none() {
                task.end = Some(object);
            }
        }
        task.frames.reverse();
    }

    fn delegate(&self, object: Addr, ty: &TypeInfo) -> Option<Addr> {
        self.reader.objects.delegate(object, ty).ok().flatten()
    }

    /// Tells all tasks, and who waits for whom.
    fn tell(&self, raw: Vec<RawTask>, facts: &mut AsyncFacts) {
        let numbers: FxHashMap<Addr, usize> =
            raw.iter().enumerate().map(|(nth, task)| (task.object, nth)).collect();
        let holders = self.lock_holders(&raw);
        let waits: Vec<Option<Wait>> =
            raw.iter().map(|task| self.wait(task, &holders, &numbers)).collect();
        let mut awaited_by: Vec<Vec<String>> = vec![Vec::new(); raw.len()];
        for (task, wait) in raw.iter().zip(&waits) {
            for needed in wait.iter().flat_map(|wait| &wait.tasks) {
                if let Some(waiters) = numbers.get(needed).and_then(|&nth| awaited_by.get_mut(nth))
                {
                    waiters.push(task.object.to_string());
                }
            }
        }
        facts.task_deadlocks = circles(&raw, &waits, &numbers)
            .into_iter()
            .map(|circle| circle.iter().map(ToString::to_string).collect())
            .collect();
        let rows = raw.iter().zip(&waits).zip(awaited_by).enumerate();
        facts.tasks = rows
            .map(|(nth, ((task, wait), waiters))| {
                let mut told = self.facts(task, wait.as_ref(), waiters);
                if nth >= MOST_LOCALS {
                    told.frames.iter_mut().for_each(|frame| frame.locals.clear());
                }
                told
            })
            .collect();
    }

    fn facts(&self, task: &RawTask, wait: Option<&Wait>, awaited_by: Vec<String>) -> TaskFacts {
        let running = task.running.and_then(|(thread, at)| {
            let thread = self.threads.get(thread)?;
            Some((thread, thread.frames.get(..=at)?))
        });
        let state = match task.future.state {
            FutureState::Cancelled => "cancelled",
            FutureState::Finished if task.future.exception.is_some() => "failed",
            FutureState::Finished => "done",
            FutureState::Pending if running.is_some() => "running",
            FutureState::Pending if wait.is_some() => "waiting",
            FutureState::Pending => "ready",
        };
        let frames: Vec<FrameFacts> = match running {
            // Below the task's own frames, the thread has those of the event loop.
            Some((_, frames)) => frames.iter().map(RawFrame::tell).collect(),
            None => task.frames.iter().map(RawFrame::tell).collect(),
        };
        TaskFacts {
            address: task.object.to_string(),
            type_name: self.reader.type_name(task.object).unwrap_or_default(),
            name: self.task_name(task.object).unwrap_or_default(),
            state: state.to_owned(),
            coroutine: task.coroutine.and_then(|coroutine| self.coroutine_name(coroutine)),
            event_loop: task.future.event_loop.map(|at| at.to_string()),
            thread_id: running.map(|(thread, _)| thread.thread_id),
            cancelling: self.cancel_requests(task.object).unwrap_or_default(),
            frames,
            waiting_for: wait.map(|wait| TaskWaitFacts {
                kind: wait.kind.to_owned(),
                description: wait.description.clone(),
                object: wait.object.map(|at| at.to_string()),
                tasks: wait.tasks.iter().map(ToString::to_string).collect(),
                any: wait.any,
            }),
            awaited_by,
            exception: task.future.exception.map(|exception| TaskExceptionFacts {
                type_name: self.reader.type_name(exception).unwrap_or_default(),
                retrieved: !task.future.is_unretrieved,
                raised_at: self.raised_at(exception),
            }),
        }
    }

    /// The name of a coroutine or generator; of another awaitable that of its type.
    fn coroutine_name(&self, object: Addr) -> Option<String> {
        let at = &self.reader.objects.layout.at.generator;
        let ty = self.reader.type_of(object)?;
        if self.reader.objects.is_generator(&ty) {
            let name = self.reader.objects.memory.addr(object + at.gi_qualname).ok()?;
            return self.reader.text(name);
        }
        Some(ty.name.clone())
    }

    /// Where an exception was raised: the end of its traceback.
    fn raised_at(&self, exception: Addr) -> Option<FrameFacts> {
        let objects = self.reader.objects;
        let mut at = objects.traceback(exception)?;
        let mut left = objects.limits.frames;
        while let Some(next) = objects.next_traceback(at) {
            left = left.checked_sub(1)?;
            at = next;
        }
        let (code, line) = objects.traceback_place(at)?;
        let (function, file, _) = objects.code_place(code).ok()?;
        Some(FrameFacts { function, file, line, locals: Vec::new() })
    }
}

/// Tasks that wait for each other in a circle. A task may need several others; one that waits for any
/// of several is not stuck by one of them.
fn circles(
    raw: &[RawTask],
    waits: &[Option<Wait>],
    numbers: &FxHashMap<Addr, usize>,
) -> Vec<Vec<Addr>> {
    let needs: Vec<Vec<usize>> = waits
        .iter()
        .map(|wait| match wait {
            Some(wait) if !wait.any || wait.tasks.len() == 1 => {
                wait.tasks.iter().filter_map(|task| numbers.get(task).copied()).collect()
            }
            _ => Vec::new(),
        })
        .collect();
    stuck_circles(&needs)
        .into_iter()
        .map(|circle| circle.into_iter().filter_map(|nth| Some(raw.get(nth)?.object)).collect())
        .collect()
}

/// One circle of each group of nodes that need each other. What needs nothing that is left is taken
/// away until all that is left leads into a circle; following any way from there closes one.
fn stuck_circles(needs: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut needed_by: Vec<Vec<usize>> = vec![Vec::new(); needs.len()];
    let mut left: Vec<usize> = Vec::with_capacity(needs.len());
    for (nth, list) in needs.iter().enumerate() {
        left.push(list.len());
        for &needed in list {
            if let Some(list) = needed_by.get_mut(needed) {
                list.push(nth);
            }
        }
    }
    let mut free: Vec<usize> = (0..needs.len()).filter(|&nth| left.get(nth) == Some(&0)).collect();
    while let Some(nth) = free.pop() {
        for &waiter in needed_by.get(nth).into_iter().flatten() {
            if let Some(count) = left.get_mut(waiter) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    free.push(waiter);
                }
            }
        }
    }
    let is_stuck = |nth: usize| left.get(nth).is_some_and(|&count| count > 0);
    let mut circles = Vec::new();
    let mut done = FxHashSet::default();
    for start in (0..needs.len()).filter(|&nth| is_stuck(nth)) {
        let mut path = Vec::new();
        let mut next = Some(start);
        while let Some(at) = next.filter(|&at| done.insert(at)) {
            path.push(at);
            next = needs.get(at).into_iter().flatten().copied().find(|&next| is_stuck(next));
        }
        if let Some(from) = path.iter().position(|&nth| Some(nth) == next) {
            circles.push(path.split_off(from));
        }
    }
    circles
}

#[cfg(test)]
mod tests {
    use super::stuck_circles;

    #[test]
    fn circles_are_found_among_tasks_that_need_several() {
        // 0 needs 1 and 2; 2 needs 3; 3 needs 2; 4 needs 5, which needs nothing; 6 needs itself.
        let needs = [vec![1, 2], vec![], vec![3], vec![2], vec![5], vec![], vec![6]];
        assert_eq!(stuck_circles(&needs), [vec![2, 3], vec![6]]);
        assert!(stuck_circles(&[vec![1], vec![2], vec![]]).is_empty());
    }

    proptest::proptest! {
        #[test]
        fn what_is_called_a_circle_is_one(
            needs in proptest::collection::vec(proptest::collection::vec(0_usize..12, 0..3), 0..12)
        ) {
            for circle in stuck_circles(&needs) {
                let next = circle.iter().skip(1).chain(circle.first());
                for (at, next) in circle.iter().zip(next) {
                    assert!(needs[*at].contains(next));
                }
            }
        }
    }
}
