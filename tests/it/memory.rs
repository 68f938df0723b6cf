//! Where memory is: the parts add up on every interpreter, each kind of memory is found in its part, and what is said of
//! `malloc` is what it says of itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::support::fixture::Fixture;
use crate::support::pythons::{self, Python};
use crate::support::run::{Run, Target};

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn pyheap(args: &[&str]) -> Result<Value> {
    Run::of(Path::new(env!("CARGO_BIN_EXE_pyheap")), args)?.json()
}

fn fixture(python: &Python, kind: &str) -> Result<Fixture> {
    let fixture = Fixture::start(python, &workspace().join("python-fixtures"), "memory", &[kind])?;
    fixture.settle()?;
    Ok(fixture)
}

fn memory(pid: u32) -> Result<Value> {
    pyheap(&["memory", "-p", &pid.to_string(), "--json"])
}

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or_default()
}

fn parts(document: &Value) -> Result<BTreeMap<&str, i64>> {
    let parts = document["parts"].as_array().context("no parts")?;
    Ok(parts
        .iter()
        .map(|part| (part["name"].as_str().unwrap_or("?"), number(&part["bytes"])))
        .collect())
}

/// The parts and the rest are RSS, the rest is little, and the pieces of each part are the part.
fn adds_up(document: &Value) -> Result<()> {
    let rss = number(&document["rss_bytes"]);
    let unexplained = number(&document["unexplained_bytes"]);
    let sum: i64 = parts(document)?.values().sum();
    ensure!(rss > 4 << 20 && sum + unexplained == rss, "{sum} and {unexplained} are not {rss}");
    ensure!(unexplained.abs() * 50 <= rss, "{unexplained} of {rss} is unexplained");
    for part in document["parts"].as_array().context("no parts")? {
        let pieces = part["detail"].as_array().context("no detail")?;
        let pieces: i64 = pieces.iter().map(|piece| number(&piece["bytes"])).sum();
        ensure!(pieces == number(&part["bytes"]), "the pieces do not add up: {part}");
    }
    Ok(())
}

fn status(pid: u32, name: &str) -> Result<i64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).context("no such line")?;
    Ok(line.trim_matches(|c: char| !c.is_ascii_digit()).parse::<i64>()? * 1024)
}

fn all(one: impl Fn(&Python) -> Result<()>) -> Result<()> {
    let mut pythons = pythons::find(workspace())?;
    // What is compared is the C library's, and that of a private root is another one.
    pythons.retain(|python| python.root.is_none() && !python.debug);
    pythons::each(pythons, one)
}

/// An interpreter of this machine, in no private root.
fn any_python() -> Result<Python> {
    let mut pythons = pythons::find(workspace())?;
    pythons.retain(|python| python.root.is_none() && !python.debug);
    pythons.pop().context("no interpreter")
}

#[test]
fn the_parts_add_up_to_what_is_in_memory() -> Result<()> {
    all(|python| {
        let fixture = Fixture::start(python, &workspace().join("python-fixtures"), "stdlib", &[])?;
        fixture.settle()?;
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("heap.parquet");
        let file = file.to_str().context("not UTF-8")?;
        let pid = fixture.pid();
        pyheap(&["snapshot", "-p", &pid.to_string(), "-o", file, "--json"])?;
        let saved = pyheap(&["memory", file, "--json"])?;
        let live = memory(pid)?;
        for document in [&saved, &live] {
            adds_up(document)?;
            let rss = number(&document["rss_bytes"]);
            let kernel = status(pid, "VmRSS:")?;
            ensure!((rss - kernel).abs() * 50 <= kernel, "{rss}, and VmRSS is {kernel}");
        }
        let (saved, live) = (parts(&saved)?, parts(&live)?);
        for (name, bytes) in &live {
            let before = saved.get(name).context("a part is missing")?;
            ensure!((bytes - before).abs() <= 1 << 20, "{name}: {before} in the file, {bytes} now");
        }
        ensure!(live["python_objects"] > 4 << 20, "{live:?}");
        Ok(())
    })
}

#[test]
fn each_kind_of_memory_is_found_in_its_part_and_said_in_words() -> Result<()> {
    let kinds = [
        ("objects", "python_objects", "It is Python"),
        ("buffers", "buffers", "It is Python"),
        ("malloc", "malloc_used", "It is not live Python objects"),
        ("untouched", "malloc_used", "It is not live Python objects"),
        ("freed", "malloc_free", "It is not live Python objects"),
        ("fragments", "python_free", "It is not live Python objects"),
        ("mapped", "anonymous_mappings", "It is not live Python objects"),
        ("shared", "file_mappings", "It is not live Python objects"),
        ("stacks", "stacks", "It is not live Python objects"),
    ];
    let words = [
        ("python_free", "fragmentation"),
        ("malloc_free", "malloc_trim(0) would give back"),
        ("malloc_used", "C library or extension"),
        ("stacks", "stacks of"),
        ("file_mappings", "/dev/shm"),
        ("anonymous_mappings", "mmap"),
    ];
    let python = any_python()?;
    for (kind, expected, said) in kinds {
        let fixture = fixture(&python, kind)?;
        let document = memory(fixture.pid())?;
        adds_up(&document).with_context(|| kind.to_owned())?;
        let parts = parts(&document)?;
        let biggest = parts.iter().max_by_key(|(_, bytes)| **bytes).context("no parts")?;
        ensure!(*biggest.0 == expected, "{kind}: {parts:?}");
        let verdict = document["verdict"].to_string();
        ensure!(
            document["verdict"][0].as_str().is_some_and(|first| first.starts_with(said)),
            "{verdict}"
        );
        for (_, word) in words.iter().filter(|(part, _)| *part == expected) {
            ensure!(verdict.contains(word), "{kind}: {word:?} is not said in {verdict}");
        }
        println!("{kind}: {verdict}");
    }
    Ok(())
}

