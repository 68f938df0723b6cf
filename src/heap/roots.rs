//! What keeps objects alive from outside the heap: modules, threads and their frames, the states of
//! interpreters, and static types.

use std::rc::Rc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::gc_lists::Collector;
use super::pending;
use crate::addr::Addr;
use crate::cpython::object::{
    DecodeError, Depths, EdgeSink, FrameView, Label, Name, Objects, Run, Sight, StackWords,
};
use crate::graph::{Anomalies, RootKind};
use crate::target::memory::Memory;

/// A reference from outside the heap, before objects have numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RawRoot {
    pub(super) kind: RootKind,
    pub(super) name: String,
    pub(super) target: Addr,
    /// Whether the target is a dictionary whose keys are names from code.
    pub(super) namespace: bool,
    /// `threading.get_ident()` of the thread whose frame or state it is.
    pub(super) thread: Option<u64>,
    /// It may be none: there need not be an object, or nobody need count it.
    pub(super) is_doubtful: bool,
}

/// Finds the roots of all interpreters.
pub(super) struct RootFinder<'a, 'o, M> {
    objects: &'a Objects<'o, M>,
    pub(super) roots: Vec<RawRoot>,
    /// How deep the stacks of functions are; nothing where their code does not tell.
    depths: FxHashMap<Addr, Option<Rc<Depths>>>,
    pub(super) anomalies: Anomalies,
}

impl<'a, 'o, M: Memory> RootFinder<'a, 'o, M> {
    pub(super) fn new(objects: &'a Objects<'o, M>) -> Self {
        let (depths, anomalies) = (FxHashMap::default(), Anomalies::default());
        Self { objects, roots: Vec::new(), depths, anomalies }
    }

    fn add(&mut self, kind: RootKind, name: &str, target: Addr, namespace: bool) {
        if !target.is_null() {
            let (thread, is_doubtful, name) = (None, false, name.to_owned());
            self.roots.push(RawRoot { kind, name, target, namespace, thread, is_doubtful });
        }
    }

    fn add_field(&mut self, kind: RootKind, name: &str, base: Addr, offset: Option<u64>) {
        if let Some(offset) = offset
            && let Ok(target) = self.objects.memory.addr(base + offset)
        {
            self.add(kind, name, target, false);
        }
    }

    fn note(&mut self, error: DecodeError, at: Addr) {
        self.anomalies.note(error.kind(), at);
    }

    /// Everything that one interpreter holds.
    pub(super) fn interpreter(&mut self, interpreter: Addr, collector: Option<Collector>) {
        let at = self.objects.layout.at.interpreter;
        let namespaces = [
            ("sys.__dict__", Some(at.sysdict)),
            ("builtins.__dict__", Some(at.builtins)),
            ("sys.__dict__ (copy)", at.sysdict_copy),
            ("builtins.__dict__ (copy)", at.builtins_copy),
        ];
        for (name, offset) in namespaces {
            if let Some(offset) = offset
                && let Ok(target) = self.objects.memory.addr(interpreter + offset)
            {
                self.add(RootKind::Interpreter, name, target, true);
            }
        }
        let fields = [
            ("modules_by_index", at.imports_modules_by_index.or(at.modules_by_index)),
            ("importlib", at.imports_importlib.or(at.importlib)),
            ("import_func", at.imports_import_func.or(at.import_func)),
            ("codec_search_path", at.codecs_search_path.or(at.codec_search_path)),
            ("codec_search_cache", at.codecs_search_cache.or(at.codec_search_cache)),
            ("codec_error_registry", at.codecs_error_registry.or(at.codec_error_registry)),
            ("dict", at.dict),
            ("before_forkers", at.before_forkers),
            ("after_forkers_parent", at.after_forkers_parent),
            ("after_forkers_child", at.after_forkers_child),
            ("pyexitmodule", at.pyexitmodule),
            ("audit_hooks", at.audit_hooks),
            ("exc_state", at.exc_state),
            ("callable_cache.isinstance", at.isinstance),
            ("callable_cache.len", at.len),
            ("callable_cache.list_append", at.list_append),
            ("callable_cache.object__getattribute__", at.object_getattribute),
            ("objreduce", at.objreduce),
        ];
        for (name, offset) in fields {
            self.add_field(RootKind::Interpreter, name, interpreter, offset);
        }
        if let Some(offset) = at.interned_strings
            && let Ok(table) = self.objects.memory.addr(interpreter + offset)
        {
            self.interned(table);
        }
        let modules = at.imports_modules.or(at.modules);
        if let Some(modules) = modules
            && let Ok(modules) = self.objects.memory.addr(interpreter + modules)
        {
            self.modules(modules);
        }
        if let Some(collector) = collector {
            for (name, target) in collector.roots(self.objects) {
                self.add(RootKind::Interpreter, name, target, false);
            }
        }
        if let Some(offset) = at.atexit {
            self.atexit(interpreter + offset);
        }
        if let Some(offset) = at.ceval_pending {
            self.pending_calls(interpreter + offset);
        }
        self.threads(interpreter);
    }

