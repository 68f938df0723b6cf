//! Reading memory of a target: one trait, one error that carries the address.

use crate::addr::Addr;

/// Why some bytes of the target could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cannot read {len} bytes at {addr}: {kind}")]
pub struct ReadError {
    /// Where the read began.
    pub addr: Addr,
    /// How many bytes were asked for.
    pub len: u64,
    /// What went wrong.
    pub kind: ReadErrorKind,
}

/// The kinds of failed reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadErrorKind {
    /// Nothing is mapped there.
    #[error("not mapped")]
    Unmapped,
    /// The core file or the capture does not hold these bytes.
    #[error("not saved")]
    NotSaved,
    /// The range runs over the end of the address space.
    #[error("beyond the end of the address space")]
    Overflow,
    /// The kernel refused.
    #[error("permission denied")]
    Denied,
    /// The process is gone.
    #[error("the process has ended")]
    Gone,
    /// Another error of the operating system.
    #[error("system error {0}")]
    Os(i32),
}

/// Bytes of a target that can be read from several threads at once.
///
/// The numbers are those of a little-endian 64-bit target, the only ones that CPython's builds on
/// x86_64 and aarch64 Linux have.
pub trait Memory: Sync {
    /// Fills `buf` with the bytes at `addr`.
    ///
    /// # Errors
    /// Nothing was read if any byte of the range cannot be read.
    fn read(&self, addr: Addr, buf: &mut [u8]) -> Result<(), ReadError>;

    /// The bytes themselves, without a copy, where this memory has them in one piece.
    fn slice(&self, addr: Addr, len: usize) -> Option<&[u8]> {
        let _ = (addr, len);
        None
    }

    /// Forgets what is remembered of the target, so that the next read sees it as it is then.
    fn forget(&self) {}

    /// Reads a byte.
    ///
    /// # Errors
    /// As [`Memory::read`].
    fn u8(&self, addr: Addr) -> Result<u8, ReadError> {
        Ok(u8::from_le_bytes(self.array(addr)?))
    }

    /// Reads 16 bits.
    ///
    /// # Errors
    /// As [`Memory::read`].
    fn u16(&self, addr: Addr) -> Result<u16, ReadError> {
        Ok(u16::from_le_bytes(self.array(addr)?))
    }

    /// Reads 32 bits.
    ///
    /// # Errors
    /// As [`Memory::read`].
    fn u32(&self, addr: Addr) -> Result<u32, ReadError> {
        Ok(u32::from_le_bytes(self.array(addr)?))
    }

    /// Reads 32 bits with a sign.
    ///
    /// # Errors
    /// As [`Memory::read`].
    fn i32(&self, addr: Addr) -> Result<i32, ReadError> {
        Ok(i32::from_le_bytes(self.array(addr)?))
    }

    /// Reads 64 bits.
    ///
    /// # Errors
    /// As [`Memory::read`].
    fn u64(&self, addr: Addr) -> Result<u64, ReadError> {
        Ok(u64::from_le_bytes(self.array(addr)?))
    }

    /// Reads 64 bits with a sign.
    ///
    /// # Errors
    /// As [`Memory::read`].
    fn i64(&self, addr: Addr) -> Result<i64, ReadError> {
        Ok(i64::from_le_bytes(self.array(addr)?))
    }

    /// Reads a pointer.
    ///
    /// # Errors
    /// As [`Memory::read`].
    fn addr(&self, addr: Addr) -> Result<Addr, ReadError> {
        Ok(Addr(self.u64(addr)?))
    }

    /// Reads a fixed number of bytes.
    ///
    /// # Errors
    /// As [`Memory::read`].
    fn array<const N: usize>(&self, addr: Addr) -> Result<[u8; N], ReadError> {
        if let Some(array) = self.slice(addr, N).and_then(|slice| slice.try_into().ok()) {
            return Ok(array);
        }
        let mut array = [0; N];
        self.read(addr, &mut array)?;
        Ok(array)
    }

    /// Reads `len` bytes into a new vector. The caller has bounded `len`.
    ///
    /// # Errors
    /// As [`Memory::read`].
    fn bytes(&self, addr: Addr, len: usize) -> Result<Vec<u8>, ReadError> {
        if let Some(slice) = self.slice(addr, len) {
            return Ok(slice.to_vec());
        }
        let mut buf = vec![0; len];
        self.read(addr, &mut buf)?;
        Ok(buf)
    }
}

/// Fills `buf` from a memory that is in pieces. `some` reads as much as its piece has, at least a
/// byte, and says how much that was.
pub(super) fn read_in_pieces(
    addr: Addr,
    buf: &mut [u8],
    mut some: impl FnMut(Addr, &mut [u8]) -> Result<usize, ReadErrorKind>,
) -> Result<(), ReadError> {
    let len = u64::try_from(buf.len()).unwrap_or(u64::MAX);
    let error = |kind| ReadError { addr, len, kind };
    if addr.0.checked_add(len).is_none() {
        return Err(error(ReadErrorKind::Overflow));
    }
    let mut at = addr;
    let mut rest = buf;
    while !rest.is_empty() {
        let read = some(at, rest).map_err(error)?;
        rest = rest.split_at_mut_checked(read).map_or(&mut [], |(_, rest)| rest);
        at = at + u64::try_from(read).unwrap_or(0);
    }
    Ok(())
}
