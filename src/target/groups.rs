//! Where the control groups of a process are, of both versions.

use std::fs;
use std::path::{Path, PathBuf};

/// Where control groups are mounted.
pub(super) const ROOT: &str = "/sys/fs/cgroup";

/// The groups of a process that limit something (`memory`, `pids`), each with all above it; and
/// whether they are of version 2, whose files have other names.
pub(super) fn groups(process: &str, controller: &str) -> Vec<(PathBuf, bool)> {
    let text = fs::read_to_string(format!("/proc/{process}/cgroup")).unwrap_or_default();
    named(Path::new(ROOT), &text, controller)
}

/// The groups that the text of `/proc/PID/cgroup` names, and all above them.
pub(super) fn named(root: &Path, text: &str, controller: &str) -> Vec<(PathBuf, bool)> {
    let mut groups = Vec::new();
    for line in text.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let (base, is_v2) = if controllers.is_empty() {
            (root.to_owned(), true)
        } else if controllers.split(',').any(|name| name == controller) {
            (root.join(controller), false)
        } else {
            continue;
        };
        // Seen from a container, groups outside of it are called `/../…`: they are not mounted.
        let path = path.trim_start_matches('/');
        let group = if path.contains("..") { base.clone() } else { base.join(path) };
        let above = group.ancestors().take_while(|group| group.starts_with(&base));
        groups.extend(above.map(|group| (group.to_owned(), is_v2)));
    }
    groups
}

/// How many tasks more the groups of a process may have; nothing if there is no limit.
pub(super) fn room_for_tasks(process: &str) -> Option<u64> {
    let rooms = groups(process, "pids").into_iter().filter_map(|(group, _)| {
        let number = |name| fs::read_to_string(group.join(name)).ok()?.trim().parse::<u64>().ok();
        Some(number("pids.max")?.saturating_sub(number("pids.current")?))
    });
    rooms.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_of_both_versions_are_named_with_those_above() {
        let root = Path::new("/r");
        let text = "5:cpu:/a\n4:pids,memory:/a\n0::/b/c\n";
        let found = named(root, text, "pids");
        let expected = ["/r/pids/a", "/r/pids", "/r/b/c", "/r/b", "/r"];
        assert_eq!(
            found.iter().map(|(path, _)| path.as_path()).collect::<Vec<_>>(),
            expected.map(Path::new)
        );
        assert_eq!(
            found.iter().map(|&(_, v2)| v2).collect::<Vec<_>>(),
            [false, false, true, true, true]
        );
        assert_eq!(named(root, "0::/../../x\n", "pids"), [(root.to_owned(), true)]);
    }
}
