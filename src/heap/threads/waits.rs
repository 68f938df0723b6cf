//! What a thread waits for: by the system call that it is in, and by the functions of the standard
//! library that it is in, which know more than the call.

use nix::libc;
use rustc_hash::FxHashMap;

use super::locks::{Lock, Locks};
use super::{Observed, RawThread};
use crate::addr::Addr;
use crate::facts::{ThreadFacts, WaitFacts};
use crate::heap::reader::{RawFrame, Reader};
use crate::target::memory::Memory;
use crate::target::threads::{self, Descriptor, SystemCall};

/// Tells what threads wait for.
pub(super) struct Waits<'a, 'o, M> {
    pub(super) reader: &'a Reader<'a, 'o, M>,
    pub(super) locks: &'a Locks,
    pub(super) threads: &'a [RawThread],
    pub(super) observed: &'a Observed,
}

/// `sizeof(struct _gil_runtime_state)`, in which a thread that waits for it sleeps; larger on
/// architectures with larger mutexes.
const GIL_BYTES: u64 = 256;

/// A wait without object and holder.
fn plain(kind: &str, description: impl Into<String>) -> WaitFacts {
    WaitFacts {
        kind: kind.to_owned(),
        description: description.into(),
        object: None,
        held_by: None,
    }
}

impl<M: Memory> Waits<'_, '_, M> {
    /// What a thread waits for; nothing if it computes, or if that is not known.
    pub(super) fn of(&self, thread: &RawThread) -> Option<WaitFacts> {
        let call = thread.os.as_ref().and_then(|os| os.call)?;
        let number = i64::try_from(call.number).ok()?;
        let [first, ..] = call.arguments;
        if number == libc::SYS_futex {
            let word = Addr(first);
            let gil = thread.gil.filter(|&gil| gil <= word && word.0 < gil.0 + GIL_BYTES);
            if gil.is_some() {
                let held_by = thread.gil_holder;
                return Some(WaitFacts { held_by, ..plain("gil", "the interpreter lock (GIL)") });
            }
            if let Some(wait) = self.library(thread) {
                return Some(wait);
            }
            let lock = self.locks.waited_at(self.reader, word);
            return Some(match lock {
                Some(lock) => self.lock(thread, lock),
                None => plain("futex", "a lock of C code"),
            });
        }
        self.library(thread).filter(|_| is_wait(number)).or_else(|| self.call(number, &call))
    }

    /// A lock of `threading` or of the user's own.
    fn lock(&self, thread: &RawThread, lock: Lock) -> WaitFacts {
        let kind = if lock.reentrant { "rlock" } else { "lock" };
        let what = if lock.reentrant { "the RLock" } else { "the Lock" };
        let name = thread.frames.iter().find_map(|frame| self.name_in(frame, lock.object));
        let description = match name {
            Some(name) => format!("{what} {name}"),
            None => what.to_owned(),
        };
        WaitFacts {
            object: Some(lock.object.to_string()),
            held_by: lock.holder,
            ..plain(kind, description)
        }
    }

    /// What a frame calls an object: a local, an attribute of `self`, a global.
    fn name_in(&self, frame: &RawFrame, object: Addr) -> Option<String> {
        let local = frame.locals.iter().find(|(name, at)| *at == object && name != "self");
        if let Some((name, _)) = local {
            return Some(name.clone());
        }
        let this = frame.locals.iter().find(|(name, _)| name == "self");
        if let Some(&(_, this)) = this
            && let Some(name) = self.attribute_name(this, object)
        {
            return Some(format!("self.{name}"));
        }
        let globals = self.globals(frame)?;
        self.key_of(globals, object)
    }

    /// The name under which an instance keeps an object.
    fn attribute_name(&self, holder: Addr, object: Addr) -> Option<String> {
        let objects = self.reader.objects;
        let ty = objects.type_at(holder).ok()?;
        let ty = self.reader.types.resolve(objects, ty).ok()?;
        objects.attribute_name(holder, &ty, object).ok()?
    }

    /// The globals of a frame.
    fn globals(&self, frame: &RawFrame) -> Option<Addr> {
        let at = &self.reader.objects.layout.at;
        let offset = match frame.view.is_object {
            true => at.frame_object.f_globals,
            false => at.interpreter_frame.f_globals,
        };
        self.reader.objects.memory.addr(frame.view.at + offset?).ok()?.non_null()
    }

    fn key_of(&self, dict: Addr, object: Addr) -> Option<String> {
        let mut key = None;
        let find = |entry: crate::cpython::object::DictEntry| {
            if entry.value == object {
                key.get_or_insert(entry.key);
            }
        };
        self.reader.objects.dict_entries(dict, find).ok()?;
        self.reader.objects.text(key?).ok()
    }

