//! One recording from its beginning to its end: which question is asked when.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::census::Outcome;
use super::clock::Clock;
use super::flush::Flush;
use super::metrics::Board;
use super::trigger::{Now, Rule, Then, Trigger};
use super::watched::Watched;
use crate::recording::{Census, Collector, EventKind, Recording, RecordingError, Sample};
use crate::target::usage::Usage;
use crate::watch::{End, Pace};

/// How often counters are read.
const COUNTERS: Duration = Duration::from_millis(100);
/// How often what is told to Prometheus is brought up to date.
const POSTS: Duration = Duration::from_secs(1);
/// How often at most the proportional set size is asked for, and how many times as long as it takes.
const PSS: Duration = Duration::from_secs(10);
const PSS_RARITY: u32 = 500;
/// A look that comes later than this after the one before is a gap: the machine slept, or had no time.
const GAP: Duration = Duration::from_secs(1);

/// What a recording is to do.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// When to end; nothing: when the process ends, or somebody says so.
    pub duration: Option<Duration>,
    /// How many times a second stacks are looked at; 0: never.
    pub rate: u32,
    /// How often a census is taken; nothing: never.
    pub census: Option<Duration>,
    /// For how long the process may be stopped for one.
    pub max_pause: Option<Duration>,
    /// Whether a census is taken when memory is higher than ever, too.
    pub peak: bool,
    /// Where the file goes.
    pub file: Option<PathBuf>,
    /// What happens by itself.
    pub rule: Option<Rule>,
}

/// A recording that runs.
pub(super) struct Session<'a, C, W> {
    pub(super) clock: &'a mut C,
    pub(super) target: &'a mut W,
    pub(super) plan: &'a Plan,
    pub(super) recording: Recording,
    /// What the recording had lasted before, if it was resumed.
    pub(super) offset: Duration,
    flush: Flush,
    pace: Pace,
    usage: Usage,
    last_private: u64,
    last_used: u64,
    next_counters: Duration,
    next_post: Duration,
    next_pss: Duration,
    pss_bytes: Option<u64>,
    own_cpu_before: f64,
    /// When the census that is being taken was begun.
    census_at: Option<Duration>,
    trigger: Option<Trigger<'a>>,
    /// The snapshot file that is wanted since the condition came true.
    wanted: Option<(Then, PathBuf)>,
    /// Whether the recording ends with the census that is being taken, and whether it ends now.
    is_last: bool,
    is_stopping: bool,
    board: Option<Board>,
    extremes: Option<(u64, u64)>,
}

impl<'a, C: Clock, W: Watched> Session<'a, C, W> {
    pub(super) fn new(
        clock: &'a mut C,
        target: &'a mut W,
        plan: &'a Plan,
        recording: Recording,
        offset: Duration,
    ) -> Self {
        let own_cpu_before = recording.head.own_cpu_seconds - target.own_cpu().as_secs_f64();
        Self {
            clock,
            target,
            plan,
            offset,
            flush: Flush::new(plan.file.clone()),
            pace: Pace::new(plan.census, plan.peak),
            usage: Usage::default(),
            last_private: 0,
            last_used: 0,
            next_counters: Duration::ZERO,
            next_post: Duration::ZERO,
            next_pss: Duration::ZERO,
            pss_bytes: None,
            own_cpu_before,
            census_at: None,
            trigger: plan
                .rule
                .as_ref()
                .map(|rule| Trigger::new(rule, plan.file.as_deref(), recording.head.process.pid)),
            wanted: None,
            is_last: false,
            is_stopping: false,
            board: None,
            extremes: None,
            recording,
        }
    }

    /// Puts up what is recorded where Prometheus can ask for it.
    pub(super) fn on(mut self, board: Option<Board>) -> Self {
        self.board = board;
        self
    }

    /// Records until it is over.
    ///
    /// # Errors
    /// The file cannot be written any more. What was recorded is in it up to the last time that it
    /// could, and is given back.
    pub(super) fn run(mut self, stop: &AtomicBool) -> (Recording, Result<(), RecordingError>) {
        let result = self.record(stop);
        let now = self.clock.now();
        if let Err(error) = &result {
            self.event(now, EventKind::Stopped, error.to_string());
        }
        self.account(now);
        self.recording.head.finished = true;
        if let Some(board) = &self.board {
            board.remove(self.recording.head.process.pid);
        }
        let written = self.flush.write(&self.recording, self.clock, self.last_private);
        (self.recording, result.and(written))
    }