    /// What `atexit.register` was told (3.10 and later; before, the module visits it): a list, or up to
    /// 3.13 an array of functions with their arguments.
    fn atexit(&mut self, state: Addr) {
        let at = self.objects.layout.at.atexit_state;
        let Some(count_at) = at.ncallbacks else {
            return self.add_field(RootKind::Interpreter, "atexit", state, at.callbacks);
        };
        let memory = self.objects.memory;
        let Some(Ok(array)) = at.callbacks.map(|offset| memory.addr(state + offset)) else {
            return;
        };
        let count = memory.u32(state + count_at).unwrap_or(0).into();
        for nth in 0..self.objects.limits.members.min(count) {
            let Ok(callback) = memory.addr(array + nth * 8) else { return };
            if callback.is_null() {
                continue; // taken back
            }
            // atexit_py_callback: func, args, kwargs.
            for field in [0, 8, 16] {
                // Without its number: what many callbacks hold is held in one way.
                let name = "atexit callback";
                self.add_field(RootKind::Interpreter, name, callback, Some(field));
            }
        }
    }

    /// What the runtime holds for all interpreters.
    pub(super) fn runtime(&mut self, runtime: Addr) {
        let at = self.objects.layout.at.runtime;
        for queue in [at.ceval_pending, at.pending_mainthread].into_iter().flatten() {
            self.pending_calls(runtime + queue);
        }
    }

    /// What calls are waiting for that other threads have asked for.
    fn pending_calls(&mut self, queue: Addr) {
        let Some(found) = pending::arguments(self.objects.memory, self.objects.layout, queue)
        else {
            return self.anomalies.note("a queue of pending calls makes no sense", queue);
        };
        for target in found.into_iter().filter(|target| !target.is_null()) {
            // The name says it, wherever it is shown: nothing tells that the argument is an object.
            let (kind, name) = (RootKind::Interpreter, "pending call (inferred)".to_owned());
            let (namespace, thread, is_doubtful) = (false, None, true);
            self.roots.push(RawRoot { kind, name, target, namespace, thread, is_doubtful });
        }
    }

    /// The table of interned strings, whose references are not counted.
    fn interned(&mut self, table: Addr) {
        self.add(RootKind::Interned, "interned strings", table, false);
    }

    /// `sys.modules`: each module under its name.
    fn modules(&mut self, modules: Addr) {
        self.add(RootKind::Interpreter, "sys.modules", modules, true);
        let mut entries = Vec::new();
        if let Err(error) = self.objects.dict_entries(modules, |entry| entries.push(entry)) {
            self.note(error, modules);
        }
        for entry in entries {
            if let Ok(name) = self.objects.text(entry.key) {
                self.add(RootKind::Module, &name, entry.value, false);
            }
        }
    }

