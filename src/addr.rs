//! Addresses of the target. They are numbers to us, never pointers.

use std::fmt;
use std::ops::{Add, Range, Sub};

/// An address in the target's memory.
///
/// Arithmetic wraps: what is computed from hostile bytes may be any number, and whether it is
/// mapped is decided by the read, not by the sum.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Addr(pub u64);

impl Addr {
    /// The null pointer.
    pub const NULL: Self = Self(0);

    /// Whether this is the null pointer.
    #[must_use]
    pub const fn is_null(self) -> bool {
        self.0 == 0
    }

    /// The address, or nothing for the null pointer.
    #[must_use]
    pub const fn non_null(self) -> Option<Self> {
        if self.0 == 0 { None } else { Some(self) }
    }

    /// The address with the given low bits cleared, as tagged pointers need it.
    #[must_use]
    pub const fn without_tag(self, bits: u64) -> Self {
        Self(self.0 & !bits)
    }

    /// This address moved by a signed distance.
    #[must_use]
    pub const fn offset(self, by: i64) -> Self {
        Self(self.0.wrapping_add_signed(by))
    }

    /// Whether the address is a multiple of `alignment`, a power of two.
    #[must_use]
    pub const fn is_aligned(self, alignment: u64) -> bool {
        self.0 & (alignment.wrapping_sub(1)) == 0
    }
}

impl Add<u64> for Addr {
    type Output = Self;
    fn add(self, bytes: u64) -> Self {
        Self(self.0.wrapping_add(bytes))
    }
}

impl Sub<u64> for Addr {
    type Output = Self;
    fn sub(self, bytes: u64) -> Self {
        Self(self.0.wrapping_sub(bytes))
    }
}

impl Sub for Addr {
    type Output = u64;
    fn sub(self, other: Self) -> u64 {
        self.0.wrapping_sub(other.0)
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Debug for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::LowerHex for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::LowerHex::fmt(&self.0, f)
    }
}

/// A half-open range of target addresses.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct AddrRange {
    /// The first address inside.
    pub start: Addr,
    /// The first address behind.
    pub end: Addr,
}

impl AddrRange {
    /// The range from `start` up to, but without, `end`.
    #[must_use]
    pub const fn new(start: Addr, end: Addr) -> Self {
        Self { start, end }
    }

    /// Its length in bytes; 0 if the ends are the wrong way round.
    #[must_use]
    pub const fn len(self) -> u64 {
        self.end.0.saturating_sub(self.start.0)
    }

    /// Whether nothing is inside.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Whether `addr` is inside.
    #[must_use]
    pub const fn contains(self, addr: Addr) -> bool {
        self.start.0 <= addr.0 && addr.0 < self.end.0
    }

    /// The numbers of the range.
    #[must_use]
    pub const fn numbers(self) -> Range<u64> {
        self.start.0..self.end.0
    }
}

impl fmt::Display for AddrRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.start, self.end)
    }
}
