//! Which mappings are the stacks of threads.

use crate::addr::{Addr, AddrRange};
use crate::facts::ThreadFacts;
use crate::target::maps::{Mapping, MemoryMap};
use crate::target::memory::Memory;
use crate::target::threads::OsThread;

/// How far from the end of its stack glibc keeps a thread's `struct pthread`, at most, in bytes: behind
/// it is nothing, before it the thread-local storage.
const DESCRIPTOR_BYTES: u64 = 16 << 10;
/// The alignment of a `struct pthread`.
const ALIGNMENT: u64 = 64;
/// The largest mapping that is taken for a stack, in bytes.
const STACK_BYTES: u64 = 1 << 32;

/// A stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stack {
    pub(super) range: AddrRange,
    /// The name of its thread, if that is known.
    pub(super) name: Option<String>,
    /// `pthread_self()` of its thread, if that was found.
    pub(super) descriptor: Option<Addr>,
}

/// The stacks of a process, by address. A thread that computes shows no stack pointer, and one without
/// a Python state no identity; but glibc keeps a description of each thread at the end of its stack,
/// which begins with its own address.
pub(super) fn find(
    memory: &impl Memory,
    map: &MemoryMap,
    os_threads: &[OsThread],
    threads: &[ThreadFacts],
) -> Vec<Stack> {
    let mut stacks = Vec::new();
    for mapping in map.iter().filter(|mapping| may_be(mapping)) {
        let range = mapping.range;
        let is_main = mapping.path.as_deref() == Some("[stack]");
        let os = os_threads
            .iter()
            .find(|thread| thread.stack_pointer.is_some_and(|sp| range.contains(sp)));
        let python = threads.iter().find(|thread| range.contains(Addr(thread.thread_id)));
        let descriptor = match python {
            Some(thread) => Some(Addr(thread.thread_id)),
            None => descriptor(memory, range),
        };
        // What is in `brk`'s memory is the first thread of a program that is linked statically.
        if !is_main && os.is_none() && descriptor.is_none() {
            continue;
        }
        let name =
            python.map(|thread| thread.name.clone()).or_else(|| os.map(|os| os.name.clone()));
        let name = if is_main { Some("main thread".to_owned()) } else { name };
        stacks.push(Stack { range, name, descriptor });
    }
    stacks
}

fn may_be(mapping: &Mapping) -> bool {
    mapping.read
        && mapping.write
        && !mapping.shared
        && mapping.is_anonymous()
        && mapping.range.len() <= STACK_BYTES
        && mapping.path.as_deref() != Some("[heap]")
}

/// A `struct pthread` of x86-64 near the end of a range: its first and its third word are its address
/// (`tcbhead_t`, `sysdeps/x86_64/nptl/tls.h`).
fn descriptor(memory: &impl Memory, range: AddrRange) -> Option<Addr> {
    let least = range.start.max(Addr(range.end.0.saturating_sub(DESCRIPTOR_BYTES)));
    let mut at = range.end.without_tag(ALIGNMENT - 1) - ALIGNMENT;
    while at >= least {
        if memory.addr(at) == Ok(at) && memory.addr(at + 16) == Ok(at) {
            return Some(at);
        }
        at = at - ALIGNMENT;
    }
    None
}
