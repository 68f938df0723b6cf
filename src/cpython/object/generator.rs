//! Generators, coroutines and asynchronous generators (`Objects/genobject.c`).

use super::{DecodeError, EdgeSink, Label, Name, Native, Objects, Sight};
use crate::addr::Addr;
use crate::target::memory::Memory;

impl<M: Memory> Objects<'_, M> {
    /// `gen_traverse` and `async_gen_traverse`.
    pub(super) fn generator_referents(
        &self,
        object: Addr,
        native: &Native,
        sink: &mut impl EdgeSink,
    ) -> Result<(), DecodeError> {
        let at = &self.layout.at.generator;
        let see = Sight::Visited;
        let attribute = |name| Label::Attribute(Name::Known(name));
        self.field(object + at.gi_name, see, attribute("__name__"), sink)?;
        self.field(object + at.gi_qualname, see, attribute("__qualname__"), sink)?;
        self.optional_field(object, at.gi_code, see, attribute("gi_code"), sink)?;
        self.optional_field(object, at.gi_frame, see, attribute("gi_frame"), sink)?;
        self.exception_state_referents(object + at.gi_exc_state, sink)?;
        match native {
            Native::AsyncGenerator => {
                let finalizer = self.layout.at.async_generator.ag_finalizer;
                let finalizer = finalizer.or(at.gi_origin_or_finalizer);
                self.optional_field(object, finalizer, see, Label::Field("ag_finalizer"), sink)?;
            }
            Native::Coroutine => {
                let (origin, sight) = match self.layout.at.coroutine.cr_origin {
                    Some(origin) => (Some(origin), Sight::Hidden),
                    None => (at.gi_origin_or_finalizer, see),
                };
                self.optional_field(object, origin, sight, Label::Field("cr_origin"), sink)?;
            }
            _ => {}
        }
        let (Some(state), Some(iframe)) = (at.gi_frame_state, at.gi_iframe) else { return Ok(()) };
        let state = i8::from_le_bytes([self.memory.u8(object + state)?]);
        let frame = object + iframe;
        if state < self.layout.has.frame_states.cleared {
            return self.interpreter_frame_referents(frame, sink);
        }
        // Of a cleared frame only the code object is still owned (from 3.12 on).
        if let Some(executable) =
            self.layout.at.interpreter_frame.f_executable.or(match at.gi_code {
                Some(_) => None,
                None => self.layout.at.interpreter_frame.f_code,
            })
        {
            let code = self.memory.addr(frame + executable)?.without_tag(3);
            if let Some(code) = code.non_null() {
                let visits = self.layout.has.cleared_generator_visits_code;
                let sight = if visits { see } else { Sight::Hidden };
                sink.edge(sight, code, attribute("gi_code"));
            }
        }
        Ok(())
    }

    /// The exception that is being handled (`exc_state_traverse`).
    pub(super) fn exception_state_referents(
        &self,
        state: Addr,
        sink: &mut impl EdgeSink,
    ) -> Result<(), DecodeError> {
        let at = &self.layout.at.exception_state;
        let see = Sight::Visited;
        self.field(state + at.exc_value, see, Label::Field("exc_value"), sink)?;
        self.optional_field(state, at.exc_type, see, Label::Field("exc_type"), sink)?;
        self.optional_field(state, at.exc_traceback, see, Label::Field("exc_traceback"), sink)
    }

    /// The code object that a generator of 3.11 or later runs, for the size of its frame.
    pub(super) fn generator_code(&self, object: Addr) -> Result<Option<Addr>, DecodeError> {
        let at = &self.layout.at;
        let (gi_code, iframe) = (at.generator.gi_code, at.generator.gi_iframe);
        let frame = &at.interpreter_frame;
        match (gi_code, iframe, frame.f_executable.or(frame.f_code)) {
            (Some(gi_code), Some(_), _) => self.reference(object + gi_code),
            (None, Some(iframe), Some(executable)) => {
                let code = self.memory.addr(object + iframe + executable)?;
                Ok(code.without_tag(3).non_null())
            }
            _ => Ok(None),
        }
    }
}
