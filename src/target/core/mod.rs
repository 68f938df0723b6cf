//! A core file: the memory of a process that stands still for ever.
//!
//! What the file does not hold is "not saved", an error with its address, never zeros: the kernel
//! and debuggers leave out what they think can be had elsewhere. Read-only parts of binaries are
//! taken from the binaries, if they are the ones that the process ran: the build-id decides.

mod extents;
mod notes;
mod unpack;

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use goblin::container::{Container, Ctx, Endian};
use goblin::elf::header::{
    EI_CLASS, EI_DATA, ELFCLASS64, ELFDATA2LSB, ELFMAG, EM_AARCH64, EM_X86_64, ET_CORE,
};
use goblin::elf::program_header::{PF_R, PF_W, PF_X, PT_LOAD, PT_NOTE, ProgramHeader};
use goblin::elf64::header::Header;

use super::Failure;
use super::cache::PageCache;
use super::elf::Image;
use super::mapped_files::MappedFiles;
use super::maps::{Mapping, MemoryMap};
use super::memory::{Memory, ReadError};
use crate::addr::{Addr, AddrRange};
use extents::{Extent, Extents};
pub use notes::CoreThread;
use notes::Notes;

const CTX: Ctx = Ctx { container: Container::Big, le: Endian::Little };
const PAGE_BYTES: u64 = 4096;
const PROGRAM_HEADER_BYTES: u64 = 56;
/// The count that says: the real one is in the first section header (`PN_XNUM`).
const MANY_HEADERS: u16 = 0xffff;
/// The most program headers: `vm.max_map_count` is 65,530 by default, and a million on some.
const PROGRAM_HEADERS: u64 = 1 << 22;
/// The most bytes that a core may claim to hold: a page table's worth of memory is less on any
/// machine, and a sparse file of a few bytes can claim anything.
const SAVED_BYTES: u64 = 4 << 40;
/// How much of a core stays in memory, in bytes, beyond which it is read again and again.
const RESIDENT_BYTES: u64 = 512 << 20;
/// How much of what does not stay is remembered, in bytes.
const CACHE_BYTES: usize = 64 << 20;

/// How to read a core file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CoreOptions {
    /// The Python program that it is of, where that is not at the recorded path.
    pub exe: Option<PathBuf>,
    /// Where the binaries of the machine that it comes from are: the recorded paths are looked up
    /// below these folders, and then by file name directly in them.
    pub lib_search_roots: Vec<PathBuf>,
    /// Where compressed files are unpacked; the system's folder for such files if not given.
    pub temp_dir: Option<PathBuf>,
}

/// Why a core file cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CoreError {
    /// The file cannot be opened or read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error.
        #[source]
        source: io::Error,
    },
    /// It is no core file of a 64-bit Linux process.
    #[error("{} is not a core file: {what}", path.display())]
    NotCore {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// It is cut off, and what is missing is needed to find anything.
    #[error("{} is cut off: {missing} bytes of memory that it promises are not there, nor what else came behind them", path.display())]
    CutOff {
        /// The file.
        path: PathBuf,
        /// How many bytes are missing.
        missing: u64,
    },
    /// The program that was named is not the one that the core is of.
    #[error("{} is not the program that the core is of: its build-id is another", .0.display())]
    OtherProgram(PathBuf),
}

impl CoreError {
    /// What this failure means.
    #[must_use]
    pub const fn failure(&self) -> Failure {
        Failure::Other
    }
}

/// What became of a binary that the process had mapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BinaryState {
    /// It is the one that was mapped.
    Same,
    /// The core does not hold what would tell whether it is the same; it is used.
    Unproved,
    /// There is a file of that name, but with another build-id.
    Other,
    /// It was not found.
    Missing,
}

/// A binary that the process had mapped.
#[derive(Debug)]
struct Binary {
    path: String,
    file: Option<Arc<File>>,
    state: BinaryState,
}

/// A core file and the binaries that belong to it.
#[derive(Debug)]
pub struct CoreFile {
    path: PathBuf,
    notes: Notes,
    map: MemoryMap,
    binaries: Vec<Binary>,
    memory: CoreMemory,
    truncated_bytes: u64,
}

/// The memory that a core file holds. Cheap to clone.
#[derive(Debug, Clone)]
pub struct CoreMemory(Arc<PageCache<Extents>>);

impl Memory for CoreMemory {
    fn read(&self, addr: Addr, buf: &mut [u8]) -> Result<(), ReadError> {
        self.0.read(addr, buf)
    }

    fn slice(&self, addr: Addr, len: usize) -> Option<&[u8]> {
        self.0.inner().slice(addr, len)
    }
}

/// A part of the address space as the file has it (`PT_LOAD`).
struct Segment {
    range: AddrRange,
    offset: u64,
    saved: u64,
    flags: u32,
}

