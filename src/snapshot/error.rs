//! What can be wrong with a snapshot file, or with writing one.

use std::io;
use std::path::{Path, PathBuf};

use crate::new_file::NewFileError;

/// Why a snapshot could not be saved or loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The file cannot be opened or read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file cannot be written: no directory, no permission, a full disk.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// There is a file of that name, and overwriting was not asked for.
    #[error("{path} exists")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The name is that of a directory, a device or a pipe.
    #[error("{path} is not a regular file")]
    NotAFile {
        /// What it names.
        path: PathBuf,
    },
    /// The file has no bytes.
    #[error("{path} is empty")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The file does not even begin like a Parquet file.
    #[error("{path} is not a Parquet file")]
    NotParquet {
        /// The file.
        path: PathBuf,
    },
    /// A Parquet file begins here, but its end is not here.
    #[error("{path} is cut off")]
    Truncated {
        /// The file.
        path: PathBuf,
    },
    /// A Parquet file that pyheap did not write.
    #[error("{path} is a Parquet file, but not a snapshot of pyheap")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// Written by a later pyheap, in a format that this one does not know.
    #[error("{path} has snapshot format {found}; this pyheap reads format {known}")]
    LaterSchema {
        /// The file.
        path: PathBuf,
        /// The format of the file.
        found: u64,
        /// The latest format that is known here.
        known: u64,
    },
    /// The bytes are not those that were written, or they contradict each other.
    #[error("{path} is damaged: {what}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        what: String,
    },
    /// There is not enough memory for what the file holds.
    #[error("{path} does not fit into memory")]
    OutOfMemory {
        /// The file.
        path: PathBuf,
    },
    /// The snapshot to be saved contradicts itself: an error in pyheap.
    #[error("the snapshot is inconsistent: {0}")]
    Inconsistent(String),
}

impl SnapshotError {
    /// The error of making this file.
    #[must_use]
    pub fn making(path: &Path, error: NewFileError) -> Self {
        let path = path.to_owned();
        match error {
            NewFileError::Exists => Self::Exists { path },
            NewFileError::NotAFile => Self::NotAFile { path },
            NewFileError::Write(source) => Self::Write { path, source },
        }
    }

    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Exists { .. } => Some("choose another name, or give --force to replace the file"),
            Self::NotAFile { .. } => Some("give the name of a file; a pipe cannot be renamed into"),
            Self::Empty { .. } | Self::Truncated { .. } => {
                Some("a copy or download was cut off: get the file again from where it was taken")
            }
            Self::NotParquet { .. } | Self::Foreign { .. } => Some(
                "a SOURCE is a file that `pyheap snapshot -o` wrote; use -p for a pid, -c for a core",
            ),
            Self::LaterSchema { .. } => {
                Some("read it with the pyheap that wrote it, or a newer one")
            }
            Self::Damaged { .. } => {
                Some("the file was changed after it was written: get it again from its origin")
            }
            Self::OutOfMemory { .. } => {
                Some("load it on a machine with more memory, or query the file with DuckDB")
            }
            Self::Write { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull => {
                    Some("free some space, or name a file on another disk")
                }
                io::ErrorKind::NotFound => Some("the directory must exist"),
                _ => None,
            },
            Self::Inconsistent(_) => Some("this is a bug in pyheap: please report it"),
            Self::Read { .. } => None,
        }
    }
}

/// What went wrong inside a file, before its name is put to it.
#[derive(Debug)]
pub(super) enum Fault {
    /// The file contradicts itself or its checksums.
    Damaged(String),
    /// The system could not read or write.
    Io(io::Error),
    /// An allocation failed.
    OutOfMemory,
    /// The snapshot to be saved contradicts itself.
    Inconsistent(String),
}

impl Fault {
    /// A file that contradicts itself.
    pub(super) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged(what.into())
    }

    /// The error of loading this file.
    pub(super) fn reading(self, path: &Path) -> SnapshotError {
        let path = path.to_owned();
        match self {
            Self::Damaged(what) | Self::Inconsistent(what) => SnapshotError::Damaged { path, what },
            Self::Io(source) => SnapshotError::Read { path, source },
            Self::OutOfMemory => SnapshotError::OutOfMemory { path },
        }
    }

    /// The error of saving to this file.
    pub(super) fn writing(self, path: &Path) -> SnapshotError {
        let path = path.to_owned();
        match self {
            Self::Damaged(what) | Self::Inconsistent(what) => SnapshotError::Inconsistent(what),
            Self::Io(source) => SnapshotError::Write { path, source },
            Self::OutOfMemory => {
                SnapshotError::Write { path, source: io::ErrorKind::OutOfMemory.into() }
            }
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<std::collections::TryReserveError> for Fault {
    fn from(_: std::collections::TryReserveError) -> Self {
        Self::OutOfMemory
    }
}

impl From<parquet::errors::ParquetError> for Fault {
    fn from(error: parquet::errors::ParquetError) -> Self {
        use parquet::errors::ParquetError;
        // An I/O error comes back boxed; its kind (a full disk) must survive.
        if let ParquetError::External(source) = error {
            return match source.downcast::<io::Error>() {
                Ok(error) => Self::Io(*error),
                Err(other) => Self::Damaged(other.to_string()),
            };
        }
        Self::Damaged(error.to_string())
    }
}
