//! Processes that another pid namespace than ours counts too: those in containers.

use std::fs;

use super::stat::Status;

/// The processes, by the numbers that we see, which have a number in an inner namespace of theirs: what `ps` prints inside
/// a container is no number out here. Sorted.
#[must_use]
pub fn called_inside(pid: u32) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut found: Vec<u32> = numbers
        .filter(|outside: &u32| {
            // One that ends meanwhile is none of them.
            let status = Status::read(&outside.to_string());
            status.is_ok_and(|status| is_called(status.get("NSpid").unwrap_or_default(), pid))
        })
        .collect();
    found.sort_unstable();
    found
}

/// Whether the innermost of several namespaces counts a process so. `NSpid` of `/proc/PID/status` begins with ours.
fn is_called(numbers: &str, pid: u32) -> bool {
    let inner = numbers.split_ascii_whitespace().skip(1);
    inner.last().and_then(|number| number.parse().ok()) == Some(pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_number_counts_and_our_own_does_not() {
        assert!(is_called("15430\t7", 7));
        assert!(is_called("15430\t21\t1", 1));
        assert!(!is_called("15430\t21\t1", 21));
        assert!(!is_called("7", 7));
        assert!(!is_called("", 0));
        assert!(!is_called("1 x", 1));
    }
}
