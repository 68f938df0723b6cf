//! The text of `sys.version`, where the interpreter keeps it for itself: the only place where versions before 3.11 say
//! their patch level without an object, and where other interpreters say what they are.

use crate::addr::AddrRange;
use crate::cpython::version::Version;
use crate::target::maps::{Mapping, MemoryMap};
use crate::target::memory::Memory;

/// What an interpreter says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Banner {
    /// The version of the language, which is CPython's own where it is CPython.
    pub(super) version: Version,
    /// Whether it is PyPy.
    pub(super) is_pypy: bool,
}

/// Writable data of a binary that is larger is none of an interpreter's; PyPy has 40 MiB.
const MAX_BYTES: u64 = 64 << 20;
/// `Py_GetVersion` writes at most so many bytes before the name of the compiler
/// (`Python/getversion.c`: `"%.80s (%.80s) %.80s"`).
const MAX_TEXT: usize = 170;
/// How many places that look like a banner are read.
const MAX_PLACES: usize = 1000;

/// The writable memory of a binary: its data, and what follows in memory without being in the file.
pub(super) fn data_of(map: &MemoryMap, file: &Mapping) -> Vec<AddrRange> {
    let is_same = |other: &Mapping| {
        (other.dev_major, other.dev_minor, other.inode)
            == (file.dev_major, file.dev_minor, file.inode)
    };
    let mut found = Vec::new();
    let mut end = None;
    for mapping in map.iter().filter(|mapping| mapping.range.len() <= MAX_BYTES) {
        let is_bss = mapping.is_anonymous() && end == Some(mapping.range.start);
        let is_data = is_same(mapping);
        if is_data || is_bss {
            end = Some(mapping.range.end);
        }
        if (is_data || is_bss) && mapping.read && mapping.write && !mapping.shared {
            found.push(mapping.range);
        }
    }
    found
}

/// The banner in a binary's data; nothing where it was never made: no interpreter was started.
pub(super) fn read(memory: &impl Memory, data: &[AddrRange]) -> Option<Banner> {
    data.iter().find_map(|range| {
        let len = usize::try_from(range.len().min(MAX_BYTES)).ok()?;
        find(&memory.bytes(range.start, len).ok()?)
    })
}

/// `3.8.18 (default, Jan  1 2024, 00:00:00) \n[GCC 12.2.0]`; PyPy has no blank before the line break.
fn find(bytes: &[u8]) -> Option<Banner> {
    let ends = memchr::memmem::find_iter(bytes, b"\n[").take(MAX_PLACES);
    ends.filter_map(|end| {
        let text = bytes.get(end.saturating_sub(MAX_TEXT)..end)?;
        let begin = text.iter().rposition(|byte| !matches!(byte, b' '..=b'~'));
        let text = str::from_utf8(text.get(begin.map_or(0, |at| at + 1)..)?).ok()?;
        let (version, built) = text.split_once(' ')?;
        if !built.starts_with('(') || !built.trim_end().ends_with(')') {
            return None;
        }
        let is_pypy = bytes.get(end..).is_some_and(|rest| rest.starts_with(b"\n[PyPy "));
        Some(Banner { version: version.parse().ok()?, is_pypy })
    })
    .next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_banner_is_read_wherever_it_lies() {
        let text = b"\x01junk\n[x\0\x003.6.15 (default, May  9 2026, 07:30:54) \n[GCC 12.2.0]\0";
        let banner = Banner { version: Version::new(3, 6, 15), is_pypy: false };
        assert_eq!(find(text), Some(banner));
        let text = b"2.7.18+ (heads/2.7:8d21aa2, May  9 2026, 07:29:50) \n[Clang 14]";
        assert_eq!(find(text).unwrap().version, Version::new(2, 7, 18));
        let text = b"\x2b\x00\x003.9.16 (7.3.11+dfsg-2, Dec 30 2024, 22:36:23)\n[PyPy 7.3.11 with ";
        assert_eq!(find(text), Some(Banner { version: Version::new(3, 9, 16), is_pypy: true }));
    }

    #[test]
    fn what_only_looks_like_a_banner_is_none() {
        for text in
            ["\n[", "x \n[GCC]", "3.8.18\n[GCC]", "3.8.18 default \n[GCC]", "a.b.c (x) \n[G"]
        {
            assert_eq!(find(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(find(b""), None);
    }
}
