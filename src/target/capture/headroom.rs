//! How much memory may be used without harm to the machine, our container or the target's.

use crate::target::groups;
use std::fs;
use std::path::{Path, PathBuf};

/// The bytes left on this machine and in the control groups of both processes; nothing if the
/// kernel does not say.
pub(in crate::target) fn bytes(target: u32) -> Option<u64> {
    let machine = available(&fs::read_to_string("/proc/meminfo").ok()?);
    let groups = ["self".to_owned(), target.to_string()]
        .into_iter()
        .filter_map(|process| group_headroom(&groups::groups(&process, "memory")));
    machine.into_iter().chain(groups).min()
}

/// Asks the kernel to end this process before any other when memory runs out, however well that
/// was reckoned. Where it does not listen, nothing is lost.
pub fn be_the_first_to_go() {
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
}

fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.split_ascii_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// The least room of groups.
fn group_headroom(groups: &[(PathBuf, bool)]) -> Option<u64> {
    let rooms = groups.iter().filter_map(|(group, is_v2)| {
        let files = match is_v2 {
            true => ("memory.max", "memory.current", "inactive_file"),
            false => ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        };
        room(group, files)
    });
    rooms.min()
}

fn room(group: &Path, (max, current, cache): (&str, &str, &str)) -> Option<u64> {
    let number = |name| fs::read_to_string(group.join(name)).ok()?.trim().parse::<u64>().ok();
    // `max` is no number: no limit.
    let left = number(max)?.saturating_sub(number(current)?);
    // What the kernel can drop at once counts as used, but is not.
    let stat = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
    let droppable = stat.lines().find_map(|line| {
        let (name, value) = line.split_once(' ')?;
        if name == cache { value.parse::<u64>().ok() } else { None }
    });
    Some(left.saturating_add(droppable.unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn available_memory_is_in_bytes() {
        assert_eq!(available("MemTotal: 9 kB\nMemAvailable:    1234 kB\n"), Some(1234 * 1024));
        assert_eq!(available("MemTotal: 9 kB\n"), None);
    }

    #[test]
    fn the_tightest_group_of_version_2_counts() {
        let root = tempfile::tempdir().unwrap();
        let pod = root.path().join("pod");
        let inner = pod.join("inner");
        fs::create_dir_all(&inner).unwrap();
        fs::write(inner.join("memory.max"), "max\n").unwrap();
        fs::write(inner.join("memory.current"), "100\n").unwrap();
        fs::write(pod.join("memory.max"), "5000\n").unwrap();
        fs::write(pod.join("memory.current"), "3000\n").unwrap();
        fs::write(pod.join("memory.stat"), "anon 2000\ninactive_file 500\n").unwrap();
        let headroom = |text: &str| group_headroom(&groups::named(root.path(), text, "memory"));
        assert_eq!(headroom("0::/pod/inner\n"), Some(2500));
        assert_eq!(headroom("0::/other\n"), None);
        assert_eq!(headroom("0::/../../x\nnonsense\n"), None);
    }

    #[test]
    fn groups_of_version_1_count_too() {
        let root = tempfile::tempdir().unwrap();
        let group = root.path().join("memory/docker/1");
        fs::create_dir_all(&group).unwrap();
        fs::write(group.join("memory.limit_in_bytes"), "1000\n").unwrap();
        fs::write(group.join("memory.usage_in_bytes"), "1500\n").unwrap();
        let text = "5:cpu,cpuacct:/docker/1\n4:memory:/docker/1\n0::/docker/1\n";
        assert_eq!(group_headroom(&groups::named(root.path(), text, "memory")), Some(0));
    }

    #[test]
    fn this_process_goes_before_the_target() {
        be_the_first_to_go();
        let score = fs::read_to_string("/proc/self/oom_score_adj").unwrap();
        assert_eq!(score.trim(), "1000");
    }

    #[test]
    fn this_machine_has_some_room() {
        assert!(bytes(std::process::id()).unwrap() > 1 << 20);
    }
}
