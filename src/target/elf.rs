//! ELF files, read in parts: only the tables that are asked for, never the whole file.
//!
//! An address in the file (a symbol's value) plus the *bias* of the place where the file is
//! mapped is an address in the target. Everything in the file is hostile: sizes are checked
//! against the file's before anything is allocated.

mod symbols;

use super::maps::{Mapping, MemoryMap};
use goblin::container::{Container, Ctx, Endian};
use goblin::elf::header::{EI_CLASS, EI_DATA, ELFCLASS64, ELFDATA2LSB, ELFMAG, ET_EXEC};
use goblin::elf::program_header::{PF_R, PF_W, PF_X, PT_LOAD, PT_NOTE, ProgramHeader};
use goblin::elf::section_header::{SHN_XINDEX, SHT_DYNSYM, SHT_NOTE, SHT_SYMTAB, SectionHeader};
use goblin::elf64::header::Header;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;
use symbols::Symbols;

/// The largest table that is read, in bytes: 2.8 million symbols. A CPython with everything
/// linked in and all debug symbols has 100,000.
const TABLE_BYTES: u64 = 64 << 20;
/// The most program and section headers. The format allows more, no linker makes them.
const HEADERS: u64 = 1 << 16;
const CTX: Ctx = Ctx { container: Container::Big, le: Endian::Little };
const PROGRAM_HEADER_BYTES: u64 = 56;
const SECTION_HEADER_BYTES: u64 = 64;

/// Why a file is not read as ELF.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The file cannot be read.
    #[error("cannot read the file")]
    Read(#[from] io::Error),
    /// It is no 64-bit little-endian ELF file, or a broken one.
    #[error("not a sound 64-bit little-endian ELF file: {0}")]
    Malformed(&'static str),
}

impl ImageError {
    /// What this failure means.
    #[must_use]
    pub const fn failure(&self) -> super::Failure {
        super::Failure::Other
    }
}

/// A symbol of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Symbol {
    /// Its address in the file: without the bias.
    pub value: u64,
    /// Its size in bytes.
    pub size: u64,
}

/// A section of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Section {
    /// Its address in the file: without the bias.
    pub addr: u64,
    /// Its size in bytes.
    pub size: u64,
}

/// A part of a file that is mapped (`PT_LOAD`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Its offset in the file, in bytes.
    pub offset: u64,
    /// Its address in the file: without the bias.
    pub addr: u64,
    /// How many bytes of it are in the file; what follows in memory is zeros at first.
    pub file_bytes: u64,
    /// How many bytes it has in memory.
    pub memory_bytes: u64,
    /// Whether it is readable.
    pub read: bool,
    /// Whether it is writable (a part of it may be protected after relocation).
    pub write: bool,
    /// Whether it is executable.
    pub execute: bool,
}

/// Where the bytes of a file come from.
#[derive(Debug)]
enum Source {
    File(File, u64),
    Bytes(Vec<u8>),
}

impl Source {
    fn len(&self) -> u64 {
        match self {
            Self::File(_, len) => *len,
            Self::Bytes(bytes) => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
        }
    }

    /// A part of the file, which must lie within it.
    fn part(&self, offset: u64, len: u64) -> Result<Vec<u8>, ImageError> {
        const OUTSIDE: ImageError = ImageError::Malformed("a table lies outside of the file");
        if len > TABLE_BYTES || offset.checked_add(len).is_none_or(|end| end > self.len()) {
            return Err(OUTSIDE);
        }
        let len = usize::try_from(len).map_err(|_| OUTSIDE)?;
        match self {
            Self::File(file, _) => {
                let mut bytes = vec![0; len];
                file.read_exact_at(&mut bytes, offset)?;
                Ok(bytes)
            }
            Self::Bytes(bytes) => {
                let start = usize::try_from(offset).map_err(|_| OUTSIDE)?;
                let part = start.checked_add(len).and_then(|end| bytes.get(start..end));
                Ok(part.ok_or(OUTSIDE)?.to_vec())
            }
        }
    }
}

