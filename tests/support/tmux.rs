//! A real terminal: a window of tmux, whose keys are pressed and whose screen is read.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// How long something may take to appear.
const PATIENCE: Duration = Duration::from_secs(60);

/// A window that runs a command, in a server of its own.
pub(crate) struct Tmux {
    folder: tempfile::TempDir,
}

impl Tmux {
    /// Whether there is a tmux. Where interpreters are required, so is it.
    ///
    /// # Errors
    /// There is none, and it is required.
    pub(crate) fn is_there() -> Result<bool> {
        let is_there = Command::new("tmux").arg("-V").output().is_ok();
        let required = std::env::var_os("PYHEAP_REQUIRE_PYTHONS").is_some();
        ensure!(is_there || !required, "no tmux: apt-get install tmux");
        Ok(is_there)
    }

    /// Runs a shell script in a window of so many columns and lines.
    ///
    /// # Errors
    /// If it cannot be started.
    pub(crate) fn start(width: u16, height: u16, script: &str) -> Result<Self> {
        let tmux = Self { folder: tempfile::Builder::new().prefix("pyheap-tmux-").tempdir()? };
        let (width, height) = (width.to_string(), height.to_string());
        let size = ["-x", &width, "-y", &height];
        let mut command = tmux.command();
        for name in ["NO_COLOR", "CLICOLOR_FORCE", "COLUMNS", "TMUX"] {
            command.env_remove(name);
        }
        // What is drawn is not ASCII, and tmux asks the locale whether its terminal can show that.
        command.args(["-u", "new-session", "-d"]).args(size).args(["sh", "-c", script]);
        let output = command.env("LC_ALL", "C.UTF-8").output().context("cannot run tmux")?;
        ensure!(output.status.success(), "tmux: {}", String::from_utf8_lossy(&output.stderr));
        Ok(tmux)
    }

    fn command(&self) -> Command {
        let mut command = Command::new("tmux");
        command.arg("-S").arg(self.folder.path().join("socket")).args(["-f", "/dev/null"]);
        command
    }

    fn tell(&self, args: &[&str]) -> Result<String> {
        let output = self.command().args(args).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "tmux {}: {said}", args.join(" "));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Presses keys, as tmux calls them; a text is typed.
    ///
    /// # Errors
    /// If the window is gone.
    pub(crate) fn press(&self, keys: &[&str]) -> Result<()> {
        self.tell(&[&["send-keys"], keys].concat()).map(drop)
    }

    /// The screen as it is now.
    ///
    /// # Errors
    /// If the window is gone.
    pub(crate) fn screen(&self) -> Result<String> {
        self.tell(&["capture-pane", "-p"])
    }

    /// The same with its colours, as SGR codes.
    ///
    /// # Errors
    /// If the window is gone.
    pub(crate) fn colored_screen(&self) -> Result<String> {
        self.tell(&["capture-pane", "-p", "-e"])
    }

    /// Waits until the screen is as it should be, and gives it.
    ///
    /// # Errors
    /// If it does not become so, or the window is gone.
    pub(crate) fn wait_for(&self, what: &str, is_so: impl Fn(&str) -> bool) -> Result<String> {
        let begun = Instant::now();
        loop {
            let screen = self.screen()?;
            if is_so(&screen) {
                return Ok(screen);
            }
            if begun.elapsed() > PATIENCE {
                bail!("{what} is never seen; the screen is\n{screen}");
            }
            // So that what is waited for has time to be done.
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until some words are on the screen.
    ///
    /// # Errors
    /// As [`Tmux::wait_for`].
    pub(crate) fn wait_for_words(&self, words: &str) -> Result<String> {
        self.wait_for(&format!("{words:?}"), |screen| screen.contains(words))
    }

    /// Makes the window larger or smaller.
    ///
    /// # Errors
    /// If the window is gone.
    pub(crate) fn resize(&self, width: u16, height: u16) -> Result<()> {
        let (width, height) = (width.to_string(), height.to_string());
        self.tell(&["resize-window", "-x", &width, "-y", &height]).map(drop)
    }

    /// Whether a program has the screen for itself, and whether the cursor is shown.
    ///
    /// # Errors
    /// If the window is gone.
    pub(crate) fn flags(&self) -> Result<(bool, bool)> {
        let flags = self.tell(&["display-message", "-p", "#{alternate_on} #{cursor_flag}"])?;
        let (alternate, cursor) = flags.trim().split_once(' ').context("no flags")?;
        Ok((alternate == "1", cursor == "1"))
    }

    /// A folder for files of the script, which is gone with this.
    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        // The programs in the window are hung up.
        let _ = self.tell(&["kill-server"]);
    }
}
