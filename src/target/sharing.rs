//! How much of a process's memory is its own, and how much it shares with others: forked workers share
//! the pages that none of them has written to since.

use std::fs;

use crate::facts::SharingFacts;

/// Reads `/proc/PID/smaps_rollup`; nothing where the kernel does not have it, or refuses.
///
/// The kernel walks the page tables for it, some ten milliseconds for a gibibyte, while the process
/// runs.
#[must_use]
pub fn sharing(pid: u32) -> Option<SharingFacts> {
    let bytes = fs::read(format!("/proc/{pid}/smaps_rollup")).ok()?;
    parse(&String::from_utf8_lossy(&bytes))
}

fn parse(text: &str) -> Option<SharingFacts> {
    let bytes = |name: &str| {
        let rest = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        let kib: u64 = rest.split_ascii_whitespace().next()?.parse().ok()?;
        Some(kib.saturating_mul(1024))
    };
    let sum = |a: &str, b: &str| Some(bytes(a)?.saturating_add(bytes(b)?));
    Some(SharingFacts {
        rss_bytes: bytes("Rss")?,
        proportional_bytes: bytes("Pss")?,
        private_bytes: sum("Private_Clean", "Private_Dirty")?,
        shared_bytes: sum("Shared_Clean", "Shared_Dirty")?,
        swapped_bytes: bytes("Swap").unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_and_shared_pages_are_summed() {
        let text = "5500-7ffc ---p 00000000 00:00 0    [rollup]\nRss:    100 kB\nPss:     60 kB\n\
                    Pss_Dirty: 1 kB\nShared_Clean:  50 kB\nShared_Dirty:  30 kB\n\
                    Private_Clean:  4 kB\nPrivate_Dirty: 16 kB\nSwap:  8 kB\nSwapPss: 2 kB\n";
        let expected = SharingFacts {
            rss_bytes: 100 << 10,
            proportional_bytes: 60 << 10,
            private_bytes: 20 << 10,
            shared_bytes: 80 << 10,
            swapped_bytes: 8 << 10,
        };
        assert_eq!(parse(text), Some(expected));
        assert_eq!(parse("Rss: 1 kB\n"), None);
    }

    #[test]
    fn our_own_pages_are_private_or_shared() {
        let own = sharing(std::process::id()).unwrap();
        assert_eq!(own.private_bytes + own.shared_bytes, own.rss_bytes);
        assert!(own.proportional_bytes <= own.rss_bytes && own.private_bytes > 0);
    }
}
