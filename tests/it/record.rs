//! Recordings of real processes: the lines that grow, and files that outlive those who write them.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::support::fixture::Fixture;
use crate::support::pythons::{self, Python};

/// A recording that runs.
pub(crate) struct Recording {
    pub(crate) child: Child,
    notes: BufReader<ChildStderr>,
}

impl Recording {
    /// Starts one, and waits until it says that it records.
    pub(crate) fn start(pid: u32, args: &[&str]) -> Result<Self> {
        Self::start_by(&mut Command::new(env!("CARGO_BIN_EXE_pyheap")), pid, args)
    }

    /// The same by a command that runs pyheap.
    pub(crate) fn start_by(command: &mut Command, pid: u32, args: &[&str]) -> Result<Self> {
        let mut child = command
            .args(["record", "-p", &pid.to_string()])
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut notes = BufReader::new(child.stderr.take().context("no stderr")?);
        let mut line = String::new();
        notes.read_line(&mut line)?;
        if !line.starts_with("recording process") {
            notes.read_to_string(&mut line)?;
            bail!("{line}");
        }
        Ok(Self { child, notes })
    }

    fn signal(&self, name: &str) -> Result<()> {
        let pid = self.child.id().to_string();
        ensure!(Command::new("kill").args(["-s", name, &pid]).status()?.success(), "kill {pid}");
        Ok(())
    }

    /// Waits for its end, and gives back its document.
    pub(crate) fn document(self) -> Result<Value> {
        let (status, document, notes) = self.end()?;
        ensure!(status.success(), "{status}: {notes}");
        Ok(document)
    }

    /// Waits for its end, whatever that is; gives back what it said besides, too.
    pub(crate) fn end(mut self) -> Result<(ExitStatus, Value, String)> {
        let mut text = String::new();
        self.child.stdout.take().context("no stdout")?.read_to_string(&mut text)?;
        let status = self.child.wait()?;
        let mut notes = String::new();
        self.notes.read_to_string(&mut notes)?;
        let document = serde_json::from_str(&text).with_context(|| notes.clone())?;
        Ok((status, document, notes))
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The number of the line that ends in a mark.
fn line_of(source: &Path, mark: &str) -> Result<u64> {
    let text = fs::read_to_string(source)?;
    let nth = text.lines().position(|line| line.ends_with(&format!("# {mark}")));
    Ok(nth.with_context(|| format!("no line {mark}"))? as u64 + 1)
}

/// The share of all growth that is put down to a line.
fn share(document: &Value, list: &str, line: u64) -> f64 {
    let rows = document[list].as_array().into_iter().flatten();
    let of_line = rows.filter(|row| {
        row["line"] == line && row["file"].as_str().is_some_and(|file| file.ends_with("grower.py"))
    });
    of_line.filter_map(|row| row["share"].as_f64()).sum()
}

/// One interpreter of each minor release, no debug builds.
pub(crate) fn each_minor() -> Result<Vec<Python>> {
    let mut found = pythons::find(Path::new(env!("CARGO_MANIFEST_DIR")))?;
    found.retain(|python| python.is_supported() && !python.debug);
    found.dedup_by_key(|python| python.minor());
    Ok(found)
}

#[test]
fn the_lines_that_grow_are_found_without_stopping_the_process() -> Result<()> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("python-fixtures");
    let source = sources.join("grower.py");
    let lines = ["SMALL", "BIG", "PASSING", "IDLE"].map(|mark| line_of(&source, mark));
    let [small, big, passing, idle] = lines;
    let (small, big, passing, idle) = (small?, big?, passing?, idle?);
    for python in each_minor()? {
        let label = python.label();
        let mut fixture = Fixture::start(&python, &sources, "grower", &["8"])?;
        let args = ["--json", "--census", "none", "--rate", "200"];
        let recording = Recording::start(fixture.pid(), &args)?;
        ensure!(fixture.ask("g")? == "grown", "{label}: the program does not grow");
        recording.signal("INT")?;
        let document = recording.document()?;
        let of = |line| share(&document, "growth", line);
        let text = format!("{label}: {}", serde_json::to_string_pretty(&document["growth"])?);
        ensure!(document["pause"].is_null() && document["overhead"]["stopped_seconds"] == 0.0);
        ensure!(document["attributed_share"].as_f64().is_some_and(|share| share > 0.9), "{text}");
        ensure!(document["growth"][0]["line"] == big, "{text}");
        // 0.85 and 0.15 are the truth. A busy machine looks less often, so the bounds are wide.
        ensure!(of(big) > 0.7 && of(small) > 0.05, "{text}");
        ensure!(of(passing) < 0.1 && of(idle) < 0.15, "{text}");
        println!("{label}: big {:.2}, small {:.2}, passing {:.2}", of(big), of(small), of(passing));
    }
    Ok(())
}

/// Asks memray for the lines whose memory was there at its highest, most first, as JSON.
const MEMRAY: &str = "
import collections, json, sys
import memray
bytes = collections.Counter()
for record in memray.FileReader(sys.argv[1]).get_high_watermark_allocation_records(merge_threads=True):
    for function, file, line in record.stack_trace(1):
        bytes[line if file.endswith('grower.py') else 0] += record.size
print(json.dumps([line for line, size in bytes.most_common(3)]))
";

#[test]
fn memray_names_the_same_lines() -> Result<()> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = workspace.join("python-fixtures");
    let found = each_minor()?;
    let python = found.iter().find(|python| python.root.is_none() && python.minor() == "3.11");
    let Some(python) = python else {
        println!("there is no Python 3.11: nothing is compared");
        return Ok(());
    };
    let venv = pythons::target_dir(workspace).join("record-venv").join(python.label());
    let inside = venv.join("bin/python");
    if !inside.exists() {
        let made = Command::new(&python.executable).args(["-m", "venv"]).arg(&venv).status()?;
        ensure!(made.success(), "no virtual environment");
    }
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "memray"];
    if !Command::new(&inside).args(pip).status()?.success() {
        println!("pip cannot install memray: nothing is compared");
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("memray.bin");
    let mut traced = Command::new(&inside)
        .args(["-m", "memray", "run", "--quiet", "-o"])
        .arg(&file)
        .arg(sources.join("grower.py"))
        .arg("8")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    traced.stdin.take().context("no stdin")?.write_all(b"g\n")?;
    ensure!(traced.wait()?.success(), "memray fails");
    let answer = Command::new(&inside).args(["-c", MEMRAY]).arg(&file).output()?;
    let theirs: Vec<u64> = serde_json::from_slice(&answer.stdout)?;
    let mut fixture = Fixture::start(python, &sources, "grower", &["8"])?;
    let args = ["--json", "--census", "none", "--rate", "200"];
    let recording = Recording::start(fixture.pid(), &args)?;
    fixture.ask("g")?;
    recording.signal("INT")?;
    let document = recording.document()?;
    let rows = document["peak_growth"].as_array().into_iter().flatten();
    let ours: Vec<u64> = rows.filter_map(|row| row["line"].as_u64()).take(3).collect();
    println!("memray: {theirs:?}, pyheap: {ours:?}");
    ensure!(ours.first() == theirs.first(), "{ours:?} {theirs:?}");
    // The third holds a fiftieth of the memory: which line that is depends on when memory is looked at.
    ensure!(theirs.iter().take(2).all(|line| ours.contains(line)), "{ours:?} {theirs:?}");
    Ok(())
}

