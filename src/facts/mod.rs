//! Plain facts about a target, as they go into JSON and into files. No behaviour.

mod allocator;
mod memory;
mod python_process;
mod tasks;
mod threads;
mod torn;

use serde::{Deserialize, Serialize};

pub use allocator::{AllocatorFacts, ArenaFacts, NativeHolderFacts, OrphanFacts, SizeClassFacts};
pub use memory::{
    MallocArenaFacts, MallocFacts, MemoryDetail, MemoryFacts, MemoryPart, ReclaimableFacts,
};
pub use python_process::PythonProcess;
pub use tasks::{AsyncFacts, LoopFacts, PoolFacts, TaskExceptionFacts, TaskFacts, TaskWaitFacts};
pub use threads::{FrameFacts, LocalFacts, NativeFacts, ThreadFacts, WaitFacts};
pub use torn::TornFacts;

/// The process or core file that was read.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ProcessFacts {
    /// The process id, as this pyheap sees it.
    pub pid: u32,
    /// The path of the program, as the process sees it.
    pub executable: String,
    /// Resident memory, in bytes.
    pub rss_bytes: u64,
    /// When it started, in clock ticks after boot: with the pid, the identity of the process.
    #[serde(default)]
    pub start_ticks: u64,
    /// Which boot of which machine the pid belongs to.
    #[serde(default)]
    pub boot_id: String,
}

/// How much of a process's memory is its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharingFacts {
    /// Resident memory, in bytes.
    pub rss_bytes: u64,
    /// The same, with each shared page divided by the number of processes that share it (PSS): the
    /// sum over a tree counts no page twice.
    pub proportional_bytes: u64,
    /// Pages that no other process has: what would be free if this one ended.
    pub private_bytes: u64,
    /// Pages that another process has too: libraries, and what a fork has not written to since.
    pub shared_bytes: u64,
    /// What is in swap.
    pub swapped_bytes: u64,
}

/// The interpreter that was found in it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct InterpreterFacts {
    /// The full version, such as `3.11.7`.
    pub version: String,
    /// `default`, `debug`, `free-threaded`, or both joined by `+`.
    pub build: String,
    /// How many interpreters (the main one and sub-interpreters) it has.
    pub interpreters: u32,
}

/// How the heap was made to stand still.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Pause {
    /// `stop`, `cow`, `none`, `frozen` (it stood still already) or `core`.
    pub mode: String,
    /// For how long the target could not run, all stops together, in seconds.
    pub seconds: f64,
    /// How often it was stopped.
    pub stops: u32,
    /// After a long stop: for how long a fork (`cow`) would have stopped it, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cow_seconds: Option<f64>,
}

/// Where the time went, in seconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Timings {
    /// Finding the interpreter and its layout.
    pub attach: f64,
    /// Copying memory.
    pub capture: f64,
    /// Decoding.
    pub walk: f64,
    /// From start to end.
    pub total: f64,
}

/// A generation of the collector.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct GenerationFacts {
    /// Its number, 0 being the youngest.
    pub generation: u32,
    /// Its counter (`gc.get_count()`).
    pub count: i64,
    /// Its threshold (`gc.get_threshold()`).
    pub threshold: i64,
    /// How often it was collected (`gc.get_stats()`).
    pub collections: i64,
}

/// All that is known about a snapshot besides its objects.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// The process.
    pub process: ProcessFacts,
    /// The interpreter.
    pub interpreter: InterpreterFacts,
    /// The pause.
    pub pause: Pause,
    /// Where the time went.
    pub timings: Timings,
    /// How much memory was copied, in bytes.
    pub captured_bytes: u64,
    /// The generations of the main interpreter's collector.
    pub generations: Vec<GenerationFacts>,
    /// Whether the main interpreter's collector comes by itself (`gc.isenabled()`).
    #[serde(default)]
    pub gc_enabled: Option<bool>,
    /// What Python's own allocator had handed out.
    #[serde(default)]
    pub allocator: AllocatorFacts,
    /// Live objects that only that allocator knows of, by type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orphans: Vec<OrphanFacts>,
    /// Objects whose references nothing else explains, and the native memory in which their addresses
    /// stand: the first few thousand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub native_holders: Vec<NativeHolderFacts>,
    /// The process that traced it when it was read, if one did.
    #[serde(default)]
    pub tracer: Option<u32>,
    /// Where its memory is; null in files of older versions.
    #[serde(default)]
    pub memory: Option<MemoryFacts>,
    /// The threads that have a Python state; what they were doing.
    #[serde(default)]
    pub threads: Vec<ThreadFacts>,
    /// Threads that wait for each other in a circle, by their `thread_id`.
    #[serde(default)]
    pub deadlocks: Vec<Vec<u64>>,
    /// The tasks of asyncio, their loops, and pools of threads.
    #[serde(default)]
    pub asynchronous: AsyncFacts,
    /// What does not fit together, if the target ran while it was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub torn: Option<TornFacts>,
    /// When the snapshot was taken, in seconds since 1970 (UTC).
    pub taken_at: f64,
}

impl ProcessFacts {
    /// Whether both facts are of one process, so that an address means the same in both. Facts that
    /// do not say when the process started never are.
    #[must_use]
    pub fn is_same_process(&self, other: &Self) -> bool {
        self.start_ticks != 0
            && (self.pid, self.start_ticks) == (other.pid, other.start_ticks)
            && self.boot_id == other.boot_id
    }
}
