//! How recordings end: on a disk that is full, with a process that runs another program, with a pid that is given to
//! another process.

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::core_files::start;
use crate::record::{Recording, each_minor};
use crate::support::fixture::Fixture;
use crate::support::pythons;
use crate::support::run::{Run, Target};

/// Whether what needs namespaces may be left out.
fn may_be_left_out(what: &str, error: &anyhow::Error) -> bool {
    println!("no namespaces here, {what} is not tested: {error}");
    std::env::var_os("CI").is_none()
}

/// A small disk that only those see who enter its mount namespace.
struct Disk {
    holder: Target,
    folder: tempfile::TempDir,
}

impl Disk {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let script = "mount -t tmpfs -o size=512k none \"$0\" && echo ready && exec cat";
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", script]).arg(folder.path());
        Ok(Self { holder: Target::ready(&mut command)?, folder })
    }

    /// A command that runs pyheap where the disk is seen.
    fn pyheap(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--mount=/proc/{}/ns/mnt", self.holder.pid()));
        command.arg(env!("CARGO_BIN_EXE_pyheap"));
        command
    }

    /// The name of a file as pyheap sees it.
    fn inside(&self, name: &str) -> Result<String> {
        let path = self.folder.path().join(name);
        Ok(path.to_str().context("no name")?.to_owned())
    }

    /// The disk as we see it.
    fn outside(&self) -> Result<PathBuf> {
        let folder = self.folder.path().strip_prefix("/")?;
        Ok(Path::new("/proc").join(self.holder.pid()).join("root").join(folder))
    }

    /// Takes all the room that there is.
    fn fill(&self) -> Result<()> {
        let path = self.outside()?.join("filler");
        let mut filler = fs::OpenOptions::new().create(true).append(true).open(path)?;
        for bytes in [4096, 1] {
            loop {
                match filler.write(&[1; 4096][..bytes]) {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    fn names(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.outside()?)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }
}

fn report(file: &Path) -> Result<Value> {
    let name = file.to_str().context("no name")?;
    Run::of(Path::new(env!("CARGO_BIN_EXE_pyheap")), &["report", name, "--json"])?.json()
}

/// Waits until some samples are in the file, which is whole whenever it is looked at.
fn wait_for_samples(recording: &mut Recording, file: &Path) -> Result<()> {
    while !file.exists() || report(file)?["samples"].as_u64().is_none_or(|samples| samples < 5) {
        ensure!(recording.child.try_wait()?.is_none(), "the recording has ended");
    }
    Ok(())
}

fn kinds(document: &Value) -> Vec<&str> {
    let events = document["events"].as_array().into_iter().flatten();
    events.filter_map(|event| event["event"].as_str()).collect()
}

#[test]
fn a_recording_on_a_full_disk_ends_with_all_that_was_recorded() -> Result<()> {
    let disk = match Disk::new() {
        Ok(disk) => disk,
        Err(error) if may_be_left_out("a full disk", &error) => return Ok(()),
        Err(error) => return Err(error),
    };
    let python = each_minor()?.pop().context("no interpreter")?;
    let fixture = start(&python, "instances")?;
    let file = disk.outside()?.join("a.parquet");
    let args = ["-o", &disk.inside("a.parquet")?, "--json"];
    let mut recording = Recording::start_by(&mut disk.pyheap(), fixture.pid(), &args)?;
    wait_for_samples(&mut recording, &file)?;
    // A write that was under way may give back what it had.
    while recording.child.try_wait()?.is_none() {
        disk.fill()?;
    }
    let (status, document, notes) = recording.end()?;
    ensure!(status.code() == Some(1), "{status}: {notes}");
    for words in ["cannot write", "a.parquet", "No space left", "hint: free some space"] {
        ensure!(notes.contains(words), "{words:?} is not said in: {notes}");
    }
    ensure!(kinds(&document).last() == Some(&"stopped"), "{document}");
    ensure!(disk.names()? == ["a.parquet", "filler"], "{:?}", disk.names()?);
    let left = report(&file)?;
    let samples = |document: &Value| document["samples"].as_u64().unwrap_or(0);
    ensure!(left["finished"] == false && samples(&left) >= 5, "{left}");
    ensure!(samples(&document) > samples(&left), "{document}");
    // When there is room again, it goes on.
    fs::remove_file(disk.outside()?.join("filler"))?;
    let args = ["-o", &disk.inside("a.parquet")?, "--json", "--resume", "-d", "1s"];
    let resumed = Recording::start_by(&mut disk.pyheap(), fixture.pid(), &args)?.document()?;
    ensure!(kinds(&resumed).contains(&"resumed") && report(&file)?["finished"] == true);
    Ok(())
}

#[test]
fn a_snapshot_and_an_export_to_a_full_disk_leave_nothing_behind() -> Result<()> {
    let disk = match Disk::new() {
        Ok(disk) => disk,
        Err(error) if may_be_left_out("a full disk", &error) => return Ok(()),
        Err(error) => return Err(error),
    };
    let python = each_minor()?.pop().context("no interpreter")?;
    let fixture: Fixture = start(&python, "instances")?;
    let pid = fixture.pid().to_string();
    let commands: [&[&str]; 4] = [
        &["snapshot", "-p", &pid],
        &["export", "-p", &pid, "--format", "heapsnapshot"],
        &["export", "-p", &pid, "--format", "pprof"],
        &["export", "-p", &pid, "--format", "csv", "-f"],
    ];
    let old = disk.outside()?.join("old");
    fs::write(&old, "what was there before")?;
    for name in ["new", "old"] {
        for words in commands {
            // Some room is left: it is the writing that fails, in the middle.
            disk.fill()?;
            let filler = disk.outside()?.join("filler");
            let room = fs::metadata(&filler)?.len() - 8 * 4096;
            fs::OpenOptions::new().write(true).open(&filler)?.set_len(room)?;
            let mut command = disk.pyheap();
            command.args(words).args(["-o", &disk.inside(name)?]);
            if name == "old" && !words.contains(&"-f") {
                command.arg("-f");
            }
            let run = Run::command(&mut command)?;
            run.expect(1, &["cannot write", "No space left", "hint: free some space"])
                .with_context(|| format!("{words:?}"))?;
            ensure!(disk.names()? == ["filler", "old"], "{words:?}: {:?}", disk.names()?);
            ensure!(fs::read_to_string(&old)? == "what was there before", "{words:?}");
        }
    }
    Ok(())
}

/// Runs another, bigger program in the same process when it is told to.
pub(crate) const EXEC: &str = "
import os, sys
print('ready', flush=True)
sys.stdin.readline()
other = '''
import sys
block = b'x' * (300 << 20)
print('other', flush=True)
sys.stdin.read()
'''
os.execv(sys.executable, [sys.executable, '-c', other])
";

#[test]
fn a_process_that_runs_another_program_is_recorded_up_to_there() -> Result<()> {
    pythons::each(each_minor()?, |python| {
        let mut target = Target::ready(python.command().args(["-c", EXEC]))?;
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("a.parquet");
        let args = ["--json", "--census", "1s", "-o", file.to_str().context("no name")?];
        let mut recording = Recording::start(target.0.id(), &args)?;
        wait_for_samples(&mut recording, &file)?;
        target.0.stdin.as_mut().context("no stdin")?.write_all(b"\n")?;
        let mut line = String::new();
        let stdout = target.0.stdout.as_mut().context("no stdout")?;
        BufReader::new(stdout).read_line(&mut line)?;
        ensure!(line == "other\n", "{line}");
        let document = recording.document()?;
        ensure!(kinds(&document).contains(&"replaced"), "{document}");
        ensure!(document["finished"] == true && report(&file)?["finished"] == true);
        // The other program has 300 MiB.
        let peak = document["rss"]["peak"].as_u64().context("no peak")?;
        ensure!(peak < 200 << 20, "the other program was recorded: {peak}");
        let least = document["rss"]["last"].as_u64().context("no last")?;
        ensure!(least > 4 << 20, "a program that was being loaded was recorded: {least}");
        let grown = document["growth_bytes"].as_u64().unwrap_or(0);
        ensure!(grown < 100 << 20, "its memory was put down to our lines: {grown}");
        Ok(())
    })
}

/// Gives the number of a process that is recorded to another one while pyheap does not look. Runs as the only program of
/// a pid namespace, so that it can say which number comes next.
const REUSE: &str = "
import json, os, signal, subprocess, sys
from subprocess import PIPE
pyheap, file = sys.argv[1:]
def start(size):
    code = 'x = b\"x\" * (%d << 20); print(\"ready\", flush=True); input()' % size
    child = subprocess.Popen([sys.executable, '-c', code], stdin=PIPE, stdout=PIPE)
    child.stdout.readline()
    return child
first = start(1)
command = [pyheap, 'record', '-p', str(first.pid), '--json', '--census', '1s', '-o', file]
recorder = subprocess.Popen(command, stdout=PIPE, stderr=PIPE)
said = recorder.stderr.readline()
assert said.startswith(b'recording process'), said + recorder.stderr.read()
os.kill(recorder.pid, signal.SIGSTOP)
os.waitpid(recorder.pid, os.WUNTRACED)
first.kill()
first.wait()
with open('/proc/sys/kernel/ns_last_pid', 'w') as last:
    last.write(str(first.pid - 1))
second = start(300)
os.kill(recorder.pid, signal.SIGCONT)
out, err = recorder.communicate()
resumed = subprocess.run(command + ['--resume', '-d', '1s'], stdout=PIPE, stderr=PIPE)
print(json.dumps({
    'pids': [first.pid, second.pid],
    'code': recorder.returncode, 'document': json.loads(out.decode()), 'said': err.decode(),
    'resumed': [resumed.returncode, resumed.stderr.decode()],
}))
second.kill()
";

#[test]
fn a_pid_that_another_process_has_got_is_not_recorded() -> Result<()> {
    let python = each_minor()?.into_iter().rfind(|python| python.root.is_none());
    let python = python.context("no interpreter")?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("a.parquet");
    let mut command = Command::new("unshare");
    command.args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    command.arg(&python.executable).args(["-c", REUSE, env!("CARGO_BIN_EXE_pyheap")]).arg(&file);
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("unshare failed") {
        let error = anyhow::anyhow!("{said}");
        return if may_be_left_out("a reused pid", &error) { Ok(()) } else { Err(error) };
    }
    ensure!(output.status.success(), "{said}");
    let told: Value = serde_json::from_slice(&output.stdout)?;
    ensure!(told["pids"][0] == told["pids"][1], "the number was not given again: {told}");
    let document = &told["document"];
    ensure!(told["code"] == 0 && document["finished"] == true, "{told}");
    ensure!(kinds(document).contains(&"ended"), "{told}");
    let peak = document["rss"]["peak"].as_u64().context("no peak")?;
    ensure!(peak < 200 << 20, "another process was recorded: {peak}");
    // Nor does its recording go on with the other process.
    ensure!(told["resumed"][0] == 2, "{told}");
    let why = told["resumed"][1].as_str().unwrap_or_default();
    ensure!(why.contains("not of this process"), "{why}");
    Ok(())
}
