//! What the threads were doing: their Python frames with lines and locals, who holds the
//! interpreter lock, what each waits for, and who waits for whom in a circle.

mod locks;
mod waits;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::addr::Addr;
use crate::cpython::discovery::Found;
use crate::cpython::object::Objects;
use crate::facts::{AsyncFacts, ThreadFacts};
use crate::graph::HeapGraph;
use crate::heap::reader::{RawFrame, Reader};
use crate::heap::tasks::asynchronous;
use crate::heap::types::Types;
use crate::limits::Limits;
use crate::target::memory::Memory;
use crate::target::threads::OsThread;

use locks::Locks;
use waits::Waits;

/// How many frames of a thread are told: the innermost, and of a deep recursion the outermost.
const INNERMOST: usize = 400;
const OUTERMOST: usize = 100;

/// What is known of the process besides its memory.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// The process, if it lives: its descriptors and children can be looked up.
    pub pid: Option<u32>,
    /// Its threads as the kernel saw them.
    pub threads: Vec<OsThread>,
}

/// The threads of a process, and the circles among them.
#[derive(Debug, Clone, Default)]
pub struct Threads {
    /// All threads that have a Python state, the main thread first.
    pub threads: Vec<ThreadFacts>,
    /// Circles of threads that wait for each other, by `thread_id`.
    pub deadlocks: Vec<Vec<u64>>,
    /// The tasks of asyncio, their loops, and pools of threads.
    pub asynchronous: AsyncFacts,
}

/// A thread before it is told.
pub(super) struct RawThread {
    interpreter: u32,
    pub(super) thread_id: u64,
    os_thread_id: u32,
    os: Option<OsThread>,
    name: String,
    holds_gil: bool,
    /// The interpreter lock that it needs, and who holds it.
    gil: Option<Addr>,
    gil_holder: Option<u64>,
    pub(super) frames: Vec<RawFrame>,
    omitted: u64,
}

/// Reads the threads of all interpreters from memory that stands still. `graph` is of the same
/// memory: it knows where the locks are.
#[must_use]
pub fn threads(
    memory: &impl Memory,
    found: &Found,
    limits: Limits,
    graph: &HeapGraph,
    observed: &Observed,
) -> Threads {
    let objects = Objects { memory, layout: &found.layout, limits, known: found.known, code: None };
    let types = Types::default();
    let reader = Reader { objects: &objects, types: &types };
    let mut threads = Vec::new();
    for interpreter in super::interpreters(memory, found, limits) {
        reader.interpreter(found.runtime, interpreter, observed, &mut threads);
    }
    // The lists begin with the newest; the main thread is the oldest of the oldest interpreter.
    threads.reverse();
    let locks = Locks::of(&reader, graph, &threads);
    let waits = Waits { reader: &reader, locks: &locks, threads: &threads, observed };
    let waiting: Vec<_> = threads.iter().map(|thread| waits.of(thread)).collect();
    let mut told: Vec<ThreadFacts> = threads.iter().map(tell).collect();
    for (thread, wait) in told.iter_mut().zip(waiting) {
        thread.waiting_for = wait;
    }
    let deadlocks = waits::circles(&told);
    let asynchronous = asynchronous(&reader, graph, &threads, &told);
    Threads { threads: told, deadlocks, asynchronous }
}

