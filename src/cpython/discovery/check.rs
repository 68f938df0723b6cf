//! Whether memory looks as a layout says: nothing is believed before.

use super::images::Candidate;
use crate::addr::Addr;
use crate::cpython::layout::features::{DICT_SUBCLASS, HEAPTYPE, TYPE_SUBCLASS};
use crate::cpython::layout::{Layout, OB_TYPE};
use crate::cpython::object::{Known, Objects};
use crate::cpython::version::{Build, Version};
use crate::limits::Limits;
use crate::target::memory::Memory;

/// Why a runtime is not read by a layout.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// No interpreter lives in it: a library that was only loaded.
    #[error("no interpreter has been started in it")]
    NotStarted,
    /// Objects have two words more in front (`_PyObject_HEAD_EXTRA`, `Include/object.h`).
    #[error("objects have the longer header of a build with --with-trace-refs")]
    TraceRefs,
    /// Something is not where the layout has it.
    #[error("{0}")]
    Misfit(String),
}

impl From<String> for Refusal {
    fn from(what: String) -> Self {
        Self::Misfit(what)
    }
}

/// Where an object's type is in a build with `--with-trace-refs`: behind two more words.
const OB_TYPE_TRACE_REFS: u64 = 24;

/// What was learnt on the way.
pub(super) struct Verified {
    pub(super) known: Known,
    /// `sys.hexversion`, if the dictionary of `sys` has it.
    pub(super) version: Option<Version>,
}

/// Follows the chain from the runtime to `sys.modules` and checks every link.
pub(super) fn verify(
    memory: &impl Memory,
    layout: &Layout,
    runtime: Addr,
    candidate: &Candidate,
    build: Build,
    limits: Limits,
) -> Result<Verified, Refusal> {
    let at = &layout.at;
    let read = |what: &str, at: Addr| {
        memory.addr(at).map_err(|error| format!("{what} cannot be read: {error}"))
    };
    let main = read("the main interpreter", runtime + at.runtime.interpreters_main)?;
    let head = read("the list of interpreters", runtime + at.runtime.interpreters_head)?;
    if head.is_null() {
        return Err(Refusal::NotStarted);
    }
    let interpreter = if main.is_null() { head } else { main };
    let sysdict = read("the dictionary of sys", interpreter + at.interpreter.sysdict)?;
    if traces_refs(memory, sysdict, candidate.type_type) {
        return Err(Refusal::TraceRefs);
    }
    let dict_type = read("the type of the dictionary of sys", sysdict + OB_TYPE)?;
    let type_type = read("the type of dict", dict_type + OB_TYPE)?;
    if candidate.type_type.is_some_and(|expected| expected != type_type) {
        return Err(format!("the dictionary of sys at {sysdict} is no dictionary").into());
    }
    if read("the type of type", type_type + OB_TYPE)? != type_type {
        return Err(format!("{type_type} is not the type of types").into());
    }
    let known = Known {
        type_type,
        set_dummy: match candidate.set_dummy {
            Some(at) => read("_PySet_Dummy", at)?,
            None => Addr::NULL,
        },
        lookdict: Addr::NULL,
        interpreter,
        strcmp: candidate.strcmp_slot.and_then(|at| memory.addr(at).ok()).unwrap_or_default(),
        get_allocated_blocks: candidate.get_allocated_blocks.unwrap_or_default(),
        long_from: candidate.long_from.map(Option::unwrap_or_default),
    };
    let objects = Objects { memory, layout, limits, known, code: None };
    let failed = |what: &'static str| move |error| format!("{what}: {error}");
    let flags = |ty: Addr| memory.u64(ty + at.ty.tp_flags).map_err(|error| error.to_string());
    if flags(type_type)? & TYPE_SUBCLASS == 0 || flags(dict_type)? & DICT_SUBCLASS == 0 {
        return Err("the flags of type and dict are not where they should be".to_owned().into());
    }
    for (ty, name) in [(type_type, "type"), (dict_type, "dict")] {
        let tp_name = read("a type's name", ty + at.ty.tp_name)?;
        let found = objects.c_text(tp_name).map_err(failed("a type's name"))?;
        if found != name {
            return Err(format!("the type called {found:?} should be {name:?}").into());
        }
    }
    if flags(dict_type)? & HEAPTYPE != 0 {
        return Err("dict is on the heap".to_owned().into());
    }
    let builtins = read("the dictionary of builtins", interpreter + at.interpreter.builtins)?;
    if read("the type of the dictionary of builtins", builtins + OB_TYPE)? != dict_type {
        return Err("the dictionary of builtins is no dictionary".to_owned().into());
    }
    look_again(memory, || look_at_threads(memory, layout, interpreter))?;
    let lookdict = find_lookdict(&objects).unwrap_or_default();
    let known = Known { lookdict, ..known };
    let objects = Objects { memory, layout, limits, known, code: None };
    let hex = objects.dict_get(sysdict, "hexversion").map_err(failed("the dictionary of sys"))?;
    // One digit of 30 bits holds the hex version of any Python 3.
    let version = match hex {
        Some(int) => memory.u32(int + 24).ok().map(Version::from_hex),
        None => None,
    };
    let refs = objects.dict_get(sysdict, "gettotalrefcount").map_err(failed("sys"))?;
    if refs.is_some() != build.debug {
        let is = if build.debug { "is not" } else { "is" };
        return Err(format!("it {is} a debug build").into());
    }
    look_again(memory, || look_at_collector(memory, layout, runtime, interpreter))?;
    Ok(Verified { known, version })
}

