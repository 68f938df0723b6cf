//! The checksums that cover every byte of a file: one for each row group, one for the footer.
//!
//! The footer's stands inside the footer, as sixteen hexadecimal digits that count as zeros when it
//! is computed; so the file stays an ordinary Parquet file and even its schema and offsets are
//! covered.

use std::hash::Hasher;
use std::io::{self, Write};

use twox_hash::XxHash3_64;

/// The metadata key of the footer's checksum. It is the last key, so its last occurrence counts.
pub(super) const FOOTER_KEY: &str = "pyheap.footer_xxh3";

/// What the checksum's digits are while it is computed.
pub(super) const FOOTER_BLANK: &str = "0000000000000000";

/// What stands between key and digits: field type string, and the length 16.
const VALUE_HEADER: [u8; 2] = [0x18, 16];

/// The checksum of some bytes, as it stands in the file.
pub(super) fn of(bytes: &[u8]) -> String {
    format!("{:016x}", XxHash3_64::oneshot(bytes))
}

/// Where the digits stand in a footer.
fn digits(footer: &[u8]) -> Option<std::ops::Range<usize>> {
    let pattern = [FOOTER_KEY.as_bytes(), &VALUE_HEADER].concat();
    let start = footer.windows(pattern.len()).rposition(|window| window == pattern)?;
    let start = start.checked_add(pattern.len())?;
    let end = start.checked_add(FOOTER_BLANK.len())?;
    (end <= footer.len()).then_some(start..end)
}

/// Fills in the checksum of a footer whose digits are blank. Returns whether there was a place.
#[must_use]
pub(super) fn seal(footer: &mut [u8]) -> bool {
    let sum = of(footer);
    let Some(place) = digits(footer).and_then(|place| footer.get_mut(place)) else { return false };
    place.copy_from_slice(sum.as_bytes());
    true
}

/// What a footer says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seal {
    /// It is what was written.
    Holds,
    /// It was changed.
    Broken,
    /// It has no checksum of ours.
    Absent,
}

/// Checks the checksum of a footer.
pub(super) fn check(mut footer: Vec<u8>) -> Seal {
    let Some(place) = digits(&footer).and_then(|place| footer.get_mut(place)) else {
        return Seal::Absent;
    };
    let found = place.to_vec();
    place.copy_from_slice(FOOTER_BLANK.as_bytes());
    if of(&footer).as_bytes() == found { Seal::Holds } else { Seal::Broken }
}

/// Passes bytes on and keeps their checksum; holds the footer back to be sealed.
pub(super) struct Sink<W> {
    inner: W,
    hasher: XxHash3_64,
    bytes: u64,
    footer: Option<Vec<u8>>,
}

impl<W: Write> Sink<W> {
    pub(super) fn new(inner: W) -> Self {
        Self { inner, hasher: XxHash3_64::with_seed(0), bytes: 0, footer: None }
    }

    /// How many bytes passed since the last call, and their checksum.
    pub(super) fn take_sum(&mut self) -> (u64, String) {
        let hasher = std::mem::replace(&mut self.hasher, XxHash3_64::with_seed(0));
        (std::mem::take(&mut self.bytes), format!("{:016x}", hasher.finish()))
    }

    /// From here on bytes are kept and not passed on.
    pub(super) fn begin_footer(&mut self) {
        self.footer = Some(Vec::new());
    }

    /// Seals and writes the footer.
    pub(super) fn finish_footer(&mut self) -> io::Result<()> {
        let mut footer = self.footer.take().unwrap_or_default();
        if !seal(&mut footer) {
            return Err(io::Error::other("the footer has no place for its checksum"));
        }
        self.inner.write_all(&footer)?;
        self.inner.flush()
    }
}

impl<W: Write> Write for Sink<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if let Some(footer) = &mut self.footer {
            return footer.write(buf);
        }
        let written = self.inner.write(buf)?;
        self.hasher.write(buf.get(..written).unwrap_or(buf));
        self.bytes = self.bytes.saturating_add(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