    /// A wait inside of the standard library, from the innermost frames.
    fn library(&self, thread: &RawThread) -> Option<WaitFacts> {
        let mut frames = thread.frames.iter();
        let frame = frames.next()?;
        let (name, file) = (frame.name(), frame.file_name());
        match (file, name) {
            ("threading.py", "wait") => {
                // `wait_for` is a loop around `wait`, for whoever calls it.
                let mut caller = frames.next();
                if caller.is_some_and(|caller| caller.name() == "wait_for") {
                    caller = frames.next();
                }
                Some(self.condition(frame, caller))
            }
            ("threading.py", "join" | "_wait_for_tstate_lock") => Some(self.join(frame)),
            ("threading.py", "_shutdown") => {
                Some(plain("join", "the end of all other threads: the program is at its end"))
            }
            ("<frozen importlib._bootstrap>", "acquire") => self.import(frame),
            ("thread.py", "_worker") if frame.file.ends_with("concurrent/futures/thread.py") => {
                Some(plain("queue", "work for its ThreadPoolExecutor"))
            }
            _ => None,
        }
    }

    /// `Condition.wait`, and what it is a part of.
    fn condition(&self, frame: &RawFrame, caller: Option<&RawFrame>) -> WaitFacts {
        let own = frame.local("self");
        let place = caller.map(|frame| (frame.file_name(), frame.name()));
        let (kind, what) = match place {
            Some(("threading.py", "wait")) => ("event", "an Event"),
            Some(("threading.py", "start")) => ("event", "the start of a thread"),
            Some(("threading.py", "acquire" | "__enter__")) => ("semaphore", "a Semaphore"),
            Some(("threading.py", "_wait" | "_enter")) => ("barrier", "a Barrier"),
            Some(("queue.py", "get")) => ("queue", "an item in a Queue"),
            Some(("queue.py", "put")) => ("queue", "room in a Queue"),
            Some(("queue.py", "join")) => ("queue", "all items of a Queue to be done"),
            Some(("_base.py", "result" | "exception")) => ("future", "the result of a Future"),
            _ => ("condition", "a Condition to be notified"),
        };
        let object = match kind {
            "condition" => own,
            _ => caller.and_then(|caller| caller.local("self")).or(own),
        };
        WaitFacts { object: object.map(|object| object.to_string()), ..plain(kind, what) }
    }

    /// `Thread.join`: the thread that is waited for can end the wait.
    fn join(&self, frame: &RawFrame) -> WaitFacts {
        let Some(thread) = frame.local("self") else { return plain("join", "a thread to end") };
        let name = self.reader.text_attribute(thread, "_name");
        let ident = self.reader.int_attribute(thread, "_ident");
        let is_alive = |ident: &u64| self.threads.iter().any(|thread| thread.thread_id == *ident);
        let description = match name {
            Some(name) => format!("the end of thread {name:?}"),
            None => "a thread to end".to_owned(),
        };
        WaitFacts {
            object: Some(thread.to_string()),
            held_by: ident.filter(is_alive),
            ..plain("join", description)
        }
    }

    /// `_ModuleLock.acquire`: another thread imports the module.
    fn import(&self, frame: &RawFrame) -> Option<WaitFacts> {
        let lock = frame.local("self")?;
        let name = self.reader.text_attribute(lock, "name")?;
        let owner = self.reader.int_attribute(lock, "owner");
        Some(WaitFacts {
            object: Some(lock.to_string()),
            held_by: owner,
            ..plain("import", format!("the import of {name}"))
        })
    }

    /// A system call that waits.
    fn call(&self, number: i64, call: &SystemCall) -> Option<WaitFacts> {
        let [first, second, ..] = call.arguments;
        let on = |kind: &str, doing: &str| {
            let descriptor = self.observed.pid.and_then(|pid| threads::descriptor(pid, first));
            Some(plain(kind, format!("{doing} {}", describe(first, descriptor.as_ref()))))
        };
        match number {
            libc::SYS_clock_nanosleep | libc::SYS_nanosleep => Some(plain("sleep", "time to pass")),
            libc::SYS_read | libc::SYS_readv | libc::SYS_pread64 => on("read", "data from"),
            libc::SYS_recvfrom | libc::SYS_recvmsg => on("read", "data from"),
            libc::SYS_write | libc::SYS_writev | libc::SYS_pwrite64 => on("write", "room in"),
            libc::SYS_sendto | libc::SYS_sendmsg => on("write", "room in"),
            libc::SYS_connect => on("connect", "a connection by"),
            libc::SYS_accept | libc::SYS_accept4 => on("accept", "a connection to"),
            libc::SYS_flock => on("file lock", "the lock of"),
            libc::SYS_fcntl if is_lock_command(second) => on("file lock", "the lock of"),
            libc::SYS_wait4 | libc::SYS_waitid => Some(self.child(number, first, second)),
            libc::SYS_rt_sigtimedwait | libc::SYS_rt_sigsuspend => {
                Some(plain("signal", "a signal"))
            }
            // `time.sleep` up to 3.10 is a `select` of no descriptors.
            _ if is_select(number) && first == 0 => Some(plain("sleep", "time to pass")),
            _ if is_wait(number) => Some(plain("poll", "one of several files or sockets")),
            _ => None,
        }
    }

