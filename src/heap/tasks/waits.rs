//! What a task waits for: by the function of the standard library that it is in, and by the future at
//! the end of its chain.

use rustc_hash::{FxHashMap, FxHashSet};

use super::future::FutureState;
use super::kinds::Kind;
use super::{RawTask, Tasks};
use crate::addr::Addr;
use crate::heap::reader::RawFrame;
use crate::target::memory::Memory;

/// What a task waits for.
#[derive(Debug, Default)]
pub(super) struct Wait {
    pub(super) kind: &'static str,
    pub(super) description: String,
    pub(super) object: Option<Addr>,
    /// The tasks that have to go on first.
    pub(super) tasks: Vec<Addr>,
    /// Whether any of them is enough.
    pub(super) any: bool,
}

/// Functions of the standard library in which a task waits: file, function, kind, and what for.
const LIBRARY: &[(&str, &str, &str, &str)] = &[
    ("tasks.py", "sleep", "sleep", "time to pass (asyncio.sleep)"),
    ("queues.py", "get", "queue", "an item in an asyncio queue"),
    ("queues.py", "put", "queue", "room in an asyncio queue"),
    ("queues.py", "join", "queue", "all items of an asyncio queue to be done"),
    ("streams.py", "_wait_for_data", "read", "data from a stream"),
    ("streams.py", "_drain_helper", "write", "room in a stream"),
    ("streams.py", "wait_closed", "socket", "a stream to be closed"),
    ("selector_events.py", "sock_recv", "read", "data from a socket"),
    ("selector_events.py", "sock_recv_into", "read", "data from a socket"),
    ("selector_events.py", "sock_recvfrom", "read", "data from a socket"),
    ("selector_events.py", "sock_accept", "socket", "a connection to a socket"),
    ("selector_events.py", "sock_connect", "socket", "a connection by a socket"),
    ("selector_events.py", "sock_sendall", "write", "room in a socket"),
    ("base_subprocess.py", "_wait", "child", "a child process to end"),
    ("base_events.py", "serve_forever", "socket", "its server to be closed"),
    ("base_events.py", "wait_closed", "socket", "its server to be closed"),
    ("locks.py", "acquire", "lock", ""),
    ("locks.py", "wait", "event", ""),
    ("locks.py", "_block", "barrier", "an asyncio Barrier"),
];

impl<M: Memory> Tasks<'_, '_, M> {
    /// What a task waits for; nothing if it runs, is done, or only waits for its turn.
    pub(super) fn wait(
        &self,
        task: &RawTask,
        holders: &FxHashMap<Addr, Addr>,
        numbers: &FxHashMap<Addr, usize>,
    ) -> Option<Wait> {
        if task.future.state != FutureState::Pending || task.running.is_some() {
            return None;
        }
        // A future that is done has already put the task on the list of what is ready.
        let waiter = task.waiter?;
        if self.future(waiter).is_some_and(|future| future.state != FutureState::Pending) {
            return None;
        }
        let mut wait = self
            .library(task, holders)
            .or_else(|| self.at_the_end(task, waiter))
            .unwrap_or_else(|| Wait {
                kind: "future",
                description: self.future_words(waiter),
                object: Some(waiter),
                ..Wait::default()
            });
        wait.tasks.retain(|task| numbers.contains_key(task));
        Some(wait)
    }

