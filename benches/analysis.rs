//! `cargo bench --bench analysis [-- OBJECTS]`: the analyses on heaps that are loaded from files: time,
//! time an object, and the memory that each takes on top of the loaded graph.
//!
//! The first heap is that of a Python (`heap.py`), of which a snapshot is taken. The second is generated
//! so that nothing helps: no object is a leaf, and a third of all references go anywhere. It is always the same for the same number: three references an object, of which one makes a
//! tree, one goes to a neighbour and one anywhere; one object in ten is a `Session`; one in a hundred
//! hangs on cycles that nothing holds. Beside it, a list of as many links and a star. It asserts
//! nothing about time.

#![allow(clippy::print_stdout)]

// What asks the target is for other benchmarks.
#[allow(dead_code)]
#[path = "heap/mod.rs"]
mod heap_of_python;
#[path = "../tests/support/mod.rs"]
mod support;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result};
use pyheap::addr::Addr;
use pyheap::analysis::garbage::Garbage;
use pyheap::analysis::suspects::suspects;
use pyheap::analysis::{
    Collection, Diff, Dominators, Hops, Identity, Paths, Selection, components::Components, cycles,
    lookup,
};
use pyheap::facts::Facts;
use pyheap::graph::{
    EdgeLabel, HeapGraph, LabelRun, ObjectFlags, ObjectId, Root, RootKind, TypeId, TypeRow,
};
use pyheap::snapshot::{self, Snapshot};

/// The objects of the heap, unless another number is given.
const OBJECTS: usize = 10_000_000;

/// Numbers that look random, always the same (`xorshift64`).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end.max(1) as u64).unwrap_or_default()
    }
}

/// A heap from the references of each object, which come in the order of the objects.
fn heap(
    objects: usize,
    roots: usize,
    mut edges: impl FnMut(usize, &mut Vec<ObjectId>),
) -> HeapGraph {
    let mut graph = HeapGraph::default();
    for name in ["builtins.list", "builtins.dict", "app.Session"] {
        let name = graph.strings.intern(name);
        graph.types.push(TypeRow { addr: Addr::NULL, name, estimated: false, inferred: false });
    }
    let mut list = Vec::new();
    let mut counts = vec![0_u32; objects];
    for object in 0..objects {
        list.clear();
        edges(object, &mut list);
        list.iter().for_each(|to| counts[to.index()] += 1);
        graph.addrs.push(Addr(0x1000 + 64 * object as u64));
        let ty = if object % 10 == 7 { 2 } else { (object % 2) as u32 };
        graph.object_types.push(TypeId(ty));
        graph.shallow_bytes.push(64);
        graph.flags.push(ObjectFlags(ObjectFlags::GC_TRACKED));
        graph.referents.push(list.iter().copied());
        graph.hidden_referents.push([]);
        let len = u32::try_from(list.len()).unwrap_or(u32::MAX);
        let runs = [LabelRun::Items { first: 0, len }];
        let one = [LabelRun::One(EdgeLabel::Index(0))];
        let shape = match len {
            0 => graph.shapes.intern(&[]),
            1 => graph.shapes.intern(&one),
            _ => graph.shapes.intern(&runs),
        };
        graph.shapes_of.push(shape);
        graph.hidden_shapes_of.push(graph.shapes.intern(&[]));
    }
    for nth in 0..roots {
        let name = graph.strings.intern(&format!("module{nth}"));
        let object = ObjectId::from_index(nth * (objects / 2) / roots);
        counts[object.index()] += 1;
        graph.roots.push(Root { kind: RootKind::Module, name, object, thread: None });
    }
    graph.refcounts = counts;
    graph
}

fn mixed(objects: usize) -> HeapGraph {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    // The last hundredth is garbage: rings of ten.
    let alive = objects - objects / 100;
    heap(objects, 1000, move |object, list| {
        if object >= alive {
            let ring = object - (object - alive) % 10;
            list.push(ObjectId::from_index((ring + (object + 1 - ring) % 10).min(objects - 1)));
            return;
        }
        let child = 1 + object + random.below(64);
        list.push(ObjectId::from_index(child.min(alive - 1)));
        list.push(ObjectId::from_index(object.saturating_sub(random.below(1000))));
        list.push(ObjectId::from_index(random.below(alive)));
    })
}

fn links(objects: usize) -> HeapGraph {
    heap(objects, 1, |object, list| {
        list.extend((object + 1 < objects).then(|| ObjectId::from_index(object + 1)));
    })
}

fn star(objects: usize) -> HeapGraph {
    heap(objects, 1, |object, list| {
        if object == 0 {
            list.extend((1..objects).map(ObjectId::from_index));
        }
    })
}

