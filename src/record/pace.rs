//! When a census is due: by its interval, by a new peak, and never so often that it harms.

use std::time::Duration;

/// A census may stop the target for one part in so many of the time.
const RARITY: u32 = 100;
/// How much higher than at the last census memory must be for a census of the peak, in percent.
const PEAK_PERCENT: u64 = 110;
/// The least time between two censuses.
const LEAST: Duration = Duration::from_secs(2);

/// Decides when a census is taken.
#[derive(Debug)]
pub(super) struct Pace {
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
    pub(super) fn new(interval: Option<Duration>, peak: bool) -> Self {
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
    pub(super) fn is_due(&mut self, now: Duration, rss_bytes: u64) -> bool {
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
    pub(super) fn is_late(&mut self, now: Duration) -> bool {
        let Some(interval) = self.interval else { return false };
        let late = now >= self.next;
        if late {
            self.next = now + interval;
        }
        late
    }

    /// One was taken. Gives back how long the next one waits, if that is longer than it would.
    pub(super) fn taken(&mut self, now: Duration, pause_seconds: f64) -> Option<Duration> {
        self.wait = self.interval.unwrap_or_default();
        let pause = Duration::try_from_secs_f64(pause_seconds).unwrap_or_default();
        self.not_before = now + pause.saturating_mul(RARITY);
        let longer = self.not_before > self.next;
        if longer {
            self.next = self.not_before;
        }
        longer.then(|| self.next.saturating_sub(now))
    }

    /// None could be taken: the next try comes after twice the wait before, up to an hour.
    pub(super) fn refused(&mut self, now: Duration) -> Duration {
        self.wait = (self.wait * 2).min(Duration::from_secs(3600)).max(LEAST);
        self.not_before = now + self.wait;
        self.next = self.not_before;
        self.wait
    }

    /// Whether the last one was so long ago that the end wants one of its own.
    pub(super) fn is_missing_at_end(&self, now: Duration) -> bool {
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
        assert_eq!(pace.refused(s(0)), s(60));
        assert!(!pace.is_due(s(59), 1) && pace.is_due(s(60), 1));
        assert_eq!(pace.refused(s(60)), s(120));
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
