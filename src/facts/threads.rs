//! What the threads of a process were doing.

use serde::{Deserialize, Serialize};

/// A thread that has a Python state.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ThreadFacts {
    /// Which interpreter it belongs to; 0 is the main one.
    pub interpreter: u32,
    /// `threading.get_ident()`.
    pub thread_id: u64,
    /// `threading.get_native_id()`: its number in the process's own namespace; 0 if unknown.
    pub os_thread_id: u32,
    /// The name of its `threading.Thread`, else the one that the system knows.
    pub name: String,
    /// `running`, `waiting`, `uninterruptible`, `stopped`, `ended`, or `unknown`.
    pub state: String,
    /// Where in the kernel it waits, if that may be known.
    #[serde(default)]
    pub wchan: Option<String>,
    /// Whether it holds the interpreter lock of its interpreter.
    pub holds_gil: bool,
    /// What it waits for.
    pub waiting_for: Option<WaitFacts>,
    /// The function of C code that it is in.
    #[serde(default)]
    pub native: Option<NativeFacts>,
    /// Its frames, the innermost first.
    pub frames: Vec<FrameFacts>,
    /// How many frames between these are left out, of a very deep recursion.
    #[serde(default)]
    pub omitted_frames: u64,
}

/// A function of C code.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NativeFacts {
    /// The file that it is mapped from.
    pub library: String,
    /// Its name, if the file has one.
    pub symbol: Option<String>,
}

/// What a thread waits for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WaitFacts {
    /// `lock`, `rlock`, `condition`, `event`, `queue`, `semaphore`, `barrier`, `future`, `join`,
    /// `import`, `gil`, `sleep`, `read`, `write`, `connect`, `accept`, `poll`, `child`, `file lock`,
    /// `futex`.
    pub kind: String,
    /// The same for people, without the address and the holder.
    pub description: String,
    /// The address of the object, as `hex(id(obj))`.
    pub object: Option<String>,
    /// The `thread_id` of the thread that could end the wait, where that is known.
    pub held_by: Option<u64>,
}

/// A frame of Python code.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FrameFacts {
    /// The (qualified, from 3.11 on) name of its function.
    pub function: String,
    /// Its source file.
    pub file: String,
    /// The line that it is at; null where the code does not say.
    pub line: Option<u32>,
    /// Its local variables.
    pub locals: Vec<LocalFacts>,
}

/// A local variable.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LocalFacts {
    /// Its name.
    pub name: String,
    /// The address of its object, as `hex(id(obj))`.
    pub address: String,
}