    /// The threads of an interpreter.
    fn threads(&mut self, interpreter: Addr) {
        let (threads, ends) = self.objects.threads(interpreter);
        if !ends {
            let last = threads.last().copied().unwrap_or(interpreter);
            self.anomalies.note("the list of threads does not end", last);
        }
        for thread in threads {
            let before = self.roots.len();
            self.thread(thread);
            let ident = self.objects.memory.u64(thread + self.objects.layout.at.thread.thread_id);
            for root in self.roots.iter_mut().skip(before) {
                root.thread = ident.as_ref().ok().copied();
            }
        }
    }

    /// What one thread's state holds, and its frames.
    fn thread(&mut self, thread: Addr) {
        let at = &self.objects.layout.at;
        let fields = [
            ("dict", Some(at.thread.dict)),
            ("async_exc", Some(at.thread.async_exc)),
            ("context", Some(at.thread.context)),
            ("c_profileobj", Some(at.thread.c_profileobj)),
            ("c_traceobj", Some(at.thread.c_traceobj)),
            ("async_gen_firstiter", Some(at.thread.async_gen_firstiter)),
            ("async_gen_finalizer", Some(at.thread.async_gen_finalizer)),
            ("curexc_type", at.thread.curexc_type),
            ("curexc_value", at.thread.curexc_value),
            ("curexc_traceback", at.thread.curexc_traceback),
            ("current_exception", at.thread.current_exception),
            ("threading_local_key", at.thread.threading_local_key),
            ("threading_local_sentinel", at.thread.threading_local_sentinel),
            ("asyncio_running_loop", at.thread_impl.asyncio_running_loop),
            ("asyncio_running_task", at.thread_impl.asyncio_running_task),
        ];
        for (name, offset) in fields {
            self.add_field(RootKind::Thread, name, thread, offset);
        }
        let exceptions = at.exception_state;
        // The stack of handled exceptions ends in the thread's own state; generators that are
        // running put theirs in between, and visit them themselves.
        let own = thread + at.thread.exc_state;
        self.add_field(RootKind::Thread, "exc_value", own, Some(exceptions.exc_value));
        self.add_field(RootKind::Thread, "exc_type", own, exceptions.exc_type);
        self.add_field(RootKind::Thread, "exc_traceback", own, exceptions.exc_traceback);
        if let Err(error) = self.frames(thread) {
            self.note(error, thread);
        }
    }

    /// The frames of a thread: their locals are roots.
    fn frames(&mut self, thread: Addr) -> Result<(), DecodeError> {
        /// `FRAME_OWNED_BY_GENERATOR`.
        const OWNED_BY_GENERATOR: u8 = 1;
        let at = &self.objects.layout.at;
        let (owner_at, iframe) = (at.interpreter_frame.owner, at.generator.gi_iframe);
        let mut frame = self.objects.current_frame(thread)?;
        let mut seen = FxHashSet::default();
        while !frame.is_null() {
            // A chain that was read while it changed may lead back into itself.
            if seen.len() >= self.objects.limits.frames || !seen.insert(frame) {
                self.anomalies.note("a thread's frames do not end", thread);
                return Ok(());
            }
            let view = self.objects.frame(frame)?;
            if !view.code.is_null() {
                let (function, file, line) = self.objects.code_place(view.code)?;
                let place = format!("{function} ({file}:{line})");
                let owner = match owner_at {
                    Some(owner) => self.objects.memory.u8(frame + owner)?,
                    None => 0,
                };
                self.stack(view, &place);
                if view.is_object {
                    self.add(RootKind::Frame, &place, frame, false);
                } else if let (OWNED_BY_GENERATOR, Some(iframe)) = (owner, iframe) {
                    // The generator is an object, and visits its frame itself.
                    self.add(RootKind::Frame, &place, frame - iframe, false);
                } else {
                    let globals = self.globals(frame);
                    let found = Vec::new();
                    let mut sink = FrameRoots { objects: self.objects, place, globals, found };
                    let read = self.objects.interpreter_frame_referents(frame, &mut sink);
                    self.roots.append(&mut sink.found);
                    if let Err(error) = read {
                        self.note(error, frame);
                    }
                }
            }
            frame = view.previous;
        }
        Ok(())
    }