impl CoreFile {
    /// Opens a core file, unpacks it if it is compressed, and finds its binaries.
    ///
    /// # Errors
    /// It cannot be read, or is no core file; or `exe` is another program.
    pub fn open(path: &Path, options: &CoreOptions) -> Result<Self, CoreError> {
        let read = |source| CoreError::Read { path: path.to_owned(), source };
        let not_core = |what| CoreError::NotCore { path: path.to_owned(), what };
        let temp_dir = options.temp_dir.clone().unwrap_or_else(std::env::temp_dir);
        let metadata = std::fs::metadata(path).map_err(read)?;
        if !metadata.is_file() {
            return Err(not_core("no regular file"));
        }
        let file = unpack::plain(File::open(path).map_err(read)?, &temp_dir).map_err(read)?;
        let len = file.metadata().map_err(read)?.len();
        let programs = program_headers(&file).map_err(not_core)?;
        let mut notes = Notes::default();
        let mut segments = Vec::new();
        let mut truncated_bytes = 0_u64;
        for program in programs {
            match program.p_type {
                PT_NOTE => notes::read(&file, program.p_offset, program.p_filesz, &mut notes)
                    .map_err(read)?,
                PT_LOAD => {
                    let end = program.p_vaddr.saturating_add(program.p_memsz);
                    let range = AddrRange::new(Addr(program.p_vaddr), Addr(end));
                    let there = len.saturating_sub(program.p_offset);
                    let claimed = program.p_filesz.min(range.len());
                    truncated_bytes += claimed.saturating_sub(there);
                    let saved = claimed.min(there);
                    let flags = program.p_flags;
                    segments.push(Segment { range, offset: program.p_offset, saved, flags });
                }
                _ => {}
            }
        }
        if segments.is_empty() {
            return Err(not_core("it has no memory"));
        }
        if segments.iter().fold(0, |sum: u64, s: &Segment| sum.saturating_add(s.saved))
            > SAVED_BYTES
        {
            return Err(not_core("it claims more memory than a machine can have"));
        }
        segments.sort_by_key(|segment| segment.range.start);
        let map = memory_map(&segments, &notes);
        let file = Arc::new(file);
        let extent = |segment: &Segment| {
            let start = segment.range.start;
            let range = AddrRange::new(start, start + segment.saved);
            Extent::new(range, Arc::clone(&file), segment.offset)
        };
        let mapped: Vec<AddrRange> = map.iter().map(|mapping| mapping.range).collect();
        let saved = segments.iter().map(extent).collect();
        let saved = Extents::new(saved, mapped.clone(), RESIDENT_BYTES);
        let binaries = find_binaries(&map, &notes, &saved, options)?;
        let mut extents: Vec<Extent> = segments.iter().map(extent).collect();
        for mapping in &map {
            let saved = segments.iter().filter(|s| s.range.contains(mapping.range.start));
            let saved = saved.map(|segment| segment.range.start + segment.saved).max();
            extents.extend(from_binary(&map, mapping, saved, &binaries));
        }
        let extents = Extents::new(extents, mapped, RESIDENT_BYTES);
        let memory = CoreMemory(Arc::new(PageCache::new(extents, CACHE_BYTES)));
        Ok(Self { path: path.to_owned(), notes, map, binaries, memory, truncated_bytes })
    }

    /// The process's number, in its own namespace; 0 if the file does not say.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.notes.pid.unwrap_or_default()
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The threads; the first is the one that ended the process.
    #[must_use]
    pub fn threads(&self) -> &[CoreThread] {
        &self.notes.threads
    }

    /// The address space.
    #[must_use]
    pub const fn memory_map(&self) -> &MemoryMap {
        &self.map
    }

    /// The memory.
    #[must_use]
    pub fn memory(&self) -> CoreMemory {
        self.memory.clone()
    }

    /// How many bytes of memory the file and its binaries hold.
    #[must_use]
    pub fn saved_bytes(&self) -> u64 {
        self.memory.0.inner().len()
    }

    /// What the file holds of the memory that the process could write, by address. Where the file has
    /// holes, there was nothing to save.
    #[must_use]
    pub fn saved_memory(&self) -> Vec<AddrRange> {
        let saved = self.memory.0.inner().data();
        let writable = |range: &AddrRange| self.map.find(range.start).is_some_and(|m| m.write);
        saved.into_iter().filter(writable).collect()
    }

    /// How many bytes the file's header promises and the file does not have.
    #[must_use]
    pub const fn truncated_bytes(&self) -> u64 {
        self.truncated_bytes
    }

    /// The binaries that the process had mapped, and what became of them.
    pub fn binaries(&self) -> impl Iterator<Item = (&str, &BinaryState)> {
        self.binaries.iter().map(|binary| (binary.path.as_str(), &binary.state))
    }
}

