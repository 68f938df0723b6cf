//! The control group of a process: how full it is, and what the kernel says of its memory.

use std::fs;
use std::path::{Path, PathBuf};

/// The memory of a control group (version 2), and of the machine where there is none.
#[derive(Debug, Clone, Default)]
pub struct MemoryGroup {
    /// The folder of the group.
    folder: Option<PathBuf>,
    /// Where pressure of memory is told.
    pressure: Option<PathBuf>,
}

impl MemoryGroup {
    /// The group of a process.
    #[must_use]
    pub fn of(pid: u32) -> Self {
        let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        Self::find(Path::new("/sys/fs/cgroup"), Path::new("/proc/pressure/memory"), &text)
    }

    fn find(root: &Path, machine: &Path, text: &str) -> Self {
        let path = text.lines().find_map(|line| line.strip_prefix("0::/"));
        // Seen from a container, groups outside of it are called `/../…`: they are not mounted.
        let path = path.filter(|path| !path.contains("..")).unwrap_or_default();
        let folder = root.join(path);
        let has = |name: &str| folder.join(name).exists();
        let pressure = match has("memory.pressure") {
            true => Some(folder.join("memory.pressure")),
            false => machine.exists().then(|| machine.to_owned()),
        };
        Self { folder: has("memory.events").then_some(folder), pressure }
    }

    /// How much of its limit the group uses, in percent: of the tightest limit, its own or one above.
    #[must_use]
    pub fn used_percent(&self) -> Option<f64> {
        let folder = self.folder.as_deref()?;
        let used = folder.ancestors().filter_map(|group| {
            let number = |name| {
                let text = fs::read_to_string(group.join(name)).ok()?;
                text.trim().parse::<u32>().map(f64::from).or_else(|_| text.trim().parse()).ok()
            };
            // `max` is no number: no limit.
            let (limit, current): (f64, f64) = (number("memory.max")?, number("memory.current")?);
            (limit > 0.0).then(|| current / limit * 100.0)
        });
        used.max_by(f64::total_cmp)
    }

    /// How often an event of `memory.events` has happened: `low`, `high`, `max`, `oom`, `oom_kill`.
    #[must_use]
    pub fn events(&self, name: &str) -> Option<u64> {
        let text = fs::read_to_string(self.folder.as_ref()?.join("memory.events")).ok()?;
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
    }

    /// The part of the last ten seconds in which some or all tasks waited for memory, in percent.
    #[must_use]
    pub fn pressure(&self, kind: &str) -> Option<f64> {
        let text = fs::read_to_string(self.pressure.as_ref()?).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(kind)?.strip_prefix(' '))?;
        line.split(' ').find_map(|word| word.strip_prefix("avg10=")?.parse().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_a_group_are_read() {
        let root = tempfile::tempdir().unwrap();
        let group = root.path().join("pod/app");
        fs::create_dir_all(&group).unwrap();
        let write = |name: &str, text: &str| fs::write(group.join(name), text).unwrap();
        write("memory.events", "low 0\nhigh 3\nmax 12\noom 1\noom_kill 0\n");
        write("memory.pressure", "some avg10=1.50 avg60=0.30 total=9\nfull avg10=0.25 total=2\n");
        write("memory.current", "750\n");
        write("memory.max", "max\n");
        fs::write(root.path().join("pod/memory.max"), "1000\n").unwrap();
        fs::write(root.path().join("pod/memory.current"), "900\n").unwrap();
        let machine = root.path().join("none");
        let found = MemoryGroup::find(root.path(), &machine, "1:cpu:/x\n0::/pod/app\n");
        assert_eq!(
            (found.events("max"), found.events("oom"), found.events("ma")),
            (Some(12), Some(1), None)
        );
        assert_eq!((found.pressure("some"), found.pressure("full")), (Some(1.5), Some(0.25)));
        assert_eq!(found.used_percent(), Some(90.0));
        let none = MemoryGroup::find(root.path(), &machine, "0::/../elsewhere\n");
        assert_eq!(
            (none.events("max"), none.pressure("some"), none.used_percent()),
            (None, None, None)
        );
    }
}
