//! Compressed core files, as `systemd-coredump` (zstd) and people (gzip) make them: unpacked into a
//! file without a name, which is gone when we are.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// How much is looked at for being zeros, which need no room on the disk.
const BLOCK: usize = 64 << 10;

/// The plain file: the given one, or what it unpacks to in `folder`.
///
/// # Errors
/// The file cannot be read, is damaged, or the folder has no room for what it holds.
pub(super) fn plain(file: File, folder: &Path) -> io::Result<File> {
    let mut magic = [0; 4];
    if file.read_exact_at(&mut magic, 0).is_err() {
        return Ok(file);
    }
    match magic {
        [a, b, ..] if [a, b] == GZIP => {
            unpack(flate2::read::MultiGzDecoder::new(io::BufReader::new(file)), folder)
        }
        ZSTD => unpack(zstd::stream::read::Decoder::new(file)?, folder),
        _ => Ok(file),
    }
}

fn unpack(mut packed: impl Read, folder: &Path) -> io::Result<File> {
    let mut plain = tempfile::tempfile_in(folder)?;
    let mut block = vec![0; BLOCK];
    let mut bytes = 0_u64;
    loop {
        let len = fill(&mut packed, &mut block)?;
        let Some(read) = block.get(..len).filter(|read| !read.is_empty()) else { break };
        bytes = bytes.saturating_add(u64::try_from(len).unwrap_or(0));
        if read.iter().all(|&byte| byte == 0) {
            plain.seek(SeekFrom::Start(bytes))?;
        } else {
            plain.write_all(read)?;
        }
    }
    plain.set_len(bytes)?;
    Ok(plain)
}

/// Reads until the block is full or nothing is left.
fn fill(packed: &mut impl Read, block: &mut [u8]) -> io::Result<usize> {
    let mut len = 0;
    while let Some(rest) = block.get_mut(len..).filter(|rest| !rest.is_empty()) {
        match packed.read(rest) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes() -> Vec<u8> {
        let mut bytes = vec![0; 300_000];
        bytes[0] = 0x7f;
        bytes[200_000..200_100].fill(7);
        bytes
    }

    fn read_all(packed: &[u8]) -> io::Result<Vec<u8>> {
        let folder = tempfile::tempdir()?;
        let file = tempfile::tempfile_in(folder.path())?;
        file.write_all_at(packed, 0)?;
        let plain = plain(file, folder.path())?;
        assert_eq!(std::fs::read_dir(folder.path())?.count(), 0, "a file with a name is left");
        let mut all = vec![0; usize::try_from(plain.metadata()?.len()).unwrap()];
        plain.read_exact_at(&mut all, 0)?;
        Ok(all)
    }

    #[test]
    fn plain_and_compressed_files_are_the_same() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&bytes()).unwrap();
        assert_eq!(read_all(&gzip.finish().unwrap()).unwrap(), bytes());
        assert_eq!(read_all(&zstd::encode_all(&bytes()[..], 1).unwrap()).unwrap(), bytes());
        assert_eq!(read_all(&bytes()).unwrap(), bytes());
    }

    #[test]
    fn a_damaged_file_is_an_error() {
        let packed = zstd::encode_all(&bytes()[..], 1).unwrap();
        assert!(read_all(&packed[..packed.len() / 2]).is_err());
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&bytes()).unwrap();
        let packed = gzip.finish().unwrap();
        assert!(read_all(&packed[..packed.len() / 2]).is_err());
    }
}
