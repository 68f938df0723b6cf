//! The document of `stacks`.

use serde::Serialize;

use crate::analysis::lookup;
use crate::facts::{Facts, FrameFacts, InterpreterFacts, ProcessFacts, ThreadFacts, WaitFacts};
use crate::graph::HeapGraph;

/// Threads, what they wait for, and where they are.
#[derive(Debug, Serialize)]
pub struct StacksJson<'a> {
    process: &'a ProcessFacts,
    interpreter: &'a InterpreterFacts,
    summary: String,
    threads: Vec<ThreadJson<'a>>,
    deadlocks: &'a [Vec<u64>],
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
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
}

impl<'a> StacksJson<'a> {
    /// The document of one heap.
    #[must_use]
    pub fn new(facts: &'a Facts, graph: &'a HeapGraph, summary: String) -> Self {
        Self {
            process: &facts.process,
            interpreter: &facts.interpreter,
            summary,
            threads: facts.threads.iter().map(|thread| self::thread(graph, thread)).collect(),
            deadlocks: &facts.deadlocks,
        }
    }
}

fn thread<'a>(graph: &'a HeapGraph, thread: &'a ThreadFacts) -> ThreadJson<'a> {
    ThreadJson {
        thread_id: thread.thread_id,
        os_thread_id: thread.os_thread_id,
        interpreter: thread.interpreter,
        name: &thread.name,
        state: &thread.state,
        wchan: thread.wchan.as_deref(),
        holds_gil: thread.holds_gil,
        waiting_for: thread.waiting_for.as_ref(),
        frames: thread.frames.iter().map(|frame| self::frame(graph, frame)).collect(),
        omitted_frames: thread.omitted_frames,
    }
}

fn frame<'a>(graph: &'a HeapGraph, frame: &'a FrameFacts) -> FrameJson<'a> {
    let local = |local: &'a crate::facts::LocalFacts| {
        let object = lookup::find_object(graph, &local.address).ok();
        let value = object.and_then(|object| graph.values.get(&object));
        LocalJson {
            name: &local.name,
            address: &local.address,
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
