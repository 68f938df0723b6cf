//! The Python stacks of a process that is not stopped.
//!
//! Frames are read while they change. What protects us: a page of them is read at once, each thing is
//! checked as in any other memory, and a stack that does not end as it should is read again. A stack
//! may still mix two moments that are some microseconds apart.

use std::fs;
use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::addr::Addr;
use crate::cpython::discovery::Found;
use crate::cpython::object::Objects;
use crate::cpython::pymalloc::FreePools;
use crate::heap;
use crate::limits::Limits;
use crate::recording::{Frame, FrameId, StackId, Stacks};
use crate::target::memory::Memory;
use crate::target::{LiveMemory, MemoryMap, PageCache};

/// How many frames of a stack are kept: the outermost, and of a deep recursion the innermost.
const OUTERMOST: usize = 60;
const INNERMOST: usize = 140;
/// How deep a stack may be to be read at all; a deeper one costs more than a sample may.
const DEEPEST: usize = 5000;
/// How often a stack that changed while it was read is read again.
const TRIES: usize = 3;
/// How many threads without the interpreter lock are looked at.
const THREADS: usize = 32;
/// How long it is believed that a code object is still the one it was: its memory may be given to
/// another one.
const TRUST: Duration = Duration::from_secs(2);
/// How much of the target's memory is remembered during one sample.
const CACHE_BYTES: usize = 16 << 20;

/// Reads stacks of one process, and how much its allocator keeps free.
pub(super) struct Sampler {
    pid: u32,
    memory: PageCache<LiveMemory>,
    found: Found,
    limits: Limits,
    interpreters: Vec<Addr>,
    pools: FreePools,
    /// The lines that were found, by code object and instruction.
    places: FxHashMap<(Addr, i64), FrameId>,
    trusted_since: Duration,
}

impl Sampler {
    pub(super) fn new(
        pid: u32,
        memory: LiveMemory,
        map: &MemoryMap,
        found: Found,
        limits: Limits,
    ) -> Self {
        let interpreters = heap::interpreters(&memory, &found, limits);
        let pools = heap::free_pools(&memory, map, &found, limits, &interpreters);
        Self {
            pid,
            memory: PageCache::new(memory, CACHE_BYTES),
            found,
            limits,
            interpreters,
            pools,
            places: FxHashMap::default(),
            trusted_since: Duration::ZERO,
        }
    }

    /// The bytes of Python's own allocator that are in pools without a block in use.
    pub(super) fn free_pool_bytes(&mut self) -> u64 {
        let Found { layout, known, .. } = &self.found;
        let memory = self.memory.inner();
        let objects = Objects { memory, layout, limits: self.limits, known: *known, code: None };
        self.pools.bytes(&objects)
    }

    /// The stacks of the threads that run Python code: those that hold an interpreter lock. Where
    /// none is held, and `all` is asked for, those that the kernel runs.
    pub(super) fn running(
        &mut self,
        now: Duration,
        all: bool,
        stacks: &mut Stacks,
    ) -> Vec<StackId> {
        if now.saturating_sub(self.trusted_since) >= TRUST {
            self.trusted_since = now;
            self.places.clear();
            self.interpreters = heap::interpreters(self.memory.inner(), &self.found, self.limits);
        }
        self.memory.forget();
        let mut running = Vec::new();
        for nth in 0..self.interpreters.len() {
            let Some(&interpreter) = self.interpreters.get(nth) else { break };
            let holder = self.objects().gil(self.found.runtime, interpreter).0;
            let threads = match holder {
                Some(holder) => vec![holder],
                None if all => self.threads_that(interpreter, |state| matches!(state, 'R' | 'D')),
                None => Vec::new(),
            };
            running.extend(threads.into_iter().filter_map(|thread| self.stack(thread, stacks)));
            // One lock for all interpreters (up to 3.11): the holder was found.
            if !running.is_empty() && self.found.layout.at.interpreter.ceval_gil.is_none() {
                break;
            }
        }
        running
    }

    /// The lines at which threads sleep now, of the main interpreter. To be asked when nobody runs.
    pub(super) fn resting(&mut self, stacks: &mut Stacks) -> Vec<FrameId> {
        let Some(&main) = self.interpreters.last() else { return Vec::new() };
        let sleeping = self.threads_that(main, |state| state == 'S');
        let lines = sleeping.into_iter().filter_map(|thread| {
            let stack = self.stack(thread, stacks)?;
            stacks.innermost(stack)
        });
        lines.collect()
    }

    fn objects(&self) -> Objects<'_, PageCache<LiveMemory>> {
        let Found { layout, known, .. } = &self.found;
        Objects { memory: &self.memory, layout, limits: self.limits, known: *known, code: None }
    }

    /// The threads of an interpreter whose state, as the kernel has it, is wanted.
    fn threads_that(&self, interpreter: Addr, wanted: impl Fn(char) -> bool) -> Vec<Addr> {
        let objects = self.objects();
        let (mut threads, _) = objects.threads(interpreter);
        threads.truncate(THREADS);
        threads.retain(|&thread| {
            let at = thread + self.found.layout.at.thread.thread_id;
            let thread_id = self.memory.u64(at).unwrap_or_default();
            let native = objects.native_thread_id(thread, thread_id);
            native.and_then(|native| state(self.pid, native)).is_some_and(&wanted)
        });
        threads
    }

    /// The stack of a thread.
    fn stack(&mut self, thread: Addr, stacks: &mut Stacks) -> Option<StackId> {
        for attempt in 0..TRIES {
            if attempt > 0 {
                self.memory.forget();
            }
            if let Some(frames) = self.frames(thread, stacks) {
                let mut stack = None;
                for frame in frames.into_iter().rev() {
                    stack = Some(stacks.push(stack, frame));
                }
                return stack;
            }
        }
        None
    }

    /// The lines of a thread's frames, the innermost first; nothing if they make no sense.
    fn frames(&mut self, thread: Addr, stacks: &mut Stacks) -> Option<Vec<FrameId>> {
        let mut views = Vec::new();
        let mut at = self.objects().current_frame(thread).ok()?;
        while !at.is_null() {
            if views.len() >= DEEPEST {
                return None;
            }
            let view = self.objects().frame(at).ok()?;
            if !view.code.is_null() {
                views.push(view);
            }
            at = view.previous;
        }
        if views.len() > INNERMOST + OUTERMOST {
            views.drain(INNERMOST..views.len() - OUTERMOST);
        }
        views.into_iter().map(|view| self.place(view.at, view.code, stacks)).collect()
    }

    fn place(&mut self, frame: Addr, code: Addr, stacks: &mut Stacks) -> Option<FrameId> {
        let instruction = self.objects().instruction_offset(frame, code).ok()?.unwrap_or(-1);
        if let Some(&known) = self.places.get(&(code, instruction)) {
            return Some(known);
        }
        let (function, file, first) = self.objects().code_place(code).ok()?;
        let line = self.objects().frame_line(frame, code).ok()?;
        let line = line.or_else(|| u32::try_from(first).ok()).unwrap_or(0);
        let id = stacks.frame(Frame { file, line, function });
        self.places.insert((code, instruction), id);
        Some(id)
    }
}

/// The state of a thread as the kernel has it.
fn state(pid: u32, thread: u32) -> Option<char> {
    // The number may be of another namespace: then there is no such file, and nothing is known.
    let stat = fs::read_to_string(format!("/proc/{pid}/task/{thread}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}