impl MappedFiles for CoreFile {
    fn executable(&self) -> String {
        let within = self.notes.program_headers;
        let mapping = within.and_then(|addr| self.map.find(addr));
        let path = mapping.and_then(|mapping| mapping.path.clone());
        path.unwrap_or_else(|| self.notes.name.clone())
    }

    fn open_mapped(&self, mapping: &Mapping) -> io::Result<File> {
        let binary = binary_of(mapping, &self.binaries);
        let file = binary.and_then(|binary| binary.file.as_deref());
        file.ok_or_else(|| match binary.map(|binary| &binary.state) {
            Some(BinaryState::Other) => {
                io::Error::other("the file of that name has another build-id")
            }
            _ => io::Error::from(io::ErrorKind::NotFound),
        })?
        .try_clone()
    }
}

/// The binary behind a mapping: mappings number them from 1 on.
fn binary_of<'b>(mapping: &Mapping, binaries: &'b [Binary]) -> Option<&'b Binary> {
    binaries.get(usize::try_from(mapping.inode.checked_sub(1)?).ok()?)
}

fn program_headers(file: &File) -> Result<Vec<ProgramHeader>, &'static str> {
    let mut start = [0; 64];
    file.read_exact_at(&mut start, 0).map_err(|_| "it is too short")?;
    if !start.starts_with(ELFMAG) {
        return Err("it is no ELF file");
    }
    let ident = |at: usize| start.get(at).copied();
    if ident(EI_CLASS) != Some(ELFCLASS64) || ident(EI_DATA) != Some(ELFDATA2LSB) {
        return Err("of another word size or byte order");
    }
    let header = Header::parse(&start).map_err(|_| "its header is broken")?;
    if header.e_type != ET_CORE {
        return Err("an ELF file of another kind");
    }
    let machine = if cfg!(target_arch = "aarch64") { EM_AARCH64 } else { EM_X86_64 };
    if header.e_machine != machine {
        return Err("of another kind of processor");
    }
    let count = match header.e_phnum {
        MANY_HEADERS => {
            let mut section = [0; 64];
            file.read_exact_at(&mut section, header.e_shoff).map_err(|_| "it is cut off")?;
            // `sh_info`.
            let info = section.get(44..).and_then(|rest| rest.first_chunk::<4>());
            u64::from(info.map_or(0, |info| u32::from_le_bytes(*info)))
        }
        count => u64::from(count),
    };
    if count > PROGRAM_HEADERS {
        return Err("it has more program headers than a process can have");
    }
    let mut programs = Vec::new();
    let mut bytes = [0; PROGRAM_HEADER_BYTES as usize];
    for nth in 0..count {
        let at = header.e_phoff.saturating_add(nth * PROGRAM_HEADER_BYTES);
        file.read_exact_at(&mut bytes, at).map_err(|_| "it is cut off in its program headers")?;
        let parsed = ProgramHeader::parse(&bytes, 0, 1, CTX);
        programs.extend(parsed.map_err(|_| "its program headers are broken")?);
    }
    Ok(programs)
}

/// The mappings: those of the file's segments, cut where the table of files says so, and those of
/// which nothing was saved at all.
fn memory_map(segments: &[Segment], notes: &Notes) -> MemoryMap {
    let mut numbers: HashMap<&str, u64> = HashMap::new();
    let mut mappings = Vec::new();
    for mapped in &notes.files {
        let next = u64::try_from(numbers.len()).unwrap_or(0) + 1;
        let inode = *numbers.entry(mapped.path.as_str()).or_insert(next);
        let flags = segments
            .iter()
            .find(|segment| segment.range.contains(mapped.range.start))
            .map_or(PF_R | PF_X, |segment| segment.flags);
        let (path, deleted) = match mapped.path.strip_suffix(" (deleted)") {
            Some(path) => (path.to_owned(), true),
            None => (mapped.path.clone(), false),
        };
        let mapping = mapping(mapped.range, flags);
        let path = Some(path);
        mappings.push(Mapping { offset: mapped.offset, inode, path, deleted, ..mapping });
    }
    mappings.sort_by_key(|mapping| mapping.range.start);
    let files: Vec<AddrRange> = mappings.iter().map(|mapping| mapping.range).collect();
    for segment in segments {
        let mut at = segment.range.start;
        let first = files.partition_point(|file| file.end <= at);
        for file in files.iter().skip(first).take_while(|file| file.start < segment.range.end) {
            mappings.push(mapping(AddrRange::new(at, file.start.max(at)), segment.flags));
            at = at.max(file.end);
        }
        mappings.push(mapping(AddrRange::new(at, segment.range.end.max(at)), segment.flags));
    }
    mappings.retain(|mapping| !mapping.range.is_empty());
    MemoryMap::from_mappings(mappings)
}

