//! What is read often, because it is cheap.

use super::series::Merge;

/// The memory of the process at one moment; after thinning, over a span that ends at that moment.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sample {
    /// When, in seconds after the beginning of the recording.
    pub seconds: f64,
    /// Resident memory, in bytes.
    pub rss_bytes: u64,
    /// The least of the span.
    pub rss_min_bytes: u64,
    /// The most of the span.
    pub rss_max_bytes: u64,
    /// Anonymous memory, resident or swapped out, in bytes: what the process cannot share or reload.
    pub private_bytes: u64,
    /// The part of it that is swapped out, in bytes.
    pub swap_bytes: u64,
    /// The share of the process in all its pages, in bytes, where it was asked for.
    pub pss_bytes: Option<u64>,
    /// Page faults without a read from disk, since the process began.
    pub minor_faults: u64,
    /// Page faults with one.
    pub major_faults: u64,
    /// Processor time of the process since it began, in seconds.
    pub cpu_seconds: f64,
    /// Its threads.
    pub threads: u64,
}

impl Merge for Sample {
    fn merge(&mut self, later: Self) {
        *self = Self {
            rss_min_bytes: self.rss_min_bytes.min(later.rss_min_bytes),
            rss_max_bytes: self.rss_max_bytes.max(later.rss_max_bytes),
            pss_bytes: later.pss_bytes.or(self.pss_bytes),
            ..later
        };
    }
}

/// The collector of one interpreter at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collector {
    /// When, in milliseconds after the beginning of the recording.
    pub millis: u64,
    /// Which interpreter; 0 is the main one.
    pub interpreter: u64,
    /// How often each generation was collected.
    pub collections: [i64; 3],
    /// The counter of each generation.
    pub counts: [i64; 3],
}

impl Merge for Collector {
    fn merge(&mut self, later: Self) {
        *self = later;
    }
}
