//! Frames: frame objects up to 3.10, `_PyInterpreterFrame`s from 3.11 on, and the locals in them
//! (`Objects/frameobject.c`, `Python/frame.c`).

use super::size::POINTER;
use super::{DecodeError, EdgeSink, Label, Name, Objects, Run, Sight};
use crate::addr::Addr;
use crate::cpython::layout::features::Frames;
use crate::cpython::layout::{OB_SIZE, OBJECT_SIZE};
use crate::target::memory::Memory;

/// Who owns the memory of an interpreter frame.
const OWNED_BY_FRAME_OBJECT: u8 = 2;
/// The first number of owners that are not frames of Python code (a C stack, the interpreter).
const OWNED_BY_CSTACK: u8 = 3;
/// `CO_VARARGS` and `CO_VARKEYWORDS` of `co_flags`.
const CO_VARARGS: u32 = 4;
const CO_VARKEYWORDS: u32 = 8;
/// The most words of locals and stack that a frame is believed to have; a code object has at most
/// as many as an opcode argument counts.
const MAX_SLOTS: u64 = 1 << 24;

/// A frame of a running thread, as roots are named by it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrameView {
    /// The frame itself.
    pub at: Addr,
    /// The code that it runs; null for a shim of C code.
    pub code: Addr,
    /// The frame that called it; null for the outermost.
    pub previous: Addr,
    /// Whether it is an object by itself (up to 3.10).
    pub is_object: bool,
}

/// A word of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LocalSlot {
    /// The object in it.
    pub object: Addr,
    /// What it is called.
    pub label: Label,
}

/// The names of a code object's variables, in the order of their slots.
struct SlotNames {
    /// The tuples of names, with the number of each.
    tuples: [(Addr, u64); 3],
    /// The slot of the dictionary of keyword arguments.
    keywords: Option<u64>,
    /// How many named slots there are.
    len: u64,
}

