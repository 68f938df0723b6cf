//! Files that are not what was written.

use std::fs;
use std::os::unix::fs::FileExt;

use proptest::prelude::*;

use super::graphs::{assert_same, random_snapshot};
use super::{file_of, place};
use crate::snapshot::checksum::{self, Seal};
use crate::snapshot::{SnapshotError, load};

/// Loads these bytes as a file.
fn load_bytes(bytes: &[u8]) -> Result<crate::snapshot::Snapshot, SnapshotError> {
    let (_directory, path) = place();
    fs::write(&path, bytes).unwrap();
    load(&path)
}

fn small_file() -> Vec<u8> {
    file_of(&random_snapshot(5, 12, 3))
}

#[test]
fn every_flipped_bit_is_an_error() {
    let (_directory, path) = place();
    let bytes = small_file();
    fs::write(&path, &bytes).unwrap();
    load(&path).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    for at in 0..bytes.len() {
        // One bit of each byte by turns, and all bits at once.
        for flip in [1 << (at % 8), 0xff] {
            file.write_all_at(&[bytes[at] ^ flip], at as u64).unwrap();
            let error = load(&path).map(|_| ()).expect_err(&format!("byte {at} ^ {flip:#x}"));
            let fits = match at {
                0..4 => matches!(error, SnapshotError::NotParquet { .. }),
                at if at >= bytes.len() - 4 => matches!(error, SnapshotError::Truncated { .. }),
                _ => matches!(error, SnapshotError::Damaged { .. }),
            };
            assert!(fits && error.hint().is_some(), "byte {at} ^ {flip:#x}: {error}");
        }
        file.write_all_at(&[bytes[at]], at as u64).unwrap();
    }
}

#[test]
fn every_truncation_is_an_error() {
    let (_directory, path) = place();
    let bytes = small_file();
    fs::write(&path, &bytes).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    for len in (0..bytes.len()).rev() {
        file.set_len(len as u64).unwrap();
        let error = load(&path).map(|_| ()).expect_err(&format!("{len} bytes"));
        let fits = match len {
            0 => matches!(error, SnapshotError::Empty { .. }),
            _ => matches!(error, SnapshotError::Truncated { .. }),
        };
        assert!(fits && error.hint().is_some(), "{len} bytes: {error}");
    }
}

#[test]
fn bytes_behind_the_end_or_missing_inside_are_an_error() {
    let bytes = small_file();
    let longer = [&bytes[..], b"x"].concat();
    assert!(matches!(load_bytes(&longer), Err(SnapshotError::Truncated { .. })));
    let middle = bytes.len() / 2;
    let holed = [&bytes[..middle], &bytes[middle + 1..]].concat();
    assert!(matches!(load_bytes(&holed), Err(SnapshotError::Damaged { .. })));
    let twice = [&bytes[..], &bytes[..]].concat();
    assert!(matches!(load_bytes(&twice), Err(SnapshotError::Damaged { .. })));
}

#[test]
fn what_is_no_parquet_file_is_named_so() {
    for bytes in [&b"P"[..], b"PAR", b"PAR1", b"PAR1PAR1"] {
        assert!(matches!(load_bytes(bytes), Err(SnapshotError::Truncated { .. })), "{bytes:?}");
    }
    for bytes in [&b"x"[..], b"{\"schema\": 1}", &[0; 100]] {
        assert!(matches!(load_bytes(bytes), Err(SnapshotError::NotParquet { .. })), "{bytes:?}");
    }
    let footer_too_long = b"PAR1\xff\xff\xff\xffPAR1";
    assert!(matches!(load_bytes(footer_too_long), Err(SnapshotError::Damaged { .. })));
    let empty_footer = b"PAR1\0\0\0\0PAR1";
    assert!(matches!(load_bytes(empty_footer), Err(SnapshotError::Damaged { .. })));
}

#[test]
fn what_is_no_file_is_named_so() {
    let (directory, path) = place();
    assert!(matches!(load(directory.path()), Err(SnapshotError::NotAFile { .. })));
    let missing = load(&path).map(|_| ()).unwrap_err();
    assert!(matches!(missing, SnapshotError::Read { .. }));
    assert!(missing.to_string().contains("snapshot.parquet"), "{missing}");
}

#[test]
fn a_parquet_file_of_someone_else_is_foreign() {
    use parquet::file::writer::SerializedFileWriter;
    let mut bytes = Vec::new();
    let schema = parquet::schema::parser::parse_message_type("message m { required int32 a; }");
    let schema = std::sync::Arc::new(schema.unwrap());
    SerializedFileWriter::new(&mut bytes, schema, Default::default()).unwrap().close().unwrap();
    assert!(matches!(load_bytes(&bytes), Err(SnapshotError::Foreign { .. })));
}

