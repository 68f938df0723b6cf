//! Which types are tasks, futures, event loops and pools: by the classes that they are derived from.

use std::cell::RefCell;

use rustc_hash::FxHashMap;

use crate::addr::Addr;
use crate::heap::reader::Reader;
use crate::target::memory::Memory;

/// What the objects of a type are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Kind {
    /// `asyncio.Task`, of C or of Python code.
    Task,
    /// `asyncio.Future`, and no task.
    Future,
    /// `asyncio.AbstractEventLoop`.
    EventLoop,
    /// `concurrent.futures.ThreadPoolExecutor`.
    ThreadPool,
    /// Anything else.
    #[default]
    Other,
}

impl Kind {
    /// Whether it is a future or a task.
    pub(super) const fn is_future(self) -> bool {
        matches!(self, Self::Task | Self::Future)
    }
}

/// The classes, those first that are derived from others of them.
const CLASSES: [(&str, Kind); 6] = [
    ("_asyncio.Task", Kind::Task),
    ("asyncio.tasks.Task", Kind::Task),
    ("_asyncio.Future", Kind::Future),
    ("asyncio.futures.Future", Kind::Future),
    ("asyncio.events.AbstractEventLoop", Kind::EventLoop),
    ("concurrent.futures.thread.ThreadPoolExecutor", Kind::ThreadPool),
];

/// The kinds of all types that were asked for.
#[derive(Debug, Default)]
pub(super) struct Kinds {
    by_type: RefCell<FxHashMap<Addr, Kind>>,
}

impl Kinds {
    /// What the objects of a type are.
    pub(super) fn of<M: Memory>(&self, reader: &Reader<'_, '_, M>, ty: Addr) -> Kind {
        if let Some(&kind) = self.by_type.borrow().get(&ty) {
            return kind;
        }
        let bases = reader.base_names(ty);
        let class = CLASSES.iter().find(|(class, _)| bases.iter().any(|base| base == class));
        let kind = class.map(|&(_, kind)| kind).unwrap_or_default();
        self.by_type.borrow_mut().insert(ty, kind);
        kind
    }
}
