use std::io::Write;

use super::*;
use crate::target::memory::ReadErrorKind;

/// A core file made by hand: its segments and notes, without the code that reads them.
#[derive(Default)]
struct Made {
    /// Address, flags, saved bytes, bytes in memory.
    segments: Vec<(u64, u32, Vec<u8>, u64)>,
    files: Vec<(u64, u64, u64, String)>,
    program_headers: u64,
}

impl Made {
    fn bytes(&self) -> Vec<u8> {
        let mut note = Vec::new();
        let mut add = |kind: u32, content: &[u8]| {
            for word in [5, u32::try_from(content.len()).unwrap(), kind] {
                note.extend(word.to_le_bytes());
            }
            note.extend(b"CORE\0\0\0\0");
            note.extend(content);
            note.resize(note.len().next_multiple_of(4), 0);
        };
        let mut files = Vec::new();
        files.extend((self.files.len() as u64).to_le_bytes());
        files.extend(4096_u64.to_le_bytes());
        for (start, end, page, _) in &self.files {
            files.extend([start, end, page].iter().flat_map(|word| word.to_le_bytes()));
        }
        files.extend(self.files.iter().flat_map(|file| file.3.bytes().chain([0])));
        add(0x4649_4c45, &files);
        add(6, &[3_u64.to_le_bytes(), self.program_headers.to_le_bytes()].concat());
        let count = self.segments.len() + 1;
        let mut header = vec![0; 64];
        header[..6].copy_from_slice(b"\x7fELF\x02\x01");
        header[16..18].copy_from_slice(&4_u16.to_le_bytes());
        let machine: u16 = if cfg!(target_arch = "aarch64") { 183 } else { 62 };
        header[18..20].copy_from_slice(&machine.to_le_bytes());
        header[32..40].copy_from_slice(&64_u64.to_le_bytes());
        header[54..56].copy_from_slice(&56_u16.to_le_bytes());
        header[56..58].copy_from_slice(&u16::try_from(count).unwrap().to_le_bytes());
        let mut at = (64 + 56 * count) as u64;
        let mut programs = Vec::new();
        let mut program = |kind: u32, flags: u32, vaddr: u64, saved: u64, len: u64| {
            programs.extend(kind.to_le_bytes());
            programs.extend(flags.to_le_bytes());
            for word in [at, vaddr, 0, saved, len, 1] {
                programs.extend(word.to_le_bytes());
            }
            at += saved;
        };
        program(4, 0, 0, note.len() as u64, 0);
        for (vaddr, flags, saved, len) in &self.segments {
            program(1, *flags, *vaddr, saved.len() as u64, *len);
        }
        let mut all = [header, programs, note].concat();
        for segment in &self.segments {
            all.extend(&segment.2);
        }
        all
    }

    fn open(&self, options: &CoreOptions) -> Result<CoreFile, CoreError> {
        open(&self.bytes(), options)
    }
}

fn open(bytes: &[u8], options: &CoreOptions) -> Result<CoreFile, CoreError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    CoreFile::open(file.path(), options)
}

/// A binary with a build-id, its text at offset 0x1000 and data that is relocated at 0x2000.
fn binary(id: u8) -> Vec<u8> {
    let mut bytes = vec![0; 0x3000];
    bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
    bytes[16..18].copy_from_slice(&3_u16.to_le_bytes());
    bytes[32..40].copy_from_slice(&64_u64.to_le_bytes());
    bytes[54..56].copy_from_slice(&56_u16.to_le_bytes());
    bytes[56..58].copy_from_slice(&3_u16.to_le_bytes());
    let rows: [(u32, u32, u64, u64); 3] =
        [(4, 4, 0x200, 20), (1, 5, 0, 0x2000), (1, 6, 0x2000, 0x1000)];
    for (nth, (kind, flags, offset, len)) in rows.into_iter().enumerate() {
        let mut row = Vec::new();
        row.extend(kind.to_le_bytes());
        row.extend(flags.to_le_bytes());
        for word in [offset, offset, 0, len, len, 1] {
            row.extend(word.to_le_bytes());
        }
        bytes[64 + 56 * nth..][..56].copy_from_slice(&row);
    }
    let note = [4_u32, 4, 3].iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    bytes[0x200..0x20c].copy_from_slice(&note);
    bytes[0x20c..0x210].copy_from_slice(b"GNU\0");
    bytes[0x210..0x214].copy_from_slice(&[id; 4]);
    bytes[0x1000..0x2000].fill(0x90);
    bytes[0x2000..].fill(0xdd);
    bytes
}

const BASE: u64 = 0x5555_0000_0000;

