//! The target stands still while it is copied.

use std::thread;
use std::time::{Duration, Instant};

use super::{COLLECTION_RETRIES, COLLECTION_WAIT, Held, TakeError, TakeOptions};
use crate::cpython::discovery::Found;
use crate::cpython::tracemalloc::Traces;
use crate::facts::Pause;
use crate::heap;
use crate::target::capture::{CaptureLimits, Rehearsal, capture, rehearse};
use crate::target::threads::{self, OsThread};
use crate::target::{Paused, Process, cow};

/// How long stopping all threads may take unless the caller says otherwise.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// From here on a stop is long, and another way is worth a word.
const LONG: Duration = Duration::from_millis(200);

/// Copies the target while all its threads are stopped; it runs again afterwards.
///
/// # Errors
/// It cannot be stopped, or not be copied within the limits.
pub(super) fn copy(
    process: &Process,
    found: &Found,
    (options, traces): (&TakeOptions, Option<Traces>),
    observed: &mut [OsThread],
) -> Result<Held, TakeError> {
    let mut pause = Pause { mode: "stop".to_owned(), ..Pause::default() };
    let mut held = Duration::ZERO;
    // Our own page faults belong before the pause, and giving back what was not used behind it. A
    // target that stands still anyway waits for neither.
    let mut rehearsal = match process.state() {
        'T' | 't' => Rehearsal::default(),
        _ => rehearse(process, &process.memory_map()?, &CaptureLimits::default())?,
    };
    loop {
        let paused = Paused::stop(process, options.max_pause.unwrap_or(STOP_LIMIT))?;
        let stopped = Instant::now();
        if paused.is_frozen() {
            "frozen".clone_into(&mut pause.mode);
        }
        let map = process.memory_map()?;
        let last_try = pause.stops >= COLLECTION_RETRIES || paused.is_frozen();
        if !last_try && heap::is_collecting(&process.memory(), found, options.limits) {
            held += paused.resume();
            pause.stops += 1;
            thread::sleep(COLLECTION_WAIT);
            continue;
        }
        let limits = CaptureLimits {
            max_bytes: None,
            deadline: options.max_pause.map(|limit| stopped + limit.saturating_sub(held)),
        };
        threads::locate(process.pid(), observed);
        let captured = capture(process, &map, &limits, &mut rehearsal)?;
        let capture = stopped.elapsed();
        // What was put off can be read only while the target stands still.
        heap::fetch_deferred(&captured, found, options.limits);
        let beside = super::beside(&captured, found, (options, traces), stopped, limits.deadline);
        captured.detach();
        held += paused.resume();
        pause.stops += 1;
        pause.seconds = held.as_secs_f64();
        if held > LONG {
            let outlook = cow::examine(process, None).ok();
            pause.cow_seconds = outlook.map(|outlook| outlook.pause.as_secs_f64());
        }
        return Ok(Held { captured, map, beside, pause, capture });
    }
}
