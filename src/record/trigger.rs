//! What happens by itself when a condition comes true.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::condition::{Condition, Quantity};
use crate::recording::{Census, Recording};
use crate::snapshot;
use crate::target::cgroup::MemoryGroup;

/// How often conditions are looked at.
const LOOKS: Duration = Duration::from_millis(500);
/// The least time between two times that something is done.
const LEAST: Duration = Duration::from_secs(10);
/// How many times something is done at most: a condition that comes and goes must not fill the disk.
const MOST: u32 = 10;

/// What is done when the condition comes true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Then {
    /// A snapshot file is written beside the recording.
    #[default]
    Snapshot,
    /// The recording ends, with a snapshot file.
    Stop,
}

/// A condition, and what is done when it comes true.
#[derive(Debug, Clone)]
pub struct Rule {
    /// The condition.
    pub when: Condition,
    /// What is done.
    pub then: Then,
}

/// Looks at a rule again and again.
#[derive(Debug)]
pub(super) struct Trigger<'a> {
    rule: &'a Rule,
    /// The snapshot files: a number is put before the ending.
    file: PathBuf,
    group: MemoryGroup,
    /// The events of the control group when the recording began.
    events: BTreeMap<String, u64>,
    held: bool,
    fired: u32,
    next: Duration,
    not_before: Duration,
}

/// What the process is now.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    pub(super) time: Duration,
    pub(super) rss_bytes: u64,
    pub(super) private_bytes: u64,
    pub(super) swap_bytes: u64,
    pub(super) threads: u64,
}

impl<'a> Trigger<'a> {
    /// A rule for a process whose recording goes to `file`.
    pub(super) fn new(rule: &'a Rule, file: Option<&Path>, pid: u32) -> Self {
        let file = match file {
            Some(file) => file.with_extension("snapshot.parquet"),
            None => format!("pyheap-{pid}.snapshot.parquet").into(),
        };
        let group = MemoryGroup::of(pid);
        let names = ["low", "high", "max", "oom", "oom_kill"];
        let events = names.iter().filter_map(|&name| Some((name.to_owned(), group.events(name)?)));
        Self {
            rule,
            file,
            events: events.collect(),
            group,
            held: false,
            fired: 0,
            next: Duration::ZERO,
            not_before: Duration::ZERO,
        }
    }

    /// Whether the condition has just come true; if so, what is to be done.
    pub(super) fn look(&mut self, now: Now, recording: &Recording) -> Option<(Then, PathBuf)> {
        if now.time < self.next {
            return None;
        }
        self.next = now.time + LOOKS;
        let (group, events) = (&self.group, &self.events);
        let holds =
            self.rule.when.holds(&mut |quantity| value(quantity, now, recording, group, events));
        let has_come = holds && !self.held;
        if !has_come {
            self.held = holds;
            return None;
        }
        if self.fired >= MOST || now.time < self.not_before {
            return None;
        }
        self.held = true;
        self.fired += 1;
        self.not_before = now.time + LEAST;
        // Those of an earlier recording stay.
        let free = (self.fired..).map(|nth| snapshot::numbered(&self.file, nth));
        let free = free.take(1000).find(|file| !file.exists())?;
        Some((self.rule.then, free))
    }

    /// The condition.
    pub(super) const fn condition(&self) -> &Condition {
        &self.rule.when
    }
}

#[allow(clippy::cast_precision_loss)]
fn value(
    quantity: &Quantity,
    now: Now,
    recording: &Recording,
    group: &MemoryGroup,
    events: &BTreeMap<String, u64>,
) -> Option<f64> {
    let censuses = recording.censuses.all();
    let (first, last) = (censuses.first(), censuses.last());
    // A type that is not among those that are kept has few bytes, and counts as absent.
    let objects = |census: Option<&Census>, name: &str| {
        Some(census?.of_type(name).map_or(0.0, |row| row.objects as f64))
    };
    match quantity {
        Quantity::Rss => Some(now.rss_bytes as f64),
        Quantity::Private => Some(now.private_bytes as f64),
        Quantity::Swap => Some(now.swap_bytes as f64),
        Quantity::Threads => Some(now.threads as f64),
        Quantity::Seconds => Some(now.time.as_secs_f64()),
        Quantity::Objects(name) => objects(last, name),
        Quantity::Growth(name) => Some(objects(last, name)? - objects(first, name)?),
        Quantity::Bytes(name) => Some(last?.of_type(name).map_or(0.0, |row| row.bytes() as f64)),
        Quantity::Group => group.used_percent(),
        Quantity::Events(name) => {
            let before = events.get(name).copied().unwrap_or(0);
            Some(group.events(name)?.saturating_sub(before) as f64)
        }
        Quantity::Pressure(kind) => group.pressure(kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::{Head, TypeCount};

    fn now(seconds: u64, rss_bytes: u64) -> Now {
        let time = Duration::from_secs(seconds);
        Now { time, rss_bytes, private_bytes: 0, swap_bytes: 0, threads: 1 }
    }

    fn rule(when: &str) -> Rule {
        Rule { when: when.parse().unwrap(), then: Then::Snapshot }
    }

    #[test]
    fn it_fires_when_the_condition_comes_true_and_not_while_it_is() {
        let rule = rule("rss > 1K");
        let recording = Recording::new(Head::default());
        let mut trigger =
            Trigger::new(&rule, Some(Path::new("/none/a.parquet")), std::process::id());
        let mut fired = Vec::new();
        for (seconds, rss) in [(0, 9), (1, 2000), (2, 3000), (3, 9), (4, 2000), (30, 9), (31, 2000)]
        {
            let done = trigger.look(now(seconds, rss), &recording);
            fired.extend(done.map(|(_, file)| (seconds, file.display().to_string())));
        }
        // The second rise comes too soon after the first; it counts when the time has passed.
        assert_eq!(
            fired,
            [
                (1, "/none/a.snapshot.1.parquet".to_owned()),
                (31, "/none/a.snapshot.2.parquet".to_owned()),
            ]
        );
    }

    #[test]
    fn growth_of_a_type_is_counted_from_the_first_census() {
        let rule = rule("growth(Row) > 100");
        let mut recording = Recording::new(Head::default());
        let mut trigger =
            Trigger::new(&rule, Some(Path::new("/none/a.parquet")), std::process::id());
        assert!(trigger.look(now(0, 0), &recording).is_none());
        for (seconds, objects) in [(1, 1000), (2, 1100), (3, 1101)] {
            let name = "app.Row".into();
            let types = vec![TypeCount { name, objects, shallow_bytes: 1, buffer_bytes: 0 }];
            recording.push_census(Census { types, ..Census::default() });
            assert_eq!(trigger.look(now(seconds, 0), &recording).is_some(), objects == 1101);
        }
    }

    #[test]
    fn a_condition_that_comes_and_goes_does_not_fill_the_disk() {
        let rule = rule("rss > 1K");
        let recording = Recording::new(Head::default());
        let mut trigger =
            Trigger::new(&rule, Some(Path::new("/none/a.parquet")), std::process::id());
        let times =
            (0..10_000).filter(|&n| trigger.look(now(n, n % 2 * 2000), &recording).is_some());
        assert_eq!(times.count(), 10);
    }
}
