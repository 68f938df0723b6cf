//! The traps of CPython's memory, each with a test that fails if the code forgets it: what a release keeps elsewhere, or
//! with another meaning, than its neighbours. One process of each interpreter says what is true.

use std::collections::HashMap;
use std::path::Path;
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::support::altered::Altered;
use crate::support::pythons::{self, Python};
use crate::support::run::{Run, Target};

/// Builds an example of each trap, and says of it what the interpreter itself says.
const PROGRAM: &str = r#"
import asyncio, gc, json, os, sys, types, weakref

told, freed = {}, []

def tell(name, one):
    told[name] = {"at": hex(id(one)), "bytes": sys.getsizeof(one),
                  "referents": sorted(hex(id(other)) for other in gc.get_referents(one))}
    return one

class Plain:
    def __init__(self):
        self.first = [1]
        self.second = [2]

class Slotted:
    __slots__ = ("one", "__weakref__")

class Both:
    __slots__ = ("one", "__dict__", "__weakref__")

def suspended(number, text):
    local = [number, text]
    yield [local, number, (yield text), (yield local)]

values = tell("attributes", Plain())
materialized = Plain()
assert materialized.__dict__
tell("materialized attributes", materialized)
slotted = Slotted()
slotted.one = [3]
tell("weak reference list before it", slotted)
weak = tell("weak reference", weakref.ref(slotted))
both = Both()
both.one = [4]
both.other = [5]
tell("slots and a dictionary", both)
loop = asyncio.new_event_loop()
future = tell("an object of C code with managed attributes", loop.create_future())

generator = suspended(1 << 40, os.urandom(60))
next(generator)
generator.send([6])
tell("suspended frame", generator)

numbers = [tell("number %d" % number, number) for number in (0, 1, -5, 300, -300, 1 << 29, 1 << 30, 1 << 31, -(10 ** 40))]
shrunk = {str(number) for number in range(100)}
for number in range(0, 100, 3):
    shrunk.discard(str(number))
tell("set with dummies", shrunk)
holes = {str(number): [number] for number in range(50)}
for number in range(0, 50, 7):
    del holes[str(number)]
tell("dictionary with holes", holes)
mixed = {"text": [7], 8: [8]}
tell("dictionary of all kinds of keys", mixed)
status = tell("hidden items", os.stat("/"))
module = types.ModuleType("made")
module.item = [9]
tell("module", module)

static = {}
for kind in (int, dict, object, type, Exception, type(None)):
    table = gc.get_referents(kind.__dict__)[0]
    static[kind.__name__] = [hex(id(kind)), hex(id(table))]
    tell("dictionary of " + kind.__name__, table)

counted = [10]
held = [counted] * 1000

made = [tuple(range(number % 20)) for number in range(2000)] + [[number] for number in range(200)]
made += [float(number) + 0.5 for number in range(300)] + [{number: number} for number in range(200)]
freed = [hex(id(one)) for one in made if one != ()]
one = kind = table = number = None
del made

def noted(name, one):
    told_frames[name] = hex(id(one))
    return one

told_frames = {}

def wait(said):
    print(said, flush=True)
    return sys.stdin.read()

def run():
    # Nothing but this frame holds them, and no list of the collector has them.
    local = noted("a local variable", os.urandom(100))
    return max(noted("the value stack", os.urandom(100)), key=lambda _: [local, wait(say())]), local

def say():
    frozen = gc.get_freeze_count() if hasattr(gc, "get_freeze_count") else 0
    return json.dumps({"told": told, "static": static, "freed": freed, "frames": told_frames,
                       "counted": hex(id(counted)), "none": hex(id(None)), "frozen": frozen, "text": hex(id("counted"))})

gc.collect()
gc.disable()
if "freeze" in sys.argv:
    gc.freeze()
run()
"#;

/// What an interpreter says, and what pyheap says of it.
struct Seen {
    python: Python,
    says: Value,
    objects: HashMap<String, Value>,
    histogram: Value,
}

