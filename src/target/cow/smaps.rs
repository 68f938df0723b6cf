//! What a fork does not take along: `VmFlags` of `/proc/PID/smaps`.

use crate::addr::{Addr, AddrRange};
use std::fs::File;
use std::io::{self, BufRead, BufReader};

/// Mappings of a process that a forked child does not have as they are.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Unforked {
    /// Missing in the child (`dc`), or full of zeros (`wf`).
    pub(super) not_saved: Vec<AddrRange>,
    /// Whether another program handles page faults of one (`userfaultfd`).
    pub(super) userfaultfd: bool,
}

impl Unforked {
    pub(super) fn of(pid: u32) -> io::Result<Self> {
        Self::read(BufReader::new(File::open(format!("/proc/{pid}/smaps"))?))
    }

    fn read(text: impl BufRead) -> io::Result<Self> {
        let mut unforked = Self::default();
        let mut range = None;
        for line in text.split(b'\n') {
            let line = line?;
            let line = String::from_utf8_lossy(&line);
            if let Some(flags) = line.strip_prefix("VmFlags:") {
                for flag in flags.split_ascii_whitespace() {
                    match flag {
                        "dc" | "wf" => unforked.not_saved.extend(range),
                        "um" | "uw" | "ui" => unforked.userfaultfd = true,
                        _ => {}
                    }
                }
            } else if line.starts_with(|first: char| first.is_ascii_hexdigit())
                && let Some(found) = addresses(&line)
            {
                range = Some(found);
            }
        }
        unforked.not_saved.dedup();
        Ok(unforked)
    }
}

/// The range at the beginning of a mapping's first line.
fn addresses(line: &str) -> Option<AddrRange> {
    let (start, end) = line.split_ascii_whitespace().next()?.split_once('-')?;
    let hex = |text| u64::from_str_radix(text, 16).ok().map(Addr);
    Some(AddrRange::new(hex(start)?, hex(end)?)).filter(|range| !range.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
7f0000000000-7f0000001000 rw-p 00000000 00:00 0 
Size:                  4 kB
VmFlags: rd wr mr mw me ac
7f0000001000-7f0000002000 rw-p 00000000 00:00 0 
AnonHugePages:         0 kB
VmFlags: rd wr mr mw me dc ac
7f0000002000-7f0000003000 rw-p 00000000 00:00 0                          [anon: a-b]
VmFlags: rd wr mr mw me wf dc ac
";

    #[test]
    fn what_a_child_lacks_is_found_by_its_flags() {
        let found = Unforked::read(TEXT.as_bytes()).unwrap();
        let range = |start, end| AddrRange::new(Addr(start), Addr(end));
        let missing =
            [range(0x7f00_0000_1000, 0x7f00_0000_2000), range(0x7f00_0000_2000, 0x7f00_0000_3000)];
        assert_eq!(found.not_saved, missing);
        assert!(!found.userfaultfd);
        let armed = TEXT.replace("wf dc", "um");
        assert!(Unforked::read(armed.as_bytes()).unwrap().userfaultfd);
    }

    #[test]
    fn our_own_mappings_are_read() {
        assert!(!Unforked::of(std::process::id()).unwrap().userfaultfd);
    }
}
