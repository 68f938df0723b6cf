//! Where is the interpreter? Each strategy that was tried is kept, so that a failure can say what
//! was looked for; and nothing is believed before it was checked in the target.

mod banner;
mod binaries;
mod check;
mod images;
mod version;

use std::fmt;

use crate::addr::Addr;
use crate::limits::Limits;
use crate::target::mapped_files::MappedFiles;
use crate::target::maps::MemoryMap;
use crate::target::memory::Memory;

use super::layout::{BadRow, DebugOffsets, Disagreement, Layout, LayoutError};
use super::object::Known;
use super::version::{Build, Version};
pub use binaries::Binaries;
use check::Refusal;
use images::{Candidate, Mapped};

/// An interpreter that was found and checked.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its full version.
    pub version: Version,
    /// How it was built.
    pub build: Build,
    /// Where it keeps what.
    pub layout: Layout,
    /// `_PyRuntime`.
    pub runtime: Addr,
    /// Single objects and functions that decoding needs.
    pub known: Known,
    /// The binary that holds it, as the target sees it.
    pub binary: String,
    /// Fields for which the tables and the target itself named different offsets.
    pub disagreements: Vec<Disagreement>,
}

/// One thing that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Where it was looked for.
    pub place: String,
    /// What came of it.
    pub outcome: String,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.outcome)
    }
}

/// Why no interpreter can be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DiscoveryError {
    /// There is none.
    #[error("no Python interpreter was found in the process{}", list(.0))]
    NotFound(Vec<Attempt>),
    /// There is one, but of a kind that is not supported.
    #[error("{0}")]
    Unsupported(LayoutError),
    /// There is another interpreter than CPython.
    #[error(
        "{binary} is PyPy (Python {version}), and pyheap reads CPython alone: PyPy keeps its objects in another way"
    )]
    PyPy {
        /// The binary that holds it.
        binary: String,
        /// The version of the language.
        version: Version,
    },
    /// There is one, but what it holds does not fit the tables.
    #[error("{binary} holds CPython {version} ({build}), but it does not look as that should{}", list(.attempts))]
    Unrecognised {
        /// The binary that holds it.
        binary: String,
        /// The version that it says it is.
        version: Version,
        /// How it seems to be built.
        build: Build,
        /// What was checked.
        attempts: Vec<Attempt>,
    },
    /// The tables are damaged.
    #[error(transparent)]
    Tables(#[from] BadRow),
}

impl DiscoveryError {
    /// What the person can do.
    #[must_use]
    pub const fn advice(&self) -> Option<&'static str> {
        match self {
            Self::Unsupported(LayoutError::Unsupported { advice, .. }) => Some(advice),
            Self::PyPy { .. } => Some("run the program on CPython 3.8 or later to read it"),
            Self::Unrecognised { .. } => Some(
                "it may be patched, or damaged: a release as python.org has it can be read; what was checked, as \
                 above, is what a report needs",
            ),
            Self::NotFound(_) | Self::Unsupported(_) | Self::Tables(_) => None,
        }
    }

    /// The version and the build of an interpreter that is there and cannot be read.
    #[must_use]
    pub fn found(&self) -> Option<(Version, String)> {
        match self {
            Self::Unsupported(LayoutError::Unsupported { version, build, .. })
            | Self::Unrecognised { version, build, .. } => Some((*version, build.to_string())),
            Self::PyPy { version, .. } => Some((*version, "PyPy".to_owned())),
            Self::NotFound(_) | Self::Unsupported(_) | Self::Tables(_) => None,
        }
    }
}

/// The attempts as lines of a message.
fn list(attempts: &[Attempt]) -> String {
    attempts.iter().map(|attempt| format!("\n  {attempt}")).collect()
}

