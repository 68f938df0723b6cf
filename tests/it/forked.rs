//! A process of `python-fixtures/forked.py`, and a guardian that is held as pyheap holds it.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::support::run::Run;

/// How long the kernel may take for what it shows no event for.
const LIMIT: Duration = Duration::from_secs(60);

/// Waits for something that the kernel does on its own.
///
/// # Errors
/// If it never happens.
pub(crate) fn until(what: &str, mut happens: impl FnMut() -> bool) -> Result<()> {
    let start = Instant::now();
    while !happens() {
        ensure!(start.elapsed() < LIMIT, "it never happened: {what}");
        std::thread::yield_now();
    }
    Ok(())
}

/// The target. It ends with the test.
pub(crate) struct Forked {
    child: Child,
    stdin: ChildStdin,
    /// None if a test reads it by itself.
    pub(crate) stdout: Option<BufReader<ChildStdout>>,
}

impl Forked {
    /// Starts one and waits for what it says first.
    ///
    /// # Errors
    /// If it does not start.
    pub(crate) fn start(words: &[&str]) -> Result<(Self, String)> {
        Self::start_as(&mut Command::new("python3"), words)
    }

    /// The same by another command that ends in a Python.
    ///
    /// # Errors
    /// If it does not start.
    pub(crate) fn start_as(command: &mut Command, words: &[&str]) -> Result<(Self, String)> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python-fixtures/forked.py");
        Self::start_from(command, &script, words)
    }

    /// The same with a copy of the script.
    ///
    /// # Errors
    /// If it does not start.
    pub(crate) fn start_from(
        command: &mut Command,
        script: &Path,
        words: &[&str],
    ) -> Result<(Self, String)> {
        let mut child = command
            .arg("-u")
            .arg(script)
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdin = child.stdin.take().context("no stdin")?;
        let stdout = BufReader::new(child.stdout.take().context("no stdout")?);
        let mut forked = Self { child, stdin, stdout: Some(stdout) };
        let said = forked.line()?;
        Ok((forked, said))
    }

    /// Starts one that must be ready.
    ///
    /// # Errors
    /// If it is not.
    pub(crate) fn ready(words: &[&str]) -> Result<Self> {
        let (forked, said) = Self::start(words)?;
        ensure!(said == "ready", "{words:?}: {said}");
        Ok(forked)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line that it says.
    ///
    /// # Errors
    /// If it has ended.
    pub(crate) fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        let stdout = self.stdout.as_mut().context("no stdout")?;
        ensure!(stdout.read_line(&mut line)? > 0, "the target has ended");
        Ok(line.trim_end().to_owned())
    }

    /// Sends a line.
    ///
    /// # Errors
    /// If it has ended.
    pub(crate) fn say(&mut self, line: &str) -> Result<()> {
        Ok(writeln!(self.stdin, "{line}")?)
    }

    /// Sends a line and gives the answer.
    ///
    /// # Errors
    /// If it has ended.
    pub(crate) fn ask(&mut self, line: &str) -> Result<String> {
        self.say(line)?;
        self.line()
    }

    /// The next byte that it writes.
    ///
    /// # Errors
    /// If it has ended.
    pub(crate) fn byte(&mut self) -> Result<u8> {
        let mut byte = [0; 1];
        self.stdout.as_mut().context("no stdout")?.read_exact(&mut byte)?;
        let [byte] = byte;
        Ok(byte)
    }

    pub(crate) fn signal(&self, signal: &str) -> Result<()> {
        let status = Command::new("kill").args(["-s", signal, &self.pid().to_string()]).status()?;
        ensure!(status.success(), "kill -s {signal}");
        Ok(())
    }

    /// A snapshot of it by pyheap.
    ///
    /// # Errors
    /// If pyheap cannot be run.
    pub(crate) fn snapshot(&self, words: &[&str]) -> Result<Run> {
        let pid = self.pid().to_string();
        let pyheap = Path::new(env!("CARGO_BIN_EXE_pyheap"));
        Run::of(pyheap, &[&["snapshot", "-p", &pid, "--json"], words].concat())
    }

    /// Ends it, and does not wait.
    ///
    /// # Errors
    /// If it has ended and was waited for.
    pub(crate) fn kill(&mut self) -> Result<()> {
        Ok(self.child.kill()?)
    }

    /// Whether it has ended, which nobody holds up.
    pub(crate) fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// If it cannot be waited for.
    pub(crate) fn end(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Forked {
    fn drop(&mut self) {
        // It may have ended by itself; what matters is that it is gone afterwards.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A guardian with a child of its target, that a test holds in place of pyheap.
pub(crate) struct Held {
    pub(crate) guardian: Child,
    order: Option<ChildStdin>,
    told: BufReader<ChildStdout>,
    /// The child, as the first line of the guardian names it.
    pub(crate) child: u32,
}

impl Held {
    /// Makes a target fork.
    ///
    /// # Errors
    /// If it does not.
    pub(crate) fn of(pid: u32) -> Result<Self> {
        Self::by(&mut Command::new(env!("CARGO_BIN_EXE_pyheap")), pid)
    }

    /// The same by a command that runs pyheap.
    ///
    /// # Errors
    /// If it does not.
    pub(crate) fn by(pyheap: &mut Command, pid: u32) -> Result<Self> {
        let mut guardian = pyheap
            .args(["__guardian", &pid.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let order = guardian.stdin.take();
        let told = BufReader::new(guardian.stdout.take().context("no stdout")?);
        let mut held = Self { guardian, order, told, child: 0 };
        let first = held.next()?;
        ensure!(first["told"] == "forked", "{first}");
        held.child = u32::try_from(first["child"].as_u64().context("no child")?)?;
        Ok(held)
    }

    /// The next line of the guardian.
    ///
    /// # Errors
    /// If it has ended.
    pub(crate) fn next(&mut self) -> Result<Value> {
        let mut line = String::new();
        ensure!(self.told.read_line(&mut line)? > 0, "the guardian has ended");
        Ok(serde_json::from_str(&line)?)
    }

    /// Closes the pipe, as the end of pyheap does, and gives the last line.
    ///
    /// # Errors
    /// If the guardian fails.
    pub(crate) fn release(mut self) -> Result<Value> {
        self.order = None;
        self.end()
    }

    /// The last line of the guardian, which ends by itself.
    ///
    /// # Errors
    /// If the guardian fails.
    pub(crate) fn end(&mut self) -> Result<Value> {
        let last = self.next()?;
        ensure!(self.guardian.wait()?.success());
        Ok(last)
    }
}

/// A field of `/proc/PID/status`.
pub(crate) fn status(pid: u32, name: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let field = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    field.unwrap_or_default().trim().to_owned()
}

/// The children of a process, zombies too.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| {
            list.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect::<Vec<_>>()
        })
        .collect()
}

/// Whether a process is there and is no zombie.
pub(crate) fn is_alive(pid: u32) -> bool {
    !matches!(status(pid, "State").chars().next(), None | Some('Z' | 'X'))
}

/// The guardians of a process that are there.
pub(crate) fn guardians(pid: u32) -> usize {
    let wanted = format!("__guardian\0{pid}\0");
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter(|process| {
            let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(&wanted)
        })
        .count()
}
