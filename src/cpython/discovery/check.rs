//! Whether memory looks as a layout says: nothing is believed before.

use super::images::Candidate;
use crate::addr::Addr;
use crate::cpython::layout::features::{DICT_SUBCLASS, HEAPTYPE, TYPE_SUBCLASS};
use crate::cpython::layout::{Layout, OB_TYPE};
use crate::cpython::object::{Known, Objects};
use crate::cpython::version::{Build, Version};
use crate::limits::Limits;
use crate::target::memory::Memory;

/// The outcome for a runtime that no interpreter lives in: a library that was only loaded.
pub(super) const NOT_STARTED: &str = "no interpreter has been started in it";

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
) -> Result<Verified, String> {
    let at = &layout.at;
    let read = |what: &str, at: Addr| {
        memory.addr(at).map_err(|error| format!("{what} cannot be read: {error}"))
    };
    let main = read("the main interpreter", runtime + at.runtime.interpreters_main)?;
    let head = read("the list of interpreters", runtime + at.runtime.interpreters_head)?;
    if head.is_null() {
        return Err(NOT_STARTED.to_owned());
    }
    let interpreter = if main.is_null() { head } else { main };
    let sysdict = read("the dictionary of sys", interpreter + at.interpreter.sysdict)?;
    let dict_type = read("the type of the dictionary of sys", sysdict + OB_TYPE)?;
    let type_type = read("the type of dict", dict_type + OB_TYPE)?;
    if let Some(expected) = candidate.type_type
        && expected != type_type
    {
        // The header is longer in builds with --with-trace-refs, and without the GIL.
        if read("the type of type", expected + OB_TYPE)? != expected {
            return Err("objects have another header: a build with --with-trace-refs?".to_owned());
        }
        return Err(format!("the dictionary of sys at {sysdict} is no dictionary"));
    }
    if read("the type of type", type_type + OB_TYPE)? != type_type {
        return Err(format!("{type_type} is not the type of types"));
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
        return Err("the flags of type and dict are not where they should be".to_owned());
    }
    for (ty, name) in [(type_type, "type"), (dict_type, "dict")] {
        let tp_name = read("a type's name", ty + at.ty.tp_name)?;
        let found = objects.c_text(tp_name).map_err(failed("a type's name"))?;
        if found != name {
            return Err(format!("the type called {found:?} should be {name:?}"));
        }
    }
    if flags(dict_type)? & HEAPTYPE != 0 {
        return Err("dict is on the heap".to_owned());
    }
    let builtins = read("the dictionary of builtins", interpreter + at.interpreter.builtins)?;
    if read("the type of the dictionary of builtins", builtins + OB_TYPE)? != dict_type {
        return Err("the dictionary of builtins is no dictionary".to_owned());
    }
    check_threads(memory, layout, interpreter)?;
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
        return Err(format!("it {is} a debug build"));
    }
    check_collector(memory, layout, runtime, interpreter)?;
    Ok(Verified { known, version })
}

/// A thread must know its interpreter.
fn check_threads(memory: &impl Memory, layout: &Layout, interpreter: Addr) -> Result<(), String> {
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

/// How often the collector's lists are looked at: the target runs, and may be changing them.
const LOOKS: usize = 200;

/// Each generation's list must close in the collector's state, at one look of many: a target that
/// allocates as fast as it can moves objects from list to list all the time.
fn check_collector(
    memory: &impl Memory,
    layout: &Layout,
    runtime: Addr,
    interpreter: Addr,
) -> Result<(), String> {
    let mut outcome = Ok(());
    for _ in 0..LOOKS {
        outcome = look_at_collector(memory, layout, runtime, interpreter);
        if outcome.is_ok() {
            break;
        }
        memory.forget();
    }
    outcome
}

/// One look at the collector's lists.
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
        // The last object's next is the head again. While the target runs, the youngest list may
        // be caught between two stores; the older ones hardly ever.
        if generation > 0 && (last.is_null() || read(last)?.without_tag(3) != head) {
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