/// A number of `/proc/self/status`, in bytes.
fn status(field: &str) -> Result<u64> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find(|line| line.starts_with(field)).context("no such field")?;
    let kib: u64 = line.split_whitespace().nth(1).context("no number")?.parse()?;
    Ok(kib * 1024)
}

/// Measures one analysis: seconds, nanoseconds and bytes an object.
fn measure<T>(what: &str, graph: &HeapGraph, run: impl FnOnce() -> T) -> Result<T> {
    // Resets the peak to what is resident now (`Documentation/filesystems/proc.rst`).
    std::fs::write("/proc/self/clear_refs", "5")?;
    let before = status("VmRSS")?;
    let begun = Instant::now();
    let result = run();
    let seconds = begun.elapsed().as_secs_f64();
    let peak = status("VmHWM")?.saturating_sub(before);
    let objects = graph.len() as f64;
    println!(
        "  {what:<28} {seconds:>8.2} s {:>8.1} ns/obj {:>8.1} B/obj",
        seconds * 1e9 / objects,
        peak as f64 / objects
    );
    Ok(result)
}

fn analyses(name: &str, graph: &HeapGraph, type_name: &str) -> Result<()> {
    let edges = graph.referents.edges();
    println!("{name}: {} objects, {edges} references", graph.len());
    measure("dominators and retained", graph, || Dominators::new(graph).total_bytes())?;
    measure("components", graph, || Components::new(graph, |_| true).len())?;
    let collection = measure("garbage", graph, || {
        let collection = Collection::new(graph);
        let garbage = Garbage::new(graph, &collection);
        println!("    {} objects are garbage", garbage.objects);
        collection
    })?;
    measure("cycles", graph, || cycles(graph, &collection, &Selection::all(), Hops::Folded).len())?;
    drop(collection);
    measure("why of a type", graph, || -> Result<()> {
        let found = lookup::find_type(graph, type_name)?;
        let paths = Paths::new(graph);
        let groups = paths.group(graph, found.objects(graph));
        println!("    {} objects in {} ways", found.objects(graph).count(), groups.len());
        Ok(())
    })??;
    Ok(())
}

/// The heap of a Python process.
fn python(objects: usize, file: &Path) -> Result<()> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pythons = support::pythons::find(workspace)?;
    let Some(python) = pythons.iter().find(|python| python.root.is_none() && !python.debug) else {
        println!("there is no Python: its heap is not measured");
        return Ok(());
    };
    let target = heap_of_python::Target::start(workspace, &python.executable, objects as u64)?;
    let pid = target.pid().to_string();
    let status = Command::new(env!("CARGO_BIN_EXE_pyheap"))
        .args(["snapshot", "--quiet", "-n", "0", "-p", &pid, "-o"])
        .arg(file)
        .stdout(Stdio::null())
        .status()?;
    drop(target);
    anyhow::ensure!(status.success(), "pyheap: {status}");
    let loaded = measure_load(file)?;
    analyses(&format!("CPython {}", python.label()), &loaded.graph, "Order")
}

/// Loads a snapshot, and says how long that took.
fn measure_load(file: &Path) -> Result<Snapshot> {
    let begun = Instant::now();
    let loaded = snapshot::load(file)?;
    let (seconds, objects) = (begun.elapsed().as_secs_f64(), loaded.graph.len() as f64);
    let bytes = std::fs::metadata(file)?.len() as f64;
    println!("loaded in {seconds:.2} s; the file has {:.1} B/obj", bytes / objects);
    Ok(loaded)
}

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let objects = words.iter().find_map(|word| word.parse().ok()).unwrap_or(OBJECTS);
    let folder = tempfile::tempdir()?;
    python(objects, &folder.path().join("python.parquet"))?;
    let file = folder.path().join("heap.parquet");
    let made = Snapshot { facts: Facts::default(), graph: mixed(objects) };
    snapshot::save(&made, &file, false)?;
    drop(made);
    let loaded = snapshot::load(&file)?;
    analyses("mixed", &loaded.graph, "Session")?;
    // The other heap has a tenth of the objects less, so that a tenth is new.
    let before = mixed(objects - objects / 10);
    let graph = &loaded.graph;
    let diff = measure("diff", graph, || Diff::new(&before, graph, Identity::SameProcess))?;
    drop(before);
    measure("suspects of the diff", graph, || suspects(graph, &diff, None).len())?;
    drop((loaded, diff));
    analyses("links", &links(objects), "Session")?;
    analyses("star", &star(objects), "Session")?;
    Ok(())
}
