//! The process that does the tracing for [`super::FrozenChild`], and outlives pyheap if it must.
//!
//! It is pyheap itself, started again with a word that no user types. It is in a session of its own
//! with all signals blocked, so that what ends pyheap does not end it while a thread of the target
//! is not itself. When the pipe from pyheap closes, for whatever reason, it ends the child and lets
//! the target be.

use super::call::{Call, CallError, Caller, EVENT_STOP};
use super::message::Message;
use super::refusal::{FREE_PART, predicted_pause};
use crate::target::capture::headroom;
use crate::target::pause::PauseError;
use crate::target::process::Process;
use crate::target::stat::{Stat, Status};
use crate::target::sys::{self, Stop};
use crate::target::tracer::Tracer;
use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::{Pid, setsid};
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, BorrowedFd};
use std::thread;
use std::time::{Duration, Instant};

/// How often the target is let go and stopped again because it was in no state to fork: a thread in
/// an uninterruptible sleep, or all of them about to receive a signal.
const TRIES: u32 = 20;
/// The wait before another try. A program is started (`vfork`) within a few milliseconds.
const TRY_AGAIN: Duration = Duration::from_millis(5);
/// How long stopping all threads may take.
const STOP_LIMIT: Duration = Duration::from_secs(5);
/// How often memory is looked at while the child lives, in milliseconds.
const TICK: u16 = 10;
/// How long the target may take to reap its child.
const REAP_LIMIT: Duration = Duration::from_secs(5);
/// How long one thread may take to stop for that.
const THREAD_LIMIT: Duration = Duration::from_millis(20);
/// What a call gives that is to be made again when a signal is dealt with (`ERESTARTSYS` to `ERESTART_RESTARTBLOCK`,
/// include/linux/errno.h): SIGSTOP, which cannot be blocked, arrived before it had begun.
const RESTARTS: RangeInclusive<i64> = 512..=516;
/// Where the child's stack seems to be: it could not run a single function there.
const NO_STACK: u64 = 0x10;

/// Serves one pyheap; gives whether all went well. The target is not to stand still for longer than `max_pause` in all.
pub fn run(pid: u32, max_pause: Option<Duration>) -> bool {
    // A leader of a process group cannot leave it; started by pyheap, this process is none.
    let _ = setsid();
    let blocked = SigSet::all().thread_block();
    // pyheap asks to be ended first when memory runs out. Its guardian must not be.
    let _ = std::fs::write("/proc/self/oom_score_adj", "0");
    let message = match blocked {
        Err(error) => failed("sigprocmask", error),
        Ok(()) => match Process::open(pid) {
            Ok(process) => return guard(&process, max_pause),
            Err(_) => Message::Gone,
        },
    };
    tell(&message);
    false
}

fn failed(what: &str, error: Errno) -> Message {
    Message::Failed { what: what.to_owned(), errno: error as i32 }
}

/// Tells pyheap, if it is still there.
fn tell(message: &Message) {
    let line = serde_json::to_string(message).unwrap_or_default();
    let mut out = io::stdout();
    let _ = out.write_all(line.as_bytes()).and_then(|()| out.write_all(b"\n"));
    let _ = out.flush();
}

/// Makes the child, keeps it until pyheap does not need it any more, and cleans up.
///
/// Each try is made by a thread of its own, whose end lets go of what it could not stop: a thread in
/// an uninterruptible sleep.
fn guard(process: &Process, max_pause: Option<Duration>) -> bool {
    let mut pause = Duration::ZERO;
    for stops in 1..=TRIES {
        // pyheap may be gone before anything was done for it.
        if is_told(&[io::stdin().as_fd()], PollTimeout::ZERO).first() == Some(&true) {
            return false;
        }
        let limit =
            max_pause.map_or(STOP_LIMIT, |limit| limit.saturating_sub(pause).min(STOP_LIMIT));
        let attempt =
            thread::scope(|scope| scope.spawn(|| attempt(process, pause, stops, limit)).join());
        let reason =
            match attempt.unwrap_or_else(|_| Err(Box::new(failed("guard", Errno::UnknownErrno)))) {
                Ok(Attempt::Done) => return true,
                Ok(Attempt::Again { stopped, reason }) => {
                    pause += stopped;
                    reason
                }
                Err(message) => {
                    tell(&message);
                    return false;
                }
            };
        let too_long =
            max_pause.filter(|&limit| pause.saturating_add(predicted_pause(process)) > limit);
        if let Some(limit) = too_long {
            let (spent, limit) = (pause.as_millis(), limit.as_millis());
            let reason =
                format!("{reason}; it stood still for {spent} ms, and {limit} ms are allowed");
            tell(&Message::Refused { reason });
            return false;
        }
        if stops == TRIES {
            tell(&Message::Refused { reason: reason.to_owned() });
            return false;
        }
        thread::sleep(TRY_AGAIN);
    }
    false
}

