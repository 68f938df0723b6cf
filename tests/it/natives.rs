//! The layouts of C types that were written by hand, against the machine code of the types themselves: what the rule of
//! a type says that its objects visit is what its own `tp_traverse` visits when that is followed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, ensure};
use pyheap::addr::Addr;
use pyheap::cpython::object::{
    DecodeError, EdgeSink, Label, Native, Objects, Run, Sight, TypeInfo,
};
use pyheap::heap::{self, WalkOptions};
use pyheap::limits::Limits;
use pyheap::take;
use pyheap::target::{Memory, PageCache, Process};

use crate::record::each_minor;
use crate::support::fixture::Fixture;
use crate::support::pythons::{self, Python};

/// Fixtures that have objects of many types of C code.
const FIXTURES: [&str; 6] =
    ["stdlib", "iterators", "functions", "exceptions", "generators", "types_"];
/// How much of the target's memory is remembered, in bytes.
const CACHE: usize = 256 << 20;

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What an object visits.
#[derive(Default)]
struct Visited {
    targets: Vec<Addr>,
    /// Its code could not be followed.
    guessed: bool,
}

impl EdgeSink for Visited {
    fn edge(&mut self, sight: Sight, target: Addr, _: Label) {
        if sight == Sight::Visited {
            self.targets.push(target);
        }
    }

    fn in_run(&mut self, sight: Sight, target: Addr, _: Run, _: u32) {
        self.edge(sight, target, Label::Stack(0));
    }

    fn guessed(&mut self) {
        self.guessed = true;
    }
}

/// The types that were met, by address.
type Types = HashMap<Addr, Option<Arc<TypeInfo>>>;

fn type_at<M: Memory>(
    objects: &Objects<'_, M>,
    at: Addr,
    types: &mut Types,
) -> Option<Arc<TypeInfo>> {
    if let Some(known) = types.get(&at) {
        return known.clone();
    }
    let error = DecodeError::Implausible { what: "a base", addr: at, value: 0 };
    let read = objects.read_type(at, |base| type_at(objects, base, types).ok_or(error));
    let ty = read.ok().map(Arc::new);
    types.insert(at, ty.clone());
    ty
}

fn visited<M: Memory>(objects: &Objects<'_, M>, object: Addr, ty: &TypeInfo) -> Result<Visited> {
    let mut visited = Visited::default();
    objects.referents(object, ty, false, &mut visited)?;
    visited.targets.sort_unstable();
    Ok(visited)
}

/// The types, by `tp_name`, of which objects were compared.
fn one(python: &Python, name: &str) -> Result<BTreeSet<String>> {
    let fixture = Fixture::start(python, &workspace().join("python-fixtures"), name, &[])?;
    fixture.settle()?;
    let process = Process::open(fixture.pid())?;
    let found = take::find(&process, Limits::default())?;
    let memory = PageCache::new(process.memory(), CACHE);
    let walked = heap::walk(&memory, &process.memory_map()?, &found, WalkOptions::default());
    let code = heap::code(&memory, &found, Limits::default());
    let objects = Objects {
        memory: &memory,
        layout: &found.layout,
        limits: Limits::default(),
        known: found.known,
        code: Some(&code),
    };
    let mut types = Types::new();
    let mut compared = BTreeSet::new();
    let mut wrong: BTreeMap<String, String> = BTreeMap::new();
    for object in walked.graph.ids().map(|object| walked.graph.addr(object)) {
        let Some(ty) = type_at(&objects, objects.type_at(object)?, &mut types) else { continue };
        if ty.is_scanned() {
            continue;
        }
        if !objects.is_gc(object, &ty) || !ty.has_traverse {
            // It has no such code: the collector does not ask it.
            compared.insert(ty.native_name.to_string());
            continue;
        }
        let by_rule = visited(&objects, object, &ty)?;
        let mut followed = TypeInfo::clone(&ty);
        followed.native = Native::Scan;
        let by_code = visited(&objects, object, &followed)?;
        if by_code.guessed {
            continue;
        }
        compared.insert(ty.native_name.to_string());
        if by_rule.targets != by_code.targets {
            wrong.entry(ty.name.clone()).or_insert_with(|| {
                format!("{}: {:?}, not {:?}", ty.name, by_rule.targets, by_code.targets)
            });
        }
    }
    ensure!(wrong.is_empty(), "{name}: {:#?}", wrong.values());
    Ok(compared)
}

#[test]
fn the_rules_for_c_types_say_what_their_code_says() -> Result<()> {
    let table = std::fs::read_to_string(workspace().join("src/cpython/layout/natives.txt"))?;
    let lines = table.lines().map(|line| line.split('#').next().unwrap_or_default());
    let mut left: BTreeSet<&str> =
        lines.filter_map(|line| line.split_whitespace().next()).collect();
    let rows = left.len();
    let compared = Mutex::new(BTreeSet::new());
    pythons::each(each_minor()?, |python| {
        for name in FIXTURES {
            let names = one(python, name)?;
            compared.lock().ok().context("a check panicked")?.extend(names);
        }
        Ok(())
    })?;
    let compared = compared.into_inner()?;
    left.retain(|name| !compared.contains(*name));
    // Links of a cache are no object that anything but the cache refers to.
    left.remove("functools._lru_list_elem");
    ensure!(left.is_empty(), "{} of {rows} rows were not compared: {left:?}", left.len());
    Ok(())
}
