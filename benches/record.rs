//! `cargo bench --bench record [-- ROUNDS]`: what a recording costs the program that is recorded, beside
//! py-spy and memray on the same loop in the same run.
//!
//! The loop (`work.py`) is timed by itself, and in turn with each recorder, so that a busy machine is
//! busy for all. Peers that pip cannot fetch are skipped with a message. It asserts nothing about time.

#![allow(clippy::print_stdout)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

/// How many times each recorder is timed, in turn with the others.
const TURNS: usize = 7;
/// How many rounds of the loop are timed unless another number is given: some seconds.
const ROUNDS: u32 = 150;

/// A way to run the loop.
struct Way {
    name: &'static str,
    /// What is put before the program's own command line; empty: nothing.
    wrapper: Vec<String>,
    /// What is started beside it, with the number of the process at the end.
    beside: Vec<String>,
    seconds: Vec<f64>,
    own_cpu: Vec<f64>,
}

fn main() -> Result<()> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR"));
    let rounds = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(ROUNDS);
    let pythons = support::pythons::find(workspace)?;
    let python = pythons
        .iter()
        .find(|python| python.root.is_none() && !python.debug && python.minor() == "3.11");
    let python = python.context("there is no Python 3.11")?;
    let folder = tempfile::tempdir()?;
    let venv = support::pythons::target_dir(workspace).join("bench-record").join(python.label());
    let venv_python = venv.join("bin/python");
    if !venv_python.exists() {
        Command::new(&python.executable).args(["-m", "venv"]).arg(&venv).status()?;
    }
    let has = |package: &str| {
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", package];
        let installed = Command::new(&venv_python).args(pip).status();
        let installed = installed.is_ok_and(|status| status.success());
        if !installed {
            println!("pip cannot install {package}: skipped");
        }
        installed
    };
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let out = |name: &str| folder.path().join(name).display().to_string();
    let pyheap = env!("CARGO_BIN_EXE_pyheap");
    let way = |name, wrapper: String, beside: String| Way {
        name,
        wrapper: words(&wrapper),
        beside: words(&beside),
        seconds: Vec::new(),
        own_cpu: Vec::new(),
    };
    let record =
        |options: &str| format!("{pyheap} record -q -f -o {} {options} -p", out("a.parquet"));
    let mut ways = vec![
        way("alone", String::new(), String::new()),
        way("pyheap, counters", String::new(), record("--rate 0 --census none")),
        way("pyheap, stacks", String::new(), record("--census none")),
        way("pyheap, all (default)", String::new(), record("")),
    ];
    if has("py-spy") {
        let spy = venv.join("bin/py-spy").display().to_string();
        let options = format!("record --nonblocking --format raw -o {}", out("spy.txt"));
        ways.push(way("py-spy, non-blocking", String::new(), format!("{spy} {options} -p")));
        let options = format!("record --format raw -o {}", out("spy.txt"));
        ways.push(way("py-spy", String::new(), format!("{spy} {options} -p")));
    }
    if has("memray") {
        let run = format!("-m memray run --quiet --force -o {}", out("memray.bin"));
        ways.push(way("memray", run, String::new()));
    }
    for turn in 0..TURNS {
        for way in &mut ways {
            let (seconds, own_cpu) =
                time(way, &venv_python, &workspace.join("benches/work.py"), rounds)
                    .with_context(|| format!("{} in turn {turn}", way.name))?;
            way.seconds.push(seconds);
            way.own_cpu.push(own_cpu);
        }
    }
    println!("\nCPython {}, {rounds} rounds, {TURNS} turns", python.label());
    println!("{:<24}{:>12}{:>10}{:>12}", "", "median s", "slower %", "own CPU %");
    let alone = ways.first().map(|way| median(&way.seconds)).context("nothing was timed")?;
    for way in &ways {
        let seconds = median(&way.seconds);
        let slower = (seconds / alone - 1.0) * 100.0;
        let own = median(&way.own_cpu) * 100.0;
        println!("{:<24}{seconds:>12.3}{slower:>10.1}{own:>12.1}", way.name);
    }
    Ok(())
}

fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A process that is ended, and waited for, with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs the loop in one way: how long it took, and what part of that time the recorder used a processor.
fn time(way: &Way, python: &Path, script: &PathBuf, rounds: u32) -> Result<(f64, f64)> {
    let mut command = Command::new(python);
    command.args(&way.wrapper).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut target = Running(command.spawn()?);
    let mut input = target.0.stdin.take().context("no stdin")?;
    let mut output = BufReader::new(target.0.stdout.take().context("no stdout")?).lines();
    output.next().context("the loop does not start")??;
    let mut ask = |rounds: u32| -> Result<f64> {
        writeln!(input, "{rounds}")?;
        Ok(output.next().context("the loop has ended")??.parse()?)
    };
    // A round warms up.
    ask(1)?;
    let beside = match way.beside.split_first() {
        Some((program, arguments)) => {
            let mut command = Command::new(program);
            command.args(arguments).arg(target.0.id().to_string());
            let recorder = Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
            // It has opened the process when it has used some time and the loop has gone on.
            while cpu_seconds(recorder.0.id())? < 0.02 {
                ask(1)?;
            }
            Some(recorder)
        }
        None => None,
    };
    let before = beside.as_ref().map(|recorder| cpu_seconds(recorder.0.id())).transpose()?;
    let seconds = ask(rounds)?;
    let after = beside.as_ref().map(|recorder| cpu_seconds(recorder.0.id())).transpose()?;
    let own = after.unwrap_or(0.0) - before.unwrap_or(0.0);
    if let Some(mut recorder) = beside {
        let pid = recorder.0.id().to_string();
        Command::new("kill").args(["-s", "INT", &pid]).status()?;
        recorder.0.wait()?;
    }
    Ok((seconds, own / seconds))
}

/// Processor time of a process, in seconds.
fn cpu_seconds(pid: u32) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, rest) = text.rsplit_once(')').context("no stat")?;
    let mut fields = rest.split_whitespace().skip(11);
    let mut ticks = || -> Result<f64> { Ok(fields.next().context("no ticks")?.parse()?) };
    Ok((ticks()? + ticks()?) / 100.0)
}