/// mallinfo2's numbers in its order.
const FIELDS: usize = 10;

#[test]
fn malloc_is_what_it_says_of_itself() -> Result<()> {
    all(|python| {
        let mut fixture = fixture(python, "arenas")?;
        let document = memory(fixture.pid())?;
        adds_up(&document)?;
        let told = fixture.ask("mallinfo")?;
        let told: Vec<i64> = told.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        let (before, after) = told.split_at(FIELDS);
        ensure!(before == after, "it changed meanwhile: {told:?}");
        let malloc = &document["malloc"];
        let arenas = malloc["arenas"].as_array().context("no arenas")?;
        let sum = |names: &[&str]| -> i64 {
            arenas
                .iter()
                .flat_map(|arena| names.iter().map(move |name| number(&arena[*name])))
                .sum()
        };
        let free = ["top_bytes", "binned_bytes", "unsorted_bytes", "fast_bytes"];
        let found = [
            sum(&["system_bytes"]),
            number(&malloc["mapped_blocks"]),
            number(&malloc["mapped_bytes"]),
            sum(&["fast_bytes"]),
            // Caches of threads are in use as far as it knows.
            sum(&["used_bytes", "cached_bytes"]),
            sum(&free),
            number(&arenas.first().context("no main arena")?["top_bytes"]),
        ];
        let [arena, _, _, hblks, hblkhd, _, fsmblks, uordblks, fordblks, keepcost] = after[..]
        else {
            anyhow::bail!("not ten numbers: {told:?}");
        };
        let expected = [arena, hblks, hblkhd, fsmblks, uordblks, fordblks, keepcost];
        ensure!(found == expected, "found {found:?}, told {expected:?}");
        ensure!(arenas.len() >= 4 && sum(&["cached_bytes"]) > 0, "{malloc}");
        ensure!(arenas.iter().all(|arena| arena["is_complete"] == true), "{malloc}");
        ensure!(number(&malloc["thread_caches"]) == 5, "{malloc}");
        // What the file that it is asked for is made of is in the main arena; the others are as they were.
        let text = fixture.ask("malloc_info")?;
        let heaps: Vec<&str> = text.split("<heap nr=").skip(1).collect();
        ensure!(heaps.len() == arenas.len(), "{} arenas, {} heaps", arenas.len(), heaps.len());
        for (arena, heap) in arenas.iter().zip(heaps).skip(1) {
            let said = |tag: &str, name: &str| {
                let rest = heap.split(tag).nth(1)?.split(name).nth(1)?;
                rest.split('"').next()?.parse::<i64>().ok()
            };
            let size = |tag: &str| said(tag, "size=\"").unwrap_or(0);
            // It adds the flag of each block in a list to its size; the top has none added.
            let rest = "<total type=\"rest\"";
            let flags = said(rest, "count=\"").context("no count")? - 1;
            let free: i64 = free.iter().take(3).map(|name| number(&arena[*name])).sum();
            let found = [number(&arena["system_bytes"]), free, number(&arena["fast_bytes"])];
            let fast = size("<total type=\"fast\"");
            let expected = [size("<system type=\"current\""), size(rest) - flags, fast];
            ensure!(found == expected, "found {found:?}, told {heap}");
        }
        Ok(())
    })
}

/// Libraries of other allocators: installed, or unpacked into `target/allocators`.
fn allocators() -> Vec<(&'static str, PathBuf)> {
    let names = [
        ("jemalloc", "libjemalloc.so.2"),
        ("mimalloc", "libmimalloc.so.2"),
        ("tcmalloc", "libtcmalloc_minimal.so.4"),
    ];
    let folders =
        ["/usr/lib/x86_64-linux-gnu".into(), pythons::target_dir(workspace()).join("allocators")];
    let folders: [PathBuf; 2] = folders;
    let found = names.into_iter().filter_map(|(name, file)| {
        let path = folders.iter().map(|folder| folder.join(file)).find(|path| path.exists())?;
        Some((name, path))
    });
    found.collect()
}

#[test]
fn another_allocator_is_named_and_has_its_mappings() -> Result<()> {
    let python = any_python()?;
    for (name, library) in allocators() {
        let mut command = Command::new(&python.executable);
        let script = workspace().join("python-fixtures/memory.py");
        let target = Target::ready(command.arg(script).arg("malloc").env("LD_PRELOAD", &library))?;
        let document = memory(target.pid().parse()?)?;
        adds_up(&document)?;
        ensure!(document["malloc"]["allocator"] == name, "{}", document["malloc"]);
        ensure!(document["malloc"]["arenas"] == Value::Array(Vec::new()), "{}", document["malloc"]);
        let used = parts(&document)?["malloc_used"];
        ensure!(used > 60_000_000, "{name}: {document}");
        println!("{name}: {used} bytes");
    }
    Ok(())
}

#[test]
fn growth_is_told_by_its_part() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let python = any_python()?;
    let mut files = Vec::new();
    for kind in ["arenas", "malloc"] {
        let fixture = fixture(&python, kind)?;
        let file = folder.path().join(kind);
        let file = file.to_str().context("not UTF-8")?.to_owned();
        pyheap(&["snapshot", "-p", &fixture.pid().to_string(), "-o", &file, "--json"])?;
        files.push(file);
    }
    let args = ["diff", files[0].as_str(), files[1].as_str()];
    let run = Run::of(Path::new(env!("CARGO_BIN_EXE_pyheap")), &args)?;
    run.expect(0, &[])?;
    ensure!(run.stdout.contains("Most in memory grew: allocated by C code"), "{}", run.stdout);
    Ok(())
}
