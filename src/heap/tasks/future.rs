//! Futures and tasks: C structures (`Modules/_asynciomodule.c`), or attributes of Python objects
//! (`Lib/asyncio/futures.py`, `Lib/asyncio/tasks.py`).

use super::Tasks;
use crate::addr::Addr;
use crate::target::memory::Memory;

/// How far a future is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FutureState {
    Pending,
    Cancelled,
    Finished,
}

/// What all futures know.
#[derive(Debug, Clone, Copy)]
pub(super) struct Future {
    pub(super) state: FutureState,
    pub(super) exception: Option<Addr>,
    /// Whether the exception was asked for by nobody (`__log_traceback`).
    pub(super) is_unretrieved: bool,
    pub(super) event_loop: Option<Addr>,
}

impl<M: Memory> Tasks<'_, '_, M> {
    /// Whether it is an object of C code, with the fields of `FutureObj`.
    fn is_native(&self, object: Addr) -> bool {
        let native = |name: &str| matches!(name, "_asyncio.Future" | "_asyncio.Task");
        self.reader.type_of(object).is_some_and(|ty| native(&ty.native_name))
    }

    /// Reads a future or task.
    pub(super) fn future(&self, object: Addr) -> Option<Future> {
        let reader = self.reader;
        if !self.is_native(object) {
            // Until it changes it is the attribute of the class.
            let state = match reader.text_attribute(object, "_state").as_deref() {
                None | Some("PENDING") => FutureState::Pending,
                Some("CANCELLED") => FutureState::Cancelled,
                Some(_) => FutureState::Finished,
            };
            return Some(Future {
                state,
                exception: reader.some_attribute(object, "_exception"),
                is_unretrieved: reader.int_attribute(object, "_Future__log_traceback") == Some(1),
                event_loop: reader.some_attribute(object, "_loop"),
            });
        }
        let at = &reader.objects.layout.at.future;
        let memory = reader.objects.memory;
        let field = |offset: u64| {
            let value = memory.addr(object + offset).ok()?.non_null()?;
            (!reader.is_none(value)).then_some(value)
        };
        // `fut_log_tb` is an `int` behind the state, or its lowest bit.
        let log = at.fut_state + reader.objects.layout.has.log_traceback_behind_state;
        Some(Future {
            state: match memory.u32(object + at.fut_state).ok()? {
                0 => FutureState::Pending,
                1 => FutureState::Cancelled,
                _ => FutureState::Finished,
            },
            exception: field(at.fut_exception),
            is_unretrieved: memory.u8(object + log).ok()? & 1 != 0,
            event_loop: field(at.fut_loop),
        })
    }

    /// A field of a task, or the attribute that stands for it.
    fn task_field(&self, object: Addr, offset: u64, attribute: &str) -> Option<Addr> {
        let reader = self.reader;
        if !self.is_native(object) {
            return reader.some_attribute(object, attribute);
        }
        let value = reader.objects.memory.addr(object + offset).ok()?.non_null()?;
        (!reader.is_none(value)).then_some(value)
    }

    /// The coroutine of a task.
    pub(super) fn task_coroutine(&self, object: Addr) -> Option<Addr> {
        self.task_field(object, self.reader.objects.layout.at.task.task_coro, "_coro")
    }

    /// The future that a task waits for.
    pub(super) fn task_waiter(&self, object: Addr) -> Option<Addr> {
        self.task_field(object, self.reader.objects.layout.at.task.task_fut_waiter, "_fut_waiter")
    }

    /// `task.get_name()`. From 3.12 on it is a number until somebody asks.
    pub(super) fn task_name(&self, object: Addr) -> Option<String> {
        let name =
            self.task_field(object, self.reader.objects.layout.at.task.task_name, "_name")?;
        let number = || {
            let is_int = self.reader.type_name(name).is_some_and(|name| name == "builtins.int");
            is_int.then(|| self.reader.objects.int_value(name)).flatten()
        };
        self.reader.text(name).or_else(|| number().map(|number| format!("Task-{number}")))
    }

    /// `task.cancelling()`.
    pub(super) fn cancel_requests(&self, object: Addr) -> Option<u64> {
        if !self.is_native(object) {
            return self.reader.int_attribute(object, "_num_cancels_requested");
        }
        let offset = self.reader.objects.layout.at.task.task_num_cancels_requested?;
        self.reader.objects.memory.u32(object + offset).ok().map(u64::from)
    }

    /// The functions and methods that a future calls when it is done.
    pub(super) fn callbacks(&self, object: Addr) -> Vec<Addr> {
        let reader = self.reader;
        let list = match self.is_native(object) {
            false => reader.some_attribute(object, "_callbacks"),
            true => {
                let at = &reader.objects.layout.at.future;
                let memory = reader.objects.memory;
                let first = memory.addr(object + at.fut_callback0).ok().and_then(Addr::non_null);
                let list = memory.addr(object + at.fut_callbacks).ok().and_then(Addr::non_null);
                let list = list.filter(|&list| !reader.is_none(list));
                return first.into_iter().chain(self.callback_list(list)).collect();
            }
        };
        self.callback_list(list)
    }

    /// `[(callback, context), …]`.
    fn callback_list(&self, list: Option<Addr>) -> Vec<Addr> {
        let pairs = list.map(|list| self.items(list)).unwrap_or_default();
        pairs.into_iter().filter_map(|pair| self.items(pair).first().copied()).collect()
    }

    /// The items of a list, tuple or set.
    pub(super) fn items(&self, container: Addr) -> Vec<Addr> {
        let Some(id) = self.graph.find(container) else { return Vec::new() };
        self.graph.referents.of(id).iter().map(|&item| self.graph.addr(item)).collect()
    }
}
