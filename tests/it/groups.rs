//! Control groups that a test makes, of either version.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

/// A group with one limit. It ends with the test, whose processes in it must have ended.
pub(crate) struct Group {
    folder: PathBuf,
    limit: &'static str,
    used: &'static str,
}

impl Group {
    /// A group in which a controller (`memory`, `pids`) limits something; nothing where none can be made. Where
    /// everything has to be tested, that is a failure.
    ///
    /// # Errors
    /// If none can be made and one has to be.
    pub(crate) fn new(controller: &str, name: &str) -> Result<Option<Self>> {
        let root = Path::new("/sys/fs/cgroup");
        let name = format!("pyheap-{name}-{}", std::process::id());
        let old = match controller {
            "memory" => ("memory.limit_in_bytes", "memory.usage_in_bytes"),
            _ => ("pids.max", "pids.current"),
        };
        let new = match controller {
            "memory" => ("memory.max", "memory.current"),
            _ => ("pids.max", "pids.current"),
        };
        for (parent, (limit, used)) in [(root.join(controller), old), (root.to_owned(), new)] {
            let folder = parent.join(&name);
            if parent.join("cgroup.procs").exists() && fs::create_dir(&folder).is_ok() {
                let group = Self { folder, limit, used };
                if group.folder.join(limit).exists() {
                    return Ok(Some(group));
                }
            }
        }
        println!("no group for {controller} can be made here");
        match std::env::var_os("CI") {
            None => Ok(None),
            Some(_) => anyhow::bail!("no group for {controller} can be made here"),
        }
    }

    /// A command that runs a Python in the group from its beginning.
    pub(crate) fn python(&self) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", "echo $$ >\"$0\" && exec python3 \"$@\""]);
        command.arg(self.folder.join("cgroup.procs"));
        command
    }

    /// Sets what the group may use beyond what it uses now.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub(crate) fn allow_more(&self, more: u64) -> Result<()> {
        let used = fs::read_to_string(self.folder.join(self.used))?;
        let used: u64 = used.trim().parse().context(used)?;
        Ok(fs::write(self.folder.join(self.limit), (used + more).to_string())?)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // A group whose processes have not quite ended is left to the system.
        let _ = fs::remove_dir(&self.folder);
    }
}
