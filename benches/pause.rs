//! `cargo bench --bench pause [-- OBJECTS…]`: for how long a target stands still, in each mode, and what it feels of it.
//!
//! Starts a Python with a heap (`heap.py`) and prints a table of pauses, each beside what it is to be compared with: a
//! plain loop of `process_vm_readv`, `os.fork()` in that very process, and the peers inside of it. It asserts nothing
//! about time.

#![allow(clippy::print_stdout)]

mod heap;
#[path = "../tests/support/mod.rs"]
mod support;

use std::io::{BufRead, BufReader, IoSliceMut};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;
use pyheap::target::Process;
use serde_json::Value;

use heap::{Target, with_peers};

/// The sizes of heaps unless others are given.
const OBJECTS: [u64; 2] = [1_000_000, 10_000_000];
/// Each number is the median of so many.
const TIMES: usize = 5;
/// The bytes of a plain read.
const PIECE: usize = 1 << 20;
/// For how long requests are sent to see how long each takes.
const SERVING: Duration = Duration::from_secs(3);

fn main() -> Result<()> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sizes: Vec<u64> = std::env::args().filter_map(|word| word.parse().ok()).collect();
    if sizes.is_empty() {
        sizes = OBJECTS.to_vec();
    }
    let pythons = support::pythons::find(workspace)?;
    let python = pythons
        .iter()
        .find(|python| python.root.is_none() && !python.debug && python.minor() == "3.11")
        .context("there is no Python 3.11")?;
    let executable = with_peers(workspace, python)?;
    for objects in sizes {
        println!(
            "\nCPython {}, {objects} objects; medians of {TIMES}, in milliseconds",
            python.label()
        );
        let mut target = Target::start(workspace, &executable, objects)?;
        stop(&target)?;
        cow(&mut target)?;
        none(&target)?;
        serving(&mut target)?;
        for peer in ["gc", "objgraph", "guppy3", "pympler"] {
            let answer = target.ask(peer)?;
            match answer["seconds"].as_f64() {
                Some(seconds) => row(&format!("{peer} (inside)"), seconds, None),
                None => println!("{peer:<28}skipped: {}", answer["skipped"]),
            }
        }
    }
    Ok(())
}

fn row(what: &str, seconds: f64, compared: Option<(&str, f64)>) {
    let ratio = compared
        .map(|(name, other)| format!("{:>12.2}  {name}, × {:.2}", other * 1e3, seconds / other));
    println!("{what:<28}{:>12.2}{}", seconds * 1e3, ratio.unwrap_or_default());
}

fn median(mut values: Vec<f64>) -> Result<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().context("no values")
}

fn repeated(mut measure: impl FnMut() -> Result<f64>) -> Result<f64> {
    median((0..TIMES).map(|_| measure()).collect::<Result<_>>()?)
}

fn snapshot(target: &Target, mode: &str) -> Result<Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_pyheap"))
        .args(["snapshot", "--json", "--pause", mode, "-p", &target.pid().to_string()])
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(output.status.success(), "pyheap: {}", output.status);
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn seconds(document: &Value) -> Result<f64> {
    document["pause"]["seconds"].as_f64().context("no pause")
}

/// A stop, against one thread that reads as many bytes.
fn stop(target: &Target) -> Result<()> {
    let mut copied = 0;
    let pause = repeated(|| {
        let document = snapshot(target, "stop")?;
        copied = document["captured_bytes"].as_u64().context("no captured bytes")?;
        seconds(&document)
    })?;
    let plain = repeated(|| plain_read(target.pid(), copied))?;
    row("stop", pause, Some(("process_vm_readv of as much", plain)));
    println!(
        "{:<28}{:>12.1} MiB copied, {:.3} s a GB",
        "",
        copied as f64 / 1048576.0,
        pause * 1e9 / copied as f64
    );
    Ok(())
}

