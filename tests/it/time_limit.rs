//! `--timeout`: a bound on the whole command, after which the target runs on and nothing is left behind.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::forked::{Forked, children, status as status_of, until};
use crate::support::pythons;
use crate::support::run::{Run, Target};

fn pyheap() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_pyheap"))
}

/// A Python that counts the signals that it receives, and has something to be copied.
const COUNTS: &str = "
import signal, sys
received = 0
def count(number, frame):
    global received
    received += 1
signal.signal(signal.SIGUSR1, count)
kept = [[i] for i in range(50000)]
print('READY', flush=True)
for line in sys.stdin:
    print(received, flush=True)
";

fn target(code: &str) -> Result<Target> {
    let found = pythons::find(Path::new(env!("CARGO_MANIFEST_DIR")))?;
    let python = found.iter().find(|python| python.root.is_none()).context("no interpreter")?;
    Target::ready(python.command().args(["-c", code]))
}

/// Commands that would wait for long do not, and all that read a heap know the limit.
#[test]
fn every_command_that_reads_a_heap_has_an_end() -> Result<()> {
    let target = target("import sys; print('READY', flush=True); sys.stdin.read()")?;
    let pid = target.pid();
    let limit = ["--timeout", "300ms"];
    for words in
        [&["diff", "-p", &pid, "--interval", "1h"][..], &["record", "-p", &pid, "-d", "1h"]]
    {
        let run = Run::of(pyheap(), &[words, &limit].concat())?;
        run.expect(8, &["gave up after 300ms (--timeout)"]).with_context(|| words.join(" "))?;
    }
    // Nothing of it can be done in this time.
    let limit = ["--timeout", "1ms"];
    let folder = tempfile::tempdir()?;
    let page = folder.path().join("page.html").display().to_string();
    for words in [
        &["snapshot", "-p", &pid][..],
        &["histogram", "-p", &pid],
        &["objects", "-p", &pid],
        &["show", "-p", &pid, "0x10"],
        &["why", "-p", &pid, "dict"],
        &["retained", "-p", &pid],
        &["cycles", "-p", &pid],
        &["garbage", "-p", &pid],
        &["strings", "-p", &pid],
        &["memory", "-p", &pid],
        &["stacks", "-p", &pid],
        &["check", "-p", &pid, "--max", "dict=1"],
        &["report", "-p", &pid, "-o", &page],
        &["doctor", "-p", &pid],
    ] {
        let run = Run::of(pyheap(), &[words, &limit].concat())?;
        run.expect(8, &["gave up after 1ms (--timeout)"]).with_context(|| words.join(" "))?;
    }
    until("it is as it was", || matches!(target.state(), Ok('S')))?;
    Ok(())
}

/// At whatever moment the time is over: the target runs, is traced by nobody, has all its signals and no child, and no
/// file is half there.
#[test]
fn a_target_runs_on_whenever_the_time_is_over() -> Result<()> {
    use std::io::{BufRead, BufReader, Write};
    let mut target = target(COUNTS)?;
    let pid = target.pid();
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("a.parquet").display().to_string();
    let mut stdin = target.0.stdin.take().context("no stdin")?;
    let mut stdout = BufReader::new(target.0.stdout.take().context("no stdout")?);
    let mut gave_up = 0;
    let mut heard = 0;
    for mode in ["stop", "cow"] {
        for milliseconds in [0, 1, 3, 10, 20, 30, 50, 80, 120, 200, 400, 800, 60_000] {
            let limit = format!("{milliseconds}ms");
            let words =
                ["snapshot", "-p", &pid, "--pause", mode, "-o", &file, "-f", "--timeout", &limit];
            let mut running = Command::new(pyheap())
                .args(words)
                .stdout(std::process::Stdio::null())
                .stderr(std::process::Stdio::null())
                .spawn()?;
            let mut sent = 0;
            // One signal at a time: two that wait at once are one.
            let status = loop {
                if let Some(status) = running.try_wait()? {
                    break status;
                }
                ensure!(Command::new("kill").args(["-USR1", &pid]).status()?.success());
                sent += 1;
                let before = heard;
                while heard == before {
                    stdin.write_all(b"\n")?;
                    let mut line = String::new();
                    stdout.read_line(&mut line)?;
                    heard = line.trim().parse::<u64>()?;
                }
            };
            ensure!(matches!(status.code(), Some(0 | 8)), "{mode} {limit}: {status}");
            gave_up += u32::from(status.code() == Some(8));
            until("its end of the fork", || children(target.0.id()).is_empty())?;
            until("nobody traces it", || status_of(target.0.id(), "TracerPid") == "0")?;
            let left: Vec<_> = std::fs::read_dir(folder.path())?
                .flatten()
                .map(|entry| entry.file_name().to_string_lossy().into_owned())
                .filter(|name| name != "a.parquet")
                .collect();
            ensure!(left.is_empty(), "{mode} {limit}: {left:?} is left");
            println!("{mode} {limit}: {status}, {sent} signals");
        }
    }
    ensure!(gave_up > 0, "it was always in time");
    ensure!(Path::new(&file).exists(), "it never was in time");
    Run::of(pyheap(), &["histogram", &file, "--json"])?.json()?;
    Ok(())
}

/// A thread that cannot be stopped, for it waits in the kernel: it is read as it stands, or refused, and with every limit
/// there is an end.
#[test]
fn a_target_in_an_uninterruptible_sleep_is_no_hang() -> Result<()> {
    let (mut target, said) = Forked::start(&["state", "vfork"])?;
    ensure!(said == "ready", "{said}");
    for mode in ["stop", "cow", "none"] {
        for limit in ["1ms", "60s"] {
            let run = target.snapshot(&["--pause", mode, "--timeout", limit])?;
            match (run.status.code(), limit) {
                (Some(8), "1ms") => run.expect(8, &["gave up after 1ms (--timeout)"])?,
                (Some(8), _) => run.expect(8, &["uninterruptible sleep"])?,
                _ => drop(run.json()?),
            }
            ensure!(status_of(target.pid(), "TracerPid") == "0", "it is traced");
        }
    }
    ensure!(target.ask("echo")? == "echo");
    target.end()
}