/// A process that has mapped a binary, and has a heap of which the second page was not saved.
fn process(path: &Path, id: u8) -> Made {
    let path = path.display().to_string();
    let row = |from: u64, to: u64| (BASE + from, BASE + to, from / 4096, path.clone());
    Made {
        segments: vec![
            (BASE, 4, binary(id)[..0x1000].to_vec(), 0x1000),
            (BASE + 0x1000, 5, Vec::new(), 0x1000),
            (BASE + 0x2000, 4, Vec::new(), 0x1000),
            (0x7000_0000_0000, 6, vec![7; 0x1000], 0x2000),
        ],
        files: vec![row(0, 0x1000), row(0x1000, 0x2000), row(0x2000, 0x3000)],
        program_headers: BASE + 0x40,
    }
}

fn kind_at(core: &CoreFile, addr: u64) -> Result<u64, ReadErrorKind> {
    core.memory().u64(Addr(addr)).map_err(|error| error.kind)
}

#[test]
fn what_was_left_out_comes_from_the_same_binary_but_never_what_was_relocated() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("python3");
    std::fs::write(&path, binary(1)).unwrap();
    let core = process(&path, 1).open(&CoreOptions::default()).unwrap();
    assert_eq!(core.binaries().map(|(_, state)| state).collect::<Vec<_>>(), [&BinaryState::Same]);
    assert_eq!(core.executable(), path.display().to_string());
    assert_eq!(kind_at(&core, BASE + 0x1000), Ok(0x9090_9090_9090_9090));
    assert_eq!(kind_at(&core, BASE + 0x2000), Err(ReadErrorKind::NotSaved));
    assert_eq!(kind_at(&core, 0x7000_0000_0000), Ok(0x0707_0707_0707_0707));
    assert_eq!(kind_at(&core, 0x7000_0000_0ffc), Err(ReadErrorKind::NotSaved));
    assert_eq!(kind_at(&core, 0x7000_0000_2000), Err(ReadErrorKind::Unmapped));
    let mapping = core.memory_map().find(Addr(BASE + 0x1000)).unwrap();
    assert!(core.open_mapped(mapping).is_ok() && mapping.execute && !mapping.write);
}

#[test]
fn another_binary_of_that_name_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("python3");
    std::fs::write(&path, binary(2)).unwrap();
    let core = process(&path, 1).open(&CoreOptions::default()).unwrap();
    assert_eq!(core.binaries().map(|(_, state)| state).collect::<Vec<_>>(), [&BinaryState::Other]);
    assert_eq!(kind_at(&core, BASE + 0x1000), Err(ReadErrorKind::NotSaved));
    let exe = CoreOptions { exe: Some(path.clone()), ..CoreOptions::default() };
    assert!(matches!(process(&path, 1).open(&exe), Err(CoreError::OtherProgram(_))));
}

#[test]
fn binaries_of_another_machine_are_found_below_the_named_folders() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("usr/bin")).unwrap();
    std::fs::write(folder.path().join("usr/bin/python3.99"), binary(1)).unwrap();
    let path = Path::new("/usr/bin/python3.99");
    let missing = process(path, 1).open(&CoreOptions::default()).unwrap();
    assert_eq!(missing.binaries().next().unwrap().1, &BinaryState::Missing);
    let roots = vec![folder.path().to_owned()];
    let options = CoreOptions { lib_search_roots: roots, ..CoreOptions::default() };
    let core = process(path, 1).open(&options).unwrap();
    assert_eq!(kind_at(&core, BASE + 0x1000), Ok(0x9090_9090_9090_9090));
}

#[test]
fn every_prefix_of_a_core_is_an_error_or_says_what_it_lost() {
    let whole = process(Path::new("/nowhere"), 1).bytes();
    for len in (0..whole.len()).step_by(7) {
        match open(&whole[..len], &CoreOptions::default()) {
            Ok(core) => assert!(core.truncated_bytes() > 0, "{len}"),
            Err(error) => assert!(matches!(error, CoreError::NotCore { .. }), "{error}"),
        }
    }
    assert_eq!(open(&whole, &CoreOptions::default()).unwrap().truncated_bytes(), 0);
}

#[test]
fn nothing_that_is_no_core_is_read_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let not_core = |result: Result<CoreFile, CoreError>| match result {
        Err(CoreError::NotCore { what, .. }) => what,
        other => panic!("{other:?}"),
    };
    assert_eq!(not_core(CoreFile::open(folder.path(), &CoreOptions::default())), "no regular file");
    assert_eq!(not_core(open(&[0; 100], &CoreOptions::default())), "it is no ELF file");
    assert_eq!(not_core(open(&binary(1), &CoreOptions::default())), "an ELF file of another kind");
}

proptest::proptest! {
    #[test]
    fn damaged_headers_never_panic(at in 0_usize..1000, value: u8, other in 0_usize..1000) {
        let mut bytes = process(Path::new("/nowhere"), 1).bytes();
        bytes[at] = value;
        bytes[other] = !value;
        if let Ok(core) = open(&bytes, &CoreOptions::default()) {
            for addr in [0, BASE, BASE + 0x1ffc, 0x7000_0000_0000, u64::MAX - 4] {
                let _ = core.memory().u64(Addr(addr));
            }
        }
    }
}
