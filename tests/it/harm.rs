//! The target runs on, whatever happens to pyheap.

use std::io::{BufRead, BufReader, IoSliceMut};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use pyheap::target::Process;

use crate::support::fixture::Fixture;
use crate::support::pythons;
use crate::support::run::Run;

/// A worker that shares its memory with the process that has forked it, and waits.
const FORKED: &str = "
import os, sys
held = [bytearray(b'x' * 4000) for _ in range(125000)]
child = os.fork()
if child == 0:
    sys.stdin.readline()
    os._exit(0)
print(child, flush=True)
os.waitpid(child, 0)
";

#[test]
fn a_snapshot_makes_a_forked_worker_own_no_page_more() -> Result<()> {
    let mut command = Command::new("python3");
    command.args(["-c", FORKED]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut parent = command.spawn()?;
    let mut line = String::new();
    BufReader::new(parent.stdout.take().context("no stdout")?).read_line(&mut line)?;
    let pid = line.trim();
    let asleep = |pid: &str| -> Result<bool> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        Ok(stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('S')))
    };
    let begun = Instant::now();
    while !asleep(pid)? || !asleep(&parent.id().to_string())? {
        ensure!(begun.elapsed() < Duration::from_secs(60), "they never wait");
        std::thread::yield_now();
    }
    // Its share of the anonymous memory: that of files depends on who else runs a Python.
    let share = || -> Result<Vec<String>> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let names = ["Pss_Anon:", "Shared_Dirty:", "Private_Dirty:", "Anonymous:", "Swap:"];
        let wanted = |line: &&str| names.iter().any(|name| line.starts_with(name));
        Ok(text.lines().filter(wanted).map(ToOwned::to_owned).collect())
    };
    let before = share()?;
    ensure!(before.len() >= 4, "{before:?}");
    let status = Command::new(env!("CARGO_BIN_EXE_pyheap"))
        .args(["snapshot", "-p", pid])
        .stdout(Stdio::null())
        .status()?;
    let after = share()?;
    // The other way of reading does own them: this is what the file is read for.
    pin(pid.parse()?)?;
    let pinned = share()?;
    drop(parent.stdin.take());
    parent.wait()?;
    ensure!(status.success(), "{status}");
    ensure!(before == after, "{before:?}, then {after:?}");
    ensure!(before != pinned, "process_vm_readv shares pages, too: {pinned:?}");
    Ok(())
}

/// Reads the writable memory of a process by the system call that pins pages.
fn pin(pid: u32) -> Result<()> {
    let map = Process::open(pid)?.memory_map()?;
    let mut buffer = vec![0; 1 << 20];
    let process = nix::unistd::Pid::from_raw(i32::try_from(pid)?);
    for mapping in map.iter().filter(|mapping| mapping.write && mapping.is_anonymous()) {
        for at in (mapping.range.start.0..mapping.range.end.0).step_by(buffer.len()) {
            let len = usize::try_from(mapping.range.end.0 - at)?.min(buffer.len());
            let part = buffer.get_mut(..len).context("a part")?;
            let remote = RemoteIoVec { base: usize::try_from(at)?, len };
            // Guard pages and the like are refused.
            let _ = process_vm_readv(process, &mut [IoSliceMut::new(part)], &[remote]);
        }
    }
    Ok(())
}

#[test]
fn a_pause_that_would_be_too_long_is_given_up_and_harms_nothing() -> Result<()> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found = pythons::find(workspace)?;
    let python = found.iter().rfind(|python| !python.debug).context("no interpreter")?;
    let sources = workspace.join("python-fixtures");
    let mut fixture = Fixture::start(python, &sources, "big", &["300000", "1"])?;
    let pid = fixture.pid();
    for limit in ["0.001ms", "0.05ms", "0.2ms"] {
        let words = ["snapshot", "-p", &pid.to_string(), "--max-pause", limit];
        Run::of(Path::new(env!("CARGO_BIN_EXE_pyheap")), &words)?.expect(8, &[])?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        ensure!(status.contains("TracerPid:\t0\n") && !status.contains("State:\tT"), "{status}");
    }
    // It answers still.
    ensure!(fixture.tell(&[])?.objects.len() > 100_000);
    Ok(())
}