    /// `wait4(pid, …)` and `waitid(P_PID, pid, …)`.
    fn child(&self, number: i64, first: u64, second: u64) -> WaitFacts {
        let child = if number == libc::SYS_wait4 { first } else { second };
        let child = u32::try_from(child).ok().filter(|&child| child > 0);
        let Some(child) = child else { return plain("child", "any child process to end") };
        let children = self.observed.pid.map(threads::children).unwrap_or_default();
        let name = children.get(&child).map(|name| format!(" ({name})")).unwrap_or_default();
        plain("child", format!("child process {child}{name} to end"))
    }
}

/// `F_SETLKW` and `F_OFD_SETLKW`.
fn is_lock_command(command: u64) -> bool {
    [libc::F_SETLKW, libc::F_OFD_SETLKW].iter().any(|&wait| u64::try_from(wait) == Ok(command))
}

/// `select` and `pselect6`.
fn is_select(number: i64) -> bool {
    #[cfg(target_arch = "x86_64")]
    if number == libc::SYS_select {
        return true;
    }
    number == libc::SYS_pselect6
}

/// Whether a call waits for one of several things.
fn is_wait(number: i64) -> bool {
    #[cfg(target_arch = "x86_64")]
    const OLD: &[i64] = &[libc::SYS_poll, libc::SYS_select, libc::SYS_epoll_wait, libc::SYS_pause];
    #[cfg(not(target_arch = "x86_64"))]
    const OLD: &[i64] = &[];
    const NEW: &[i64] = &[libc::SYS_ppoll, libc::SYS_pselect6, libc::SYS_epoll_pwait];
    NEW.contains(&number) || OLD.contains(&number)
}

fn describe(number: u64, descriptor: Option<&Descriptor>) -> String {
    match descriptor {
        Some(Descriptor::File(path)) => path.clone(),
        Some(Descriptor::Pipe) => format!("a pipe (descriptor {number})"),
        Some(Descriptor::Connection { local, peer }) => format!("{peer} (socket {local})"),
        Some(Descriptor::Listener(local)) => local.clone(),
        Some(Descriptor::Socket) => format!("a socket (descriptor {number})"),
        Some(Descriptor::Other(name)) => format!("{name} (descriptor {number})"),
        None => format!("descriptor {number}"),
    }
}

/// Threads that wait for each other in a circle. Each waits for one other at most, so following
/// the waits from any of them ends or comes back.
pub(super) fn circles(threads: &[ThreadFacts]) -> Vec<Vec<u64>> {
    let waits: FxHashMap<u64, u64> = threads
        .iter()
        // Who holds the GIL lets it go by itself, however it waits.
        .filter(|thread| thread.waiting_for.as_ref().is_some_and(|wait| wait.kind != "gil"))
        .filter_map(|thread| Some((thread.thread_id, thread.waiting_for.as_ref()?.held_by?)))
        .collect();
    let mut circles: Vec<Vec<u64>> = Vec::new();
    let mut done: rustc_hash::FxHashSet<u64> = rustc_hash::FxHashSet::default();
    for thread in threads {
        let mut path = Vec::new();
        let mut at = thread.thread_id;
        while done.insert(at) {
            path.push(at);
            match waits.get(&at) {
                Some(&next) => at = next,
                None => break,
            }
        }
        if let Some(start) =
            path.iter().position(|&id| id == at).filter(|_| waits.contains_key(&at))
        {
            circles.push(path.split_off(start));
        }
    }
    circles
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(thread_id: u64, held_by: Option<u64>) -> ThreadFacts {
        let waiting_for = held_by.map(|id| WaitFacts { held_by: Some(id), ..plain("lock", "") });
        ThreadFacts { thread_id, waiting_for, ..ThreadFacts::default() }
    }

    #[test]
    fn circles_are_found_once_and_without_those_who_only_wait_for_them() {
        let threads = [
            waiting(1, Some(2)),
            waiting(2, Some(3)),
            waiting(3, Some(2)),
            waiting(4, None),
            waiting(5, Some(4)),
            waiting(6, Some(6)),
            waiting(7, Some(9)),
        ];
        assert_eq!(circles(&threads), [vec![2, 3], vec![6]]);
    }
}
