//! The target runs on while it is copied, and what was torn by that is read again.

use std::thread;
use std::time::Instant;

use super::{COLLECTION_RETRIES, COLLECTION_WAIT, Held, TakeError, TakeOptions};
use crate::cpython::discovery::Found;
use crate::cpython::tracemalloc::Traces;
use crate::facts::{Pause, TornFacts};
use crate::heap::{self, WalkOptions, Walked};
use crate::target::Process;
use crate::target::capture::{CaptureLimits, capture, rehearse};

/// How often parts that do not fit together are read again. The first time mends most; what is torn
/// in a target that changes all the time is torn anew each time.
const MENDINGS: u32 = 3;

/// Copies the target without stopping it.
///
/// # Errors
/// It is gone, or the copy would take too much memory.
pub(super) fn copy(
    process: &Process,
    found: &Found,
    (options, traces): (&TakeOptions, Option<Traces>),
) -> Result<Held, TakeError> {
    let limits = CaptureLimits::default();
    // The copy that counts is then made at the speed of memory: the shorter it takes, the less of
    // it is torn.
    let mut rehearsal = rehearse(process, &process.memory_map()?, &limits)?;
    let memory = process.memory();
    for _ in 0..COLLECTION_RETRIES {
        if !heap::is_collecting(&memory, found, options.limits) {
            break;
        }
        thread::sleep(COLLECTION_WAIT);
    }
    let start = Instant::now();
    let map = process.memory_map()?;
    let captured = capture(process, &map, &limits, &mut rehearsal)?;
    let capture = start.elapsed();
    heap::fetch_deferred(&captured, found, options.limits);
    let beside = super::beside(&captured, found, (options, traces), start, None);
    if !process.is_same() {
        return Err(TakeError::Gone(process.pid()));
    }
    let pause = Pause { mode: "none".to_owned(), ..Pause::default() };
    Ok(Held { captured, map, beside, pause, capture })
}

/// Reads again what made no sense, and walks again, as long as that helps. The target is not read
/// any more afterwards.
pub(super) fn mend(
    held: &mut Held,
    walked: &mut Walked,
    found: &Found,
    options: WalkOptions<'_>,
) -> TornFacts {
    let mut retries = 0;
    while retries < MENDINGS && !walked.torn.is_empty() {
        retries += 1;
        held.captured.read_again(&heap::torn_objects(&walked.torn));
        // Where their storage is now, only they know.
        let storage = heap::torn_storage(&held.captured, &walked.torn);
        held.captured.read_again(&storage);
        let again = heap::walk(&held.captured, &held.map, found, options);
        let better = again.torn.len() < walked.torn.len();
        if better {
            *walked = again;
        } else {
            break;
        }
    }
    held.captured.detach();
    let sum = |bytes: u64, object| {
        let graph = &walked.graph;
        bytes
            .saturating_add(graph.shallow_bytes_of(object))
            .saturating_add(graph.buffers_of(object))
    };
    let known = |ids: &mut dyn Iterator<Item = _>| ids.fold(0, sum);
    let torn = walked.torn.iter().filter_map(|&at| walked.graph.find(at)).collect::<Vec<_>>();
    let lost = walked.torn.len().saturating_sub(torn.len());
    TornFacts::new(
        (walked.torn.len(), walked.graph.len().saturating_add(lost)),
        (known(&mut torn.into_iter()), known(&mut walked.graph.ids())),
        retries,
    )
}