/// Finds the interpreter of a process. What is learnt of its binaries is kept for the next one.
///
/// # Errors
/// There is none, or it is not supported. The error says what was tried.
pub fn find(
    process: &dyn MappedFiles,
    map: &MemoryMap,
    memory: &impl Memory,
    limits: Limits,
    binaries: &Binaries,
) -> Result<Found, DiscoveryError> {
    let mut attempts = Vec::new();
    let mut failure = None;
    let mut seen = Vec::new();
    let mut check = |candidate: Candidate, attempts: &mut Vec<Attempt>| {
        if seen.contains(&candidate.runtime) {
            return None;
        }
        seen.push(candidate.runtime);
        match examine(&candidate, memory, limits, attempts) {
            Ok(found) => found,
            // Another image may still hold one that works; the first reason is the best.
            Err(error) => {
                failure.get_or_insert(error);
                None
            }
        }
    };
    // The likeliest first: the rest of a process's hundred libraries need not be opened.
    let files = Mapped::of(process, map);
    for file in &files {
        for candidate in file.candidates(process, map, binaries, &mut attempts) {
            if let Some(found) = check(candidate, &mut attempts) {
                return Ok(found);
            }
        }
    }
    let places = format!("the symbols of all {} mapped files", files.len());
    let outcome = "looked for _PyRuntime and .PyRuntime".to_owned();
    attempts.push(Attempt { place: places, outcome });
    // A binary that cannot be opened, or was stripped of everything: the runtime of newer
    // releases describes itself in memory.
    let scanned = images::scan(map, memory);
    let outcome = format!("the cookie of _Py_DebugOffsets is there {} times", scanned.len());
    attempts.push(Attempt { place: "writable memory".to_owned(), outcome });
    for candidate in scanned {
        if let Some(found) = check(candidate, &mut attempts) {
            return Ok(found);
        }
    }
    if let Some(failure) = failure {
        return Err(failure);
    }
    for file in &files {
        if let Some(banner) = file.another(process, map, memory, binaries) {
            let version = banner.version;
            if banner.is_pypy {
                return Err(DiscoveryError::PyPy { binary: file.path().to_owned(), version });
            }
            if let Err(error) = Layout::resolve(version, Build::default()) {
                return Err(DiscoveryError::Unsupported(error));
            }
        }
    }
    Err(DiscoveryError::NotFound(attempts))
}

/// Checks one candidate: which version it is, and whether it looks like that.
fn examine(
    candidate: &Candidate,
    memory: &impl Memory,
    limits: Limits,
    attempts: &mut Vec<Attempt>,
) -> Result<Option<Found>, DiscoveryError> {
    let mut note = |outcome: String| {
        attempts.push(Attempt { place: candidate.binary.clone(), outcome });
    };
    let versions = version::read(candidate, memory)?;
    if versions.is_empty() {
        note("_PyRuntime is there, but its version could not be read".to_owned());
        return Ok(None);
    }
    let mut refused = None;
    let mut checked = Vec::new();
    let mut last = None;
    let mut started = false;
    for guess in versions {
        for debug in [false, true] {
            let build = Build { debug, ..guess.build };
            last = Some((guess.version, build));
            let says = DebugOffsets::decode(&guess.head, build)?;
            let resolved = match &says {
                Some(says) => Layout::resolve_with(guess.version, build, says),
                None => Layout::resolve(guess.version, build).map(|layout| (layout, Vec::new())),
            };
            let (layout, disagreements) = match resolved {
                Ok(resolved) => resolved,
                Err(error) => {
                    refused = refused.or(Some(error));
                    continue;
                }
            };
            let runtime = candidate.runtime;
            let found = |version, layout, known, disagreements| {
                let binary = candidate.binary.clone();
                Found { version, build, layout, runtime, known, binary, disagreements }
            };
            match check::verify(memory, &layout, runtime, candidate, build, limits) {
                Ok(verified) if guess.is_exact || verified.version == Some(guess.version) => {
                    return Ok(Some(found(guess.version, layout, verified.known, disagreements)));
                }
                Ok(verified) => {
                    // A guess by minor release: now the full version is known.
                    let Some(version) = verified.version else { continue };
                    if (version.major, version.minor) != (guess.version.major, guess.version.minor)
                    {
                        continue;
                    }
                    let layout = match Layout::resolve(version, build) {
                        Ok(layout) => layout,
                        Err(error) => return Err(DiscoveryError::Unsupported(error)),
                    };
                    return Ok(Some(found(version, layout, verified.known, disagreements)));
                }
                Err(Refusal::TraceRefs) => {
                    let build = Build { trace_refs: true, debug: false, ..build };
                    let refused = Layout::resolve(guess.version, build).err();
                    let Some(error) = refused else { continue };
                    return Err(DiscoveryError::Unsupported(error));
                }
                Err(reason) => {
                    started |= reason != Refusal::NotStarted;
                    checked.push(Attempt {
                        place: format!("as {} ({build})", guess.version),
                        outcome: reason.to_string(),
                    });
                }
            }
        }
    }
    if let Some(error) = refused {
        return Err(DiscoveryError::Unsupported(error));
    }
    let Some((version, build)) = last else { return Ok(None) };
    if !started {
        note(Refusal::NotStarted.to_string());
        return Ok(None);
    }
    let binary = candidate.binary.clone();
    let build = Build { debug: false, ..build };
    Err(DiscoveryError::Unrecognised { binary, version, build, attempts: checked })
}
