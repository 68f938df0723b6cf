//! Calls that wait for the main thread (`Py_AddPendingCall`): what each will be called with.
//!
//! The argument is a `void *`: an object, a structure, or a number. Nothing says which, so it is taken
//! for an object only where one is alive at that address, and for a reference only where the object's
//! count has one that nothing else explains.

use crate::addr::Addr;
use crate::cpython::layout::Layout;
use crate::target::memory::Memory;

/// More calls than any release has room for (`PENDINGCALLSARRAYSIZE` is 300).
const MOST_CALLS: u64 = 1 << 12;

/// The arguments of the calls in a queue (`struct _pending_calls`), in the order in which they will be
/// made (`_pop_pending_call`, `Python/ceval_gil.c`). None if what is there cannot be a queue.
pub(super) fn arguments(memory: &impl Memory, layout: &Layout, queue: Addr) -> Option<Vec<Addr>> {
    let (at, call) = (layout.at.pending_calls, layout.at.pending_call);
    let (calls, first_at) = (at.calls?, at.first?);
    let (call_bytes, argument) = (call.sizeof?, call.arg?);
    // The ring is an array, and ends where the field behind it begins.
    let room = first_at.checked_sub(calls)?.checked_div(call_bytes)?;
    let index = |offset: u64| memory.u32(queue + offset).ok().map(u64::from);
    let (first, behind) = (index(first_at)?, index(at.last.or(at.next)?)?);
    if room > MOST_CALLS || first >= room || behind >= room {
        return None;
    }
    let count = match at.npending {
        // A ring that is full ends where it begins, so there the number is kept.
        Some(offset) => index(offset).filter(|&count| count <= room)?,
        None => (behind + room - first) % room,
    };
    if (first + count) % room != behind {
        return None;
    }
    let slot = |nth: u64| queue + calls + (first + nth) % room * call_bytes;
    (0..count).map(|nth| memory.addr(slot(nth) + argument).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpython::version::Build;
    use crate::target::memory::{ReadError, ReadErrorKind};

    const QUEUE: Addr = Addr(0x7000);

    /// A queue with the numbers of its slots as arguments.
    struct Queue(Vec<u8>);

    impl Memory for Queue {
        fn read(&self, addr: Addr, buf: &mut [u8]) -> Result<(), ReadError> {
            let len = buf.len() as u64;
            let start = usize::try_from(addr.0.wrapping_sub(QUEUE.0)).unwrap();
            let from = start.checked_add(buf.len()).and_then(|end| self.0.get(start..end));
            let kind = ReadErrorKind::Unmapped;
            buf.copy_from_slice(from.ok_or(ReadError { addr, len, kind })?);
            Ok(())
        }
    }

    /// What is read of a queue of that release.
    fn read(version: &str, first: u32, behind: u32, pending: u32) -> Option<Vec<u64>> {
        let layout = Layout::resolve(version.parse().unwrap(), Build::default()).unwrap();
        let (at, call) = (layout.at.pending_calls, layout.at.pending_call);
        let mut bytes = vec![0; 8192];
        let mut put = |offset: u64, value: &[u8]| {
            let start = usize::try_from(offset).unwrap();
            bytes[start..start + value.len()].copy_from_slice(value);
        };
        let slots = (at.first.unwrap() - at.calls.unwrap()) / call.sizeof.unwrap();
        for nth in 0..slots {
            let slot = at.calls.unwrap() + nth * call.sizeof.unwrap();
            put(slot + call.arg.unwrap(), &nth.to_le_bytes());
        }
        put(at.first.unwrap(), &first.to_le_bytes());
        put(at.last.or(at.next).unwrap(), &behind.to_le_bytes());
        if let Some(offset) = at.npending {
            put(offset, &pending.to_le_bytes());
        }
        let found = arguments(&Queue(bytes), &layout, QUEUE)?;
        Some(found.into_iter().map(|addr| addr.0).collect())
    }

    #[test]
    fn calls_are_read_in_order_and_around_the_end() {
        assert_eq!(read("3.11.7", 3, 3, 0), Some(vec![]));
        assert_eq!(read("3.8.18", 30, 2, 0), Some(vec![30, 31, 0, 1]));
        assert_eq!(read("3.13.0", 298, 1, 3), Some(vec![298, 299, 0]));
        assert_eq!(read("3.13.0", 7, 7, 0), Some(vec![]));
        assert_eq!(read("3.13.0", 7, 7, 300).map(|all| all.len()), Some(300));
    }

    #[test]
    fn numbers_that_no_queue_has_are_refused() {
        assert_eq!(read("3.11.7", 32, 3, 0), None);
        assert_eq!(read("3.11.7", 3, u32::MAX, 0), None);
        assert_eq!(read("3.13.0", 3, 7, 5), None);
        assert_eq!(read("3.13.0", 7, 7, 600), None);
    }
}
