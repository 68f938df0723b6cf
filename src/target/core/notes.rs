//! The notes of a core file: which process it was, its threads, and which files it had mapped.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::addr::{Addr, AddrRange};
use crate::target::threads::{OsThread, SystemCall};

/// A thread of the process, as it stood when the core was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoreThread {
    /// Its number in the process's own namespace.
    pub tid: u32,
    /// The general registers in the kernel's order (`struct user_regs_struct`).
    pub registers: Vec<u64>,
}

impl CoreThread {
    /// What the kernel would have said of it.
    #[must_use]
    pub fn observed(&self) -> OsThread {
        OsThread {
            tid: self.tid,
            namespace_tid: self.tid,
            state: ' ',
            call: self.system_call(),
            stack_pointer: self.stack_pointer(),
            instruction: self.instruction(),
            ..OsThread::default()
        }
    }

    /// The system call that it was in.
    fn system_call(&self) -> Option<SystemCall> {
        /// `orig_rax`, then `rdi`, `rsi`, `rdx`, `r10`, `r8` and `r9` in `struct user_regs_struct`
        /// of x86_64. aarch64 does not keep the number.
        const NUMBER: usize = 15;
        const ARGUMENTS: [usize; 6] = [14, 13, 12, 7, 9, 8];
        if cfg!(not(target_arch = "x86_64")) {
            return None;
        }
        let register = |nth: usize| self.registers.get(nth).copied();
        // Outside of a call it is -1.
        let number = register(NUMBER).filter(|number| *number < 1 << 16)?;
        Some(SystemCall { number, arguments: ARGUMENTS.map(|nth| register(nth).unwrap_or(0)) })
    }

    /// The instruction that it would have gone on with.
    fn instruction(&self) -> Option<Addr> {
        // `rip` of x86_64, `pc` of aarch64.
        let nth = if cfg!(target_arch = "aarch64") { 32 } else { 16 };
        self.registers.get(nth).copied().map(Addr)
    }

    /// Its stack pointer.
    #[must_use]
    pub fn stack_pointer(&self) -> Option<Addr> {
        // `rsp` of x86_64, `sp` of aarch64.
        let nth = if cfg!(target_arch = "aarch64") { 31 } else { 19 };
        self.registers.get(nth).copied().map(Addr)
    }
}

/// A range that was mapped from a file (a row of `NT_FILE`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MappedRange {
    pub(super) range: AddrRange,
    /// Where in the file it begins, in bytes.
    pub(super) offset: u64,
    pub(super) path: String,
}

/// What the notes say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Notes {
    pub(super) pid: Option<u32>,
    /// The first 15 bytes of the program's name.
    pub(super) name: String,
    pub(super) threads: Vec<CoreThread>,
    pub(super) files: Vec<MappedRange>,
    /// `AT_PHDR`: an address within the program's own mapping.
    pub(super) program_headers: Option<Addr>,
}

const NT_PRSTATUS: u32 = 1;
const NT_PRPSINFO: u32 = 3;
const NT_AUXV: u32 = 6;
const NT_FILE: u32 = 0x4649_4c45;
const AT_PHDR: u64 = 3;

/// Where `struct elf_prstatus` has the thread's number and registers on 64-bit machines.
const PRSTATUS_PID: usize = 32;
const PRSTATUS_REGISTERS: usize = 112;
/// `pr_fpvalid` and its padding, behind the registers.
const PRSTATUS_TAIL: usize = 8;
/// Where `struct elf_prpsinfo` has the process's number and name.
const PRPSINFO_PID: usize = 24;
const PRPSINFO_NAME: usize = 40;
const PRPSINFO_NAME_BYTES: usize = 16;

/// The longest note that is read, in bytes: the kernel writes at most 4 MiB of file names.
const NOTE_BYTES: u64 = 16 << 20;
/// The most notes: a handful a thread, and 2^22 threads is the most that Linux has.
const NOTES: u64 = 1 << 25;