#[test]
fn a_recording_that_was_killed_is_readable_and_can_go_on() -> Result<()> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = workspace.join("python-fixtures");
    let python = each_minor()?.pop().context("no interpreter")?;
    let mut fixture = Fixture::start(&python, &sources, "grower", &["4"])?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("a.parquet");
    let name = file.to_str().context("no name")?;
    let report = || -> Result<Value> {
        let text = crate::support::claims::run(
            Path::new(env!("CARGO_BIN_EXE_pyheap")),
            &["report", name, "--json"],
        )?;
        Ok(serde_json::from_str(&text)?)
    };
    let mut killed = Recording::start(fixture.pid(), &["-o", name, "--census", "1s"])?;
    fixture.ask("g")?;
    // Until the file has something of the growth; it is whole whenever it is looked at.
    while !file.exists() || report()?["growth_bytes"].as_u64().is_none_or(|bytes| bytes < 1 << 20) {
        ensure!(killed.child.try_wait()?.is_none(), "the recording has ended");
    }
    killed.child.kill()?;
    killed.child.wait()?;
    let cut = report()?;
    ensure!(cut["finished"] == false && cut["samples"].as_u64().is_some_and(|n| n > 0), "{cut}");
    // Goes on with the same file, until the process ends.
    let resumed = Recording::start(fixture.pid(), &["-o", name, "--resume", "--json"])?;
    fixture.ask("g")?;
    drop(fixture);
    let document = resumed.document()?;
    let words: Vec<&str> = document["events"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|event| event["event"].as_str())
        .collect();
    ensure!(words.contains(&"resumed") && words.contains(&"ended"), "{document}");
    let bytes = |document: &Value| document["growth_bytes"].as_u64().unwrap_or(0);
    ensure!(bytes(&document) > bytes(&cut), "{document}");
    ensure!(document["finished"] == true && report()?["samples"] == document["samples"]);
    let other = Fixture::start(&python, &sources, "grower", &["1"])?;
    let refused = Recording::start(other.pid(), &["-o", name, "--resume"]);
    ensure!(refused.is_err_and(|error| error.to_string().contains("recording of process")));
    Ok(())
}