/// How long one thread takes to read so many bytes of a process, a mebibyte at a time into the same buffer.
fn plain_read(pid: u32, bytes: u64) -> Result<f64> {
    let process = Process::open(pid)?;
    let map = process.memory_map()?;
    let mut buffer = vec![0; PIECE];
    let pieces: Vec<usize> = map
        .iter()
        .filter(|mapping| mapping.write && mapping.is_anonymous() && mapping.read)
        .flat_map(|mapping| (mapping.range.start.0..mapping.range.end.0).step_by(PIECE))
        .map(usize::try_from)
        .collect::<Result<_, _>>()?;
    let pid = Pid::from_raw(i32::try_from(pid)?);
    let start = Instant::now();
    let mut left = usize::try_from(bytes)?;
    for &base in pieces.iter().cycle() {
        if left == 0 {
            break;
        }
        let len = left.min(PIECE);
        let part = buffer.get_mut(..len).context("a piece")?;
        let remote = RemoteIoVec { base, len };
        // The last piece of a mapping is shorter; what is not there is not counted.
        left -=
            process_vm_readv(pid, &mut [IoSliceMut::new(part)], &[remote]).unwrap_or(0).min(left);
    }
    Ok(start.elapsed().as_secs_f64())
}

/// A fork from outside, against one from inside, and what a sweep over all objects takes while the child lives.
fn cow(target: &mut Target) -> Result<()> {
    let pause = repeated(|| seconds(&snapshot(target, "cow")?))?;
    let inside = repeated(|| target.ask("fork")?["seconds"].as_f64().context("no time"))?;
    row("cow", pause, Some(("os.fork() inside", inside)));
    let foretold = pyheap::target::cow::predicted_pause(&Process::open(target.pid())?);
    row("  foretold", foretold.as_secs_f64(), None);
    let before = repeated(|| target.ask("sweep")?["seconds"].as_f64().context("no time"))?;
    let while_forked = {
        let _child = Child::of(target.pid())?;
        target.ask("sweep")?["seconds"].as_f64().context("no time")?
    };
    row("sweep while a child lives", while_forked, Some(("without", before)));
    Ok(())
}

fn none(target: &Target) -> Result<()> {
    let start = Instant::now();
    let document = snapshot(target, "none")?;
    let torn = &document["torn"]["objects"];
    println!(
        "{:<28}{:>12.2}  {torn} torn, {:.1} s in all",
        "none",
        0.0,
        start.elapsed().as_secs_f64()
    );
    Ok(())
}

/// A child of a target, held by a guardian until it is dropped.
struct Child(std::process::Child);

impl Child {
    fn of(pid: u32) -> Result<Self> {
        let mut guardian = Command::new(env!("CARGO_BIN_EXE_pyheap"))
            .args(["__guardian", &pid.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(guardian.stdout.as_mut().context("no stdout")?).read_line(&mut line)?;
        if !line.contains("forked") {
            bail!("{line}");
        }
        Ok(Self(guardian))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// The median time of requests, with and without snapshots by a fork meanwhile.
fn serving(target: &mut Target) -> Result<()> {
    let before = median(requests(target, || false)?)?;
    let pid = target.pid().to_string();
    let mut pyheap = Command::new(env!("CARGO_BIN_EXE_pyheap"))
        .args(["snapshot", "--json", "--pause", "cow", "-p", &pid])
        .stdout(Stdio::null())
        .spawn()?;
    let during = requests(target, || pyheap.try_wait().is_ok_and(|status| status.is_some()))?;
    pyheap.wait()?;
    row("request while it is read", median(during)?, Some(("without", before)));
    Ok(())
}

/// Sends requests for a while; gives how long each took, seen from outside.
fn requests(target: &mut Target, mut enough: impl FnMut() -> bool) -> Result<Vec<f64>> {
    let start = Instant::now();
    let mut times = Vec::new();
    while start.elapsed() < SERVING && !enough() {
        let sent = Instant::now();
        target.ask("request")?;
        times.push(sent.elapsed().as_secs_f64());
    }
    Ok(times)
}