fn look(python: &Python, words: &[&str]) -> Result<Seen> {
    use std::io::{BufRead, BufReader};
    let mut command = python.command();
    command.args(["-c", PROGRAM]).args(words).env("PYTHONHASHSEED", "0");
    let child = command
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()?;
    let mut target = Target(child);
    let mut line = String::new();
    BufReader::new(target.0.stdout.as_mut().context("no output")?).read_line(&mut line)?;
    let says = serde_json::from_str(&line).context("the program says nothing")?;
    let pyheap = Path::new(env!("CARGO_BIN_EXE_pyheap"));
    let pid = target.pid();
    let lines = Run::of(pyheap, &["objects", "-p", &pid, "--json"])?.json_lines()?;
    let histogram = Run::of(pyheap, &["histogram", "-p", &pid, "--json"])?.json()?;
    let object = |line: Value| Some((line["address"].as_str()?.to_owned(), line));
    let objects = lines.into_iter().filter_map(object).collect();
    Ok(Seen { python: python.clone(), says, objects, histogram })
}

/// All interpreters, looked at once.
fn all() -> Result<&'static [Seen]> {
    static SEEN: OnceLock<std::result::Result<Vec<Seen>, String>> = OnceLock::new();
    let seen = SEEN.get_or_init(|| {
        let found = pythons::find(Path::new(env!("CARGO_MANIFEST_DIR")));
        let found = found.map_err(|error| format!("{error:#}"))?;
        let look = |python: &Python| {
            look(python, &[]).map_err(|error| format!("{}: {error:#}", python.label()))
        };
        found.iter().map(look).collect()
    });
    seen.as_deref().map_err(|error| anyhow::anyhow!("{error}"))
}

impl Seen {
    fn object(&self, at: &Value) -> Result<&Value> {
        let at = at.as_str().context("no address")?;
        self.objects.get(at).with_context(|| format!("{}: no object {at}", self.python.label()))
    }

    /// Checks what the interpreter has told of some objects.
    fn is_as_told(&self, is_meant: impl Fn(&str) -> bool) -> Result<()> {
        let label = self.python.label();
        let mut tried = 0;
        for (name, told) in self.says["told"].as_object().context("nothing was told")? {
            if !is_meant(name) {
                continue;
            }
            let object = self.object(&told["at"]).with_context(|| name.clone())?;
            ensure!(object["shallow_bytes"] == told["bytes"], "{label}: {name}: {object} {told}");
            let mut referents = object["referents"].as_array().context("no list")?.clone();
            referents.sort_by_key(ToString::to_string);
            ensure!(
                told["referents"] == Value::Array(referents),
                "{label}: {name}: {object} {told}"
            );
            tried += 1;
        }
        ensure!(tried > 0, "{label}: nothing of it was told");
        Ok(())
    }
}

/// Checks objects by the beginnings of their names, on all interpreters.
fn told(names: &[&str]) -> Result<()> {
    all()?.iter().try_for_each(|seen| {
        names.iter().try_for_each(|&name| seen.is_as_told(|told| told.starts_with(name)))
    })
}

/// Words before an object: the collector's header, and two more where dictionaries or weak references are managed, in
/// another order in each of 3.11, 3.12 and 3.13. `getsizeof` counts them, and not what lies inside the object from 3.13 on.
#[test]
fn what_lies_before_an_object() -> Result<()> {
    told(&["attributes", "materialized", "weak reference list", "slots and", "an object of C code"])
}

/// A weak reference has the address of its object, which it does not hold.
#[test]
fn what_is_an_address_and_no_reference() -> Result<()> {
    told(&["weak reference"])
}

/// The dictionary of a static type is in the type, and from 3.12 on in the interpreter: `tp_dict` is null there.
#[test]
fn dictionaries_of_static_types() -> Result<()> {
    told(&["dictionary of int", "dictionary of NoneType", "dictionary of type"])?;
    for seen in all()? {
        let types = seen.says["static"].as_object().context("no types")?;
        for (name, places) in types {
            let ty = seen.object(&places[0])?;
            let holds =
                |field: &str| ty[field].as_array().is_some_and(|held| held.contains(&places[1]));
            let is_held = holds("referents") || holds("hidden_referents");
            ensure!(is_held, "{}: {name} without its dictionary: {ty}", seen.python.label());
        }
        ensure!(types.len() == 6, "{types:?}");
    }
    Ok(())
}

/// Slots of frames are tagged from 3.14 on; a suspended frame has a value stack besides its variables.
#[test]
fn slots_of_suspended_frames() -> Result<()> {
    told(&["suspended frame"])
}

/// The same of a frame that runs, which up to 3.10 does not say how high its stack is. What only it holds has no other way
/// to be found: no list of the collector has it.
#[test]
fn slots_of_running_frames() -> Result<()> {
    for seen in all()? {
        let frames = seen.says["frames"].as_object().context("no frames")?;
        for (name, at) in frames {
            let object = seen.object(at).with_context(|| name.clone())?;
            ensure!(object["type"] == "builtins.bytes", "{name}: {object}");
        }
        ensure!(frames.len() == 2, "{frames:?}");
    }
    Ok(())
}