    /// What is on the stack of a frame whose top is not known. What its instruction may have taken from
    /// there already, or not have given yet, is doubtful.
    fn stack(&mut self, view: FrameView, place: &str) {
        if self.objects.knows_stack_top(view) {
            return;
        }
        let objects = self.objects;
        let depths = self.depths.entry(view.code).or_insert_with(|| {
            // Of code that makes no sense only what blocks keep is believed.
            objects.stack_depths(view.code).ok().flatten().map(Rc::new)
        });
        let words = match depths.clone() {
            Some(depths) => objects.stack(view, &depths),
            None => objects.block_stack(view.at, view.code).map(Into::into),
        };
        let words = words.unwrap_or_else(|error| {
            self.note(error, view.at);
            StackWords::default()
        });
        let name = format!("{place} stack");
        for target in words.certain {
            self.add(RootKind::Frame, &name, target, false);
        }
        for target in words.likely {
            let (kind, name) = (RootKind::Frame, name.clone());
            let (namespace, thread, is_doubtful) = (false, None, true);
            self.roots.push(RawRoot { kind, name, target, namespace, thread, is_doubtful });
        }
    }

    /// The globals of a frame; null where they cannot be read.
    fn globals(&self, frame: Addr) -> Addr {
        let offset = self.objects.layout.at.interpreter_frame.f_globals;
        offset.and_then(|at| self.objects.memory.addr(frame + at).ok()).unwrap_or_default()
    }

    /// The types that are not on the heap, found from `object` down through the subclasses that each
    /// type knows: the references there are weak, so no edge leads to them.
    pub(super) fn static_types(&mut self) {
        let at = &self.objects.layout.at;
        let object_type = self.objects.known.type_type + at.ty.tp_base;
        let Ok(object_type) = self.objects.memory.addr(object_type) else { return };
        let mut seen = FxHashSet::default();
        let mut left = vec![self.objects.known.type_type, object_type];
        while let Some(ty) = left.pop() {
            if !seen.insert(ty) {
                continue;
            }
            match self.objects.subclasses(ty) {
                Ok((is_heap, subclasses)) => {
                    if !is_heap {
                        let name = self.objects.memory.addr(ty + at.ty.tp_name);
                        let name = name.map_err(DecodeError::from);
                        let name = name.and_then(|name| self.objects.c_text(name));
                        self.add(RootKind::StaticType, &name.unwrap_or_default(), ty, false);
                    }
                    left.extend(subclasses);
                }
                Err(error) => self.note(error, ty),
            }
        }
    }
}

/// Turns what a frame holds into roots.
struct FrameRoots<'a, 'o, M> {
    objects: &'a Objects<'o, M>,
    place: String,
    globals: Addr,
    found: Vec<RawRoot>,
}

impl<M: Memory> EdgeSink for FrameRoots<'_, '_, M> {
    fn edge(&mut self, _: Sight, target: Addr, label: Label) {
        let text = |name: Name| match name {
            Name::Str(at) => self.objects.text(at).unwrap_or_default(),
            Name::CStr(at) => self.objects.c_text(at).unwrap_or_default(),
            Name::Known(name) => name.to_owned(),
        };
        let (what, namespace) = match label {
            Label::Local(name) | Label::Attribute(name) => (text(name), false),
            Label::Keywords(name) => (text(name), true),
            // The code of a module runs with the module's dictionary as locals: the module names it.
            Label::Namespace("f_locals") if target == self.globals => return,
            Label::Namespace(name) => (name.to_owned(), true),
            Label::Field(name) => (name.to_owned(), false),
            _ => ("stack".to_owned(), false),
        };
        let (kind, name) = (RootKind::Frame, format!("{} {what}", self.place));
        let (thread, is_doubtful) = (None, false);
        self.found.push(RawRoot { kind, name, target, namespace, thread, is_doubtful });
    }

    fn in_run(&mut self, sight: Sight, target: Addr, _: Run, nth: u32) {
        self.edge(sight, target, Label::Stack(nth));
    }
}