fn mapping(range: AddrRange, flags: u32) -> Mapping {
    Mapping {
        range,
        read: flags & PF_R != 0,
        write: flags & PF_W != 0,
        execute: flags & PF_X != 0,
        shared: false,
        offset: 0,
        dev_major: 0,
        dev_minor: 0,
        inode: 0,
        path: None,
        deleted: false,
    }
}

/// What a mapping has beyond what was saved, from its binary: only what the program could never
/// write, for else the file has other bytes than the process had.
fn from_binary(
    map: &MemoryMap,
    mapping: &Mapping,
    saved: Option<Addr>,
    binaries: &[Binary],
) -> Option<Extent> {
    let file = binary_of(mapping, binaries)?.file.as_ref()?;
    if mapping.write {
        return None;
    }
    let image = Image::read(file.try_clone().ok()?).ok();
    let start = mapping.range.start.max(saved.unwrap_or_default());
    let offset = mapping.offset.checked_add(start - mapping.range.start)?;
    let len = file.metadata().ok()?.len().checked_sub(offset)?.min(mapping.range.end - start);
    // Relocated data is read-only in the process and writable in the file (`PT_GNU_RELRO`). Where
    // it is mapped tells it apart: by offset alone, it may share a page of the file with constants.
    let bias = image.as_ref().and_then(|image| image.bias(map, mapping));
    let relocated = image.iter().flat_map(Image::loads).filter(|load| load.write).any(|load| {
        let first = load.addr & !(PAGE_BYTES - 1);
        let at = start.0.wrapping_sub(bias.unwrap_or_default());
        (first..load.addr.saturating_add(load.memory_bytes)).contains(&at)
    });
    let range = AddrRange::new(start, start + len);
    (!relocated && !range.is_empty()).then(|| Extent::new(range, Arc::clone(file), offset))
}

/// Looks for the file of every mapping that has one.
fn find_binaries(
    map: &MemoryMap,
    notes: &Notes,
    saved: &Extents,
    options: &CoreOptions,
) -> Result<Vec<Binary>, CoreError> {
    let program = notes.program_headers.and_then(|addr| map.find(addr)).map(|m| m.inode);
    let mut binaries: Vec<Binary> = Vec::new();
    let last = map.iter().map(|mapping| mapping.inode).max().unwrap_or_default();
    for number in 1..=last {
        let of_file = || map.iter().filter(move |mapping| mapping.inode == number);
        let path = of_file().find_map(|mapping| mapping.path.clone()).unwrap_or_default();
        let expected = of_file()
            .find(|mapping| mapping.offset == 0)
            .and_then(|mapping| saved_build_id(saved, mapping.range.start));
        let exe = options.exe.as_ref().filter(|_| program == Some(number));
        let names = match exe {
            Some(exe) => vec![exe.clone()],
            None => places(&path, &options.lib_search_roots),
        };
        let mut binary = Binary { path, file: None, state: BinaryState::Missing };
        for name in names {
            let Some(file) = open_regular(&name) else { continue };
            let found = file.try_clone().ok().and_then(|file| Image::read(file).ok());
            let found = found.and_then(|image| image.build_id());
            binary.state = match (&expected, found) {
                (Some(expected), Some(found)) if *expected == found => BinaryState::Same,
                (Some(_), _) if exe.is_some() => return Err(CoreError::OtherProgram(name)),
                (Some(_), _) => BinaryState::Other,
                (None, _) => BinaryState::Unproved,
            };
            if binary.state != BinaryState::Other {
                binary.file = Some(Arc::new(file));
                break;
            }
        }
        binaries.push(binary);
    }
    Ok(binaries)
}

/// Where a binary may be: below the folders that were named, then at its own path.
fn places(path: &str, roots: &[PathBuf]) -> Vec<PathBuf> {
    let relative = Path::new(path.trim_start_matches('/'));
    let mut places: Vec<PathBuf> = Vec::new();
    for root in roots {
        places.push(root.join(relative));
        places.extend(relative.file_name().map(|name| root.join(name)));
    }
    places.push(PathBuf::from(path));
    places
}

fn open_regular(path: &Path) -> Option<File> {
    let is_file = std::fs::metadata(path).ok()?.is_file();
    is_file.then(|| File::open(path).ok()).flatten()
}

/// The build-id of an image whose first page was saved: the kernel and gdb save it for that.
fn saved_build_id(saved: &Extents, start: Addr) -> Option<Vec<u8>> {
    let page = saved.bytes(start, 4096).ok()?;
    // Section headers are not mapped; the notes of the first page are found by program headers.
    Image::from_bytes(page).ok()?.build_id()
}

#[cfg(test)]
#[path = "../core_tests.rs"]
mod tests;
