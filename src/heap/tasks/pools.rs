//! Pools of threads (`Lib/concurrent/futures/thread.py`).

use super::Tasks;
use crate::addr::Addr;
use crate::facts::PoolFacts;
use crate::target::memory::Memory;

/// The longest queue that is counted.
const MOST_ITEMS: u64 = 1 << 24;

impl<M: Memory> Tasks<'_, '_, M> {
    /// A pool: which of its threads work, and what waits for them.
    pub(super) fn pool(&self, object: Addr) -> Option<PoolFacts> {
        let reader = self.reader;
        let threads = reader.some_attribute(object, "_threads")?;
        let mut facts = PoolFacts {
            address: object.to_string(),
            name: reader.text_attribute(object, "_thread_name_prefix").unwrap_or_default(),
            max_workers: reader.int_attribute(object, "_max_workers").unwrap_or_default(),
            is_shut_down: reader.int_attribute(object, "_shutdown") == Some(1),
            queued: self.queued(reader.some_attribute(object, "_work_queue")?),
            ..PoolFacts::default()
        };
        for thread in self.items(threads) {
            let ident = reader.int_attribute(thread, "_ident");
            let Some(thread) = self.threads.iter().find(|thread| Some(thread.thread_id) == ident)
            else {
                continue;
            };
            let is_idle = thread.frames.first().is_some_and(|frame| {
                frame.name() == "_worker" && frame.file.ends_with("concurrent/futures/thread.py")
            });
            if is_idle { &mut facts.idle } else { &mut facts.busy }.push(thread.thread_id);
        }
        facts.idle.sort_unstable();
        facts.busy.sort_unstable();
        Some(facts)
    }

    /// How many pieces of work are in a `queue.SimpleQueue`; the `None`s that end its threads are
    /// none.
    fn queued(&self, queue: Addr) -> u64 {
        let items = match self.reader.some_attribute(queue, "_queue") {
            // The one of Python code.
            Some(deque) => self.items(deque),
            None => self.simple_queue(queue).unwrap_or_default(),
        };
        items.into_iter().filter(|&item| !self.reader.is_none(item)).count() as u64
    }

    /// `simplequeueobject` (`Modules/_queuemodule.c`): a list of which the beginning is used up, or
    /// from 3.13 on a ring.
    fn simple_queue(&self, queue: Addr) -> Option<Vec<Addr>> {
        let objects = self.reader.objects;
        let at = &objects.layout.at.simple_queue;
        let memory = objects.memory;
        let mut items = Vec::new();
        let what = "the items of a queue";
        if let (Some(lst), Some(lst_pos)) = (at.lst, at.lst_pos) {
            let list = memory.addr(queue + lst).ok()?;
            let len = self.reader.len(list)?.min(MOST_ITEMS);
            let from = memory.u64(queue + lst_pos).ok()?;
            let array = memory.addr(list + objects.layout.at.list.ob_item).ok()?;
            let _ = objects.words(array, len, what, |nth, item| {
                if u64::from(nth) >= from {
                    items.push(item);
                }
            });
            return Some(items);
        }
        let (array, capacity) =
            (memory.addr(queue + at.items?).ok()?, memory.u64(queue + at.items_cap?).ok()?);
        // Slots that are not used are null.
        let _ = objects.words(array, capacity.min(MOST_ITEMS), what, |_, item| items.push(item));
        Some(items)
    }
}
