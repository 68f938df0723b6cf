//! Which allocator a process uses.

use crate::addr::Addr;
use crate::target::elf::Image;
use crate::target::mapped_files::MappedFiles;
use crate::target::maps::{Mapping, MemoryMap};
use crate::target::memory::Memory;

use super::PAGE_BYTES;

/// An allocator of the C library's functions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Allocator {
    /// That of the GNU C library; its release, such as `2.36`, if it says it.
    Glibc(Option<String>),
    /// Another one, by its name.
    Other(&'static str),
    /// Nothing is known of it.
    #[default]
    Unknown,
}

impl Allocator {
    /// Its name for people.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Glibc(Some(release)) => format!("glibc {release}"),
            Self::Glibc(None) => "glibc".to_owned(),
            Self::Other(name) => (*name).to_owned(),
            Self::Unknown => "unknown".to_owned(),
        }
    }
}

/// Allocators by how their libraries are called, and by a symbol that only they have.
const OTHERS: [(&str, &str, &str); 5] = [
    ("jemalloc", "libjemalloc", "mallctl"),
    ("tcmalloc", "libtcmalloc", "tc_malloc"),
    // CPython has a mimalloc of its own, without this symbol.
    ("mimalloc", "libmimalloc", "mi_malloc"),
    ("snmalloc", "libsnmalloc", "sn_malloc"),
    ("musl", "ld-musl-", "__malloc_donate"),
];
/// The most binaries that are asked for symbols.
const BINARIES: usize = 1 << 10;

/// Which one it is; `state` is in the library whose arenas are in use.
pub(super) fn of(
    memory: &impl Memory,
    map: &MemoryMap,
    files: &dyn MappedFiles,
    state: Option<Addr>,
) -> Allocator {
    if let Some(state) = state {
        return Allocator::Glibc(release(memory, map, state));
    }
    let name = |mapping: &Mapping| {
        let path = mapping.path.as_deref()?;
        let file = path.rsplit('/').next().unwrap_or(path);
        OTHERS.into_iter().find(|(_, library, _)| file.starts_with(library)).map(|(name, ..)| name)
    };
    let symbol = || {
        let starts = map.iter().filter(|mapping| mapping.inode != 0 && mapping.offset == 0);
        let mut images = starts
            .take(BINARIES)
            .filter_map(|mapping| Image::read(files.open_mapped(mapping).ok()?).ok());
        images.find_map(|image| {
            let known = OTHERS.into_iter().find(|(.., symbol)| image.symbol(symbol).is_some());
            known.map(|(name, ..)| name)
        })
    };
    // A library that was loaded first decides, and musl is there with any other.
    map.iter().find_map(name).or_else(symbol).map_or(Allocator::Unknown, Allocator::Other)
}

/// The release in the banner that the library prints when it is run.
fn release(memory: &impl Memory, map: &MemoryMap, state: Addr) -> Option<String> {
    const BANNER: &[u8] = b" release version ";
    let data = map.find(state)?;
    let is_text = |mapping: &&Mapping| {
        mapping.inode == data.inode && mapping.path == data.path && mapping.read && !mapping.write
    };
    for mapping in map.iter().filter(is_text) {
        let mut at = mapping.range.start;
        // The end of one page and the beginning of the next are looked at together.
        let mut tail = Vec::new();
        while at < mapping.range.end {
            let page =
                memory.array::<{ PAGE_BYTES as usize }>(at).unwrap_or([0; PAGE_BYTES as usize]);
            tail.extend(page);
            if let Some(found) = tail.windows(BANNER.len()).position(|window| window == BANNER) {
                let version = tail.iter().skip(found + BANNER.len()).take(8);
                let version: String = version
                    .map(|&byte| char::from(byte))
                    .take_while(|c| c.is_ascii_digit() || *c == '.')
                    .collect();
                let version = version.trim_end_matches('.');
                return (!version.is_empty()).then(|| version.to_owned());
            }
            tail.drain(..tail.len().saturating_sub(64));
            at = at + PAGE_BYTES;
        }
    }
    None
}
