//! What C code does when an object ends.

/// What happens at the end of an object beside what its class says in Python (`__del__`). Only objects
/// that have something left to do have one: a file that is open, a generator inside of `try`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Finalizer {
    /// A generator or coroutine is suspended inside of `try` or `with`: it is closed, and code of it
    /// runs.
    Generator,
    /// A coroutine was never awaited: a warning says so.
    Coroutine,
    /// The hook for asynchronous generators is called (`sys.set_asyncgen_hooks`).
    Hook,
    /// An open descriptor, of a file or socket, is closed.
    File,
    /// asyncio logs that a pending task was destroyed.
    Task,
    /// asyncio logs an exception that nobody has asked for.
    Future,
    /// C code of its type runs, whatever that does.
    C,
    /// `tp_del`: no collection frees it, or what it leads to.
    Legacy,
}

impl Finalizer {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Generator,
        Self::Coroutine,
        Self::Hook,
        Self::File,
        Self::Task,
        Self::Future,
        Self::C,
        Self::Legacy,
    ];

    /// The word for it in JSON and in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Generator => "generator",
            Self::Coroutine => "coroutine",
            Self::Hook => "asyncgen_hook",
            Self::File => "file",
            Self::Task => "task",
            Self::Future => "future",
            Self::C => "c",
            Self::Legacy => "tp_del",
        }
    }

    /// The finalizer of that word.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|finalizer| finalizer.name() == name)
    }
}