/// The sign and the count of digits share a word, in another way from 3.12 on; zero has a digit from 3.11 on.
#[test]
fn numbers_of_every_length_and_sign() -> Result<()> {
    told(&["number"])
}

/// Deleted entries, dummies, keys of strings alone, items that `len` does not count.
#[test]
fn what_tables_hold_and_what_they_held() -> Result<()> {
    told(&["set with dummies", "dictionary with holes", "dictionary of all kinds", "hidden items"])
}

/// The structure of a module changed in 3.15.
#[test]
fn modules() -> Result<()> {
    told(&["module"])
}

/// A reference count is a word, then (3.12) its low half, then (3.14) that with flags above; a count that no code changes
/// is none.
#[test]
fn reference_counts() -> Result<()> {
    for seen in all()? {
        let label = seen.python.label();
        let object = seen.object(&seen.says["counted"])?;
        ensure!(object["refcount"] == 1001 && object["immortal"] == false, "{label}: {object}");
        let none = seen.object(&seen.says["none"])?;
        ensure!(none["immortal"] == (seen.python.version >= (3, 12, 0)), "{label}: {none}");
    }
    Ok(())
}

/// What was freed lies in free lists. From 3.14 on it keeps its type there, and a link lies where the count was: it looks
/// alive.
#[test]
fn free_lists_are_not_alive() -> Result<()> {
    for seen in all()? {
        let freed = seen.says["freed"].as_array().context("nothing was freed")?;
        ensure!(freed.len() > 2000, "{}", freed.len());
        let alive = |at: &&Value| at.as_str().is_some_and(|at| seen.objects.contains_key(at));
        // Telling makes objects, and some of the places are taken again.
        let known = freed.iter().filter(alive).count();
        let zombies: Vec<_> = freed
            .iter()
            .filter(alive)
            .filter(|at| {
                seen.object(at).is_ok_and(|object| {
                    object["refcount"].as_u64() > Some(1 << 20) && object["immortal"] == false
                })
            })
            .collect();
        ensure!(zombies.is_empty(), "{}: {zombies:?}", seen.python.label());
        ensure!(known < freed.len() / 2, "{}: {known} of {}", seen.python.label(), freed.len());
    }
    Ok(())
}

/// 3.12 starts with hundreds of objects in the permanent generation, which `gc.get_objects()` hides; `gc.freeze()` puts all
/// there.
#[test]
fn the_permanent_generation() -> Result<()> {
    for seen in all()? {
        let frozen = &seen.histogram["totals"]["gc_frozen"];
        ensure!(*frozen == seen.says["frozen"], "{}: {frozen}", seen.python.label());
        ensure!(
            (*frozen != 0) == (seen.python.version.1 == 12),
            "{}: {frozen}",
            seen.python.label()
        );
        let seen = look(&seen.python, &["freeze"])?;
        let frozen = &seen.histogram["totals"]["gc_frozen"];
        ensure!(frozen.as_u64() > Some(2000), "{}: {frozen}", seen.python.label());
        ensure!(*frozen == seen.says["frozen"], "{}: {frozen}", seen.python.label());
    }
    Ok(())
}

/// The offsets of a release are not those of its minor version: 3.13.5 moved the collector's lists by four bytes. An
/// interpreter that says another patch level than it has is as a vendor's build that differs: the check that fails is
/// named, and there are no numbers.
#[test]
fn a_build_whose_offsets_are_others_is_refused_by_the_check_that_fails() -> Result<()> {
    let Some(altered) = Altered::find()? else { return Ok(()) };
    let (major, minor, micro) = altered.python.version;
    ensure!((major, minor) >= (3, 13), "{major}.{minor}");
    let other = match (minor, micro) {
        (13, 0..5) => 0x030D_12F0,
        (13, _) => 0x030D_00F0,
        _ => return Ok(()),
    };
    let wait = "import sys; print('READY', flush=True); sys.stdin.read()";
    let target = altered.start(wait, |says| says.version(other))?;
    let run =
        Run::of(Path::new(env!("CARGO_BIN_EXE_pyheap")), &["histogram", "-p", &target.pid()])?;
    ensure!(run.stdout.is_empty(), "{}", run.stdout);
    run.expect(6, &["does not look as that should", "the list of generation", "does not close"])
}
