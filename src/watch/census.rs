//! A census: a heap of which the sums by type are kept.

use crate::analysis::{Histogram, SortBy};
use crate::recording::{Census, TypeCount};
use crate::snapshot::Snapshot;
use crate::take::{self, TakeError, TakeOptions};
use crate::target::Process;

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum Missed {
    /// The heap cannot be read.
    #[error(transparent)]
    Take(#[from] TakeError),
    /// The number belongs to another process, or to another program, by now.
    #[error("process {0} is another one by now")]
    Another(u32),
}

impl Missed {
    /// Whether it is because the target would have been stopped for too long, or could not be stopped.
    #[must_use]
    pub const fn is_too_long(&self) -> bool {
        matches!(self, Self::Take(TakeError::Pause(_) | TakeError::Capture(_)))
    }
}

/// The heap of a process that is being watched.
///
/// # Errors
/// It cannot be read, or is the heap of another process or program: one is opened by its number, and the number may
/// have been given away since it was opened before.
pub fn heap_of(process: &Process, options: &TakeOptions) -> Result<Snapshot, Missed> {
    let (facts, graph) = take::take(process.pid(), options)?;
    if facts.process.start_ticks != process.start_ticks() || process.is_replaced() {
        return Err(Missed::Another(process.pid()));
    }
    Ok(Snapshot { facts, graph })
}

/// The sums over a heap, without what is garbage. Whoever asked for it says when it was.
#[must_use]
pub fn sums(snapshot: &Snapshot) -> Census {
    let histogram = Histogram::new(&snapshot.graph, SortBy::Bytes);
    let types = histogram.types.iter().map(|row| TypeCount {
        name: row.name.as_str().into(),
        objects: row.totals.objects,
        shallow_bytes: row.totals.shallow_bytes,
        buffer_bytes: row.totals.buffer_bytes,
    });
    Census {
        seconds: 0.0,
        pause_seconds: snapshot.facts.pause.seconds,
        objects: histogram.totals.objects,
        shallow_bytes: histogram.totals.shallow_bytes,
        buffer_bytes: histogram.totals.buffer_bytes,
        garbage_bytes: None,
        types: types.collect(),
    }
}
