//! A Python process of this machine, as `pyheap ps` lists it.

use serde::{Deserialize, Serialize};

/// A Python process of this machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PythonProcess {
    /// The process id.
    pub pid: u32,
    /// The name of its user, or the number where it has no name.
    pub user: String,
    /// Its full version; of a process that cannot be read, what its name says, such as `3.11`.
    pub version: Option<String>,
    /// The build, where it is known.
    pub build: Option<String>,
    /// Resident memory, in bytes.
    pub rss_bytes: u64,
    /// For how long it has run, in seconds.
    pub uptime_seconds: f64,
    /// The container that it runs in.
    pub container: Option<String>,
    /// Its command line.
    pub command: String,
    /// Whether its memory can be read.
    pub readable: bool,
    /// Why not.
    pub reason: Option<String>,
}
