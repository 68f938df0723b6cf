//! When a census is due: by its interval, by a new peak, when somebody asks, and never so often that it harms.

use std::time::Duration;

/// A census may stop the target for one part in so many of the time.
const RARITY: u32 = 100;
/// How much higher than at the last census memory must be for a census of the peak, in percent.
const PEAK_PERCENT: u64 = 110;
/// The least time between two censuses.
const LEAST: Duration = Duration::from_secs(2);
/// The longest wait for another try.
const LONGEST: Duration = Duration::from_secs(3600);

/// Decides when a census is taken.
#[derive(Debug)]
pub struct Pace {
    interval: Option<Duration>,
    peak: bool,
    next: Duration,
    /// Not before this, however high memory is.
    not_before: Duration,
    last: Option<Duration>,
    rss_at_last: u64,
    wait: Duration,
}

impl Pace {
    /// One an interval, if there is one; with `peak`, also when memory is higher than ever.
    #[must_use]
    pub fn new(interval: Option<Duration>, peak: bool) -> Self {
        Self {
            interval,
            peak,
            next: Duration::ZERO,
            not_before: Duration::ZERO,
            last: None,
            rss_at_last: 0,
            wait: interval.unwrap_or_default(),
        }
    }

    /// Whether one is due now; if so, the next is an interval later.
    pub fn is_due(&mut self, now: Duration, rss_bytes: u64) -> bool {
        let Some(interval) = self.interval else { return false };
        let by_time = now >= self.next;
        let by_peak = self.peak
            && rss_bytes / 100 > self.rss_at_last / 100 * PEAK_PERCENT / 100
            && self.last.is_some_and(|last| now >= last + LEAST);
        let due = now >= self.not_before && (by_time || by_peak);
        if due {
            if by_time {
                self.next = (self.next + interval).max(now + interval / 2);
            }
            self.last = Some(now);
            self.rss_at_last = self.rss_at_last.max(rss_bytes);
        }
        due
    }

    /// Whether one is due while another is still being taken; said once for each.
    pub fn is_late(&mut self, now: Duration) -> bool {
        let Some(interval) = self.interval else { return false };
        let late = now >= self.next;
        if late {
            self.next = now + interval;
        }
        late
    }

    /// One was taken. Gives back how long the next one waits, if that is longer than it would.
    pub fn taken(&mut self, now: Duration, pause_seconds: f64) -> Option<Duration> {
        self.wait = self.interval.unwrap_or_default();
        let pause = Duration::try_from_secs_f64(pause_seconds).unwrap_or_default();
        self.not_before = now.saturating_add(pause.saturating_mul(RARITY));
        let longer = self.not_before > self.next;
        if longer {
            self.next = self.not_before;
        }
        longer.then(|| self.next.saturating_sub(now))
    }

    /// None could be taken, though the target was perhaps `stopped` for so long: the next try comes after twice
    /// the wait before, up to an hour. Gives back how long that is.
    pub fn refused(&mut self, now: Duration, stopped: Duration) -> Duration {
        self.wait = (self.wait * 2).min(LONGEST).max(LEAST).max(stopped.saturating_mul(RARITY));
        self.not_before = now.saturating_add(self.wait);
        self.next = self.not_before;
        self.wait
    }

    /// Somebody asks for one now. Gives back for how long it must wait all the same.
    pub fn ask(&mut self, now: Duration) -> Duration {
        self.next = self.not_before.max(now);
        self.next.saturating_sub(now)
    }

    /// In how long the next one is due.
    #[must_use]
    pub fn due_in(&self, now: Duration) -> Duration {
        self.next.max(self.not_before).saturating_sub(now)
    }

    /// Whether the last one was so long ago that the end wants one of its own.
    #[must_use]
    pub fn is_missing_at_end(&self, now: Duration) -> bool {
        self.interval.is_some_and(|interval| {
            now >= self.not_before && self.last.is_none_or(|last| now >= last + interval / 4)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_first_is_at_once_and_then_one_an_interval() {
        let mut pace = Pace::new(Some(s(30)), false);
        let due: Vec<u64> = (0..100).filter(|&now| pace.is_due(s(now), 1)).collect();
        assert_eq!(due, [0, 30, 60, 90]);
        let mut never = Pace::new(None, true);
        assert!(!never.is_due(s(5), 1 << 40) && !never.is_missing_at_end(s(9)));
    }

    #[test]
    fn a_long_pause_makes_the_next_one_wait() {
        let mut pace = Pace::new(Some(s(30)), false);
        assert!(pace.is_due(s(0), 1));
        assert_eq!(pace.taken(s(1), 0.01), None);
        assert!(pace.is_due(s(30), 1));
        assert_eq!(pace.taken(s(31), 2.0), Some(s(200)));
        assert!(!pace.is_due(s(230), 1) && pace.is_due(s(231), 1));
    }

    #[test]
    fn refusals_come_less_and_less_often() {
        let mut pace = Pace::new(Some(s(30)), false);
        assert!(pace.is_due(s(0), 1));
        assert_eq!(pace.refused(s(0), s(0)), s(60));
        assert!(!pace.is_due(s(59), 1) && pace.is_due(s(60), 1));
        assert_eq!(pace.refused(s(60), s(0)), s(120));
    }

    #[test]
    fn a_try_that_stops_the_process_for_nothing_is_as_rare_as_one_that_does_not() {
        let mut pace = Pace::new(Some(s(1)), false);
        assert!(pace.is_due(s(0), 1));
        assert_eq!(pace.refused(s(1), Duration::from_millis(500)), s(50));
        assert!(!pace.is_due(s(50), 1) && pace.is_due(s(51), 1));
    }

    #[test]
    fn who_asks_for_one_need_not_wait_for_the_interval_but_for_the_process() {
        let mut pace = Pace::new(Some(s(30)), false);
        assert!(pace.is_due(s(0), 1));
        pace.taken(s(1), 0.02);
        assert_eq!((pace.due_in(s(2)), pace.ask(s(2))), (s(28), s(1)));
        assert!(!pace.is_due(s(2), 1) && pace.is_due(s(3), 1) && !pace.is_due(s(4), 1));
        assert_eq!(pace.ask(s(10)), s(0));
        assert!(pace.is_due(s(10), 1));
    }

    #[test]
    fn a_new_peak_has_a_census_of_its_own() {
        let mut pace = Pace::new(Some(s(30)), true);
        assert!(pace.is_due(s(0), 1000));
        pace.taken(s(0), 0.001);
        assert!(!pace.is_due(s(1), 5000));
        assert!(pace.is_due(s(3), 5000));
        pace.taken(s(3), 0.001);
        assert!(!pace.is_due(s(6), 5100));
        assert!(pace.is_due(s(7), 9000));
    }

    #[test]
    fn a_census_that_outlasts_its_interval_is_said_to() {
        let mut pace = Pace::new(Some(s(30)), false);
        assert!(pace.is_due(s(0), 1));
        assert!(!pace.is_late(s(29)) && pace.is_late(s(30)) && !pace.is_late(s(31)));
    }
}
