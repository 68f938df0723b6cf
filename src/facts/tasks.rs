//! What the tasks of asyncio, their event loops and the pools of threads were doing.

use serde::{Deserialize, Serialize};

use super::FrameFacts;

/// A task of asyncio.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskFacts {
    /// Its address, as `hex(id(task))`.
    pub address: String,
    /// The full name of its type.
    #[serde(rename = "type")]
    pub type_name: String,
    /// `task.get_name()`.
    pub name: String,
    /// `running`, `ready` (it waits for its turn), `waiting`, `done`, `failed` or `cancelled`.
    pub state: String,
    /// The qualified name of its coroutine.
    pub coroutine: Option<String>,
    /// The address of its event loop.
    pub event_loop: Option<String>,
    /// The `thread_id` of the thread that runs that loop.
    pub thread_id: Option<u64>,
    /// How often its cancellation was requested (`task.cancelling()`, from 3.11 on).
    pub cancelling: u64,
    /// The frames of its coroutine and of all that this awaits, the innermost first.
    pub frames: Vec<FrameFacts>,
    /// What it waits for.
    pub waiting_for: Option<TaskWaitFacts>,
    /// The addresses of the tasks that wait for it.
    pub awaited_by: Vec<String>,
    /// The exception that ended it.
    pub exception: Option<TaskExceptionFacts>,
}

/// What a task waits for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskWaitFacts {
    /// `task`, `tasks`, `gather`, `shield`, `task group`, `sleep`, `lock`, `semaphore`, `condition`,
    /// `event`, `barrier`, `queue`, `read`, `write`, `socket`, `child`, `executor`, `future`, or
    /// `awaitable`.
    pub kind: String,
    /// The same for people.
    pub description: String,
    /// The address of the object: the future, lock or queue.
    pub object: Option<String>,
    /// The addresses of the tasks that have to go on first.
    pub tasks: Vec<String>,
    /// Whether any of these is enough.
    #[serde(default)]
    pub any: bool,
}

/// The exception that ended a task.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskExceptionFacts {
    /// The full name of its type.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Whether anybody has asked for it: if not, asyncio complains when the task is collected.
    pub retrieved: bool,
    /// Where it was raised: function, file and line; without locals.
    pub raised_at: Option<FrameFacts>,
}

/// An event loop.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LoopFacts {
    /// Its address.
    pub address: String,
    /// The full name of its type.
    #[serde(rename = "type")]
    pub type_name: String,
    /// The `thread_id` of the thread that runs it.
    pub thread_id: Option<u64>,
    /// `polling` (it waits for its files, sockets and timers), `busy` (it runs a callback or task),
    /// `blocked` (so does it, and that waits by itself), or `stopped`.
    pub state: String,
    /// How many callbacks wait for their turn; null if it does not say.
    pub ready: Option<u64>,
    /// How many timers it has; null if it does not say.
    pub scheduled: Option<u64>,
    /// The address of the task that it runs.
    pub running: Option<String>,
}

/// A `concurrent.futures.ThreadPoolExecutor`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PoolFacts {
    /// Its address.
    pub address: String,
    /// The prefix of its threads' names.
    pub name: String,
    /// The most threads that it starts.
    pub max_workers: u64,
    /// The `thread_id`s of its threads that work.
    pub busy: Vec<u64>,
    /// The `thread_id`s of its threads that wait for work.
    pub idle: Vec<u64>,
    /// How many pieces of work wait for a thread.
    pub queued: u64,
    /// Whether it takes no more work.
    pub is_shut_down: bool,
}

/// All that is known of asynchronous work.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AsyncFacts {
    /// The tasks that are not done, and those whose exception nobody has retrieved; by address.
    pub tasks: Vec<TaskFacts>,
    /// How many of these are left out: more than can be told.
    pub omitted_tasks: u64,
    /// How many tasks are done and nothing is to be said of them.
    pub done_tasks: u64,
    /// The event loops that run, or have tasks.
    pub loops: Vec<LoopFacts>,
    /// Tasks that wait for each other in a circle, by address.
    pub task_deadlocks: Vec<Vec<String>>,
    /// The pools of threads.
    pub pools: Vec<PoolFacts>,
}
