//! `ps` and `doctor`, and the trees of `--subprocesses`.

use serde::Serialize;

use crate::facts::{InterpreterFacts, PythonProcess, SharingFacts};

/// The list under `processes`.
#[derive(Debug, Serialize)]
pub struct Processes<T> {
    /// The processes.
    pub processes: Vec<T>,
}

/// A tree of processes, each with its own document.
#[derive(Debug, Serialize)]
pub struct TreeJson<T> {
    /// Those that were read.
    pub processes: Vec<T>,
    /// Those that were not.
    pub left_out: Vec<LeftOut>,
}

/// The document of a process of a tree.
#[derive(Debug, Serialize)]
pub struct MemberJson<T> {
    /// The command's own document.
    #[serde(flatten)]
    pub document: T,
    /// How much of its memory is its own; null where that cannot be known.
    pub sharing: Option<SharingFacts>,
}

/// A process of a tree that gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// The process.
    pub pid: u32,
    /// Why.
    pub reason: String,
    /// The exit code that it would give alone.
    pub exit_code: u8,
}

/// The Python processes of the machine.
pub type PsJson = Processes<PythonProcess>;

/// What `doctor` found.
#[derive(Debug, Serialize)]
pub struct DoctorJson {
    /// The process that was looked at.
    pub pid: u32,
    /// Whether a snapshot would succeed.
    pub ok: bool,
    /// The exit code that a snapshot would give.
    pub exit_code: u8,
    /// Why it would fail, in the words in which it would say so.
    pub reason: Option<String>,
    /// The interpreter, if one was found.
    pub interpreter: Option<InterpreterJson>,
    /// What helps where the interpreter is of a kind that cannot be read.
    pub advice: Option<String>,
    /// What a snapshot would copy; nothing if that cannot be known.
    pub forecast: Option<ForecastJson>,
    /// What `--pause cow` would do; nothing if the process cannot be read.
    pub cow: Option<CowJson>,
    /// The commands that lead to the heap if the process cannot be read.
    pub otherwise: Vec<String>,
    /// What was looked at.
    pub findings: Vec<FindingJson>,
}

/// The interpreter of a process.
#[derive(Debug, Serialize)]
pub struct InterpreterJson {
    /// Its version and build.
    #[serde(flatten)]
    pub interpreter: InterpreterFacts,
    /// The binary that holds it, as the process sees it.
    pub binary: Option<String>,
}

/// What `--pause cow` would do.
#[derive(Debug, Serialize)]
pub struct CowJson {
    /// How long the process would stand still, in seconds; null if it is not made to fork.
    pub pause_seconds: Option<f64>,
    /// Why it is not.
    pub refused: Option<String>,
    /// What could kill the process, and nothing else.
    pub risk: &'static str,
}

/// What a snapshot would copy.
#[derive(Debug, Serialize)]
pub struct ForecastJson {
    /// The bytes that are copied in any case.
    pub copied_bytes: u64,
    /// The bytes of big blocks of `malloc`, which are copied only where they hold references.
    pub big_block_bytes: u64,
    /// The bytes in swap.
    pub swapped_bytes: u64,
    /// The most that would be copied.
    pub limit_bytes: Option<u64>,
    /// How long the process would stand still, in seconds: `copied_bytes` at `bytes_per_second`.
    pub pause_seconds: f64,
    /// What was assumed.
    pub bytes_per_second: u64,
}

impl ForecastJson {
    /// Predicts the pause from the speed of copying, in bytes a second.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn new(
        copied_bytes: u64,
        big_block_bytes: u64,
        swapped_bytes: u64,
        limit_bytes: Option<u64>,
        bytes_per_second: u64,
    ) -> Self {
        let pause_seconds = copied_bytes as f64 / bytes_per_second.max(1) as f64;
        Self {
            copied_bytes,
            big_block_bytes,
            swapped_bytes,
            limit_bytes,
            pause_seconds,
            bytes_per_second,
        }
    }
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
