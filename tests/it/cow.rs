//! A target that is made to fork notices nothing: each rule of the fork has a test that fails without it.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use anyhow::{Context, Result, ensure};
use pyheap::target::{FrozenChild, Memory, Process};

use crate::forked::{Forked, Held, children, is_alive, status, until};
use crate::support::compare::compare_fixture_by;
use crate::support::pythons;

const COW: &[&str] = &["--pause", "cow"];

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn pyheap() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_pyheap"))
}

/// A snapshot that must succeed by a fork.
fn snapshot(target: &Forked) -> Result<serde_json::Value> {
    let document = target.snapshot(COW)?.json()?;
    ensure!(document["pause"]["mode"] == "cow", "{}", document["pause"]);
    ensure!(document["totals"]["objects"].as_u64() > Some(5_000));
    Ok(document)
}

#[test]
fn a_fork_has_the_same_objects_as_its_target() -> Result<()> {
    let sources = workspace().join("python-fixtures");
    let mut failures = Vec::new();
    // What is read is compared with the truth elsewhere; here it is where it is read from, on every interpreter.
    let others = ["containers", "instances", "stdlib"];
    for (python, other) in pythons::find(workspace())?.iter().zip(others.into_iter().cycle()) {
        for name in [other, "threads"] {
            let report = compare_fixture_by(python, &sources, pyheap(), name, &[], COW)?;
            if !report.is_exact() {
                failures.push(report.to_string());
            }
        }
    }
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}

/// Whether the main thread is in one of these system calls.
fn is_in_call(pid: u32, numbers: &[u32]) -> bool {
    /// `restart_syscall`, with which Linux goes on with some of them.
    const RESTARTED: u32 = 219;
    let call = std::fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
    let number = call.split(' ').next().and_then(|number| number.parse().ok());
    number.is_some_and(|number| number == RESTARTED || numbers.contains(&number))
}

/// `EINTR`.
const INTERRUPTED: &str = "-1 4";

#[test]
fn interrupted_system_calls_end_as_they_would_have() -> Result<()> {
    // The call, its numbers, what it gives, and whether Linux ends it with EINTR at any ptrace stop.
    let matrix: &[(&str, &[u32], &str, bool)] = &[
        ("read", &[0], "3 0", false),
        ("poll", &[7], "1 0", false),
        ("select", &[23, 270], "1 0", false),
        ("accept", &[43, 288], "1 0", false),
        ("futex", &[202], "1 0", false),
        ("nanosleep", &[35, 230], "0 0", false),
        ("waitpid", &[61], "1 0", false),
        ("epoll_wait", &[232, 281], "1 0", true),
        ("sigtimedwait", &[128], "10 0", true),
        ("recv", &[45], "4 0", true),
    ];
    for &(name, numbers, expected, may_end) in matrix {
        let mut target = Forked::ready(&["calls", name])?;
        let pid = target.pid();
        let is_there = || is_in_call(pid, numbers);
        until(name, is_there)?;
        let mut interrupted = false;
        for _ in 0..3 {
            snapshot(&target)?;
            // Back in the call, or it has ended for good.
            interrupted = may_end && !is_there() || name == "nanosleep";
            if interrupted {
                break;
            }
            until(name, is_there)?;
        }
        let said = target.ask("wake")?;
        let as_usual = said == expected;
        ensure!(as_usual || may_end && said == INTERRUPTED, "{name}: {said} ({interrupted})");
    }
    Ok(())
}

