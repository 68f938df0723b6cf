//! Running the pyheap binary as a user does, with a bound on its time.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context, Result, ensure};

/// What a run of pyheap gave.
pub(crate) struct Run {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// Runs pyheap; one that takes more than a minute hangs, and ends with code 124.
    ///
    /// # Errors
    /// If it cannot be run, or panics.
    pub(crate) fn of(pyheap: &Path, args: &[&str]) -> Result<Self> {
        Self::command(Command::new("timeout").arg("60").arg(pyheap).args(args))
    }

    /// Runs a command that runs pyheap.
    ///
    /// # Errors
    /// If it cannot be run, or pyheap panics.
    pub(crate) fn command(command: &mut Command) -> Result<Self> {
        let output = command.stdin(Stdio::null()).output()?;
        let run = Self {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        ensure!(!run.stderr.contains("panicked"), "pyheap panicked:\n{}", run.stderr);
        Ok(run)
    }

    /// Checks the exit code, and that the message says certain words.
    ///
    /// # Errors
    /// If it does not.
    pub(crate) fn expect(&self, code: i32, words: &[&str]) -> Result<()> {
        let said = &self.stderr;
        ensure!(self.status.code() == Some(code), "{} instead of {code}: {said}", self.status);
        for word in words {
            ensure!(said.contains(word), "{word:?} is not said in: {said}");
        }
        Ok(())
    }

    /// The JSON document of a successful run.
    ///
    /// # Errors
    /// If it failed, or printed something else.
    pub(crate) fn json(&self) -> Result<serde_json::Value> {
        self.expect(0, &[])?;
        Ok(serde_json::from_str(&self.stdout)?)
    }

    /// The JSON documents of a successful run, one a line.
    ///
    /// # Errors
    /// If it failed, or printed something else.
    pub(crate) fn json_lines(&self) -> Result<Vec<serde_json::Value>> {
        self.expect(0, &[])?;
        self.stdout.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }
}

/// A process that ends with the test.
pub(crate) struct Target(pub(crate) Child);

impl Target {
    /// Starts a command and waits for the first line that it prints.
    ///
    /// # Errors
    /// If it cannot be started, or says nothing.
    pub(crate) fn ready(command: &mut Command) -> Result<Self> {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut target = Self(child);
        let mut line = String::new();
        let stdout = target.0.stdout.as_mut().context("no output")?;
        BufReader::new(stdout).read_line(&mut line)?;
        ensure!(!line.is_empty(), "the process ended before it was ready");
        Ok(target)
    }

    pub(crate) fn pid(&self) -> String {
        self.0.id().to_string()
    }

    /// The state letter of `/proc/PID/stat`.
    ///
    /// # Errors
    /// If it is gone.
    pub(crate) fn state(&self) -> Result<char> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id()))?;
        let after = stat.rsplit_once(") ").context("no name")?.1;
        after.chars().next().context("no state")
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