    /// A wait inside of the standard library, by the innermost frame.
    fn library(&self, task: &RawTask, holders: &FxHashMap<Addr, Addr>) -> Option<Wait> {
        // A future of Python code is awaited in a frame of its own.
        let is_future =
            |frame: &RawFrame| (frame.file_name(), frame.name()) == ("futures.py", "__await__");
        let frame = task.frames.iter().find(|frame| !is_future(frame))?;
        let (file, name) = (frame.file_name(), frame.name());
        // The files have common names.
        let is_asyncio = frame.file.contains("/asyncio/");
        match (file, name) {
            _ if !is_asyncio => None,
            ("tasks.py", "_wait") => self.wait_for_all(frame),
            ("tasks.py", "wait_for") => {
                let tasks = self.pending_tasks(frame.local("fut"));
                let description = "a task, for a limited time (asyncio.wait_for)".to_owned();
                Some(Wait {
                    kind: "task",
                    description,
                    tasks,
                    any: false,
                    object: frame.local("fut"),
                })
            }
            ("taskgroups.py", "__aexit__" | "_aexit") => {
                let group = frame.local("self")?;
                let tasks = self.pending_tasks(self.reader.some_attribute(group, "_tasks"));
                let description = format!("the tasks of a TaskGroup: {} left", tasks.len());
                Some(Wait {
                    kind: "task group",
                    description,
                    object: Some(group),
                    tasks,
                    any: false,
                })
            }
            ("locks.py", "acquire" | "wait") => {
                let object = frame.local("self")?;
                Some(self.lock(object, holders))
            }
            _ => {
                let (_, _, kind, words) = LIBRARY
                    .iter()
                    .find(|(in_file, function, ..)| (*in_file, *function) == (file, name))?;
                let object = frame.local("self");
                Some(Wait { kind, description: (*words).to_owned(), object, ..Wait::default() })
            }
        }
    }

    /// A lock of asyncio. Its holder is found where an `async with` of a suspended task has left it.
    fn lock(&self, object: Addr, holders: &FxHashMap<Addr, Addr>) -> Wait {
        let name = self.reader.type_name(object).unwrap_or_default();
        let short = name.rsplit('.').next().unwrap_or_default();
        let kind = match short {
            "Lock" => "lock",
            "Semaphore" | "BoundedSemaphore" => "semaphore",
            "Condition" => "condition",
            "Event" => "event",
            "Barrier" => "barrier",
            _ => "lock",
        };
        let tasks: Vec<Addr> = holders.get(&object).copied().into_iter().collect();
        let description = format!("an asyncio {short}");
        Wait { kind, description, object: Some(object), tasks, any: false }
    }

    /// `asyncio.wait` (`_wait`, `Lib/asyncio/tasks.py`).
    fn wait_for_all(&self, frame: &RawFrame) -> Option<Wait> {
        let set = frame.local("fs")?;
        let tasks = self.pending_tasks(Some(set));
        let until = frame.local("return_when").and_then(|text| self.reader.text(text));
        let any = until.is_some_and(|text| text != "ALL_COMPLETED");
        let which = if any { "one of" } else { "all of" };
        let description = format!("{which} {} (asyncio.wait)", many(tasks.len()));
        Some(Wait { kind: "tasks", description, object: None, tasks, any })
    }

    /// What stands at the end of a chain: a task, a gathering, a shield, or another future.
    fn at_the_end(&self, task: &RawTask, waiter: Addr) -> Option<Wait> {
        let name = self.reader.type_name(waiter)?;
        let object = Some(waiter);
        if name == "asyncio.tasks._GatheringFuture" {
            let tasks = self.pending_tasks(Some(waiter));
            let description = format!("all of {} (asyncio.gather)", many(tasks.len()));
            return Some(Wait { kind: "gather", description, object, tasks, any: false });
        }
        let ty = self.reader.objects.type_at(waiter).ok()?;
        if self.kinds.of(self.reader, ty) == Kind::Task {
            let description = "a task".to_owned();
            return Some(Wait {
                kind: "task",
                description,
                object,
                tasks: vec![waiter],
                any: false,
            });
        }
        if let Some(inner) = self.shielded(waiter) {
            let tasks = self.pending_tasks(Some(inner));
            let description = "a task that is shielded".to_owned();
            return Some(Wait { kind: "shield", description, object, tasks, any: false });
        }
        if self.has_callback(waiter, "_call_check_cancel") {
            let description = "work in another thread or process (an executor)".to_owned();
            return Some(Wait { kind: "executor", description, object, ..Wait::default() });
        }
        // What awaits it is no code that is known: a class with `__await__`, or a coroutine of C code.
        let end = task.end.filter(|&end| end != waiter)?;
        let end_type = self.reader.type_of(end)?;
        if self.kinds.of(self.reader, end_type.addr).is_future() {
            return None;
        }
        let description = format!("a {} (no Python code)", end_type.name);
        Some(Wait { kind: "awaitable", description, object: Some(end), ..Wait::default() })
    }