#[test]
fn signals_arrive_exactly_once_and_none_of_a_child() -> Result<()> {
    /// The fewest signals of each kind, and the fewest forks meanwhile.
    const ROUNDS: u32 = 100;
    const FORKS: u32 = 20;
    let mut target = Forked::ready(&["signals"])?;
    let pid = target.pid();
    let (forks, done) = (AtomicU32::new(0), AtomicBool::new(false));
    let mut rounds = 0;
    std::thread::scope(|scope| -> Result<()> {
        let forking = scope.spawn(|| -> Result<()> {
            while !done.load(Ordering::Relaxed) {
                ensure!(Held::of(pid)?.release()?["zombie"] == false);
                forks.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
        let mut send = || -> Result<()> {
            while (rounds < ROUNDS || forks.load(Ordering::Relaxed) < FORKS)
                && !forking.is_finished()
            {
                target.signal("USR1")?;
                ensure!(target.byte()? == b'u');
                target.signal("RTMIN")?;
                ensure!(target.byte()? == b'r');
                rounds += 1;
            }
            Ok(())
        };
        let sent = send();
        done.store(true, Ordering::Relaxed);
        forking.join().ok().context("the forks died")??;
        sent
    })?;
    let mut counts = target.ask("counts")?;
    if counts.is_empty() {
        counts = target.line()?;
    }
    ensure!(
        counts.trim() == format!("0 {rounds} {rounds}"),
        "{rounds} rounds; SIGCHLD, SIGUSR1, SIGRTMIN: {counts}"
    );
    Ok(())
}

#[test]
fn a_signal_that_stops_the_target_stops_it_after_the_fork() -> Result<()> {
    let mut target = Forked::ready(&["children"])?;
    for _ in 0..5 {
        let held = Held::of(target.pid())?;
        target.signal("STOP")?;
        until("it stops", || status(target.pid(), "State").starts_with('T'))?;
        ensure!(held.release()?["zombie"] == false);
        until("it is stopped again", || status(target.pid(), "State").starts_with('T'))?;
        ensure!(children(target.pid()).is_empty());
        target.signal("CONT")?;
        ensure!(target.ask("wait")? == "none");
    }
    Ok(())
}

#[test]
fn what_the_target_closes_is_closed_while_the_child_lives() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("held").display().to_string();
    nix::unistd::mkfifo(Path::new(&format!("{path}.fifo")), nix::sys::stat::Mode::S_IRWXU)?;
    let fifo = {
        let name = format!("{path}.fifo");
        std::thread::spawn(move || File::open(name))
    };
    let (mut target, said) = Forked::start(&["files", &path])?;
    let port: u16 = said.strip_prefix("ready ").context(said.clone())?.parse()?;
    let mut fifo = fifo.join().ok().context("no fifo")??;
    let held = Held::of(target.pid())?;
    ensure!(target.ask("close")? == "closed");
    // The end of the pipe, and not a wait for one that the child keeps open.
    let mut watched = [nix::poll::PollFd::new(fifo.as_fd(), nix::poll::PollFlags::POLLIN)];
    ensure!(nix::poll::poll(&mut watched, 5000u16)? == 1, "the pipe is still open");
    ensure!(fifo.read(&mut [0; 1])? == 0);
    let lock = File::open(format!("{path}.lock"))?;
    ensure!(lock.try_lock().is_ok(), "the lock is still held");
    TcpListener::bind(("127.0.0.1", port)).context("the port is still in use")?;
    ensure!(Path::new(&format!("/proc/{}", held.child)).exists());
    ensure!(held.release()?["early"] == "");
    Ok(())
}

#[test]
fn the_target_has_no_child_that_it_could_see_and_no_zombie() -> Result<()> {
    let mut target = Forked::ready(&["children"])?;
    let held = Held::of(target.pid())?;
    ensure!(children(target.pid()) == [held.child]);
    ensure!(target.ask("wait")? == "none");
    ensure!(
        std::fs::read_to_string(format!("/proc/{}/oom_score_adj", held.child))?.trim() == "1000"
    );
    let tracer: u32 = status(held.child, "TracerPid").parse()?;
    ensure!(status(tracer, "Tgid") == held.guardian.id().to_string());
    ensure!(
        status(target.pid(), "TracerPid") == "0",
        "the target is traced while the child is read"
    );
    let last = held.release()?;
    ensure!(last["zombie"] == false, "{last}");
    ensure!(children(target.pid()).is_empty(), "{:?}", children(target.pid()));
    ensure!(target.ask("wait")? == "none");
    for _ in 0..10 {
        snapshot(&target)?;
        ensure!(children(target.pid()).is_empty());
    }
    ensure!(target.ask("wait")? == "none");
    Ok(())
}

#[test]
fn what_a_thread_does_with_signals_is_as_before() -> Result<()> {
    let target = Forked::ready(&["masks"])?;
    let masks = || {
        ["SigBlk", "SigIgn", "SigCgt", "SigPnd", "Seccomp"].map(|name| status(target.pid(), name))
    };
    let before = masks();
    ensure!(before.iter().take(3).all(|mask| mask.contains(|digit| digit != '0')), "{before:?}");
    for _ in 0..10 {
        snapshot(&target)?;
        ensure!(masks() == before, "{before:?}, then {:?}", masks());
    }
    Ok(())
}

#[test]
fn threads_that_come_and_go_do_not_matter() -> Result<()> {
    let mut target = Forked::ready(&["threads"])?;
    let mut made = 0;
    for _ in 0..20 {
        snapshot(&target)?;
        let now: u64 = target.ask("counts")?.parse()?;
        ensure!(now > made, "no thread was made since");
        made = now;
    }
    ensure!(children(target.pid()).is_empty());
    Ok(())
}

#[test]
fn the_child_ends_when_the_target_does() -> Result<()> {
    let mut target = Forked::ready(&["children"])?;
    let mut held = Held::of(target.pid())?;
    target.end()?;
    let last = held.next()?;
    ensure!(last["early"].as_str().is_some_and(|early| early.contains("ended")), "{last}");
    ensure!(!is_alive(held.child), "the child is still there");
    Ok(())
}

#[test]
fn the_child_ends_when_its_guardian_is_killed() -> Result<()> {
    let mut target = Forked::ready(&["children"])?;
    for _ in 0..5 {
        let mut held = Held::of(target.pid())?;
        held.guardian.kill()?;
        held.guardian.wait()?;
        let child = held.child;
        until("the child ends", || !is_alive(child))?;
        ensure!(target.ask("wait")? == "none");
    }
    Ok(())
}

#[test]
fn reading_the_child_copies_no_page() -> Result<()> {
    let mut target = Forked::ready(&["mapping", "0"])?;
    let process = Process::open(target.pid())?;
    let frozen = FrozenChild::fork_by(pyheap(), &process, None)?;
    let child = frozen.process()?;
    // Who writes to a shared page gets another one: the pages of the child stay what they are even if the parent runs.
    let pages = || -> Result<Vec<u64>> {
        let page_map = File::open(format!("/proc/{}/pagemap", child.pid()))?;
        let mut pages = Vec::new();
        for mapping in child.memory_map()?.iter().filter(|mapping| mapping.write) {
            let mut entries = vec![0; usize::try_from(mapping.range.len() >> 12)? * 8];
            page_map.read_exact_at(&mut entries, mapping.range.numbers().start >> 12 << 3)?;
            for entry in entries.as_chunks().0.iter().map(|&entry| u64::from_ne_bytes(entry)) {
                let (is_present, number) = (entry >> 63 == 1, entry << 9 >> 9);
                ensure!(!is_present || number != 0, "the numbers of pages are for root only");
                pages.push(if is_present { number } else { 0 });
            }
        }
        Ok(pages)
    };
    let before = pages()?;
    let mut read = 0;
    let mut buffer = vec![0; 1 << 20];
    for mapping in
        child.memory_map()?.iter().filter(|mapping| mapping.write && mapping.is_anonymous())
    {
        let mut at = mapping.range.start;
        while at < mapping.range.end {
            let len = usize::try_from(mapping.range.end - at)?.min(buffer.len());
            let part = buffer.get_mut(..len).context("a part")?;
            if child.memory().read(at, part).is_ok() {
                read += len;
            }
            at = at + u64::try_from(len)?;
        }
    }
    ensure!(read > 8 << 20, "only {read} bytes were read");
    let after = pages()?;
    ensure!(after.len() == before.len());
    let pairs = || before.iter().zip(&after);
    ensure!(pairs().all(|(&was, &is)| was == 0 || was == is), "the child got other pages");
    // What nobody wrote to yet reads as the one page of zeros.
    let new: BTreeSet<u64> = pairs().filter(|(was, is)| was != is).map(|(_, &is)| is).collect();
    ensure!(new.len() <= 1, "the child got pages: {new:x?}");
    frozen.end()?;
    target.end()
}

#[test]
fn what_the_child_lacks_is_not_saved_and_not_zeros() -> Result<()> {
    const DONTFORK: &str = "10";
    const WIPEONFORK: &str = "18";
    for advice in [DONTFORK, WIPEONFORK] {
        let target = Forked::ready(&["mapping", advice])?;
        let whole = target.snapshot(&[])?.json()?;
        ensure!(whole["anomalies"].as_array().is_some_and(Vec::is_empty), "{}", whole["anomalies"]);
        let lacking = snapshot(&target)?;
        let text = lacking["anomalies"].to_string();
        ensure!(text.contains("could not be read"), "{advice}: {text}");
    }
    Ok(())
}
