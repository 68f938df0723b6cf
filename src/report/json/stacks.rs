//! The document of `stacks`.

use serde::Serialize;

use crate::analysis::{Dominators, lookup};
use crate::facts::{
    Facts, FrameFacts, InterpreterFacts, LoopFacts, NativeFacts, PoolFacts, ProcessFacts,
    TaskExceptionFacts, TaskFacts, TaskWaitFacts, ThreadFacts, WaitFacts,
};
use crate::graph::HeapGraph;

/// Threads, what they wait for, and where they are.
#[derive(Debug, Serialize)]
pub struct StacksJson<'a> {
    process: &'a ProcessFacts,
    interpreter: &'a InterpreterFacts,
    summary: String,
    threads: Vec<ThreadJson<'a>>,
    deadlocks: &'a [Vec<u64>],
    tasks: Vec<TaskJson<'a>>,
    omitted_tasks: u64,
    done_tasks: u64,
    task_deadlocks: &'a [Vec<String>],
    event_loops: &'a [LoopFacts],
    thread_pools: &'a [PoolFacts],
}

#[derive(Debug, Serialize)]
struct TaskJson<'a> {
    address: &'a str,
    #[serde(rename = "type")]
    type_name: &'a str,
    name: &'a str,
    state: &'a str,
    coroutine: Option<&'a str>,
    event_loop: Option<&'a str>,
    thread_id: Option<u64>,
    cancelling: u64,
    waiting_for: Option<&'a TaskWaitFacts>,
    awaited_by: &'a [String],
    exception: Option<&'a TaskExceptionFacts>,
    frames: Vec<FrameJson<'a>>,
}

#[derive(Debug, Serialize)]
struct ThreadJson<'a> {
    thread_id: u64,
    os_thread_id: u32,
    interpreter: u32,
    name: &'a str,
    state: &'a str,
    wchan: Option<&'a str>,
    holds_gil: bool,
    waiting_for: Option<&'a WaitFacts>,
    native: Option<&'a NativeFacts>,
    frames: Vec<FrameJson<'a>>,
    omitted_frames: u64,
}

#[derive(Debug, Serialize)]
struct FrameJson<'a> {
    function: &'a str,
    file: &'a str,
    line: Option<u32>,
    locals: Vec<LocalJson<'a>>,
}

#[derive(Debug, Serialize)]
struct LocalJson<'a> {
    name: &'a str,
    address: &'a str,
    #[serde(rename = "type")]
    type_name: Option<&'a str>,
    retained_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
}

/// Where the locals are looked up.
#[derive(Clone, Copy)]
struct Heap<'a> {
    graph: &'a HeapGraph,
    dominators: Option<&'a Dominators>,
}

impl<'a> StacksJson<'a> {
    /// The document of one heap; with `dominators`, locals have their retained bytes.
    #[must_use]
    pub fn new(
        facts: &'a Facts,
        graph: &'a HeapGraph,
        summary: String,
        dominators: Option<&'a Dominators>,
    ) -> Self {
        let heap = Heap { graph, dominators };
        let asynchronous = &facts.asynchronous;
        Self {
            process: &facts.process,
            interpreter: &facts.interpreter,
            summary,
            threads: facts.threads.iter().map(|thread| self::thread(heap, thread)).collect(),
            deadlocks: &facts.deadlocks,
            tasks: asynchronous.tasks.iter().map(|task| self::task(heap, task)).collect(),
            omitted_tasks: asynchronous.omitted_tasks,
            done_tasks: asynchronous.done_tasks,
            task_deadlocks: &asynchronous.task_deadlocks,
            event_loops: &asynchronous.loops,
            thread_pools: &asynchronous.pools,
        }
    }
}

fn task<'a>(heap: Heap<'a>, task: &'a TaskFacts) -> TaskJson<'a> {
    TaskJson {
        address: &task.address,
        type_name: &task.type_name,
        name: &task.name,
        state: &task.state,
        coroutine: task.coroutine.as_deref(),
        event_loop: task.event_loop.as_deref(),
        thread_id: task.thread_id,
        cancelling: task.cancelling,
        waiting_for: task.waiting_for.as_ref(),
        awaited_by: &task.awaited_by,
        exception: task.exception.as_ref(),
        frames: task.frames.iter().map(|frame| self::frame(heap, frame)).collect(),
    }
}

fn thread<'a>(heap: Heap<'a>, thread: &'a ThreadFacts) -> ThreadJson<'a> {
    ThreadJson {
        thread_id: thread.thread_id,
        os_thread_id: thread.os_thread_id,
        interpreter: thread.interpreter,
        name: &thread.name,
        state: &thread.state,
        wchan: thread.wchan.as_deref(),
        holds_gil: thread.holds_gil,
        waiting_for: thread.waiting_for.as_ref(),
        native: thread.native.as_ref(),
        frames: thread.frames.iter().map(|frame| self::frame(heap, frame)).collect(),
        omitted_frames: thread.omitted_frames,
    }
}

fn frame<'a>(heap: Heap<'a>, frame: &'a FrameFacts) -> FrameJson<'a> {
    let local = |local: &'a crate::facts::LocalFacts| {
        let Heap { graph, dominators } = heap;
        let object = lookup::find_object(graph, &local.address).ok();
        let value = object.and_then(|object| graph.values.get(&object));
        LocalJson {
            name: &local.name,
            address: &local.address,
            retained_bytes: object.and_then(|object| Some(dominators?.retained_bytes(object))),
            type_name: object.map(|object| graph.type_name_of(object)),
            value: value.map(|&text| graph.strings.text(text)),
        }
    };
    FrameJson {
        function: &frame.function,
        file: &frame.file,
        line: frame.line,
        locals: frame.locals.iter().map(local).collect(),
    }
}
