//! `/proc/PID/maps`: which ranges of the address space are mapped, how, and from which file.

use crate::addr::{Addr, AddrRange};

/// One line of `/proc/PID/maps`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// The addresses it covers.
    pub range: AddrRange,
    /// Whether the target may read it.
    pub read: bool,
    /// Whether the target may write it.
    pub write: bool,
    /// Whether the target may execute it.
    pub execute: bool,
    /// Whether writes are seen by other processes.
    pub shared: bool,
    /// The offset in the file, in bytes, of the first address.
    pub offset: u64,
    /// The major number of the file's device; 0 without a file.
    pub dev_major: u32,
    /// The minor number of the file's device; 0 without a file.
    pub dev_minor: u32,
    /// The file's inode number; 0 without a file.
    pub inode: u64,
    /// The file as its process sees it, or a name in brackets such as `[heap]`.
    pub path: Option<String>,
    /// Whether the file has no name any more.
    pub deleted: bool,
}

impl Mapping {
    /// Whether there is no file behind it.
    #[must_use]
    pub const fn is_anonymous(&self) -> bool {
        self.inode == 0 && self.dev_major == 0 && self.dev_minor == 0
    }

    fn parse(line: &str) -> Option<Self> {
        let (range, rest) = field(line)?;
        let (permissions, rest) = field(rest)?;
        let (offset, rest) = field(rest)?;
        let (device, rest) = field(rest)?;
        let (inode, rest) = field(rest)?;
        let (start, end) = range.split_once('-')?;
        let (dev_major, dev_minor) = device.split_once(':')?;
        let range = AddrRange::new(Addr(hex(start)?), Addr(hex(end)?));
        let &[read, write, execute, sharing] = permissions.as_bytes() else { return None };
        if range.is_empty() {
            return None;
        }
        let (path, deleted) = path(rest);
        Some(Self {
            range,
            read: read == b'r',
            write: write == b'w',
            execute: execute == b'x',
            shared: sharing == b's',
            offset: hex(offset)?,
            dev_major: u32::from_str_radix(dev_major, 16).ok()?,
            dev_minor: u32::from_str_radix(dev_minor, 16).ok()?,
            inode: inode.parse().ok()?,
            path,
            deleted,
        })
    }
}

/// The next word of a line, and what follows it.
fn field(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start_matches(' ');
    if text.is_empty() { None } else { Some(text.split_once(' ').unwrap_or((text, ""))) }
}

fn hex(text: &str) -> Option<u64> {
    u64::from_str_radix(text, 16).ok()
}

fn path(text: &str) -> (Option<String>, bool) {
    const DELETED: &str = " (deleted)";
    let text = text.trim_start_matches(' ');
    let (text, deleted) = text.strip_suffix(DELETED).map_or((text, false), |path| (path, true));
    // The kernel escapes nothing but the newline.
    ((!text.is_empty()).then(|| text.replace("\\012", "\n")), deleted)
}

/// The address space of a process at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryMap {
    mappings: Vec<Mapping>,
}

impl MemoryMap {
    /// Reads the text of `/proc/PID/maps`. Lines that are none are left out, and so is a mapping
    /// that overlaps the one before it: the kernel writes neither.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self::from_mappings(text.lines().filter_map(Mapping::parse).collect())
    }

    /// Puts mappings in order; one that overlaps the one before it is left out.
    #[must_use]
    pub fn from_mappings(mut mappings: Vec<Mapping>) -> Self {
        mappings.sort_by_key(|mapping| mapping.range.start);
        let mut end = Addr::NULL;
        mappings.retain(|mapping| {
            let apart = mapping.range.start >= end;
            if apart {
                end = mapping.range.end;
            }
            apart
        });
        Self { mappings }
    }

    /// The mapping that covers an address.
    #[must_use]
    pub fn find(&self, addr: Addr) -> Option<&Mapping> {
        let behind = self.mappings.partition_point(|mapping| mapping.range.start <= addr);
        let mapping = self.mappings.get(behind.checked_sub(1)?)?;
        mapping.range.contains(addr).then_some(mapping)
    }

    /// All mappings, by address.
    pub fn iter(&self) -> std::slice::Iter<'_, Mapping> {
        self.mappings.iter()
    }

    /// How many bytes of the address space are mapped.
    #[must_use]
    pub fn mapped_bytes(&self) -> u64 {
        self.iter().fold(0, |sum, mapping| sum.saturating_add(mapping.range.len()))
    }
}