impl<M: Memory> Objects<'_, M> {
    /// A reference of a frame's slot, without its tag: from 3.14 on tagged integers live there too.
    pub(super) fn stack_ref(&self, word: Addr) -> Option<Addr> {
        match self.layout.has.frames {
            Frames::InterpreterTagged if word.0 & 3 == 3 => None,
            Frames::InterpreterTagged => word.without_tag(3).non_null(),
            _ => word.non_null(),
        }
    }

    /// The code object that an interpreter frame runs; null for a shim.
    fn frame_code(&self, frame: Addr) -> Result<Addr, DecodeError> {
        let at = &self.layout.at.interpreter_frame;
        let offset = at.f_executable.or(at.f_code).unwrap_or(0);
        Ok(self.stack_ref(self.memory.addr(frame + offset)?).unwrap_or_default())
    }

    /// A frame of a thread's chain.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn frame(&self, at: Addr) -> Result<FrameView, DecodeError> {
        let layout = &self.layout.at;
        match self.layout.has.frames {
            Frames::ObjectsWithTop | Frames::ObjectsWithDepth => Ok(FrameView {
                at,
                code: self.memory.addr(at + layout.frame_object.f_code.unwrap_or(0))?,
                previous: self.memory.addr(at + layout.frame_object.f_back)?,
                is_object: true,
            }),
            Frames::Interpreter | Frames::InterpreterTagged => {
                let fields = &layout.interpreter_frame;
                let owner = self.memory.u8(at + fields.owner.unwrap_or(0))?;
                let is_shim = owner >= OWNED_BY_CSTACK;
                Ok(FrameView {
                    at,
                    code: if is_shim { Addr::NULL } else { self.frame_code(at)? },
                    previous: self.memory.addr(at + fields.previous.unwrap_or(0))?,
                    is_object: false,
                })
            }
        }
    }

    /// The function name, file and first line of a code object.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn code_place(&self, code: Addr) -> Result<(String, String, i32), DecodeError> {
        let at = &self.layout.at.code;
        let name = self.memory.addr(code + at.co_qualname.unwrap_or(at.co_name))?;
        let file = self.memory.addr(code + at.co_filename)?;
        let name = if self.is_str(name)? { self.text(name)? } else { "?".to_owned() };
        let file = if self.is_str(file)? { self.text(file)? } else { "?".to_owned() };
        Ok((name, file, self.memory.i32(code + at.co_firstlineno)?))
    }

    /// The local variables of a frame that have a value, by name.
    ///
    /// # Errors
    /// It cannot be read or cannot be right.
    pub fn frame_locals(&self, view: FrameView) -> Result<Vec<(String, Addr)>, DecodeError> {
        let mut locals = Locals { objects: self, found: Vec::new() };
        if view.is_object {
            self.classic_frame_referents(view.at, &mut locals)?;
        } else {
            self.interpreter_frame_referents(view.at, &mut locals)?;
        }
        Ok(locals.found)
    }

    /// The names of a code object's variables.
    fn slot_names(&self, code: Addr) -> Result<SlotNames, DecodeError> {
        let at = &self.layout.at.code;
        let flags = self.memory.u32(code + at.co_flags)?;
        let arguments: u64 = u64::from(self.memory.u32(code + at.co_argcount)?)
            + u64::from(self.memory.u32(code + at.co_kwonlyargcount)?);
        let keywords =
            (flags & CO_VARKEYWORDS != 0).then(|| arguments + u64::from(flags & CO_VARARGS != 0));
        let tuple = |offset: Option<u64>| -> Result<(Addr, u64), DecodeError> {
            let Some(offset) = offset else { return Ok((Addr::NULL, 0)) };
            let tuple = self.memory.addr(code + offset)?;
            if tuple.is_null() {
                return Ok((Addr::NULL, 0));
            }
            let len = self.item_count(tuple, "the names of a code object")?;
            if len > MAX_SLOTS {
                let what = "the names of a code object";
                return Err(DecodeError::Implausible { what, addr: code, value: len });
            }
            Ok((tuple, len))
        };
        let tuples = match at.co_localsplusnames {
            Some(names) => [tuple(Some(names))?, (Addr::NULL, 0), (Addr::NULL, 0)],
            None => [tuple(at.co_varnames)?, tuple(at.co_cellvars)?, tuple(at.co_freevars)?],
        };
        let len = tuples.iter().map(|(_, len)| len).sum();
        Ok(SlotNames { tuples, keywords, len })
    }

    /// The label of a frame's slot.
    fn slot_label(&self, names: &SlotNames, slot: u64) -> Label {
        let mut nth = slot;
        for (tuple, len) in names.tuples {
            if nth < len {
                let at = tuple + self.layout.at.tuple.ob_item + nth * 8;
                let name = self.memory.addr(at).map_or(Name::Known("?"), Name::Str);
                return match names.keywords {
                    Some(keywords) if keywords == slot => Label::Keywords(name),
                    _ => Label::Local(name),
                };
            }
            nth -= len;
        }
        Label::Stack(u32::try_from(nth).unwrap_or(u32::MAX))
    }

    /// The size of a frame's slots and stack, in words.
    pub(super) fn frame_slots(&self, code: Addr) -> Result<u64, DecodeError> {
        let at = &self.layout.at.code;
        let stack = u64::from(self.memory.u32(code + at.co_stacksize)?);
        let locals = match at.co_nlocalsplus {
            Some(offset) => u64::from(self.memory.u32(code + offset)?),
            None => self.slot_names(code)?.len,
        };
        let slots = stack.saturating_add(locals);
        if slots > MAX_SLOTS {
            let what = "the size of a frame";
            return Err(DecodeError::Implausible { what, addr: code, value: slots });
        }
        Ok(slots)
    }

    /// What an interpreter frame holds (`_PyFrame_Traverse`, `Python/frame.c`).
    ///
    /// # Errors
    /// It cannot be read or cannot be right.
    pub fn interpreter_frame_referents(
        &self,
        frame: Addr,
        sink: &mut impl EdgeSink,
    ) -> Result<(), DecodeError> {
        let at = &self.layout.at.interpreter_frame;
        let see = Sight::Visited;
        self.optional_field(frame, at.frame_obj, see, Label::Field("frame_obj"), sink)?;
        self.optional_field(frame, at.f_locals, see, Label::Namespace("f_locals"), sink)?;
        let function = at.f_funcobj.or(at.f_func);
        if let Some(offset) = function
            && let Some(function) = self.stack_ref(self.memory.addr(frame + offset)?)
        {
            sink.edge(see, function, Label::Field("f_funcobj"));
        }
        let code = self.frame_code(frame)?;
        if let Some(code) = code.non_null() {
            sink.edge(see, code, Label::Field("f_code"));
        }
        let Some(localsplus) = at.localsplus else { return Ok(()) };
        let slots = frame + localsplus;
        let names = self.slot_names(code)?;
        let (len, see) = match (at.stackpointer, at.stacktop) {
            (Some(stackpointer), _) => {
                let top = self.memory.addr(frame + stackpointer)?;
                // A frame that is just being set up has no stack pointer yet.
                (if top.0 >= slots.0 { (top - slots) / 8 } else { names.len }, see)
            }
            (None, Some(stacktop)) => match u64::try_from(self.memory.i32(frame + stacktop)?) {
                Ok(top) => (top, see),
                // A frame that is running keeps its top in a register; its locals are valid, but
                // nobody visits them: -1 is below the first.
                Err(_) => (names.len, Sight::Hidden),
            },
            (None, None) => (0, see),
        };
        if len > self.frame_slots(code)? {
            let what = "the stack of a frame";
            return Err(DecodeError::Implausible { what, addr: frame, value: len });
        }
        self.words(slots, len, "the stack of a frame", |nth, word| {
            if let Some(object) = self.stack_ref(word) {
                sink.edge(see, object, self.slot_label(&names, nth.into()));
            }
        })
    }

    /// `frame_traverse` (`Objects/frameobject.c`).
    pub(super) fn frame_object_referents(
        &self,
        object: Addr,
        sink: &mut impl EdgeSink,
    ) -> Result<(), DecodeError> {
        let at = &self.layout.at.frame_object;
        let see = Sight::Visited;
        self.field(object + at.f_trace, see, Label::Attribute(Name::Known("f_trace")), sink)?;
        match self.layout.has.frames {
            Frames::Interpreter | Frames::InterpreterTagged => {
                let label = Label::Attribute(Name::Known("f_back"));
                self.field(object + at.f_back, see, label, sink)?;
                let extra = Label::Field("f_extra_locals");
                self.optional_field(object, at.f_extra_locals, see, extra, sink)?;
                let cache = Label::Field("f_locals_cache");
                self.optional_field(object, at.f_locals_cache, see, cache, sink)?;
                let overwritten = Label::Field("f_overwritten_fast_locals");
                self.optional_field(object, at.f_overwritten_fast_locals, see, overwritten, sink)?;
                let frame = self.memory.addr(object + at.f_frame.unwrap_or(0))?;
                let owner = self.layout.at.interpreter_frame.owner.unwrap_or(0);
                if self.memory.u8(frame + owner)? == OWNED_BY_FRAME_OBJECT {
                    self.interpreter_frame_referents(frame, sink)?;
                }
                Ok(())
            }
            Frames::ObjectsWithTop | Frames::ObjectsWithDepth => {
                self.classic_frame_referents(object, sink)
            }
        }
    }

    /// A frame object up to 3.10: its fields, its locals, and its stack unless it is running.
    fn classic_frame_referents(
        &self,
        object: Addr,
        sink: &mut impl EdgeSink,
    ) -> Result<(), DecodeError> {
        let at = &self.layout.at.frame_object;
        let see = Sight::Visited;
        let attribute = |name| Label::Attribute(Name::Known(name));
        self.field(object + at.f_back, see, attribute("f_back"), sink)?;
        self.optional_field(object, at.f_code, see, attribute("f_code"), sink)?;
        self.optional_field(object, at.f_builtins, see, Label::Namespace("f_builtins"), sink)?;
        self.optional_field(object, at.f_globals, see, Label::Namespace("f_globals"), sink)?;
        self.optional_field(object, at.f_locals, see, Label::Namespace("f_locals"), sink)?;
        let (Some(f_code), Some(localsplus), Some(valuestack)) =
            (at.f_code, at.f_localsplus, at.f_valuestack)
        else {
            return Ok(());
        };
        let names = self.slot_names(self.memory.addr(object + f_code)?)?;
        let what = "the stack of a frame";
        self.words(object + localsplus, names.len, what, |nth, local| {
            sink.edge(see, local, self.slot_label(&names, nth.into()));
        })?;
        let stack = self.memory.addr(object + valuestack)?;
        let depth = match (at.f_stacktop, at.f_stackdepth) {
            (Some(stacktop), _) => {
                let top = self.memory.addr(object + stacktop)?;
                if top.0 > stack.0 { (top - stack) / 8 } else { 0 }
            }
            (None, Some(stackdepth)) => {
                u64::try_from(self.memory.i32(object + stackdepth)?).unwrap_or(0)
            }
            (None, None) => 0,
        };
        let room = self.memory.u64(object + OB_SIZE)?;
        if depth > room {
            return Err(DecodeError::Implausible { what, addr: object, value: depth });
        }
        self.words(stack, depth, what, |nth, word| sink.edge(see, word, Label::Stack(nth)))
    }

    /// The bytes of the structure of a frame object without what the frame itself takes.
    pub(super) fn frame_object_base(&self) -> u64 {
        self.layout.at.frame_object._f_frame_data.unwrap_or(OBJECT_SIZE)
    }

    /// `frame.__sizeof__` (`Objects/frameobject.c`).
    pub(super) fn frame_size(&self, object: Addr) -> Result<u64, DecodeError> {
        let at = &self.layout.at;
        match (at.frame_object.f_frame, at.interpreter_frame.localsplus) {
            (Some(f_frame), Some(localsplus)) => {
                let frame = self.memory.addr(object + f_frame)?;
                let code = self.frame(frame)?.code;
                let slots = self.frame_slots(code)?;
                Ok(self.frame_object_base() + localsplus + slots * POINTER)
            }
            _ => {
                let code = self.memory.addr(object + at.frame_object.f_code.unwrap_or(0))?;
                let slots = self.frame_slots(code)?;
                Ok((at.frame_object.sizeof + slots * POINTER).saturating_sub(POINTER))
            }
        }
    }
}

/// Keeps the local variables among what a frame holds.
struct Locals<'l, 'o, M> {
    objects: &'l Objects<'o, M>,
    found: Vec<(String, Addr)>,
}

impl<M: Memory> EdgeSink for Locals<'_, '_, M> {
    fn edge(&mut self, _: Sight, target: Addr, label: Label) {
        if let Label::Local(Name::Str(name)) | Label::Keywords(Name::Str(name)) = label
            && let Ok(name) = self.objects.text(name)
        {
            self.found.push((name, target));
        }
    }

    fn in_run(&mut self, _: Sight, _: Addr, _: Run, _: u32) {}
}