/// How a try ended.
enum Attempt {
    /// The child was there, and is gone again.
    Done,
    /// The target was in no state to fork; it runs again.
    Again { reason: &'static str, stopped: Duration },
}

/// Stops the target, makes it fork if it can, and serves pyheap until the child is gone.
fn attempt(
    process: &Process,
    before: Duration,
    stops: u32,
    limit: Duration,
) -> Result<Attempt, Box<Message>> {
    let mut tracer = Tracer::new(process.pid(), limit);
    let made = match tracer.stop_all() {
        Ok(_) if !process.is_same() => Err(CallError::Ended),
        Ok(0) => make_child(process, &tracer),
        Ok(_) => Err(CallError::Unfit(ASLEEP)),
        Err(error) => {
            tracer.resume_all();
            return Err(Box::new(not_stopped(error, limit)));
        }
    };
    let stopped = tracer.resume_all();
    let (child, inner) = match made {
        Ok(made) => made,
        Err(CallError::Ended) => return Err(Box::new(Message::Gone)),
        Err(CallError::System(what, error)) => return Err(Box::new(failed(what, error))),
        Err(CallError::Unfit(reason)) => return Ok(Attempt::Again { reason, stopped }),
        Err(CallError::Refused(reason)) => {
            return Err(Box::new(Message::Refused { reason: reason.to_owned() }));
        }
    };
    take_hold(child);
    tell(&Message::Forked {
        child: child.cast_unsigned(),
        seconds: (before + stopped).as_secs_f64(),
        stops,
    });
    let early = keep(process, child);
    end(child);
    let (pause, zombie) = reap(process, inner);
    tell(&Message::Ended { seconds: pause.as_secs_f64(), early, zombie });
    Ok(Attempt::Done)
}

/// Why a fork would have to wait.
const ASLEEP: &str = "a thread is in an uninterruptible sleep or has just started a program (vfork), \
                      and a fork would have to wait for it";

fn not_stopped(error: PauseError, limit: Duration) -> Message {
    match error {
        PauseError::Denied { .. } | PauseError::TracedRunning { .. } => Message::Denied,
        PauseError::Gone { .. } | PauseError::Changed { .. } => Message::Gone,
        PauseError::Timeout { .. } if limit < STOP_LIMIT => Message::Refused {
            reason: format!(
                "its threads do not stop within the {} ms that are allowed",
                limit.as_millis()
            ),
        },
        PauseError::Timeout { .. } => Message::Refused { reason: error.to_string() },
        PauseError::System { source, .. } => {
            failed("stop", Errno::from_raw(source.raw_os_error().unwrap_or(0)))
        }
    }
}

/// Makes one of the stopped threads fork; gives the child as we and as the target see it.
fn make_child(process: &Process, tracer: &Tracer) -> Result<(i32, u64), CallError> {
    let map = process.memory_map().map_err(|_| CallError::Ended)?;
    let caller = Caller::choose(process.pid(), tracer.quiet(), &process.memory(), &map)?;
    // A shared table of descriptors, so that what the target closes is closed; no signal at the end.
    let flags = u64::from(libc::CLONE_FILES.cast_unsigned());
    let arguments = [flags, NO_STACK, 0, 0, 0];
    let made = caller.make(Call { number: libc::SYS_clone, arguments })?;
    let (Some(child), Ok(inner @ 1..)) = (made.child, u64::try_from(made.result)) else {
        if RESTARTS.contains(&-made.result) {
            return Err(CallError::Unfit("signals arrive all the time"));
        }
        let reason = match Errno::from_raw(i32::try_from(-made.result).unwrap_or(0)) {
            Errno::EAGAIN => "it may not have another process (a limit of its user or container)",
            Errno::ENOMEM => "there is not enough memory for a fork",
            Errno::ENOSYS | Errno::EPERM => "a filter of system calls forbids it to fork",
            error => return Err(CallError::System("clone", error)),
        };
        return Err(CallError::Refused(reason));
    };
    Ok((child, inner))
}

/// Waits for the first stop of the child, which is traced from birth and stops before its first
/// instruction: the target need not stand still until the child has had a processor for that.
fn take_hold(child: i32) {
    while !matches!(sys::wait_for(child, false), Ok(Stop::Event(EVENT_STOP) | Stop::Ended) | Err(_))
    {
        let _ = ptrace::cont(Pid::from_raw(child), None);
    }
    // From here on it ends with us. Before, it would have died of its first instruction.
    let _ = ptrace::setoptions(Pid::from_raw(child), Options::PTRACE_O_EXITKILL);
    let _ = std::fs::write(format!("/proc/{child}/oom_score_adj"), "1000");
}

/// Keeps the child until pyheap needs it no more; says why it was ended before, if it was.
fn keep(process: &Process, child: i32) -> String {
    let target = i32::try_from(process.pid()).ok().and_then(|pid| sys::pidfd(pid).ok());
    let own = Status::read(&process.pid().to_string()).unwrap_or_default().number("RssAnon");
    // A quarter of what there had to be in the beginning.
    let threshold = own.unwrap_or(0).saturating_mul(1024) / FREE_PART / 4;
    let input = io::stdin();
    loop {
        let watched: Vec<_> =
            [input.as_fd()].into_iter().chain(target.iter().map(AsFd::as_fd)).collect();
        match is_told(&watched, PollTimeout::from(TICK))[..] {
            // Whether it says something or is gone: it needs the child no more.
            [true, ..] => return String::new(),
            [_, true] => return "the process has ended".to_owned(),
            _ => {}
        }
        if !process.is_same() {
            return "the process has ended, or runs another program".to_owned();
        }
        if headroom::bytes(process.pid()).is_some_and(|room| room < threshold) {
            return "memory has become scarce".to_owned();
        }
        let ended = Stat::read(child.cast_unsigned()).map_or(true, |stat| stat.is_dead());
        if ended {
            return "the kernel has ended the fork (memory ran out?)".to_owned();
        }
    }
}

/// Which descriptors have something to tell, at once or within a time: data, or that the other end is
/// closed.
fn is_told(watched: &[BorrowedFd<'_>], time: PollTimeout) -> Vec<bool> {
    let mut watched: Vec<PollFd<'_>> =
        watched.iter().map(|&fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
    let _ = poll(&mut watched, time);
    let told = |fd: &PollFd<'_>| fd.revents().is_some_and(|events| !events.is_empty());
    watched.iter().map(told).collect()
}

/// Ends the child, and lets go of it as its tracer.
fn end(child: i32) {
    let _ = kill(Pid::from_raw(child), Signal::SIGKILL);
    while !matches!(sys::wait_for(child, false), Ok(Stop::Ended) | Err(_)) {}
}

/// Makes a thread of the target reap its child, as the kernel wants its parent to. Gives for how long
/// that thread stood still, and whether a zombie is left.
fn reap(process: &Process, inner: u64) -> (Duration, bool) {
    let start = Instant::now();
    let mut pause = Duration::ZERO;
    let mut told = BTreeSet::new();
    while start.elapsed() < REAP_LIMIT && !process.threads().is_empty() {
        // Another program that it runs by now has another memory, and the same child.
        let now = Process::open(process.pid());
        let now = now.ok().filter(|now| now.start_ticks() == process.start_ticks());
        let now = now.as_ref().unwrap_or(process);
        for tid in threads_in_calls_first(now.pid()) {
            let (held, reaped) = reap_by(now, tid, inner, &mut told);
            pause += held;
            if reaped {
                return (pause, false);
            }
        }
        thread::sleep(TRY_AGAIN);
    }
    // A target that has ended leaves its child to be reaped by init.
    (pause, !process.threads().is_empty())
}

/// The threads of a process, those that sleep in a system call first.
fn threads_in_calls_first(pid: u32) -> Vec<i32> {
    let mut threads = crate::target::threads::observe(pid);
    threads.sort_by_key(|thread| thread.call.is_none());
    threads.iter().filter_map(|thread| i32::try_from(thread.tid).ok()).collect()
}

/// Stops one thread and makes it reap the child. `told` are those that were told to stop and have not yet: where all are
/// kept busy that takes its time, and one that ends is to be let go, for the start of another program waits for that.
fn reap_by(process: &Process, tid: i32, inner: u64, told: &mut BTreeSet<i32>) -> (Duration, bool) {
    let thread = Pid::from_raw(tid);
    if !told.contains(&tid) {
        if ptrace::seize(thread, Options::empty()).is_err() {
            return (Duration::ZERO, false);
        }
        let _ = ptrace::interrupt(thread);
        told.insert(tid);
    }
    let start = Instant::now();
    let stop = loop {
        match sys::wait_for(tid, true) {
            Ok(Stop::Nothing) if start.elapsed() < THREAD_LIMIT => thread::yield_now(),
            Ok(stop) => break stop,
            Err(_) => break Stop::Ended,
        }
    };
    let (signal, reaped) = match stop {
        Stop::Event(_) => (0, wait_in(process, tid, inner)),
        Stop::Signal(signal) => (signal, false),
        // It may be running still, and is asked again.
        Stop::Nothing => return (Duration::ZERO, false),
        Stop::Ended | Stop::Call => (0, false),
    };
    told.remove(&tid);
    // One that has ended is let go already.
    let _ = sys::detach(tid, signal);
    (start.elapsed(), reaped)
}

/// Has the stopped thread call `wait4`, which does not block.
fn wait_in(process: &Process, tid: i32, inner: u64) -> bool {
    let Ok(map) = process.memory_map() else { return false };
    let Ok(caller) = Caller::new(process.pid(), tid, &process.memory(), &map) else { return false };
    let flags = u64::from((libc::__WALL | libc::WNOHANG).cast_unsigned());
    let call = Call { number: libc::SYS_wait4, arguments: [inner, 0, flags, 0, 0] };
    let result = caller.make(call).map_or(0, |made| made.result);
    // Reaped by us, or before.
    u64::try_from(result) == Ok(inner) || result == -i64::from(Errno::ECHILD as i32)
}