    fn record(&mut self, stop: &AtomicBool) -> Result<(), RecordingError> {
        let period = match self.plan.rate {
            0 => COUNTERS,
            rate => Duration::from_secs(1) / rate,
        };
        let mut next = self.clock.now();
        let mut last = next;
        loop {
            let now = self.clock.now();
            let is_over = self.plan.duration.is_some_and(|duration| now >= duration);
            self.noticed(last, now, period);
            last = now;
            if let Err(end) = self.look(now) {
                self.ended(now, end);
                return Ok(());
            }
            if is_over || self.is_stopping || stop.load(Ordering::Relaxed) {
                self.last_census(now, is_over);
                return Ok(());
            }
            self.flush.due(&mut self.recording, self.clock, self.last_private)?;
            next += period;
            // What was missed is missed: looks in a hurry would all see the same.
            let now = self.clock.now();
            if next < now {
                next = now;
            }
            self.clock.sleep_until(next);
        }
    }

    /// Notices that nothing was looked at for long: what happened meanwhile is nobody's.
    fn noticed(&mut self, last: Duration, now: Duration, period: Duration) {
        let missed = now.saturating_sub(last);
        if missed > GAP.max(period * 10) {
            self.recording.growth.interrupt();
            let text = format!("no samples for {:.1} s", missed.as_secs_f64());
            self.event(now, EventKind::Gap, text);
        }
    }

    /// One look at the process.
    fn look(&mut self, now: Duration) -> Result<(), End> {
        let resident = self.target.resident()?;
        let private = resident.anonymous_bytes.saturating_add(self.usage.swap_bytes);
        if self.plan.rate > 0 {
            // What is free in the allocator is nobody's.
            let used = private.saturating_sub(self.target.free(now));
            let growing = used > self.last_used;
            self.last_used = used;
            let growth = &mut self.recording.growth;
            let running = self.target.running(now, growing, &mut growth.stacks);
            self.recording.head.stack_samples += 1;
            self.recording.head.running_samples += u64::from(!running.is_empty());
            // Who sleeps is asked when memory grew and nobody ran, which is when it matters.
            if growing && running.is_empty() {
                for line in self.target.resting(&mut growth.stacks) {
                    growth.rest(line);
                }
            }
            growth.look(used, running);
        }
        self.last_private = private;
        let rss = resident.rss_bytes;
        let (least, most) = self.extremes.unwrap_or((rss, rss));
        self.extremes = Some((least.min(rss), most.max(rss)));
        if now >= self.next_post {
            self.next_post = now + POSTS;
            if let Some(board) = &self.board {
                board.post(&self.recording);
            }
        }
        if now >= self.next_counters {
            self.next_counters = (self.next_counters + COUNTERS).max(now);
            self.counters(now, rss, private)?;
        }
        self.trigger(now, rss, private);
        self.census(now, rss);
        Ok(())
    }

    /// Looks whether the condition has come true.
    fn trigger(&mut self, now: Duration, rss_bytes: u64, private_bytes: u64) {
        let Some(trigger) = &mut self.trigger else { return };
        let Usage { swap_bytes, threads, .. } = self.usage;
        let state = Now { time: now, rss_bytes, private_bytes, swap_bytes, threads };
        if let Some((then, file)) = trigger.look(state, &self.recording) {
            let text = format!("{}: snapshot {}", trigger.condition(), file.display());
            self.event(now, EventKind::Trigger, text);
            self.wanted = Some((then, file));
        }
    }