/// An ELF file whose tables are read when they are asked for.
#[derive(Debug)]
pub struct Image {
    source: Source,
    fixed: bool,
    loads: Vec<Load>,
    /// Offset and length of the notes.
    notes: Vec<(u64, u64)>,
    sections: Vec<SectionHeader>,
    section_names: Vec<u8>,
    dynsym: OnceLock<Symbols>,
    symtab: OnceLock<Symbols>,
}

impl Image {
    /// Reads the headers of a file.
    ///
    /// # Errors
    /// It cannot be read, or is not ELF. Missing or broken section headers are no error: what
    /// they would say is then not found.
    pub fn read(file: File) -> Result<Self, ImageError> {
        let len = file.metadata()?.len();
        Self::parse(Source::File(file, len))
    }

    /// Reads the headers of a file that is in memory, such as the vdso.
    ///
    /// # Errors
    /// As [`Image::read`].
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, ImageError> {
        Self::parse(Source::Bytes(bytes))
    }

    fn parse(source: Source) -> Result<Self, ImageError> {
        let start = source.part(0, source.len().min(64))?;
        let ident = |at: usize| start.get(at).copied();
        if !start.starts_with(ELFMAG) {
            return Err(ImageError::Malformed("the magic number is missing"));
        }
        if ident(EI_CLASS) != Some(ELFCLASS64) || ident(EI_DATA) != Some(ELFDATA2LSB) {
            return Err(ImageError::Malformed("another word size or byte order"));
        }
        let header = Header::parse(&start).map_err(|_| ImageError::Malformed("its header"))?;
        let programs = u64::from(header.e_phnum);
        let table = source.part(header.e_phoff, programs.saturating_mul(PROGRAM_HEADER_BYTES))?;
        let programs = ProgramHeader::parse(&table, 0, usize::from(header.e_phnum), CTX)
            .map_err(|_| ImageError::Malformed("its program headers"))?;
        let sections = sections(&source, &header).unwrap_or_default();
        let names = match u32::from(header.e_shstrndx) {
            SHN_XINDEX => sections.first().map(|first| first.sh_link),
            index => Some(index),
        };
        let names = names.and_then(|names| sections.get(usize::try_from(names).ok()?));
        let section_names =
            names.and_then(|names| source.part(names.sh_offset, names.sh_size).ok());
        let mut notes: Vec<(u64, u64)> = programs
            .iter()
            .filter(|program| program.p_type == PT_NOTE)
            .map(|program| (program.p_offset, program.p_filesz))
            .collect();
        let in_sections = sections.iter().filter(|section| section.sh_type == SHT_NOTE);
        notes.extend(in_sections.map(|section| (section.sh_offset, section.sh_size)));
        Ok(Self {
            fixed: header.e_type == ET_EXEC,
            loads: programs.iter().filter(|p| p.p_type == PT_LOAD).map(load).collect(),
            notes,
            sections,
            section_names: section_names.unwrap_or_default(),
            dynsym: OnceLock::new(),
            symtab: OnceLock::new(),
            source,
        })
    }

    /// A symbol with an address, from the dynamic symbols, else from the full table.
    #[must_use]
    pub fn symbol(&self, name: &str) -> Option<Symbol> {
        let dynsym = self.dynsym.get_or_init(|| self.symbols(SHT_DYNSYM));
        dynsym.get(name).or_else(|| self.symtab.get_or_init(|| self.symbols(SHT_SYMTAB)).get(name))
    }

    /// A symbol that the file offers to others: such a one is there in a stripped file too, and where
    /// it is not, the full table need not be read.
    #[must_use]
    pub fn exported(&self, name: &str) -> Option<Symbol> {
        self.dynsym.get_or_init(|| self.symbols(SHT_DYNSYM)).get(name)
    }

