//! `ps` and `doctor`, and the lists of `--subprocesses`.

use serde::Serialize;

use crate::facts::PythonProcess;

/// The list under `processes`.
#[derive(Debug, Serialize)]
pub struct Processes<T> {
    /// The processes.
    pub processes: Vec<T>,
}

/// The Python processes of the machine.
pub type PsJson = Processes<PythonProcess>;

/// What `doctor` found.
#[derive(Debug, Serialize)]
pub struct DoctorJson {
    /// The process that was looked at.
    pub pid: u32,
    /// Whether nothing stands in the way.
    pub ok: bool,
    /// What was looked at.
    pub findings: Vec<FindingJson>,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
pub struct FindingJson {
    /// What was found, as a sentence.
    pub what: String,
    /// Whether it allows reading.
    pub ok: bool,
    /// What would repair it.
    pub fix: Option<String>,
}
