//! Which version an interpreter is.

use super::banner;
use super::images::Candidate;
use crate::cpython::layout::{BadRow, DebugOffsets, Offsets};
use crate::cpython::version::{Build, Version};
use crate::target::memory::Memory;

/// A version that an interpreter may have.
#[derive(Debug, Clone)]
pub(super) struct Guess {
    pub(super) version: Version,
    /// Whether the interpreter itself said so, patch level included.
    pub(super) is_exact: bool,
    pub(super) build: Build,
    /// The first bytes of `_PyRuntime`.
    pub(super) head: Vec<u8>,
}

/// The oldest minor releases that are read; but for a text they say their version in Python objects alone.
const SILENT_MINORS: [u8; 3] = [10, 9, 8];

/// The versions that a candidate may have, the likeliest first.
pub(super) fn read(candidate: &Candidate, memory: &impl Memory) -> Result<Vec<Guess>, BadRow> {
    let mut head = vec![0; DebugOffsets::MAX_SIZE];
    if memory.read(candidate.runtime, &mut head).is_err() {
        return Ok(Vec::new());
    }
    let build = Build::default();
    // From 3.13 on the runtime describes itself.
    if let Some(says) = DebugOffsets::decode(&head, build)? {
        let build = Build { free_threaded: says.free_threaded, ..build };
        return Ok(vec![Guess { version: says.version, is_exact: true, build, head }]);
    }
    // From 3.11 on there is a constant.
    if let Some(at) = candidate.py_version
        && let Ok(hex) = memory.u64(at)
        && let Ok(hex) = u32::try_from(hex)
        && hex >> 24 == 3
    {
        let version = Version::from_hex(hex);
        return Ok(vec![Guess { version, is_exact: true, build, head }]);
    }
    // Before, there is a text that was made when `sys` was; what it says is checked with `sys.hexversion`.
    if let Some(banner) = banner::read(memory, &candidate.data) {
        return Ok(vec![Guess { version: banner.version, is_exact: false, build, head }]);
    }
    // Else the size of the runtime tells the minor release, and `sys.hexversion` the rest.
    let mut guesses = Vec::new();
    for minor in SILENT_MINORS {
        let version = Version::new(3, minor, Version::ANY_PATCH);
        let fits =
            match (candidate.runtime_size, Offsets::of(version, false)?.size("_PyRuntimeState")) {
                (Some(found), Some(expected)) => found == u64::from(expected),
                _ => true,
            };
        let guess = Guess { version, is_exact: false, build, head: head.clone() };
        if fits {
            guesses.insert(0, guess);
        } else {
            guesses.push(guess);
        }
    }
    Ok(guesses)
}
