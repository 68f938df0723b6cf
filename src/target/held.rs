//! The processes that stand still because of us: all of them run again when pyheap ends before its work does.
//!
//! The kernel would let them go as well, but only when the tracing threads have ended, which is after this program has
//! said what it has to say.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

/// The threads that trace, each with the order that ends its work.
static TRACERS: Mutex<(u64, BTreeMap<u64, mpsc::Sender<()>>)> = Mutex::new((0, BTreeMap::new()));
/// One of them has let its process go.
static ONE_LESS: Condvar = Condvar::new();
/// Whether this program is about to end.
static ENDING: AtomicBool = AtomicBool::new(false);

fn tracers() -> MutexGuard<'static, (u64, BTreeMap<u64, mpsc::Sender<()>>)> {
    TRACERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A process that is stopped, or about to be: dropped by its tracer when it runs again.
#[derive(Debug)]
pub(super) struct Hold(u64);

impl Hold {
    /// Announces a tracer that lets its process go when `order` tells it to.
    pub(super) fn new(order: mpsc::Sender<()>) -> Self {
        let mut tracers = tracers();
        let number = tracers.0;
        tracers.0 += 1;
        tracers.1.insert(number, order);
        Self(number)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        tracers().1.remove(&self.0);
        ONE_LESS.notify_all();
    }
}

/// Whether nothing more is to be stopped.
pub(super) fn is_ending() -> bool {
    ENDING.load(Ordering::SeqCst)
}

/// Waits for the end of the program, if it is near: what was read of a process that was let go meanwhile is not to be
/// told as if it had stood still.
pub(super) fn stay_if_ending() {
    while is_ending() {
        thread::park();
    }
}

/// Lets all processes go that stand still because of us, and stops no other. The program has to end now; what waits for
/// one of them waits for ever. A thread that does not answer is waited for no longer than `limit`.
pub fn let_all_go(limit: Duration) {
    ENDING.store(true, Ordering::SeqCst);
    let tracers = tracers();
    for order in tracers.1.values() {
        // One that has ended by itself is not there to hear it.
        let _ = order.send(());
    }
    let all_gone = ONE_LESS.wait_timeout_while(tracers, limit, |tracers| !tracers.1.is_empty());
    drop(all_gone);
}
