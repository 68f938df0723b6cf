//! Where CPython keeps what, as data: one [`Layout`] for one version and build.
//!
//! Knows versions and nothing else: no process, no decoding. Decoders see only the value, so they
//! never ask for a version. The offsets are those of x86_64. On aarch64
//! the mutexes of the GIL are larger, which moves what follows them in the states of the runtime and
//! of the interpreters: those rows have not been measured there.

mod debug_offsets;
pub mod features;
mod native;
mod opcodes;
pub mod structures;
mod table;

pub use debug_offsets::{DebugOffsets, Disagreement};
pub use features::Features;
pub use native::{FieldRole, NativeField, NativeType, Natives};
pub use opcodes::{Direction, Instruction, Jump, Opcode, Opcodes};
pub use structures::Structures;
pub use table::{BadRow, MissingField, Offsets};

use super::version::{Build, Version};

/// Everything that decoding needs to know about one interpreter.
#[derive(Debug, Clone)]
pub struct Layout {
    /// Offsets of fields in structures.
    pub at: Structures,
    /// What differs in meaning.
    pub has: Features,
    /// The types of C code whose references are fields.
    pub natives: Natives,
    /// What instructions do to the stacks of frames that do not say how deep they are.
    pub opcodes: Option<Opcodes>,
    /// The size of the header before an object that the collector knows, in bytes.
    pub gc_head_size: u64,
    /// All offsets, for what is looked up by name.
    offsets: Offsets,
}

/// Why there is no layout for an interpreter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// We know that we do not know it.
    #[error("CPython {version} ({build}) is not supported: {reason}")]
    Unsupported {
        /// What was found.
        version: Version,
        /// How it was built.
        build: Build,
        /// Why not.
        reason: &'static str,
        /// What the person can do.
        advice: &'static str,
    },
    /// The table is damaged.
    #[error(transparent)]
    BadRow(#[from] BadRow),
    /// The table lacks a field.
    #[error(transparent)]
    MissingField(#[from] MissingField),
}

/// The size of `PyObject` in a build with the GIL: reference count and type.
pub const OBJECT_SIZE: u64 = 16;
/// Where an object's type is.
pub const OB_TYPE: u64 = 8;
/// Where the count of a variable-sized object is.
pub const OB_SIZE: u64 = 16;

/// The oldest and the newest minor release that the tables cover.
pub const SUPPORTED: (Version, Version) =
    (Version::new(3, 8, 0), Version::new(3, 15, Version::ANY_PATCH));

impl Layout {
    /// The layout of a version and build, by the tables alone.
    ///
    /// # Errors
    /// The version or build is not supported.
    pub fn resolve(version: Version, build: Build) -> Result<Self, LayoutError> {
        supported(version, build)?;
        Self::with(Offsets::of(version, build.debug)?, version)
    }

    /// The layout by the tables, corrected by what the target says of itself.
    ///
    /// # Errors
    /// The version or build is not supported.
    pub fn resolve_with(
        version: Version,
        build: Build,
        says: &DebugOffsets,
    ) -> Result<(Self, Vec<Disagreement>), LayoutError> {
        supported(version, build)?;
        let mut offsets = Offsets::of(version, build.debug)?;
        let disagreements = says.overlay(&mut offsets);
        Ok((Self::with(offsets, version)?, disagreements))
    }

    fn with(offsets: Offsets, version: Version) -> Result<Self, LayoutError> {
        Ok(Self {
            at: Structures::from(&offsets)?,
            has: Features::of(version),
            natives: Natives::resolve(&offsets, version)?,
            opcodes: Opcodes::of(version)?,
            gc_head_size: offsets.get("_gc_head", "sizeof")?.into(),
            offsets,
        })
    }

    /// All offsets by name, for the tools that compare them with other evidence.
    #[must_use]
    pub const fn offsets(&self) -> &Offsets {
        &self.offsets
    }
}

/// Says no to what the tables do not cover.
fn supported(version: Version, build: Build) -> Result<(), LayoutError> {
    let (reason, advice) = if version < SUPPORTED.0 {
        (
            "pyheap reads CPython 3.8 to 3.15",
            "run the program on 3.8 or later; in this process tracemalloc, gc and objgraph still answer",
        )
    } else if version > SUPPORTED.1 {
        (
            "it is newer than the tables of this pyheap, which reads CPython 3.8 to 3.15",
            "a newer pyheap may know it; docs/new-python-version.md says how a version is added",
        )
    } else if build.free_threaded {
        (
            "free-threaded builds are not covered yet",
            "the build with the GIL can be read: run the program with python3.N instead of python3.Nt",
        )
    } else if build.trace_refs {
        (
            "builds with --with-trace-refs have another object header",
            "a build without --with-trace-refs can be read, also one with --with-pydebug",
        )
    } else if !version.is_final() {
        (
            "it is a pre-release, whose layouts moved from one to the next",
            "update to the final release, which can be read",
        )
    } else if version >= Version::new(3, 14, 0) && version < Version::new(3, 14, 5) {
        (
            "3.14.0 to 3.14.4 have another collector, which has not been tested",
            "update to 3.14.5 or later, which can be read",
        )
    } else {
        return Ok(());
    };
    Err(LayoutError::Unsupported { version, build, reason, advice })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_supported_release_has_a_complete_layout() {
        for minor in 8..=15 {
            for debug in [false, true] {
                let version = Version::new(3, minor, if minor == 14 { 10 } else { 2 });
                let build = Build { debug, ..Build::default() };
                Layout::resolve(version, build).unwrap();
            }
        }
    }

    #[test]
    fn what_is_not_covered_is_refused_with_a_reason() {
        let default = Build::default();
        let refused = [
            (Version::new(3, 7, 16), default),
            (Version::new(3, 16, 0), default),
            (Version::new(3, 14, 4), default),
            (Version::from_hex(0x030F_00B4), default),
            (Version::new(3, 13, 5), Build { free_threaded: true, ..default }),
            (Version::new(3, 9, 0), Build { trace_refs: true, ..default }),
        ];
        for (version, build) in refused {
            let error = Layout::resolve(version, build).unwrap_err();
            assert!(matches!(error, LayoutError::Unsupported { .. }), "{version}: {error}");
        }
    }
}
