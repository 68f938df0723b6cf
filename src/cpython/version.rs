//! Which CPython it is: version and build.

use std::fmt;
use std::str::FromStr;

/// A release of CPython, with its patch level.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Version {
    /// 3.
    pub major: u8,
    /// The feature release, such as 11.
    pub minor: u8,
    /// The patch level.
    pub patch: u8,
    /// 0xA0 alpha, 0xB0 beta, 0xC0 candidate, 0xF0 final; with the serial in the low bits, as in
    /// `PY_VERSION_HEX`.
    pub release: u8,
}

impl Version {
    /// A final release.
    #[must_use]
    pub const fn new(major: u8, minor: u8, patch: u8) -> Self {
        Self { major, minor, patch, release: 0xF0 }
    }

    /// The patch level of a version of which only the feature release is known.
    pub const ANY_PATCH: u8 = u8::MAX;

    /// Decodes `PY_VERSION_HEX`.
    #[must_use]
    pub const fn from_hex(hex: u32) -> Self {
        let [major, minor, patch, release] = hex.to_be_bytes();
        Self { major, minor, patch, release }
    }

    /// Whether the feature release is at least this one.
    #[must_use]
    pub const fn at_least(self, major: u8, minor: u8) -> bool {
        self.major > major || (self.major == major && self.minor >= minor)
    }

    /// Whether it is a final release.
    #[must_use]
    pub const fn is_final(self) -> bool {
        self.release & 0xF0 == 0xF0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        if self.patch != Self::ANY_PATCH {
            write!(f, ".{}", self.patch)?;
        }
        let serial = self.release & 0x0F;
        match self.release & 0xF0 {
            0xA0 => write!(f, "a{serial}"),
            0xB0 => write!(f, "b{serial}"),
            0xC0 => write!(f, "rc{serial}"),
            _ => Ok(()),
        }
    }
}

/// The text is no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a version of Python: {0:?}")]
pub struct NotAVersion(pub String);

impl FromStr for Version {
    type Err = NotAVersion;

    /// Reads `3.11`, `3.11.7`, `3.15.0b4`, `3.13.0rc2` or `3.13.5+`.
    fn from_str(text: &str) -> Result<Self, NotAVersion> {
        let error = || NotAVersion(text.chars().take(40).collect());
        let mut parts = text.trim_end_matches('+').splitn(3, '.');
        let mut number = || parts.next().and_then(|part| part.parse::<u8>().ok());
        let (Some(major), Some(minor)) = (number(), number()) else { return Err(error()) };
        let mut version = Self::new(major, minor, 0);
        if let Some(last) = parts.next() {
            let digits = last.find(|c: char| !c.is_ascii_digit()).unwrap_or(last.len());
            let (patch, release) = last.split_at(digits);
            version.patch = patch.parse().map_err(|_| error())?;
            if !release.is_empty() {
                let serial_at = release.find(|c: char| c.is_ascii_digit());
                let (level, serial) = release.split_at(serial_at.ok_or_else(error)?);
                let serial: u8 = serial.parse().map_err(|_| error())?;
                let level = match level {
                    "a" => 0xA0,
                    "b" => 0xB0,
                    "rc" => 0xC0,
                    _ => return Err(error()),
                };
                version.release = level | (serial & 0x0F);
            }
        }
        Ok(version)
    }
}

/// How it was compiled, as far as that changes layouts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Build {
    /// `--with-pydebug`.
    pub debug: bool,
    /// `--disable-gil`.
    pub free_threaded: bool,
    /// `--with-trace-refs`: every object has two more words in front.
    pub trace_refs: bool,
}

impl fmt::Display for Build {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        if self.free_threaded {
            words.push("free-threaded");
        }
        if self.debug {
            words.push("debug");
        }
        if self.trace_refs {
            words.push("trace-refs");
        }
        if words.is_empty() {
            words.push("default");
        }
        f.write_str(&words.join("+"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_read_and_print() {
        for text in ["3.8.18", "3.11.7", "3.15.0b4", "3.13.0rc2"] {
            assert_eq!(text.parse::<Version>().unwrap().to_string(), text);
        }
        assert_eq!("3.13.5+".parse(), Ok(Version::new(3, 13, 5)));
        assert_eq!("3.9".parse(), Ok(Version::new(3, 9, 0)));
        assert!("".parse::<Version>().is_err());
        assert!("3".parse::<Version>().is_err());
        assert!("3.x.1".parse::<Version>().is_err());
        assert!("3.999.1".parse::<Version>().is_err());
    }

    #[test]
    fn the_hex_version_is_the_same_version() {
        assert_eq!(Version::from_hex(0x030B_07F0), Version::new(3, 11, 7));
        assert_eq!(Version::from_hex(0x030F_00B4).to_string(), "3.15.0b4");
        assert!(Version::from_hex(0x030F_00B4) < Version::new(3, 15, 0));
        assert_eq!(Version::new(3, 7, Version::ANY_PATCH).to_string(), "3.7");
    }
}