/// Reads the notes in a part of a file, one by one.
///
/// # Errors
/// The file cannot be read.
pub(super) fn read(file: &File, offset: u64, len: u64, notes: &mut Notes) -> io::Result<()> {
    let end = offset.saturating_add(len);
    let mut at = offset;
    for _ in 0..NOTES {
        let mut header = [0; 12];
        if at.saturating_add(12) > end || file.read_exact_at(&mut header, at).is_err() {
            break;
        }
        let word = |nth: usize| {
            let bytes = header.get(nth * 4..).and_then(|rest| rest.first_chunk::<4>());
            bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
        };
        let (name_len, len, kind) = (u64::from(word(0)), u64::from(word(1)), word(2));
        let content = at + 12 + name_len.next_multiple_of(4);
        let next = content.saturating_add(len.next_multiple_of(4));
        if next > end.next_multiple_of(4) {
            break;
        }
        at = next;
        if len > NOTE_BYTES || !matches!(kind, NT_PRSTATUS | NT_PRPSINFO | NT_AUXV | NT_FILE) {
            continue;
        }
        let Ok(size) = usize::try_from(len) else { continue };
        let mut bytes = vec![0; size];
        // What the file lacks at its end, the notes before it still say.
        if file.read_exact_at(&mut bytes, content).is_err() {
            break;
        }
        match kind {
            NT_PRSTATUS => notes.threads.extend(thread(&bytes)),
            NT_PRPSINFO => process(&bytes, notes),
            NT_AUXV => notes.program_headers = program_headers(&bytes),
            _ => notes.files = files(&bytes).unwrap_or_default(),
        }
    }
    Ok(())
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk::<4>().map(|bytes| u32::from_le_bytes(*bytes))
}

/// The 64-bit words of a note from an offset on; a rest of less than a word is left out.
fn words(bytes: &[u8], from: usize) -> impl Iterator<Item = u64> + '_ {
    let words = bytes.get(from..).unwrap_or_default().as_chunks::<8>().0;
    words.iter().map(|word| u64::from_le_bytes(*word))
}

fn thread(bytes: &[u8]) -> Option<CoreThread> {
    let tid = u32_at(bytes, PRSTATUS_PID)?;
    let end = bytes.len().checked_sub(PRSTATUS_TAIL)?;
    let registers = words(bytes.get(..end)?, PRSTATUS_REGISTERS).collect();
    Some(CoreThread { tid, registers })
}

fn process(bytes: &[u8], notes: &mut Notes) {
    notes.pid = u32_at(bytes, PRPSINFO_PID);
    let name = bytes.get(PRPSINFO_NAME..).unwrap_or_default();
    let name = name.get(..PRPSINFO_NAME_BYTES.min(name.len())).unwrap_or_default();
    let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
    notes.name = String::from_utf8_lossy(name).into_owned();
}

fn program_headers(bytes: &[u8]) -> Option<Addr> {
    let words: Vec<u64> = words(bytes, 0).collect();
    let pairs = words.as_chunks::<2>().0;
    pairs.iter().find(|[key, _]| *key == AT_PHDR).map(|[_, value]| Addr(*value))
}

