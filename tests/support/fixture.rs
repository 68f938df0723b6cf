//! A Python process of `python-fixtures/`: started with a handshake, asked for the truth, ended on drop.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::pythons::Python;
use super::truth_file::Truth;

/// A running fixture. Dropping it kills the process and waits for it.
pub(crate) struct Fixture {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    pid: u32,
    /// Where files that both sides see are, from here.
    folder: tempfile::TempDir,
    /// The same folder as the process sees it.
    folder_inside: PathBuf,
    told: AtomicU64,
}

impl Fixture {
    /// Starts `python-fixtures/NAME.py` and waits until it says that it is ready.
    ///
    /// # Errors
    /// If it does not start, or ends before it is ready.
    pub(crate) fn start(
        python: &Python,
        sources: &Path,
        name: &str,
        args: &[&str],
    ) -> Result<Self> {
        Self::start_with(python, sources, name, args, &[])
    }

    /// The same, with variables of the environment.
    ///
    /// # Errors
    /// As [`Fixture::start`].
    pub(crate) fn start_with(
        python: &Python,
        sources: &Path,
        name: &str,
        args: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<Self> {
        let prefix = "pyheap-fixture-";
        let (folder, folder_inside, script) = match &python.root {
            None => {
                let folder = tempfile::Builder::new().prefix(prefix).tempdir()?;
                let inside = folder.path().to_path_buf();
                (folder, inside, sources.join(format!("{name}.py")))
            }
            Some(root) => {
                let folder =
                    tempfile::Builder::new().prefix(prefix).tempdir_in(root.join("tmp"))?;
                let inside = Path::new("/").join(folder.path().strip_prefix(root)?);
                for entry in std::fs::read_dir(sources)? {
                    let entry = entry?;
                    if entry.file_type()?.is_file() {
                        std::fs::copy(entry.path(), folder.path().join(entry.file_name()))?;
                    }
                }
                let script = inside.join(format!("{name}.py"));
                (folder, inside, script)
            }
        };
        let mut command = python.command();
        if python.root.is_none() {
            // What it leaves behind, such as a core, must not lie in the tree.
            command.current_dir(folder.path());
        }
        let mut child = command
            .arg(&script)
            .args(args)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("PYTHONHASHSEED", "0")
            .env("PYTHONWARNINGS", "ignore")
            .env("FIXTURE_FOLDER", &folder_inside)
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", python.executable.display()))?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let stdout = BufReader::new(stdout.context("no stdout")?);
        let told = AtomicU64::new(0);
        let mut fixture = Self { child, stdin, stdout, pid: 0, folder, folder_inside, told };
        let line = fixture.line().with_context(|| format!("{name} on {}", python.label()))?;
        fixture.pid = ready_pid(&line)?;
        Ok(fixture)
    }

    /// Goes on with a fork of the process in which no other thread goes on: the heap of a server at one moment, with the
    /// states and frames of all its threads.
    ///
    /// # Errors
    /// If the process ended.
    pub(crate) fn stand_still(&mut self) -> Result<()> {
        let line = self.ask("still")?;
        let still = ready_pid(&line)?;
        anyhow::ensure!(still != self.pid, "the process did not fork");
        self.pid = still;
        Ok(())
    }

    /// A folder that both sides see; the process finds its name in `FIXTURE_FOLDER`.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits until it does nothing but wait for the next command: when it says that it is ready, what it said it with is
    /// not freed yet. The kernel knows: the main thread is in `read` of its standard input.
    ///
    /// # Errors
    /// If it does not come to rest, or has ended.
    pub(crate) fn settle(&self) -> Result<()> {
        let call = format!("/proc/{}/syscall", self.pid);
        let begun = Instant::now();
        // `read` of descriptor 0 has number 0 on x86-64, 63 on aarch64.
        let number = if cfg!(target_arch = "aarch64") { "63 0x0 " } else { "0 0x0 " };
        while !std::fs::read_to_string(&call)?.starts_with(number) {
            if begun.elapsed() > Duration::from_secs(60) {
                bail!("the fixture does not come to rest");
            }
            std::thread::yield_now();
        }
        Ok(())
    }

    /// Waits until each other thread waits for a lock, without an end: one that only waits for the GIL has a time after
    /// which it asks for it. The kernel knows: it is in `futex` without a timeout.
    ///
    /// # Errors
    /// If they do not come to rest, or the process has ended.
    pub(crate) fn settle_threads(&self) -> Result<()> {
        // `futex` has number 202 on x86-64, 98 on aarch64; its fourth argument is the timeout.
        let number = if cfg!(target_arch = "aarch64") { "98" } else { "202" };
        let waits = |call: &str| {
            let mut words = call.split(' ');
            words.next() == Some(number) && words.nth(3) == Some("0x0")
        };
        let begun = Instant::now();
        for task in std::fs::read_dir(format!("/proc/{}/task", self.pid))? {
            let task = task?.path();
            let is_main = task.file_name().is_some_and(|name| *name == *self.pid.to_string());
            while !is_main && !waits(&std::fs::read_to_string(task.join("syscall"))?) {
                if begun.elapsed() > Duration::from_secs(60) {
                    bail!("a thread of the fixture does not come to rest");
                }
                std::thread::yield_now();
            }
        }
        Ok(())
    }

    /// Sends a line and gives back the line that answers it.
    ///
    /// # Errors
    /// If the process ended.
    pub(crate) fn ask(&mut self, command: &str) -> Result<String> {
        let stdin = self.stdin.as_mut().context("stdin is closed")?;
        stdin.write_all(format!("{command}\n").as_bytes())?;
        stdin.flush()?;
        self.line()
    }

    /// Lets it tell its heap, and what is at each of `addresses`.
    ///
    /// # Errors
    /// If it cannot, or if what it wrote is not complete.
    pub(crate) fn tell(&mut self, addresses: &[u64]) -> Result<Truth> {
        let number = self.told.fetch_add(1, Ordering::Relaxed);
        let (out, list) = (format!("truth{number}"), format!("addresses{number}"));
        let mut text = String::with_capacity(addresses.len() * 16);
        for address in addresses {
            text.push_str(&format!("{address:#x}\n"));
        }
        std::fs::write(self.folder.path().join(&list), text)?;
        let inside = |name: &str| self.folder_inside.join(name).display().to_string();
        let answer = self.ask(&format!("tell {} {}", inside(&out), inside(&list)))?;
        let path = self.folder.path().join(&out);
        if answer != "TOLD 0" {
            let progress =
                std::fs::read_to_string(path.with_extension("progress")).unwrap_or_default();
            bail!(
                "the telling process died ({answer}) when it looked at address {progress:?}, \
                 which pyheap calls an object"
            );
        }
        Truth::read(&path)
    }

    /// Ends it by a signal, and waits. What it left in its working folder is moved into a folder of its own, whose
    /// owner the caller is.
    ///
    /// # Errors
    /// If the signal cannot be sent.
    pub(crate) fn end_by(mut self, signal: &str, left_in: &Path) -> Result<PathBuf> {
        let kill = Command::new("kill").args([signal, &self.pid.to_string()]).status()?;
        anyhow::ensure!(kill.success(), "kill {signal} failed");
        self.child.wait()?;
        let kept = tempfile::Builder::new().prefix("pyheap-left-").tempdir()?.keep();
        for entry in std::fs::read_dir(left_in)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with("core") {
                std::fs::rename(entry.path(), kept.join(entry.file_name()))?;
            }
        }
        Ok(kept)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.stdout.read_line(&mut line)? == 0 {
            bail!("the process ended: {}", self.child.wait()?);
        }
        Ok(line.trim_end().to_owned())
    }
}

/// The process that says `READY <pid>`.
fn ready_pid(line: &str) -> Result<u32> {
    let pid = line.strip_prefix("READY ").with_context(|| format!("READY expected: {line}"))?;
    Ok(pid.parse()?)
}

impl Drop for Fixture {
    fn drop(&mut self) {
        drop(self.stdin.take());
        // It may have ended by itself; what matters is that it is gone afterwards.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
