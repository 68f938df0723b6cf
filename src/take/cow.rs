//! The target forks, and its fork is copied.

use std::thread;
use std::time::{Duration, Instant};

use super::{COLLECTION_RETRIES, COLLECTION_WAIT, Held, TakeError, TakeOptions, stopped};
use crate::cpython::discovery::Found;
use crate::cpython::tracemalloc::Traces;
use crate::facts::Pause;
use crate::heap;
use crate::target::capture::{CaptureLimits, Fork, capture_fork};
use crate::target::threads::OsThread;
use crate::target::{FrozenChild, MemoryMap, Process};

/// How often the target forks because the collector was at work when it did. After the last time it
/// is read all the same.
const FORKS: u32 = 3;

/// Copies the target from a fork of it, which is ended afterwards.
///
/// # Errors
/// It must not fork, or not be traced, or the fork cannot be copied.
pub(super) fn copy(
    process: &Process,
    found: &Found,
    (options, traces): (&TakeOptions, Option<Traces>),
    observed: &mut [OsThread],
) -> Result<Held, TakeError> {
    // What stands still anyway is not disturbed by a copy.
    if matches!(process.state(), 'T' | 't') {
        return stopped::copy(process, found, (options, traces), observed);
    }
    let mut time = Duration::ZERO;
    let mut pause = Pause { mode: "cow".to_owned(), ..Pause::default() };
    for forks in 1.. {
        wait_for_collector(process, found, options);
        let left = options.max_pause.map(|limit| limit.saturating_sub(time));
        let frozen = FrozenChild::fork(process, left)?;
        let copied = copy_child(process, &frozen, found, (options, traces), forks >= FORKS);
        // Why it was ended says more than that it could not be read then.
        let stops = frozen.end()?;
        time += stops.time;
        pause.stops += stops.count;
        if stops.zombie {
            tracing::warn!("the target keeps a zombie for a child until it ends");
        }
        if let Some(held) = copied? {
            pause.seconds = time.as_secs_f64();
            return Ok(Held { pause, ..held });
        }
    }
    Err(TakeError::Gone(process.pid()))
}

/// Waits until the collector is not at work, which is seen without a stop; but not for long.
fn wait_for_collector(process: &Process, found: &Found, options: &TakeOptions) {
    let memory = process.memory();
    for _ in 0..COLLECTION_RETRIES {
        if !heap::is_collecting(&memory, found, options.limits) {
            break;
        }
        thread::sleep(COLLECTION_WAIT);
    }
}

/// Copies a fork; nothing if the collector was at work in it and another one may be made.
fn copy_child(
    process: &Process,
    frozen: &FrozenChild,
    found: &Found,
    (options, traces): (&TakeOptions, Option<Traces>),
    last: bool,
) -> Result<Option<Held>, TakeError> {
    let start = Instant::now();
    let child = frozen.process()?;
    if !last && heap::is_collecting(&child.memory(), found, options.limits) {
        return Ok(None);
    }
    // With what the fork has not, so that what leads there is not saved and not unmapped.
    let not_saved = frozen.not_saved();
    let lacks = |at| not_saved.iter().any(|range| range.contains(at));
    let missing = process.memory_map()?;
    let missing = missing.iter().filter(|mapping| lacks(mapping.range.start)).cloned();
    let map = child.memory_map()?.iter().cloned().chain(missing).collect();
    let map = MemoryMap::from_mappings(map);
    let fork = Fork { process: &child, lost: not_saved };
    let captured = capture_fork(process, fork, &map, &CaptureLimits::default())?;
    heap::fetch_deferred(&captured, found, options.limits);
    let beside = super::beside(&captured, found, (options, traces), start, None);
    captured.detach();
    let (pause, capture) = (Pause::default(), start.elapsed());
    Ok(Some(Held { captured, map, beside, pause, capture }))
}