/// `fill_files_note` (`fs/binfmt_elf.c`): a count, the size of a page, three words for each range,
/// then the names in the same order, each ended by a zero byte.
fn files(bytes: &[u8]) -> Option<Vec<MappedRange>> {
    let mut head = words(bytes, 0);
    let (count, page) = (usize::try_from(head.next()?).ok()?, head.next()?);
    let table = count.checked_mul(24)?.checked_add(16)?;
    let names = bytes.get(table..)?;
    let rows: Vec<u64> = words(bytes.get(..table)?, 16).collect();
    let rows = rows.as_chunks::<3>().0;
    let ranges = rows.iter().zip(names.split(|&byte| byte == 0));
    let range = |(&[start, end, pages], name): (&[u64; 3], &[u8])| MappedRange {
        range: AddrRange::new(Addr(start), Addr(end)),
        offset: pages.saturating_mul(page),
        path: String::from_utf8_lossy(name).into_owned(),
    };
    Some(ranges.map(range).filter(|mapped| !mapped.range.is_empty()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(kind: u32, content: &[u8]) -> Vec<u8> {
        let mut note = Vec::new();
        for word in [5, u32::try_from(content.len()).unwrap(), kind] {
            note.extend(word.to_le_bytes());
        }
        note.extend(b"CORE\0\0\0\0");
        note.extend(content);
        note.resize(note.len().next_multiple_of(4), 0);
        note
    }

    fn file_note(rows: &[[u64; 3]], names: &[&str]) -> Vec<u8> {
        let mut content = Vec::new();
        content.extend((rows.len() as u64).to_le_bytes());
        content.extend(4096_u64.to_le_bytes());
        for row in rows {
            content.extend(row.iter().flat_map(|word| word.to_le_bytes()));
        }
        for name in names {
            content.extend(name.bytes().chain([0]));
        }
        content
    }

    fn parse(bytes: &[u8]) -> Notes {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(bytes, 0).unwrap();
        let mut notes = Notes::default();
        read(&file, 0, bytes.len() as u64, &mut notes).unwrap();
        notes
    }

    #[test]
    fn notes_say_process_threads_and_files() {
        let mut prpsinfo = vec![0; 136];
        prpsinfo[24..28].copy_from_slice(&4242_u32.to_le_bytes());
        prpsinfo[40..47].copy_from_slice(b"python3");
        let mut prstatus = vec![0; 112 + 27 * 8 + 8];
        prstatus[32..36].copy_from_slice(&4243_u32.to_le_bytes());
        prstatus[112 + 16 * 8..112 + 17 * 8].copy_from_slice(&0x7000_u64.to_le_bytes());
        let mut bytes = note(NT_PRSTATUS, &prstatus);
        bytes.extend(note(0x202, &[0; 64]));
        bytes.extend(note(NT_PRPSINFO, &prpsinfo));
        bytes.extend(note(
            NT_FILE,
            &file_note(&[[0x1000, 0x3000, 2], [0x8000, 0x9000, 0]], &["/bin/a", "/lib/b"]),
        ));
        bytes.extend(note(NT_AUXV, &[3_u64.to_le_bytes(), 0x1040_u64.to_le_bytes()].concat()));
        let notes = parse(&bytes);
        assert_eq!((notes.pid, notes.name.as_str()), (Some(4242), "python3"));
        let thread = notes.threads.first().unwrap();
        assert_eq!((thread.tid, thread.registers.len(), thread.registers[16]), (4243, 27, 0x7000));
        let files: Vec<_> =
            notes.files.iter().map(|f| (f.range.start.0, f.offset, f.path.as_str())).collect();
        assert_eq!(files, [(0x1000, 0x2000, "/bin/a"), (0x8000, 0, "/lib/b")]);
        assert_eq!(notes.program_headers, Some(Addr(0x1040)));
    }

    #[test]
    fn lengths_beyond_the_file_end_the_reading() {
        let good = note(NT_PRSTATUS, &[0; 336]);
        let mut bytes = good.clone();
        bytes.extend([5, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0]);
        assert_eq!(parse(&bytes).threads.len(), 1);
        for len in 0..good.len() {
            assert!(parse(&good[..len]).threads.len() <= 1);
        }
    }

    #[test]
    fn a_count_of_files_that_is_not_there_is_none() {
        let mut content = file_note(&[[0x1000, 0x2000, 0]], &["/bin/a"]);
        content[..8].copy_from_slice(&u64::MAX.to_le_bytes());
        assert_eq!(parse(&note(NT_FILE, &content)).files, []);
    }
}