/// Whether objects have the longer header: there, and only there, the type of the type of an object is its own type.
fn traces_refs(memory: &impl Memory, object: Addr, type_type: Option<Addr>) -> bool {
    let leads_to_type = |offset: u64| {
        let ty = |object: Addr| memory.addr(object + offset).ok();
        let Some(metatype) = ty(object).and_then(ty) else { return false };
        ty(metatype) == Some(metatype) && type_type.is_none_or(|expected| expected == metatype)
    };
    !leads_to_type(OB_TYPE) && leads_to_type(OB_TYPE_TRACE_REFS)
}

/// How often is looked at what the target changes while it runs.
const LOOKS: usize = 200;

/// Something must be as it should at one look of many: a target that allocates as fast as it can moves objects from
/// list to list all the time, and one that starts threads has a new one first in its list at each look.
fn look_again(memory: &impl Memory, look: impl Fn() -> Result<(), String>) -> Result<(), String> {
    let mut outcome = look();
    for _ in 1..LOOKS {
        if outcome.is_ok() {
            break;
        }
        memory.forget();
        outcome = look();
    }
    outcome
}

/// A thread must know its interpreter.
fn look_at_threads(memory: &impl Memory, layout: &Layout, interpreter: Addr) -> Result<(), String> {
    let at = &layout.at;
    let Some(head) = at.interpreter.threads_head.or(at.interpreter.tstate_head) else {
        return Err("the layout has no list of threads".to_owned());
    };
    let read = |at: Addr| memory.addr(at).map_err(|error| error.to_string());
    let thread = read(interpreter + head)?;
    if !thread.is_null() && read(thread + at.thread.interp)? != interpreter {
        return Err("the first thread does not belong to the interpreter".to_owned());
    }
    Ok(())
}

