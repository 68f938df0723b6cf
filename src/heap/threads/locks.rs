//! The locks of a heap: where the kernel would see a thread wait for each, and who holds it.

use rustc_hash::FxHashMap;

use super::RawThread;
use crate::addr::Addr;
use crate::graph::HeapGraph;
use crate::heap::reader::Reader;
use crate::target::memory::Memory;

/// One lock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lock {
    pub(super) object: Addr,
    /// Whether it is an `RLock`, which knows its owner.
    pub(super) reentrant: bool,
    /// The thread that holds it, if that is known.
    pub(super) holder: Option<u64>,
}

/// All locks, by the address that a thread waits at.
#[derive(Debug, Default)]
pub(super) struct Locks {
    by_wait: FxHashMap<Addr, Lock>,
}

const LOCK: &str = "_thread.lock";
const RLOCK: &str = "_thread.RLock";

impl Locks {
    /// Finds the locks of a heap, and their holders among the threads.
    pub(super) fn of<M: Memory>(
        reader: &Reader<'_, '_, M>,
        graph: &HeapGraph,
        threads: &[RawThread],
    ) -> Self {
        let mut holders: FxHashMap<Addr, u64> = FxHashMap::default();
        for thread in threads {
            for object in thread.frames.iter().flat_map(|frame| &frame.blocks) {
                for lock in held_by(reader, *object) {
                    holders.insert(lock, thread.thread_id);
                }
            }
        }
        let mut locks = Self::default();
        for object in graph.ids() {
            let reentrant = match graph.type_name_of(object) {
                LOCK => false,
                RLOCK => true,
                _ => continue,
            };
            let object = graph.addr(object);
            let wait = wait_address(reader, object, reentrant);
            let holder = match reentrant {
                true => owner(reader, object),
                false => holders.get(&object).copied(),
            };
            if let Some(wait) = wait {
                locks.by_wait.insert(wait, Lock { object, reentrant, holder });
            }
        }
        locks
    }

    /// The lock for which a thread waits in `futex` on a word.
    pub(super) fn waited_at<M: Memory>(
        &self,
        reader: &Reader<'_, '_, M>,
        word: Addr,
    ) -> Option<Lock> {
        /// Where `struct wait_entry` (`Python/parking_lot.c`) has the address that its thread waits
        /// for, from the semaphore that it sleeps on.
        const PARKED_AT: u64 = 8;
        // A lock of 3.14 is a byte; who waits for it sleeps on a semaphore on its own stack.
        let parked = || reader.objects.memory.addr(word - PARKED_AT).ok();
        let direct = self.by_wait.get(&word).copied();
        direct.or_else(|| self.by_wait.get(&parked()?).copied())
    }
}

/// The address that `futex` names, or the byte that a thread is parked for.
fn wait_address<M: Memory>(
    reader: &Reader<'_, '_, M>,
    object: Addr,
    reentrant: bool,
) -> Option<Addr> {
    let at = &reader.objects.layout.at;
    let (semaphore, byte) = match reentrant {
        true => (at.rlock.rlock_lock, at.rlock.lock),
        false => (at.lock.lock_lock, at.lock.lock),
    };
    match (semaphore, byte) {
        (Some(offset), _) => reader.objects.memory.addr(object + offset).ok()?.non_null(),
        (None, Some(offset)) => Some(object + offset),
        (None, None) => None,
    }
}

/// The owner of an `RLock` that is held.
fn owner<M: Memory>(reader: &Reader<'_, '_, M>, object: Addr) -> Option<u64> {
    /// `thread` of `_PyRecursiveMutex` (`Include/internal/pycore_lock.h`), behind the mutex.
    const THREAD: u64 = 8;
    let at = &reader.objects.layout.at.rlock;
    let memory = reader.objects.memory;
    let owner = match (at.rlock_owner, at.lock) {
        (Some(offset), _) => {
            let held = at.rlock_count.map(|count| memory.u64(object + count));
            if let Some(Ok(0)) = held {
                return None;
            }
            memory.u64(object + offset)
        }
        (None, Some(lock)) => memory.u64(object + lock + THREAD),
        (None, None) => return None,
    };
    owner.ok().filter(|&owner| owner != 0)
}

/// The locks that a `with` block holds by what it has left on the stack: the lock itself (from 3.14
/// on), or the bound `__exit__` of a lock, or of an object that keeps one as `_lock`
/// (`threading.Condition`).
fn held_by<M: Memory>(reader: &Reader<'_, '_, M>, object: Addr) -> Vec<Addr> {
    let at = &reader.objects.layout.at;
    let Some(name) = reader.type_name(object) else { return Vec::new() };
    let bound = match name.as_str() {
        LOCK | RLOCK => return vec![object],
        "builtins.builtin_function_or_method" => at.c_function.m_self,
        "builtins.method" => at.method.im_self,
        _ => return reader.attribute(object, "_lock").into_iter().collect(),
    };
    let Ok(bound) = reader.objects.memory.addr(object + bound) else { return Vec::new() };
    if bound.is_null() {
        return Vec::new();
    }
    match reader.type_name(bound).as_deref() {
        Some(LOCK | RLOCK) => vec![bound],
        Some("builtins.module") | None => Vec::new(),
        Some(_) => reader.attribute(bound, "_lock").into_iter().collect(),
    }
}
