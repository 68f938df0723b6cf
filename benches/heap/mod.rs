//! A Python with a heap, for benchmarks, and the peers that run inside of it.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::support::pythons::{Python, target_dir};

/// The heap is the same in every run.
const SEED: u64 = 1;

/// The Python of a virtual environment with the peers; the plain one where pip cannot fetch them.
///
/// # Errors
/// If the environment cannot be made.
pub(crate) fn with_peers(workspace: &Path, python: &Python) -> Result<PathBuf> {
    let folder = target_dir(workspace).join("bench-venv").join(python.label());
    let inside = folder.join("bin/python");
    if !inside.exists() {
        let status = Command::new(&python.executable).args(["-m", "venv"]).arg(&folder).status()?;
        if !status.success() {
            println!("no virtual environment for {}: its peers are skipped", python.label());
            return Ok(python.executable.clone());
        }
    }
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    let status =
        Command::new(&inside).args(pip).args(["objgraph", "guppy3", "pympler"]).status()?;
    if !status.success() {
        println!("pip cannot install objgraph, guppy3 and pympler: they are skipped");
    }
    Ok(inside)
}

/// A Python with a heap, ended on drop.
pub(crate) struct Target {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Target {
    /// Starts one, and waits until its heap is there.
    ///
    /// # Errors
    /// If it does not start.
    pub(crate) fn start(workspace: &Path, python: &Path, objects: u64) -> Result<Self> {
        let mut child = Command::new(python)
            .arg(workspace.join("benches/heap.py"))
            .args([objects.to_string(), SEED.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdin = child.stdin.take().context("no stdin")?;
        let stdout = BufReader::new(child.stdout.take().context("no stdout")?);
        let mut target = Self { child, stdin, stdout };
        match target.line()?.as_str() {
            "READY" => Ok(target),
            other => bail!("READY expected: {other:?}"),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a command; gives the line of JSON that answers it.
    ///
    /// # Errors
    /// If it has ended.
    pub(crate) fn ask(&mut self, peer: &str) -> Result<Value> {
        writeln!(self.stdin, "{peer}")?;
        self.stdin.flush()?;
        Ok(serde_json::from_str(&self.line()?)?)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // It may have ended by itself; what matters is that it is gone afterwards.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
