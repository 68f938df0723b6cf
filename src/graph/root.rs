//! What keeps objects alive from outside the heap.

use super::ids::{ObjectId, StringId};

/// The kinds of roots.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum RootKind {
    /// A module in `sys.modules`.
    Module,
    /// A local, or the code, of a frame that a thread is running.
    Frame,
    /// Another reference of a thread's state (context, exception, thread-local dictionary).
    Thread,
    /// A reference of an interpreter's state.
    Interpreter,
    /// A type that is not on the heap, and what the interpreter keeps for it.
    StaticType,
    /// The table of interned strings: it does not count for what it holds.
    Interned,
    /// An object that is part of the runtime itself (small integers, `None`, `True`).
    Runtime,
    /// An object that the collector tracks though nothing known refers to it: garbage in a cycle,
    /// or held by C code alone.
    Collector,
}

impl RootKind {
    /// The word for it in JSON and in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Module => "module",
            Self::Frame => "frame",
            Self::Thread => "thread",
            Self::Interpreter => "interpreter",
            Self::StaticType => "static_type",
            Self::Interned => "interned",
            Self::Runtime => "runtime",
            Self::Collector => "collector",
        }
    }

    /// The kind of that word.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [
            Self::Module,
            Self::Frame,
            Self::Thread,
            Self::Interpreter,
            Self::StaticType,
            Self::Interned,
            Self::Runtime,
            Self::Collector,
        ]
        .into_iter()
        .find(|kind| kind.name() == name)
    }

    /// Whether the root is a counted reference that explains one of the object's refcount.
    #[must_use]
    pub const fn is_counted(self) -> bool {
        !matches!(self, Self::Collector | Self::Runtime | Self::StaticType | Self::Interned)
    }
}

/// One reference from outside the heap.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Root {
    /// What kind of root it is.
    pub kind: RootKind,
    /// Its name: a module, `function (file:line) local`, a field of the state.
    pub name: StringId,
    /// The object it holds.
    pub object: ObjectId,
}