    /// Reads what is cheap.
    fn counters(&mut self, now: Duration, rss: u64, private: u64) -> Result<(), End> {
        self.usage = self.target.usage()?;
        if now >= self.next_pss {
            let before = self.clock.now();
            self.pss_bytes = self.target.pss();
            let took = self.clock.now().saturating_sub(before);
            self.next_pss = now + PSS.max(took * PSS_RARITY);
        }
        // Asked behind the numbers: they are of this process and its program.
        self.target.check()?;
        let (rss_min_bytes, rss_max_bytes) = self.extremes.take().unwrap_or((rss, rss));
        let seconds = self.seconds(now);
        self.recording.push_sample(Sample {
            seconds,
            rss_bytes: rss,
            rss_min_bytes,
            rss_max_bytes,
            private_bytes: private,
            swap_bytes: self.usage.swap_bytes,
            pss_bytes: self.pss_bytes.take(),
            minor_faults: self.usage.minor_faults,
            major_faults: self.usage.major_faults,
            cpu_seconds: self.usage.cpu_seconds,
            threads: self.usage.threads,
        });
        let millis = u64::try_from((self.offset + now).as_millis()).unwrap_or(u64::MAX);
        for (interpreter, generations) in self.target.collectors() {
            let three = |of: fn(&crate::facts::GenerationFacts) -> i64| {
                [0, 1, 2].map(|nth| generations.get(nth).map_or(0, of))
            };
            let collections = three(|generation| generation.collections);
            let counts = three(|generation| generation.count);
            let collector = Collector { millis, interpreter, collections, counts };
            self.recording.push_collector(collector);
        }
        self.account(now);
        Ok(())
    }

    /// Looks after the census that is being taken, or begins one.
    fn census(&mut self, now: Duration, rss: u64) {
        if let Some(at) = self.census_at {
            if let Some(outcome) = self.target.finished_census(false) {
                self.census_at = None;
                self.take_in(at, now, outcome);
                self.is_stopping |= std::mem::take(&mut self.is_last);
            } else if self.pace.is_late(now) {
                let text = format!(
                    "the one before has been going on for {:.1} s",
                    (now - at).as_secs_f64()
                );
                self.event(now, EventKind::Skipped, text);
            }
        } else if let Some((then, file)) = self.wanted.take() {
            self.is_last = then == Then::Stop;
            self.target.start_census(Some(file));
            self.census_at = Some(now);
        } else if self.pace.is_due(now, rss) {
            self.target.start_census(None);
            self.census_at = Some(now);
        }
    }

    fn take_in(&mut self, at: Duration, now: Duration, outcome: Outcome) {
        match outcome {
            Outcome::Taken(census, failed) => {
                if let Some(longer) = self.pace.taken(now, census.pause_seconds) {
                    let text = format!(
                        "one stops the process for {:.0} ms, so the next waits {:.0} s",
                        census.pause_seconds * 1000.0,
                        longer.as_secs_f64()
                    );
                    self.event(now, EventKind::Skipped, text);
                }
                let seconds = self.seconds(at);
                self.recording.push_census(Census { seconds, ..census });
                if let Some(failed) = failed {
                    self.event(now, EventKind::Failed, failed);
                }
            }
            Outcome::TooLong(why) => {
                let wait = self.pace.refused(now, self.plan.max_pause.unwrap_or_default());
                let text = format!("{why}; the next try is in {:.0} s", wait.as_secs_f64());
                self.event(now, EventKind::Failed, text);
            }
            Outcome::Failed(why) => {
                self.pace.refused(now, Duration::ZERO);
                self.event(now, EventKind::Failed, why);
            }
        }
    }

    /// The census at the end, if one is wanted and the last one was long ago.
    fn last_census(&mut self, now: Duration, wanted: bool) {
        if self.census_at.is_none() && wanted && self.pace.is_missing_at_end(now) {
            self.target.start_census(None);
            self.census_at = Some(now);
        }
        if let Some(at) = self.census_at.take()
            && let Some(outcome) = self.target.finished_census(true)
        {
            self.take_in(at, now, outcome);
        }
    }

    fn ended(&mut self, now: Duration, end: End) {
        let kind = match end {
            End::Ended => EventKind::Ended,
            End::Replaced => EventKind::Replaced,
        };
        self.event(now, kind, end.words().to_owned());
        // A census that was under way may have its copy already.
        self.last_census(now, false);
    }

    /// Brings the sums up to date.
    fn account(&mut self, now: Duration) {
        let own = self.target.own_cpu().as_secs_f64();
        self.recording.head.own_cpu_seconds = (self.own_cpu_before + own).max(0.0);
        self.recording.head.seconds = self.seconds(now);
    }

    fn seconds(&self, now: Duration) -> f64 {
        (self.offset + now).as_secs_f64()
    }

    fn event(&mut self, now: Duration, kind: EventKind, text: String) {
        let seconds = self.seconds(now);
        tracing::info!(seconds, kind = kind.word(), "{text}");
        self.recording.events.push(seconds, kind, text);
    }
}

/// The time since 1970, in seconds.
pub(super) fn unix_time() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