/// The file with other text of the same length in its footer, sealed anew.
fn with_footer_text(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = bytes.to_vec();
    let tail: [u8; 4] = bytes[bytes.len() - 8..][..4].try_into().unwrap();
    let footer_at = bytes.len() - 8 - usize::try_from(u32::from_le_bytes(tail)).unwrap();
    let footer = &mut bytes[footer_at..];
    let at = footer.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
    footer[at..at + to.len()].copy_from_slice(to.as_bytes());
    reseal(footer);
    bytes
}

/// Gives a changed footer the right checksum, as someone who wants to harm us would.
fn reseal(footer: &mut [u8]) {
    let key = checksum::FOOTER_KEY.as_bytes();
    if let Some(at) = footer.windows(key.len()).rposition(|window| window == key)
        && let Some(digits) = footer.get_mut(at + key.len() + 2..at + key.len() + 18)
    {
        digits.copy_from_slice(checksum::FOOTER_BLANK.as_bytes());
        let _ = checksum::seal(footer);
    }
}

#[test]
fn a_file_of_a_later_format_is_named_so() {
    let key = "pyheap.schema\u{18}\u{1}";
    let later = with_footer_text(&small_file(), &format!("{key}1"), &format!("{key}2"));
    match load_bytes(&later).map(|_| ()) {
        Err(error @ SnapshotError::LaterSchema { found: 2, known: 1, .. }) => {
            assert!(error.hint().is_some());
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn metadata_that_contradicts_itself_is_damage() {
    let bytes = small_file();
    for (from, to) in [
        ("\"kind\":\"object\",\"rows\":12", "\"kind\":\"object\",\"rows\":13"),
        ("\"kind\":\"root\"", "\"kind\":\"loot\""),
        ("\"address\":\"0x", "\"address\":\"1x"),
        ("pyheap.anomalies", "pyheap.anomalous"),
        ("pyheap.facts\u{18}", "pyheap.fakts\u{18}"),
    ] {
        let changed = with_footer_text(&bytes, from, to);
        let result = load_bytes(&changed);
        assert!(matches!(result, Err(SnapshotError::Damaged { .. })), "{from} -> {to}");
    }
}

#[test]
fn the_seal_of_a_footer_holds_until_a_byte_changes() {
    let mut footer = [b"some ", checksum::FOOTER_KEY.as_bytes(), b"\x18\x10"].concat();
    assert!(!checksum::seal(&mut footer), "no room for the digits");
    footer.extend_from_slice(checksum::FOOTER_BLANK.as_bytes());
    footer.extend_from_slice(b" end");
    assert_eq!(checksum::check(footer.clone()), Seal::Broken);
    assert!(checksum::seal(&mut footer));
    assert_eq!(checksum::check(footer.clone()), Seal::Holds);
    footer[0] = b'S';
    assert_eq!(checksum::check(footer), Seal::Broken);
    assert_eq!(checksum::check(b"none".to_vec()), Seal::Absent);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    /// With right checksums and wrong contents the decoders meet what they never should: it must
    /// end in an error or in a snapshot that is no worse than another, never in a crash.
    #[test]
    fn damage_behind_right_checksums_never_crashes(
        at in any::<prop::sample::Index>(),
        to in any::<u8>(),
        in_footer in any::<bool>(),
    ) {
        let snapshot = random_snapshot(11, 40, 3);
        let mut bytes = file_of(&snapshot);
        let tail: [u8; 4] = bytes[bytes.len() - 8..][..4].try_into().unwrap();
        let footer_at = bytes.len() - 8 - usize::try_from(u32::from_le_bytes(tail)).unwrap();
        if in_footer {
            let at = footer_at + at.index(bytes.len() - 8 - footer_at);
            bytes[at] = to;
        } else {
            let before = bytes.clone();
            let at = 4 + at.index(footer_at - 4);
            bytes[at] = to;
            bytes = with_right_sums(&before, bytes, footer_at);
        }
        reseal(&mut bytes[footer_at..]);
        if let Ok(loaded) = load_bytes(&bytes) {
            let (_directory, path) = place();
            crate::snapshot::save(&loaded, &path, false).unwrap();
            assert_same(&load(&path).unwrap(), &loaded);
        }
    }
}

/// Puts the checksums of the changed row groups in place of those of the old ones.
fn with_right_sums(before: &[u8], mut bytes: Vec<u8>, footer_at: usize) -> Vec<u8> {
    let text = String::from_utf8_lossy(&before[footer_at..]).into_owned();
    let mut start = 4;
    for part in text.split("\"bytes\":").skip(1) {
        let len: String = part.chars().take_while(char::is_ascii_digit).collect();
        let end = start + len.parse::<usize>().unwrap();
        let (old, new) = (checksum::of(&before[start..end]), checksum::of(&bytes[start..end]));
        let footer = &mut bytes[footer_at..];
        let at = footer.windows(16).position(|window| window == old.as_bytes()).unwrap();
        footer[at..at + 16].copy_from_slice(new.as_bytes());
        start = end;
    }
    assert_eq!(start, footer_at);
    bytes
}