impl<'map> IntoIterator for &'map MemoryMap {
    type Item = &'map Mapping;
    type IntoIter = std::slice::Iter<'map, Mapping>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str = "\
5581ee5e2000-5581ee5e3000 r--p 00000000 fe:00 1835091                    /usr/bin/python3.11
5581ee5e3000-5581ee5e4000 r-xp 00001000 fe:00 1835091                    /usr/bin/python3.11 (deleted)
5581f0a51000-5581f0b5b000 rw-p 00000000 00:00 0                          [heap]
7f2d8c000000-7f2d8c021000 rw-p 00000000 00:00 0 
7f2d8c021000-7f2d90000000 ---p 00000000 00:00 0 
7f2d91a00000-7f2d91a10000 rw-s 00010000 00:01 4                          /dev/shm/a b\\012c (deleted)
7ffd7f7c0000-7ffd7f7e1000 rw-p 00000000 00:00 0                          [stack]
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
";

    #[test]
    fn every_column_is_read() {
        let map = MemoryMap::parse(TEXT);
        assert_eq!(map.iter().count(), 8);
        let code = map.find(Addr(0x5581_ee5e_3fff)).unwrap();
        assert_eq!(code.path.as_deref(), Some("/usr/bin/python3.11"));
        assert!(code.deleted && code.read && !code.write && code.execute && !code.shared);
        assert_eq!((code.offset, code.dev_major, code.dev_minor), (0x1000, 0xfe, 0));
        assert_eq!(code.inode, 1_835_091);
        let shared = map.find(Addr(0x7f2d_91a0_0000)).unwrap();
        assert_eq!(shared.path.as_deref(), Some("/dev/shm/a b\nc"));
        assert!(shared.shared && shared.deleted && !shared.is_anonymous());
        let anonymous = map.find(Addr(0x7f2d_8c00_0000)).unwrap();
        assert!(anonymous.is_anonymous() && anonymous.path.is_none() && anonymous.write);
    }

    #[test]
    fn the_ends_of_a_mapping_are_exact() {
        let map = MemoryMap::parse(TEXT);
        assert_eq!(map.find(Addr(0x5581_ee5e_1fff)), None);
        assert!(map.find(Addr(0x5581_ee5e_2000)).is_some());
        assert_eq!(map.find(Addr(0x5581_ee5e_4000)), None);
        assert_eq!(map.find(Addr::NULL), None);
        assert_eq!(map.find(Addr(u64::MAX)), None);
    }

    #[test]
    fn mapped_bytes_add_up_and_saturate() {
        assert_eq!(MemoryMap::parse("1000-3000 rw-p 0 00:00 0\n").mapped_bytes(), 0x2000);
        let all = "0-ffffffffffffffff rw-p 0 00:00 0\n1000-2000 rw-p 0 00:00 0\n";
        assert_eq!(MemoryMap::parse(all).mapped_bytes(), u64::MAX);
    }

    #[test]
    fn lines_that_are_none_are_left_out() {
        for line in [
            "",
            "x",
            "1000-2000",
            "1000-2000 rw-p",
            "1000-2000 rwp 0 00:00 0",
            "2000-1000 rw-p 0 00:00 0",
            "1000-1000 rw-p 0 00:00 0",
            "1000-2000 rw-p 0 0000 0",
            "1000-2000 rw-p 0 00:00 -1",
            "10000000000000000-2 rw-p 0 00:00 0",
        ] {
            assert_eq!(MemoryMap::parse(line), MemoryMap::default(), "{line:?}");
        }
    }

    #[test]
    fn unsorted_mappings_are_found() {
        let map = MemoryMap::parse("3000-4000 rw-p 0 00:00 0\n1000-2000 r--p 0 00:00 0\n");
        assert!(!map.find(Addr(0x1000)).unwrap().write);
        assert!(map.find(Addr(0x3000)).unwrap().write);
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "[0-9a-f rwxp:/\\-\n\\\\]{0,200}") {
            let map = MemoryMap::parse(&text);
            let mut end = Addr::NULL;
            for mapping in &map {
                prop_assert!(mapping.range.start >= end);
                end = mapping.range.end;
            }
        }
    }
}
