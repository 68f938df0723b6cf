//! `/proc/PID/smaps`: what of each mapping is in memory, and whose else it is.

use std::fs;

use crate::addr::{Addr, AddrRange};

/// What the kernel counts of a mapping, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MappingCounts {
    /// In memory.
    pub rss: u64,
    /// In memory, shared pages divided by how many processes have them.
    pub pss: u64,
    /// In memory of other processes too.
    pub shared: u64,
    /// In memory of this process alone, and different from any file.
    pub private_dirty: u64,
    /// In memory, and of no file.
    pub anonymous: u64,
    /// In swap.
    pub swap: u64,
}

impl MappingCounts {
    /// Adds those of another mapping.
    pub fn add(&mut self, other: &Self) {
        let pairs = [
            (&mut self.rss, other.rss),
            (&mut self.pss, other.pss),
            (&mut self.shared, other.shared),
            (&mut self.private_dirty, other.private_dirty),
            (&mut self.anonymous, other.anonymous),
            (&mut self.swap, other.swap),
        ];
        for (sum, more) in pairs {
            *sum = sum.saturating_add(more);
        }
    }
}

/// The mappings of a process at one moment, with what the kernel counts of each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Smaps {
    mappings: Vec<(AddrRange, MappingCounts)>,
}

impl Smaps {
    /// Reads those of a process; nothing if they may not be read. The process need not stand still.
    #[must_use]
    pub fn read(pid: u32) -> Option<Self> {
        let bytes = fs::read(format!("/proc/{pid}/smaps")).ok()?;
        Some(Self::parse(&String::from_utf8_lossy(&bytes)))
            .filter(|smaps| !smaps.mappings.is_empty())
    }

    /// Reads the text of the file. Lines that are none are left out.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut mappings: Vec<(AddrRange, MappingCounts)> = Vec::new();
        for line in text.lines() {
            if let Some(range) = header(line) {
                mappings.push((range, MappingCounts::default()));
            } else if let (Some((_, counts)), Some((name, bytes))) =
                (mappings.last_mut(), count(line))
            {
                let place = match name {
                    "Rss" => &mut counts.rss,
                    "Pss" => &mut counts.pss,
                    "Shared_Clean" | "Shared_Dirty" => &mut counts.shared,
                    "Private_Dirty" => &mut counts.private_dirty,
                    "Anonymous" => &mut counts.anonymous,
                    "Swap" => &mut counts.swap,
                    _ => continue,
                };
                *place = place.saturating_add(bytes);
            }
        }
        mappings.sort_by_key(|(range, _)| range.start);
        Self { mappings }
    }

    /// The mapping that covers an address, and what is counted of it.
    #[must_use]
    pub fn find(&self, addr: Addr) -> Option<(AddrRange, MappingCounts)> {
        let after = self.mappings.partition_point(|(range, _)| range.start <= addr);
        let found = *self.mappings.get(after.checked_sub(1)?)?;
        found.0.contains(addr).then_some(found)
    }

    /// All mappings together.
    #[must_use]
    pub fn total(&self) -> MappingCounts {
        let mut total = MappingCounts::default();
        self.mappings.iter().for_each(|(_, counts)| total.add(counts));
        total
    }
}

/// `55d0a000-55d0b000 r--p …`.
fn header(line: &str) -> Option<AddrRange> {
    let (start, end) = line.split_once(' ')?.0.split_once('-')?;
    let number = |text| u64::from_str_radix(text, 16).ok().map(Addr);
    Some(AddrRange::new(number(start)?, number(end)?))
}

/// `Rss:     8 kB`.
fn count(line: &str) -> Option<(&str, u64)> {
    let (name, rest) = line.split_once(':')?;
    let number = rest.trim().strip_suffix(" kB")?;
    Some((name, number.parse::<u64>().ok()?.saturating_mul(1024)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str = "\
7f00000000-7f00003000 rw-p 00000000 00:00 0                              [anon: glibc: malloc]
Size:                 12 kB
Rss:                   8 kB
Pss:                   6 kB
Pss_Dirty:             6 kB
Shared_Clean:          1 kB
Shared_Dirty:          3 kB
Private_Clean:         0 kB
Private_Dirty:         4 kB
Anonymous:             8 kB
Swap:                  4 kB
VmFlags: rd wr mr
55731a854000-55731a856000 r--p 00000000 fe:00 247030                     /usr/bin/a: b
Rss:                   4 kB
";

    #[test]
    fn counts_belong_to_the_line_above_them() {
        let smaps = Smaps::parse(TEXT);
        let (range, counts) = smaps.find(Addr(0x7f_0000_2fff)).unwrap();
        assert_eq!(range.len(), 0x3000);
        const KIB: u64 = 1024;
        let expected = MappingCounts {
            rss: 8 * KIB,
            pss: 6 * KIB,
            shared: 4 * KIB,
            private_dirty: 4 * KIB,
            anonymous: 8 * KIB,
            swap: 4 * KIB,
        };
        assert_eq!(counts, expected);
        assert_eq!(smaps.find(Addr(0x7f_0000_3000)), None);
        assert_eq!(smaps.find(Addr(0x5573_1a85_4000)).unwrap().1.rss, 4096);
        assert_eq!(smaps.total().rss, 12 * KIB);
    }

    #[test]
    fn our_own_add_up_to_what_status_says() {
        let total = Smaps::read(std::process::id()).unwrap().total();
        assert!(total.rss > 1 << 20 && total.pss <= total.rss && total.anonymous <= total.rss);
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "[0-9a-f RspwkB:\\-\n]{0,300}") {
            let _ = Smaps::parse(&text).total();
        }
    }
}
