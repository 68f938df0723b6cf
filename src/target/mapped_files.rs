//! Where the files behind mappings are found: those of a live process, or those that a core file
//! names.

use std::fs::File;
use std::io;

use super::maps::Mapping;
use super::process::Process;

/// A target whose mapped files can be opened.
pub trait MappedFiles {
    /// The path of the program, as the target saw it.
    fn executable(&self) -> String;

    /// Opens the file behind a mapping: the very file that was mapped.
    ///
    /// # Errors
    /// There is no regular file behind it, or none that is the same can be opened.
    fn open_mapped(&self, mapping: &Mapping) -> io::Result<File>;
}

impl MappedFiles for Process {
    fn executable(&self) -> String {
        Self::executable(self)
    }

    fn open_mapped(&self, mapping: &Mapping) -> io::Result<File> {
        Self::open_mapped(self, mapping)
    }
}