    /// The name of the function that an address of the file is in, from the full table, else from the
    /// dynamic symbols, which have only what the file offers to others.
    #[must_use]
    pub fn function_at(&self, value: u64) -> Option<String> {
        let symtab = self.symtab.get_or_init(|| self.symbols(SHT_SYMTAB));
        let dynsym = || self.dynsym.get_or_init(|| self.symbols(SHT_DYNSYM));
        symtab.covering(value).or_else(|| dynsym().covering(value))
    }

    fn symbols(&self, kind: u32) -> Symbols {
        let table = || {
            let section = self.sections.iter().find(|section| section.sh_type == kind)?;
            let names = self.sections.get(usize::try_from(section.sh_link).ok()?)?;
            let table = self.source.part(section.sh_offset, section.sh_size).ok()?;
            Some(Symbols::new(table, self.source.part(names.sh_offset, names.sh_size).ok()?))
        };
        table().unwrap_or_default()
    }

    /// Where the loader puts the address of a function of another file, by its name: a slot of the
    /// global offset table.
    #[must_use]
    pub fn import_slot(&self, name: &str) -> Option<u64> {
        const SHT_RELA: u32 = 4;
        const RELA_BYTES: usize = 24;
        const SYMBOL_BYTES: u64 = 24;
        /// `R_X86_64_GLOB_DAT`, `R_X86_64_JUMP_SLOT`, and those of aarch64.
        const KINDS: [u32; 4] = [6, 7, 1025, 1026];
        let dynsym = self.sections.iter().find(|section| section.sh_type == SHT_DYNSYM)?;
        let names = self.sections.get(usize::try_from(dynsym.sh_link).ok()?)?;
        let names = self.source.part(names.sh_offset, names.sh_size).ok()?;
        let symbols = self.source.part(dynsym.sh_offset, dynsym.sh_size).ok()?;
        let is_named = |number: u64| {
            let at = number.checked_mul(SYMBOL_BYTES).and_then(|at| usize::try_from(at).ok());
            let word = at.and_then(|at| symbols.get(at..)).and_then(|symbol| symbol.first_chunk());
            let name_at = word.map(|word| u32::from_le_bytes(*word));
            name_at.is_some_and(|at| symbols::is_name(&names, at, name.as_bytes()))
        };
        for section in self.sections.iter().filter(|section| section.sh_type == SHT_RELA) {
            let Ok(table) = self.source.part(section.sh_offset, section.sh_size) else { continue };
            for row in table.as_chunks::<RELA_BYTES>().0 {
                let word = |nth: usize| {
                    let bytes = row.get(nth * 8..).and_then(|rest| rest.first_chunk::<8>());
                    bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
                };
                let (offset, info) = (word(0), word(1));
                let kind = u32::try_from(info & 0xFFFF_FFFF).unwrap_or_default();
                if KINDS.contains(&kind) && is_named(info >> 32) {
                    return Some(offset);
                }
            }
        }
        None
    }

    /// A section by its name, such as `.PyRuntime`.
    #[must_use]
    pub fn section(&self, name: &str) -> Option<Section> {
        let section = self.sections.iter().find(|section| {
            let at = u32::try_from(section.sh_name);
            at.is_ok_and(|at| symbols::is_name(&self.section_names, at, name.as_bytes()))
        })?;
        Some(Section { addr: section.sh_addr, size: section.sh_size })
    }

    /// The number that a linker gave to exactly this file.
    #[must_use]
    pub fn build_id(&self) -> Option<Vec<u8>> {
        self.notes.iter().find_map(|&(offset, len)| {
            // A core file's notes are large; a program's are not.
            build_id(&self.source.part(offset, len.min(1 << 20)).ok()?)
        })
    }

    /// The parts that are mapped, as they stand in the file.
    #[must_use]
    pub fn loads(&self) -> &[Load] {
        &self.loads
    }

    /// Whether its addresses are those of the target (no position-independent code).
    #[must_use]
    pub const fn is_fixed(&self) -> bool {
        self.fixed
    }

