//! `cargo bench --bench snapshot [-- OBJECTS…]`: pyheap against what can be asked inside the process.
//!
//! Starts a Python that builds a heap (`heap.py`, by number of objects and seed), measures
//! `pyheap snapshot` on it, then the peers in the same process, and prints one table. Peers that are
//! pip cannot fetch are skipped with a message. It asserts nothing about time.

#![allow(clippy::print_stdout)]

mod heap;
#[path = "../tests/support/mod.rs"]
mod support;

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::resource::{UsageWho, getrusage};
use serde_json::Value;

use heap::{Target, with_peers};

/// The sizes of heaps unless others are given.
const OBJECTS: [u64; 3] = [100_000, 1_000_000, 10_000_000];
/// What the physical limit is measured with, in bytes a read.
const PIECE: usize = 1 << 20;

/// The argument with which the benchmark starts itself.
const MEASURE: &str = "--measure";

fn main() -> Result<()> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR"));
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [MEASURE, command, pid] = words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        return run(command, pid);
    }
    // Cargo adds `--bench`; all else are numbers of objects.
    let mut sizes: Vec<u64> = words.iter().filter_map(|word| word.parse().ok()).collect();
    if sizes.is_empty() {
        sizes = OBJECTS.to_vec();
    }
    let mut pythons = support::pythons::find(workspace)?;
    pythons.retain(|python| {
        python.root.is_none() && !python.debug && ["3.11", "3.13"].contains(&&*python.minor())
    });
    pythons.dedup_by_key(|python| python.minor());
    if pythons.is_empty() {
        println!("there is no Python 3.11 or 3.13: nothing is measured");
    }
    for python in pythons {
        let executable = with_peers(workspace, &python)?;
        println!("\nCPython {}", python.label());
        println!(
            "{:<22}{:>12}{:>10}{:>10}{:>9}{:>12}{:>12}",
            "", "objects", "wall s", "pause s", "ns/obj", "MiB copied", "peak MiB"
        );
        for &objects in &sizes {
            measure(workspace, &executable, objects)?;
        }
    }
    Ok(())
}

/// Runs pyheap, and prints what it says with its time and its peak. In a process of its own, for the
/// kernel tells the peak of all children together: here pyheap is the only one.
fn run(command: &str, pid: &str) -> Result<()> {
    let start = Instant::now();
    let output = Command::new(env!("CARGO_BIN_EXE_pyheap"))
        .args([command, "--json", "-p", pid])
        .stderr(Stdio::inherit())
        .output()?;
    let wall = start.elapsed().as_secs_f64();
    if !output.status.success() {
        bail!("pyheap: {}", output.status);
    }
    let peak = getrusage(UsageWho::RUSAGE_CHILDREN)?.max_rss();
    let report: Value = serde_json::from_slice(&output.stdout)?;
    println!("{}", serde_json::json!({"wall": wall, "peak_kib": peak, "report": report}));
    Ok(())
}

/// What a command of pyheap says, and what it took.
fn ask_pyheap(command: &str, pid: u32) -> Result<Value> {
    let output = Command::new(std::env::current_exe()?)
        .args([MEASURE.to_owned(), command.to_owned(), pid.to_string()])
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        bail!("the measurement of pyheap {command}: {}", output.status);
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// One heap: pyheap, the peers, and the plain copy.
fn measure(workspace: &Path, python: &Path, objects: u64) -> Result<()> {
    let mut target = Target::start(workspace, python, objects)?;
    let measured = ask_pyheap("snapshot", target.pid())?;
    let report = &measured["report"];
    let wall = measured["wall"].as_f64().context("no time")?;
    let peak = measured["peak_kib"].as_f64().context("no peak")?;
    let found = report["totals"]["objects"].as_u64().context("no totals")?;
    let pause = report["pause"]["seconds"].as_f64().context("no pause")?;
    let copied = report["captured_bytes"].as_u64().context("no captured bytes")?;
    let per_object = |seconds: f64, objects: u64| seconds * 1e9 / objects.max(1) as f64;
    println!(
        "{:<22}{found:>12}{:>10.3}{pause:>10.4}{:>9.0}{:>12.1}{:>12.1}",
        "pyheap snapshot",
        wall,
        per_object(wall, found),
        copied as f64 / f64::from(1 << 20),
        peak / 1024.0,
    );
    let limit = plain_copy(target.pid(), copied)?.as_secs_f64();
    println!(
        "{:<22}{:>12}{limit:>10.4}{:>10}   pause / limit {:.1}",
        "  plain copy",
        "",
        "",
        pause / limit
    );
    let table = ask_pyheap("histogram", target.pid())?["wall"].as_f64().context("no time")?;
    println!("{:<22}{:>12}{table:>10.3}", "pyheap histogram", "");
    for peer in ["gc", "closure", "objgraph", "guppy3"] {
        let answer = target.ask(peer)?;
        let Some(seconds) = answer["seconds"].as_f64() else {
            println!("{:<22}skipped: {}", format!("  {peer}"), answer["skipped"]);
            continue;
        };
        let seen = answer["objects"].as_u64().unwrap_or(0);
        let grown = answer["grown_kib"].as_u64().unwrap_or(0) as f64 / 1024.0;
        println!(
            "{:<22}{seen:>12}{seconds:>10.3}{seconds:>10.4}{:>9.0}{:>12}{:>12}   pause × {:.1}",
            format!("  {peer} (inside)"),
            per_object(seconds, seen),
            "",
            format!("+{grown:.1}"),
            seconds / pause,
        );
    }
    Ok(())
}

/// How long one thread takes to read so many bytes of a process in pieces of a mebibyte: no pause
/// that copies as much can be shorter by more than its threads. The pieces are of its writable
/// anonymous memory, over and over.
fn plain_copy(pid: u32, bytes: u64) -> Result<Duration> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let memory = std::fs::File::open(format!("/proc/{pid}/mem"))?;
    let mut pieces = Vec::new();
    for line in maps.lines().filter(|line| line.contains(" rw-p ") && !line.contains('/')) {
        let (start, rest) = line.split_once('-').context("a line of maps")?;
        let end = rest.split(' ').next().context("a line of maps")?;
        let (start, end) = (u64::from_str_radix(start, 16)?, u64::from_str_radix(end, 16)?);
        pieces.extend((start..end).step_by(PIECE).filter(|at| at + PIECE as u64 <= end));
    }
    let mut buffer = vec![0; PIECE];
    let mut left = bytes;
    let start = Instant::now();
    for &at in pieces.iter().cycle() {
        if left == 0 {
            break;
        }
        let len = left.min(PIECE as u64);
        let buf = buffer.get_mut(..usize::try_from(len)?).context("a piece")?;
        memory.read_exact_at(buf, at)?;
        left -= len;
    }
    Ok(start.elapsed())
}