/// One look at the collector's lists: each generation's must close in the collector's state.
fn look_at_collector(
    memory: &impl Memory,
    layout: &Layout,
    runtime: Addr,
    interpreter: Addr,
) -> Result<(), String> {
    let at = &layout.at;
    let gc = match (at.runtime.gc, at.interpreter.gc) {
        (Some(offset), _) if layout.has.gc_in_runtime => runtime + offset,
        (_, Some(offset)) => interpreter + offset,
        _ => return Err("the layout has no collector".to_owned()),
    };
    let read = |at: Addr| memory.addr(at).map_err(|error| error.to_string());
    let collecting = memory.u32(gc + at.gc.collecting).map_err(|error| error.to_string())?;
    if collecting > 1 {
        return Err("the collector's state is not where it should be".to_owned());
    }
    if collecting == 1 {
        // Its lists are being rearranged.
        return Ok(());
    }
    for generation in 0..3 {
        let head = gc + at.gc.generations + generation * at.gc_generation.sizeof;
        let last = read(head + 8)?.without_tag(3);
        // What cannot be read is no list either.
        let next = read(last).unwrap_or_default().without_tag(3);
        // The last object's next is the head again. While the target runs, the youngest list may
        // be caught between two stores; the older ones hardly ever.
        if generation > 0 && (last.is_null() || next != head) {
            return Err(format!("the list of generation {generation} does not close"));
        }
    }
    Ok(())
}

/// The look-up function of dictionaries with arbitrary keys, up to 3.10: the one of the dictionary
/// of `object`'s subclasses, whose keys are addresses.
fn find_lookdict(objects: &Objects<'_, impl Memory>) -> Option<Addr> {
    let at = &objects.layout.at;
    let dk_lookup = at.dict_keys.dk_lookup?;
    let memory = objects.memory;
    let object_type = memory.addr(objects.known.type_type + at.ty.tp_base).ok()?;
    let subclasses = memory.addr(object_type + at.ty.tp_subclasses).ok()?;
    let keys = memory.addr(subclasses + at.dict.ma_keys).ok()?;
    memory.addr(keys + dk_lookup).ok()?.non_null()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::memory::{ReadError, ReadErrorKind};

    /// Words at addresses from 0x1000 on.
    struct Words(Vec<u64>);

    impl Memory for Words {
        fn read(&self, addr: Addr, buf: &mut [u8]) -> Result<(), ReadError> {
            let bytes: Vec<u8> = self.0.iter().flat_map(|word| word.to_le_bytes()).collect();
            let start = usize::try_from(addr.0.wrapping_sub(0x1000)).unwrap();
            match bytes.get(start..start.saturating_add(buf.len())) {
                Some(found) => buf.copy_from_slice(found),
                None => {
                    let kind = ReadErrorKind::Unmapped;
                    return Err(ReadError { addr, len: 8, kind });
                }
            }
            Ok(())
        }
    }

    #[test]
    fn what_changes_all_the_time_must_be_right_at_one_look_of_many() {
        let looks = std::cell::Cell::new(0);
        let right_at = |nth: usize| {
            looks.set(0);
            look_again(&Words(Vec::new()), || {
                looks.set(looks.get() + 1);
                if looks.get() == nth { Ok(()) } else { Err(format!("look {}", looks.get())) }
            })
        };
        assert_eq!((right_at(1), looks.get()), (Ok(()), 1));
        assert_eq!((right_at(7), looks.get()), (Ok(()), 7));
        assert_eq!(right_at(LOOKS + 1), Err(format!("look {LOOKS}")));
    }

    /// `sys.__dict__`, `dict` and `type`, 0x40 bytes apart.
    fn objects(ob_type: usize) -> Words {
        let mut words = vec![0; 24];
        for (at, ty) in [(0, 0x1040), (8, 0x1080), (16, 0x1080)] {
            words[at + ob_type] = ty;
        }
        Words(words)
    }

    #[test]
    fn the_longer_header_of_a_build_that_traces_references_is_known() {
        let (dict, ty) = (Addr(0x1000), Some(Addr(0x1080)));
        for known in [ty, None] {
            assert!(traces_refs(&objects(3), dict, known));
            assert!(!traces_refs(&objects(1), dict, known));
            // Neither: what lies there is no object.
            assert!(!traces_refs(&objects(2), dict, known));
        }
        assert!(!traces_refs(&objects(3), dict, Some(Addr(0x1040))), "another metatype");
        // With links to other objects in front, as they are there.
        let mut linked = objects(3);
        linked.0[1] = 0x1040;
        linked.0[9] = 0x1000;
        assert!(traces_refs(&linked, dict, ty));
    }
}