impl<M: Memory> Reader<'_, '_, M> {
    fn interpreter(
        &self,
        runtime: Addr,
        interpreter: Addr,
        observed: &Observed,
        found: &mut Vec<RawThread>,
    ) {
        let at = &self.objects.layout.at;
        let memory = self.objects.memory;
        let id = memory.u64(interpreter + at.interpreter.id).unwrap_or_default();
        let (holder, gil) = self.objects.gil(runtime, interpreter);
        let id_of = |thread: Addr| memory.u64(thread + at.thread.thread_id).unwrap_or_default();
        let names = self.thread_names(interpreter);
        let (states, _) = self.objects.threads(interpreter);
        for state in states {
            let thread_id = id_of(state);
            let os = self.os_thread(state, thread_id, observed);
            let os_thread_id = os.as_ref().map_or_else(
                || self.objects.native_thread_id(state, thread_id).unwrap_or_default(),
                |os| os.namespace_tid,
            );
            let name = names.get(&thread_id).cloned();
            // Without `threading` no thread has a name of Python's, and the first is the main one.
            let is_first = |os: &OsThread| observed.pid == Some(os.tid);
            let own = |os: &OsThread| match is_first(os) {
                true => "MainThread".to_owned(),
                false => os.name.clone(),
            };
            let name = name.or_else(|| os.as_ref().map(own)).unwrap_or_default();
            let (frames, omitted) = self.frames(state);
            found.push(RawThread {
                interpreter: u32::try_from(id).unwrap_or(u32::MAX),
                thread_id,
                os_thread_id,
                os,
                name,
                holds_gil: holder == Some(state),
                gil,
                gil_holder: holder.map(id_of),
                frames,
                omitted,
            });
        }
    }

    fn os_thread(&self, state: Addr, thread_id: u64, observed: &Observed) -> Option<OsThread> {
        let native = self.objects.native_thread_id(state, thread_id)?;
        observed.threads.iter().find(|thread| thread.namespace_tid == native).cloned()
    }

    /// `threading._active`: the names of threads by their idents.
    fn thread_names(&self, interpreter: Addr) -> FxHashMap<u64, String> {
        let mut names = FxHashMap::default();
        let Some(active) = self.active_threads(interpreter) else { return names };
        let mut entries = Vec::new();
        let _ = self.objects.dict_entries(active, |entry| entries.push((entry.key, entry.value)));
        for (ident, thread) in entries {
            let ident = self.objects.int_value(ident).and_then(|ident| u64::try_from(ident).ok());
            let name = self.text_attribute(thread, "_name");
            names.extend(ident.zip(name));
        }
        names
    }

    fn active_threads(&self, interpreter: Addr) -> Option<Addr> {
        let at = &self.objects.layout.at;
        let modules = at.interpreter.imports_modules.or(at.interpreter.modules)?;
        let modules = self.objects.memory.addr(interpreter + modules).ok()?;
        let threading = self.objects.dict_get(modules, "threading").ok()??;
        let names = self.objects.memory.addr(threading + at.module.md_dict).ok()?;
        self.objects.dict_get(names, "_active").ok()?
    }

    /// The frames of a thread, the innermost first, and how many were left out.
    fn frames(&self, state: Addr) -> (Vec<RawFrame>, u64) {
        let mut views = Vec::new();
        let mut seen = FxHashSet::default();
        let mut at = self.objects.current_frame(state).unwrap_or_default();
        while !at.is_null() && seen.len() < self.objects.limits.frames && seen.insert(at) {
            let Ok(view) = self.objects.frame(at) else { break };
            if !view.code.is_null() {
                views.push(view);
            }
            at = view.previous;
        }
        let omitted = views.len().saturating_sub(INNERMOST + OUTERMOST);
        if omitted > 0 {
            views.drain(INNERMOST..INNERMOST + omitted);
        }
        let frames = views.into_iter().map(|view| self.frame(view)).collect();
        (frames, u64::try_from(omitted).unwrap_or(u64::MAX))
    }
}

/// Turns a thread into facts.
fn tell(thread: &RawThread) -> ThreadFacts {
    let state = match thread.os.as_ref().map(|os| os.state) {
        Some('R') => "running",
        Some('S' | 'I') => "waiting",
        Some('D') => "uninterruptible",
        Some('T' | 't') => "stopped",
        Some('Z' | 'X' | 'x') => "ended",
        _ => "unknown",
    };
    ThreadFacts {
        interpreter: thread.interpreter,
        thread_id: thread.thread_id,
        os_thread_id: thread.os_thread_id,
        name: thread.name.clone(),
        state: state.to_owned(),
        wchan: thread.os.as_ref().and_then(|os| os.wchan.clone()),
        holds_gil: thread.holds_gil,
        waiting_for: None,
        native: None,
        frames: thread.frames.iter().map(RawFrame::tell).collect(),
        omitted_frames: thread.omitted,
    }
}
