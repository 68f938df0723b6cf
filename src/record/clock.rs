//! Time as a recording sees it: it never goes back, whatever is done to the clock of the machine.

use std::thread;
use std::time::{Duration, Instant};

/// A clock that can be replaced in a test.
pub(super) trait Clock {
    /// The time since the clock was started.
    fn now(&self) -> Duration;
    /// Waits until then; not at all if that is past.
    fn sleep_until(&mut self, then: Duration);
}

/// The monotonic clock of the machine. It stands still while the machine sleeps.
#[derive(Debug)]
pub(super) struct SystemClock(Instant);

impl SystemClock {
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }

    fn sleep_until(&mut self, then: Duration) {
        if let Some(wait) = then.checked_sub(self.0.elapsed()) {
            thread::sleep(wait);
        }
    }
}
