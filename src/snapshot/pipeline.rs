//! Two threads work ahead on row groups, which are consumed in their order.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::error::Fault;

/// How many threads work. Each holds at most two finished items, so memory stays bounded.
const THREADS: usize = 2;

/// Works on `items` with workers that `new_worker` makes, one for each thread, and hands the results
/// to `consume` in the order of the items. The first error ends it. A worker that panics (in a
/// decoder of foreign bytes) is an error too.
pub(super) fn in_order<I, O, W>(
    items: &[I],
    new_worker: impl Fn() -> W,
    mut consume: impl FnMut(&I, O) -> Result<(), Fault>,
) -> Result<(), Fault>
where
    I: Sync,
    O: Send,
    W: FnMut(&I) -> Result<O, Fault> + Send,
{
    std::thread::scope(|scope| {
        let mut threads = Vec::new();
        let mut results: Vec<Receiver<Result<O, Fault>>> = Vec::new();
        for thread in 0..THREADS {
            let (sender, receiver) = sync_channel(1);
            let mut worker = new_worker();
            let mine = items.iter().skip(thread).step_by(THREADS);
            threads.push(scope.spawn(move || work(mine, &mut worker, &sender)));
            results.push(receiver);
        }
        let consumed = items.iter().zip(results.iter().cycle()).try_for_each(|(item, results)| {
            let failed = |_| Fault::damaged("a row group cannot be processed");
            consume(item, results.recv().map_err(failed)??)
        });
        // Without receivers the threads stop; a panic of theirs has shown as a missing result.
        drop(results);
        for thread in threads {
            let _ = thread.join();
        }
        consumed
    })
}

fn work<'a, I: 'a, O>(
    items: impl Iterator<Item = &'a I>,
    worker: &mut impl FnMut(&I) -> Result<O, Fault>,
    sender: &SyncSender<Result<O, Fault>>,
) {
    for item in items {
        if sender.send(worker(item)).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_and_errors_end_it() {
        let items: Vec<u32> = (0..100).collect();
        let mut seen = Vec::new();
        in_order(
            &items,
            || |&item: &u32| Ok(item * 2),
            |&item, double| {
                assert_eq!(double, item * 2);
                seen.push(item);
                Ok(())
            },
        )
        .unwrap();
        assert_eq!(seen, items);

        let worker = || |&item: &u32| if item == 7 { Err(Fault::damaged("7")) } else { Ok(item) };
        let mut last = None;
        let result = in_order(&items, worker, |_, item| {
            last = Some(item);
            Ok(())
        });
        assert!(matches!(result, Err(Fault::Damaged(what)) if what == "7"));
        assert_eq!(last, Some(6));

        let result = in_order(&items, || |&item: &u32| Ok(item), |_, _| Err(Fault::OutOfMemory));
        assert!(matches!(result, Err(Fault::OutOfMemory)));
    }

    #[test]
    fn a_panic_of_a_worker_is_an_error() {
        let worker = || |&item: &u32| if item == 3 { panic!("as a decoder might") } else { Ok(()) };
        let result = in_order(&[1, 2, 3, 4, 5], worker, |_, ()| Ok(()));
        assert!(matches!(result, Err(Fault::Damaged(_))));
    }
}
