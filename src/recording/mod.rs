//! A recording: what the memory of one process did over time. Data with bounds, and its file; nothing
//! here looks at a process.

mod census;
mod event;
mod file;
mod growth;
mod lines;
mod sample;
mod series;
mod stacks;
mod table;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde::{Deserialize, Serialize};

pub use census::{Census, Censuses, TypeCount};
pub use event::{Event, EventKind, Events};
pub use file::{RecordingError, is_recording, load, save};
pub use growth::Growth;
pub use lines::{GrownLine, Lines};
pub use sample::{Collector, Sample};
pub use series::{Merge, Series};
pub use stacks::{Frame, FrameId, StackId, Stacks};

use crate::facts::{InterpreterFacts, ProcessFacts};

/// The most points of a series: an hour at ten a second. A longer recording has coarser ones.
const POINTS: usize = 36_000;
/// The most points of one collector.
const COLLECTOR_POINTS: usize = 8_192;
/// The most interpreters whose collectors are kept.
const INTERPRETERS: usize = 16;

/// What is known of a recording as a whole.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// The process.
    pub process: ProcessFacts,
    /// Its command line.
    pub command: Vec<String>,
    /// Its interpreter.
    pub interpreter: InterpreterFacts,
    /// When the recording began, in seconds since 1970 (UTC).
    pub started_at: f64,
    /// How long it has lasted, in seconds.
    pub seconds: f64,
    /// How often counters were read.
    pub samples: u64,
    /// How often stacks were looked at, and at how many of these times some thread ran Python code.
    pub stack_samples: u64,
    /// See `stack_samples`.
    pub running_samples: u64,
    /// For how long the target was stopped, in seconds.
    pub stopped_seconds: f64,
    /// The processor time that the recording itself took, in seconds.
    pub own_cpu_seconds: f64,
    /// The highest resident memory that was seen, in bytes.
    pub peak_rss_bytes: u64,
    /// When that was, in seconds after the beginning.
    pub peak_at: f64,
    /// Whether the recording ended as it should: a file without this was cut off.
    pub finished: bool,
}

/// A recording of one process.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// What is known of it as a whole.
    pub head: Head,
    /// Memory over time.
    pub samples: Series<Sample>,
    /// The collectors over time, by interpreter: a point only where something was collected.
    pub collectors: BTreeMap<u64, Series<Collector>>,
    /// The types, now and then.
    pub censuses: Censuses,
    /// Which stacks were seen where memory grew.
    pub growth: Growth,
    /// What happened besides.
    pub events: Events,
}

impl Recording {
    /// A recording without anything in it yet.
    #[must_use]
    pub fn new(head: Head) -> Self {
        Self {
            head,
            samples: Series::new(POINTS),
            collectors: BTreeMap::new(),
            censuses: Censuses::default(),
            growth: Growth::default(),
            events: Events::default(),
        }
    }

    /// Adds a sample, and remembers the peak.
    pub fn push_sample(&mut self, sample: Sample) {
        self.head.samples += 1;
        if sample.rss_max_bytes > self.head.peak_rss_bytes {
            self.head.peak_rss_bytes = sample.rss_max_bytes;
            self.head.peak_at = sample.seconds;
        }
        self.samples.push(sample);
    }

    /// Adds what a collector says, if it has collected since it was last asked.
    pub fn push_collector(&mut self, collector: Collector) {
        let has_room = self.collectors.len() < INTERPRETERS;
        let series = match self.collectors.entry(collector.interpreter) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) if has_room => entry.insert(Series::new(COLLECTOR_POINTS)),
            Entry::Vacant(_) => return,
        };
        let last = series.points().last();
        if last.is_none_or(|last| last.collections != collector.collections) {
            series.push(collector);
        }
    }

    /// Adds a census.
    pub fn push_census(&mut self, census: Census) {
        self.head.stopped_seconds += census.pause_seconds;
        self.censuses.push(census, self.head.peak_at);
    }

    /// The part of the time that the target was stopped, and processor time that the recording took,
    /// of the time that it lasted.
    #[must_use]
    pub fn overhead_share(&self) -> f64 {
        if self.head.seconds <= 0.0 {
            return 0.0;
        }
        (self.head.stopped_seconds + self.head.own_cpu_seconds) / self.head.seconds
    }
}
