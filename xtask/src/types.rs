//! `cargo xtask types`: what pyheap knows of each type, measured on every version, as `docs/types.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::support::compare::compare_fixture;
use crate::support::pythons::{self, Python};
use crate::support::report::TypeFacts;

/// Fixtures with instances of as many types as possible.
const FIXTURES: &[&str] = &[
    "empty",
    "stdlib",
    "functions",
    "generators",
    "iterators",
    "exceptions",
    "instances",
    "weakrefs",
    "types_",
    "modules",
    "threads",
];

/// The modules of the fixtures and of what tells their truth.
const NOT_PYTHONS_OWN: &[&str] = &["__main__.", "_truth."];

/// Prints the types that C makes, of the modules named on stdin and of all that they import. A class that Python makes
/// is freed by `subtype_dealloc`, which no other type has (`tp_dealloc` stands at 48 in all releases).
const C_TYPES: &str = r#"
import ctypes, importlib, os, sys
out = os.dup(1)
os.dup2(2, 1)
for module in sys.stdin.read().split():
    try:
        importlib.import_module(module)
    except BaseException:
        pass
dealloc = lambda t: ctypes.c_void_p.from_address(id(t) + 48).value
by_python = dealloc(type("T", (), {}))
get = lambda t, field: type.__dict__[field].__get__(t)
names, seen, todo = set(), set(), [object]
while todo:
    t = todo.pop()
    if t in seen:
        continue
    seen.add(t)
    todo += type.__subclasses__(t)
    if dealloc(t) != by_python:
        names.add("%s.%s" % (get(t, "__module__"), get(t, "__qualname__")))
os.write(out, "\n".join(sorted(names)).encode())
"#;

/// What was measured on one version.
struct Measured {
    python: Python,
    types: BTreeMap<String, TypeFacts>,
    /// The types that are made in C.
    by_c: BTreeSet<String>,
}

/// Builds pyheap, compares the fixtures on the newest patch level of every version, and writes the document.
///
/// # Errors
/// If a comparison cannot be made, or finds a difference: then the document would claim too much.
pub(crate) fn write(workspace: &Path) -> Result<()> {
    build(workspace)?;
    let mut all = Vec::new();
    for python in newest_of_each_version(pythons::find(workspace)?) {
        all.push(measure(workspace, python)?);
    }
    ensure!(!all.is_empty(), "no supported Python was found");
    let path = workspace.join("docs/types.md");
    std::fs::write(&path, document(&all)?)
        .with_context(|| format!("cannot write {}", path.display()))?;
    println!("wrote {}", path.display());
    Ok(())
}

fn build(workspace: &Path) -> Result<()> {
    let program = std::env::var_os("CARGO");
    let program = program.as_deref().unwrap_or_else(|| OsStr::new("cargo"));
    let status = Command::new(program)
        .args(["build", "--package", "pyheap", "--bin", "pyheap"])
        .current_dir(workspace)
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "cargo build: {status}");
    Ok(())
}

/// Of default builds, sorted by version, the last of each minor release.
fn newest_of_each_version(found: Vec<Python>) -> Vec<Python> {
    let mut newest = BTreeMap::new();
    for python in found.into_iter().filter(|python| !python.debug) {
        newest.insert((python.version.0, python.version.1), python);
    }
    newest.into_values().collect()
}

fn measure(workspace: &Path, python: Python) -> Result<Measured> {
    let pyheap = pythons::target_dir(workspace).join("debug/pyheap");
    let mut types: BTreeMap<String, TypeFacts> = BTreeMap::new();
    for fixture in FIXTURES {
        println!("{} {fixture}", python.label());
        let sources = workspace.join("python-fixtures");
        let report = compare_fixture(&python, &sources, &pyheap, fixture, &[])
            .with_context(|| format!("{} {fixture}", python.label()))?;
        ensure!(report.is_exact(), "not exact:\n{report}");
        for (name, facts) in &report.types {
            types.entry(name.clone()).or_default().merge(*facts);
        }
    }
    let by_c = c_types(&python, types.keys())?;
    Ok(Measured { python, types, by_c })
}

fn c_types<'a>(
    python: &Python,
    names: impl Iterator<Item = &'a String>,
) -> Result<BTreeSet<String>> {
    // of `a.b.C.D` any beginning may be the module
    let modules: BTreeSet<&str> = names
        .flat_map(|name| name.match_indices('.').filter_map(|(dot, _)| name.get(..dot)))
        .filter(|module| *module != "__main__")
        .collect();
    let mut child = python
        .command()
        .args(["-W", "ignore", "-c", C_TYPES])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let list = modules.into_iter().collect::<Vec<_>>().join("\n");
    // dropped at the end of the statement, which ends the list
    child.stdin.take().context("no stdin")?.write_all(list.as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "{}: no list of types: {}", python.label(), output.status);
    Ok(String::from_utf8(output.stdout)?.lines().map(str::to_owned).collect())
}