    /// What a future of no known kind is called.
    fn future_words(&self, waiter: Addr) -> String {
        match self.reader.type_name(waiter) {
            Some(name)
                if !matches!(name.as_str(), "_asyncio.Future" | "asyncio.futures.Future") =>
            {
                format!("a {name}")
            }
            _ => "a Future".to_owned(),
        }
    }

    /// The tasks behind a future, or behind the futures of a container: of a gathering its children.
    fn pending_tasks(&self, start: Option<Addr>) -> Vec<Addr> {
        let mut todo: Vec<Addr> = start.into_iter().collect();
        let mut seen = FxHashSet::default();
        let mut tasks = Vec::new();
        while let Some(object) = todo.pop() {
            if !seen.insert(object) {
                continue;
            }
            let Some(ty) = self.reader.type_of(object) else { continue };
            match self.kinds.of(self.reader, ty.addr) {
                Kind::Task => {
                    let future = self.future(object);
                    if future.is_some_and(|future| future.state == FutureState::Pending) {
                        tasks.push(object);
                    }
                }
                Kind::Future => {
                    let children = self.reader.some_attribute(object, "_children");
                    todo.extend(children.or_else(|| self.shielded(object)));
                }
                _ if matches!(ty.native_name.as_ref(), "list" | "tuple" | "set" | "frozenset") => {
                    todo.extend(self.items(object));
                }
                _ => {}
            }
        }
        tasks.sort_unstable();
        tasks
    }

    /// The future that `asyncio.shield` guards: its outer one calls `_outer_done_callback`, which has
    /// it in a cell.
    fn shielded(&self, outer: Addr) -> Option<Addr> {
        let callback = self.callback(outer, "_outer_done_callback")?;
        let cell = self.reader.objects.closure_cell(callback, "inner")?;
        self.items(cell).first().copied()
    }

    fn has_callback(&self, future: Addr, name: &str) -> bool {
        self.callback(future, name).is_some()
    }

    /// A Python function among a future's callbacks, by its plain name.
    fn callback(&self, future: Addr, name: &str) -> Option<Addr> {
        self.callbacks(future).into_iter().find(|&callback| {
            self.reader.type_name(callback).is_some_and(|name| name == "builtins.function")
                && self.reader.objects.function_code(callback).is_some_and(|code| {
                    let place = self.reader.objects.code_place(code);
                    place.is_ok_and(|(function, ..)| function.rsplit('.').next() == Some(name))
                })
        })
    }

    /// The task that holds each lock. What an `async with` leaves on the stack of its frame is the
    /// lock or its `__aexit__`, also while it is still being entered: that one does not count.
    pub(super) fn lock_holders(&self, tasks: &[RawTask]) -> FxHashMap<Addr, Addr> {
        let mut holders = FxHashMap::default();
        for task in tasks {
            let running =
                task.running.and_then(|(thread, at)| self.threads.get(thread)?.frames.get(..=at));
            let frames = running.unwrap_or(&task.frames);
            let entering = frames.iter().find(|frame| frame.name() == "__aenter__");
            let mut entering = entering.and_then(|frame| frame.local("self"));
            for object in frames.iter().flat_map(|frame| &frame.blocks) {
                let Some(lock) = self.left_by_with(*object) else { continue };
                if entering == Some(lock) {
                    entering = None;
                } else {
                    holders.insert(self.inner_lock(lock), task.object);
                }
            }
        }
        holders
    }

    /// The object whose `async with` has left a word on a stack.
    fn left_by_with(&self, object: Addr) -> Option<Addr> {
        let is_lock = |object: Addr| {
            self.reader.type_name(object).is_some_and(|name| name.starts_with("asyncio.locks."))
        };
        if is_lock(object) {
            return Some(object);
        }
        let is_method = self.reader.type_name(object).is_some_and(|name| name == "builtins.method");
        let this = is_method.then(|| self.reader.objects.method_self(object)).flatten()?;
        is_lock(this).then_some(this)
    }

    /// The lock of a condition; any other lock is its own.
    fn inner_lock(&self, lock: Addr) -> Addr {
        self.reader.some_attribute(lock, "_lock").unwrap_or(lock)
    }
}

/// `1 task`, `2 tasks`.
fn many(tasks: usize) -> String {
    format!("{tasks} task{}", if tasks == 1 { "" } else { "s" })
}
