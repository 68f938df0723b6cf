//! When the file is written anew: often enough that little is lost, seldom enough that it costs little.

use std::path::PathBuf;
use std::time::Duration;

use super::clock::Clock;
use crate::recording::{Recording, RecordingError, Series, save};

/// The least and the most time between two writes.
const LEAST: Duration = Duration::from_secs(1);
const MOST: Duration = Duration::from_secs(15);
/// A write may take one part in so many of the time.
const RARITY: u32 = 100;
/// While memory grows fast, that is relaxed: this may be the end of the process.
const RARITY_IN_GROWTH: u32 = 10;
/// Growth is fast if so much was added since the last write: a part of 32, and a mebibyte.
const GROWTH_PART: u64 = 32;
const GROWTH_BYTES: u64 = 1 << 20;
/// How many bytes a second are written at most, on average.
const BYTES_PER_SECOND: u64 = 256 << 10;

/// Writes the file of a recording.
#[derive(Debug)]
pub(super) struct Flush {
    file: Option<PathBuf>,
    last: Option<Duration>,
    took: Duration,
    bytes: u64,
    private_bytes: u64,
}

impl Flush {
    pub(super) fn new(file: Option<PathBuf>) -> Self {
        let (took, bytes, private_bytes) = (Duration::ZERO, 0, 0);
        Self { file, last: None, took, bytes, private_bytes }
    }

    /// Writes the file if it is time to.
    pub(super) fn due(
        &mut self,
        recording: &mut Recording,
        clock: &impl Clock,
        private_bytes: u64,
    ) -> Result<(), RecordingError> {
        let now = clock.now();
        if self.last.is_some_and(|last| now.saturating_sub(last) < self.wait(private_bytes)) {
            return Ok(());
        }
        match self.write(recording, clock, private_bytes) {
            // A full disk may have room for half as much.
            Err(RecordingError::Write { source, .. })
                if source.kind() == std::io::ErrorKind::StorageFull =>
            {
                recording.samples.halve();
                recording.collectors.values_mut().for_each(Series::halve);
                self.write(recording, clock, private_bytes)
            }
            written => written,
        }
    }

    /// How long after the last write the next one is.
    fn wait(&self, private_bytes: u64) -> Duration {
        let grown = private_bytes.saturating_sub(self.private_bytes);
        if grown > GROWTH_BYTES + self.private_bytes / GROWTH_PART {
            return (self.took * RARITY_IN_GROWTH).max(LEAST / 4);
        }
        let by_bytes = Duration::from_millis(self.bytes.saturating_mul(1000) / BYTES_PER_SECOND);
        (self.took * RARITY).max(by_bytes).clamp(LEAST, MOST)
    }

    /// Writes the file now.
    pub(super) fn write(
        &mut self,
        recording: &Recording,
        clock: &impl Clock,
        private_bytes: u64,
    ) -> Result<(), RecordingError> {
        let Some(file) = &self.file else { return Ok(()) };
        let before = clock.now();
        self.bytes = save(recording, file)?;
        let now = clock.now();
        self.took = now.saturating_sub(before);
        self.last = Some(now);
        self.private_bytes = private_bytes;
        Ok(())
    }
}