fn document(all: &[Measured]) -> Result<String> {
    let mut text = String::from(INTRODUCTION);
    shares(&mut text, all)?;
    let names: BTreeSet<&String> = all
        .iter()
        .flat_map(|measured| measured.types.keys().filter(|name| is_listed(measured, name)))
        .collect();
    let is_exact = |name: &str| {
        let facts = all.iter().filter_map(|measured| measured.types.get(name));
        facts.into_iter().all(|facts| !facts.inferred && !facts.estimated)
    };
    let (exact, others): (Vec<&String>, Vec<&String>) =
        names.into_iter().partition(|name| is_exact(name));
    text.push_str("\n## Types that are not exact everywhere\n\n| type |");
    for measured in all {
        write!(text, " {} |", measured.python.minor())?;
    }
    writeln!(text, "\n|---|{}", "---|".repeat(all.len()))?;
    for name in others {
        write!(text, "| `{name}` |")?;
        for measured in all {
            write!(text, " {} |", cell(measured.types.get(name)))?;
        }
        text.push('\n');
    }
    let exact: Vec<String> = exact.into_iter().map(|name| format!("`{name}`")).collect();
    writeln!(
        text,
        "\n## Types that are exact\n\nIn every version where they occur: {}.",
        exact.join(", ")
    )?;
    Ok(text)
}

const INTRODUCTION: &str = "\
# Which types are exact

<!-- Generated by `cargo xtask types`. Do not edit. -->

- **exact**: size and references are what the process itself says with `sys.getsizeof()` and
  `gc.get_referents()`. This document is only written where every such number is equal.
- **inferred**: pyheap has no rule for the type and could not follow the machine code of its
  `tp_traverse` for one of its objects, so it scans the memory of that object for addresses of
  objects. The percentage is the part of references that are right: those that both pyheap and the
  process have, of those that either has, rounded down. Where neither has any there is no number.
- **estimated**: the size is what the type declares (`tp_basicsize`), without what a `__sizeof__` may
  add.

`pyheap` names the inferred and estimated types of a process itself: `inferred_types` and
`estimated_types` in `--json`. A class made in Python may be inferred where its base is not, since the
code of the base was not followed for one of its objects. Sizes of inferred types are compared too.

## How right the inferred references are

Measured on the project's own fixtures, one patch level per version, default builds. Types of other
packages are not part of it.

";

/// A table of all inferred references of each version, classes made in Python included.
fn shares(text: &mut String, all: &[Measured]) -> Result<()> {
    text.push_str(
        "| Python | objects compared | of inferred types | references right | lacking | extra | right of all |\n\
         |---|--:|--:|--:|--:|--:|--:|\n",
    );
    for measured in all {
        let mut inferred = TypeFacts::default();
        for facts in measured.types.values().filter(|facts| facts.inferred) {
            inferred.merge(*facts);
        }
        let objects: u64 = measured.types.values().map(|facts| facts.objects).sum();
        let share = (inferred.right * 10_000).checked_div(inferred.edges());
        let share = share.map_or_else(
            || "–".to_owned(),
            |share| format!("{}.{:02} %", share / 100, share % 100),
        );
        let TypeFacts { objects: scanned, right, lacking, extra, .. } = inferred;
        writeln!(
            text,
            "| {} | {objects} | {scanned} | {right} | {lacking} | {extra} | {share} |",
            measured.python.label()
        )?;
    }
    Ok(())
}

/// Whether the document is about a type: one of Python's own that C makes, or whatever is not exact.
fn is_listed(measured: &Measured, name: &str) -> bool {
    let noted = measured.types.get(name).is_some_and(|facts| facts.inferred || facts.estimated);
    let is_harness = NOT_PYTHONS_OWN.iter().any(|module| name.starts_with(module));
    !is_harness && (noted || measured.by_c.contains(name))
}

fn cell(facts: Option<&TypeFacts>) -> String {
    let Some(facts) = facts else { return "–".to_owned() };
    let mut words = Vec::new();
    if facts.inferred {
        let share = (facts.right * 100).checked_div(facts.edges());
        words.push(
            share.map_or_else(|| "inferred".to_owned(), |share| format!("inferred {share} %")),
        );
    }
    if facts.estimated {
        words.push("estimated".to_owned());
    }
    if words.is_empty() { "exact".to_owned() } else { words.join(", ") }
}
