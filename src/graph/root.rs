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
    /// References that no object and no other root explains: C code holds them. Only what no other
    /// root reaches gets such a root ([`HeapGraph::root_what_c_holds`]).
    ///
    /// [`HeapGraph::root_what_c_holds`]: super::HeapGraph::root_what_c_holds
    C,
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
            Self::C => "c",
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
            Self::C,
        ]
        .into_iter()
        .find(|kind| kind.name() == name)
    }

    /// Whether the root is a counted reference that explains one of the object's refcount. What C
    /// code holds is the rest, so it does not.
    #[must_use]
    pub const fn is_counted(self) -> bool {
        !matches!(self, Self::C | Self::Runtime | Self::StaticType | Self::Interned)
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
    /// Of frames and the states of threads: `threading.get_ident()` of the thread.
    pub thread: Option<u64>,
}