    /// How its addresses become those of a target.
    #[must_use]
    pub fn placement(&self) -> Placement {
        Placement {
            fixed: self.fixed,
            first: self.loads.first().map(|load| (load.offset, load.addr)),
        }
    }

    /// As [`Placement::bias`].
    #[must_use]
    pub fn bias(&self, map: &MemoryMap, mapped: &Mapping) -> Option<u64> {
        self.placement().bias(map, mapped)
    }
}

/// How the addresses of an ELF file become those of a process that has mapped it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    fixed: bool,
    /// Offset and address of the first part that is mapped.
    first: Option<(u64, u64)>,
}

impl Placement {
    /// What is to be added (wrapping) to an address of this file to get one of the target, where
    /// `mapped` is any of the file's mappings. A file may be loaded more than once: it is the
    /// copy to which `mapped` belongs.
    #[must_use]
    pub fn bias(&self, map: &MemoryMap, mapped: &Mapping) -> Option<u64> {
        if self.fixed {
            return Some(0);
        }
        let (offset, addr) = self.first?;
        let is_same_file = |mapping: &&Mapping| {
            (mapping.dev_major, mapping.dev_minor, mapping.inode)
                == (mapped.dev_major, mapped.dev_minor, mapped.inode)
                && mapping.path == mapped.path
        };
        let start = map
            .iter()
            .take_while(|mapping| mapping.range.start <= mapped.range.start)
            .filter(is_same_file)
            .filter(|mapping| {
                let end = mapping.offset.saturating_add(mapping.range.len());
                mapping.offset <= offset && offset < end
            })
            .last()?;
        let within = offset.wrapping_sub(start.offset);
        Some(start.range.start.0.wrapping_add(within).wrapping_sub(addr))
    }
}

fn load(program: &ProgramHeader) -> Load {
    let has = |flag| program.p_flags & flag != 0;
    Load {
        offset: program.p_offset,
        addr: program.p_vaddr,
        file_bytes: program.p_filesz,
        memory_bytes: program.p_memsz,
        read: has(PF_R),
        write: has(PF_W),
        execute: has(PF_X),
    }
}

fn sections(source: &Source, header: &Header) -> Option<Vec<SectionHeader>> {
    if header.e_shoff == 0 {
        return None;
    }
    let table =
        |count: u64| source.part(header.e_shoff, count.checked_mul(SECTION_HEADER_BYTES)?).ok();
    let mut count = u64::from(header.e_shnum);
    if count == 0 {
        // More sections than fit in the header: the first one says how many.
        let first = SectionHeader::parse_from(&table(1)?, 0, 1, CTX).ok()?;
        count = first.first()?.sh_size;
    }
    let count = Some(count).filter(|&count| (1..=HEADERS).contains(&count))?;
    SectionHeader::parse_from(&table(count)?, 0, usize::try_from(count).ok()?, CTX).ok()
}

/// Finds the build-id among notes: each of them is the lengths of name and content, a kind, and
/// the two, padded to words.
fn build_id(mut notes: &[u8]) -> Option<Vec<u8>> {
    const GNU_BUILD_ID: u32 = 3;
    let padded = |len: usize| len.checked_next_multiple_of(4);
    loop {
        let (name_len, rest) = notes.split_first_chunk::<4>()?;
        let (content_len, rest) = rest.split_first_chunk::<4>()?;
        let (kind, rest) = rest.split_first_chunk::<4>()?;
        let name_len = usize::try_from(u32::from_le_bytes(*name_len)).ok()?;
        let content_len = usize::try_from(u32::from_le_bytes(*content_len)).ok()?;
        let content = rest.get(padded(name_len)?..)?;
        if u32::from_le_bytes(*kind) == GNU_BUILD_ID && rest.get(..name_len)? == b"GNU\0" {
            return Some(content.get(..content_len)?.to_vec());
        }
        notes = content.get(padded(content_len)?..)?;
    }
}

#[cfg(test)]
#[path = "elf_tests.rs"]
mod tests;
