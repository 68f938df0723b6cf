//! The rules of a fork that are about its guardian, and about what happens while the child is read: each has a test that
//! fails without it.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use pyheap::target::{Paused, Process};

use crate::forked::{Forked, Held, children, guardians, is_alive, status, until};
use crate::groups::Group;
use crate::support::random::Random;

const COW: &[&str] = &["--pause", "cow"];

fn pyheap() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_pyheap"))
}

fn pid_of(process: u32) -> Result<Pid> {
    Ok(Pid::from_raw(i32::try_from(process)?))
}

/// What ends a pyheap by a key or with its terminal must not end the guardian while a thread of the target is not itself.
#[test]
fn signals_do_not_end_a_guardian() -> Result<()> {
    let mut target = Forked::ready(&["children"])?;
    let held = Held::of(target.pid())?;
    let guardian = held.guardian.id();
    for signal in
        [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGPIPE]
    {
        kill(pid_of(guardian)?, signal)?;
    }
    let pending = || u64::from_str_radix(&status(guardian, "ShdPnd"), 16).unwrap_or(0);
    until("they wait", || {
        pending() & (1 << (Signal::SIGTERM as i32 - 1)) != 0 || !is_alive(guardian)
    })?;
    ensure!(is_alive(guardian) && is_alive(held.child), "a signal has ended the guardian");
    ensure!(held.release()?["zombie"] == false);
    ensure!(target.ask("wait")? == "none");
    Ok(())
}

/// A group of processes that is killed takes pyheap along, and not the guardian.
#[test]
fn killing_all_of_pyheaps_group_leaves_nothing_behind() -> Result<()> {
    let mut target = Forked::ready(&["memory", "64"])?;
    let pid = target.pid();
    let mut hits = 0;
    while hits < 5 {
        let mut command = Command::new(pyheap());
        command.args(["snapshot", "-p", &pid.to_string()]).args(COW).process_group(0);
        let mut snapshot = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        while children(pid).is_empty() && snapshot.try_wait()?.is_none() {}
        let is_hit = snapshot.try_wait()?.is_none() && guardians(pid) > 0;
        killpg(pid_of(snapshot.id())?, Signal::SIGKILL)?;
        snapshot.wait()?;
        until("the guardian ends", || guardians(pid) == 0)?;
        ensure!(children(pid).is_empty(), "{:?} is left", children(pid));
        ensure!(target.ask("echo")? == "echo");
        hits += u32::from(is_hit);
    }
    Ok(())
}

/// Its guardian is killed: the child must be ended, and not by what it would do. Its stack is none that could be used.
#[test]
fn a_child_without_a_guardian_runs_nothing() -> Result<()> {
    let mut target = Forked::ready(&["children"])?;
    for _ in 0..5 {
        let mut held = Held::of(target.pid())?;
        let call = fs::read_to_string(format!("/proc/{}/syscall", held.child))?;
        let mut words = call.split_ascii_whitespace().rev().skip(1);
        ensure!(words.next() == Some("0x10"), "the child has a stack: {call}");
        held.guardian.kill()?;
        held.guardian.wait()?;
        until("the child ends", || !is_alive(held.child))?;
        // Nobody is left who could make the target reap it: it says how it ended.
        let stat = fs::read_to_string(format!("/proc/{}/stat", held.child))?;
        let code = stat.split_ascii_whitespace().last();
        ensure!(code == Some("9"), "it was not killed by SIGKILL: {stat}");
    }
    ensure!(target.ask("wait")? == "none");
    Ok(())
}

/// The threads of a process that have children.
fn parents(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    tasks
        .filter(|task| {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            !children.trim().is_empty()
        })
        .filter_map(|task| task.file_name().to_str()?.parse().ok())
        .collect()
}

#[test]
fn a_thread_that_is_in_a_system_call_anyway_is_made_to_fork() -> Result<()> {
    // The main thread, the first of them, computes. The other one waits for a line.
    let target = Forked::ready(&["signals"])?;
    for _ in 0..5 {
        let held = Held::of(target.pid())?;
        let forked = parents(target.pid());
        ensure!(forked.len() == 1 && forked != [target.pid()], "{forked:?} has forked");
        held.release()?;
    }
    Ok(())
}

/// A thread that is taken out of such a sequence must be told: the kernel sends it to its beginning. One that was made to
/// fork in the midst of it would go on there, and nothing would interrupt it any more.
#[test]
fn a_restartable_sequence_is_not_left_for_a_fork() -> Result<()> {
    let file = tempfile::NamedTempFile::new()?;
    file.as_file().set_len(4096)?;
    let path = file.path().to_str().context("no name")?;
    let (mut target, said) = Forked::start(&["rseq", path])?;
    if said != "ready" {
        println!("no restartable sequences here: {said}");
        return Ok(());
    }
    let number = |at| {
        let mut bytes = [0; 8];
        file.as_file().read_exact_at(&mut bytes, at).map_or(0, |()| u64::from_le_bytes(bytes))
    };
    let (rounds, interrupted) = (|| number(8), || number(16));
    until("it is in the sequence", || rounds() > 0)?;
    let process = Process::open(target.pid())?;
    for _ in 0..5 {
        let run = target.snapshot(COW)?;
        match run.status.code() {
            // It was about to begin anew.
            Some(0) => {}
            _ => run.expect(8, &["restartable sequence", "--pause stop"])?,
        }
        ensure!(status(target.pid(), "TracerPid") == "0" && children(target.pid()).is_empty());
        let before = interrupted();
        until("a stop interrupts the sequence", || {
            let stopped = Paused::stop(&process, Duration::from_secs(10)).map(Paused::resume);
            stopped.is_err() || interrupted() > before
        })?;
        ensure!(interrupted() > before, "it cannot be stopped");
    }
    file.as_file().write_all_at(&[1], 0)?;
    ensure!(target.line()?.starts_with("left "));
    Ok(())
}

#[test]
fn the_child_ends_when_the_target_runs_another_program() -> Result<()> {
    let mut target = Forked::ready(&["children"])?;
    for _ in 0..5 {
        let mut held = Held::of(target.pid())?;
        ensure!(target.ask("exec")? == "ready");
        until("the child ends", || !is_alive(held.child))?;
        let last = held.end()?;
        let early = last["early"].as_str().unwrap_or_default();
        ensure!(early.contains("another program") && last["zombie"] == false, "{last}");
        ensure!(children(target.pid()).is_empty(), "{:?}", children(target.pid()));
        ensure!(target.ask("wait")? == "none");
    }
    Ok(())
}

/// A pyheap that sees another file in place of one of `/proc`.
pub(crate) fn with_file(there: &str, ours: &Path) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", "mount --bind \"$0\" \"$1\" && shift && exec \"$@\""]);
    command.arg(ours).arg(there).arg(pyheap());
    command
}

#[test]
fn the_child_ends_when_the_memory_of_the_machine_becomes_scarce() -> Result<()> {
    let mut target = Forked::ready(&["memory", "64"])?;
    let file = tempfile::NamedTempFile::new()?;
    let available = |kib: u64| fs::write(file.path(), format!("MemAvailable: {kib} kB\n"));
    available(1 << 20)?;
    let mut command = with_file("/proc/meminfo", file.path());
    let mut held = match Held::by(&mut command, target.pid()) {
        Ok(held) => held,
        Err(error) if std::env::var_os("CI").is_none() => {
            println!("no mount namespaces here: {error}");
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    ensure!(is_alive(held.child));
    available(1 << 10)?;
    until("the child ends", || !is_alive(held.child))?;
    let last = held.end()?;
    ensure!(last["early"].as_str().is_some_and(|early| early.contains("scarce")), "{last}");
    ensure!(last["zombie"] == false && target.ask("echo")? == "echo");
    Ok(())
}

#[test]
fn the_child_ends_when_the_memory_of_the_targets_group_becomes_scarce() -> Result<()> {
    let Some(group) = Group::new("memory", "scarce")? else { return Ok(()) };
    let (mut target, said) = Forked::start_as(&mut group.python(), &["memory", "64"])?;
    ensure!(said == "ready", "{said}");
    group.allow_more(40 << 20)?;
    let mut held = Held::of(target.pid())?;
    ensure!(is_alive(held.child));
    group.allow_more(3 << 20)?;
    until("the child ends", || !is_alive(held.child))?;
    let last = held.end()?;
    ensure!(last["early"].as_str().is_some_and(|early| early.contains("scarce")), "{last}");
    ensure!(last["zombie"] == false && target.ask("echo")? == "echo");
    Ok(())
}

/// SIGSTOP cannot be blocked: one that arrives while a thread is made to fork is held, and sent again.
#[test]
fn a_stop_signal_in_the_midst_of_a_fork_is_not_lost() -> Result<()> {
    /// The fewest stops and the fewest forks meanwhile.
    const ROUNDS: u32 = 200;
    const FORKS: u32 = 50;
    let mut target = Forked::ready(&["memory", "256"])?;
    let pid = target.pid();
    let (forks, done) = (AtomicU32::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| -> Result<()> {
        let forking = scope.spawn(|| -> Result<()> {
            while !done.load(Ordering::Relaxed) {
                ensure!(Held::of(pid)?.release()?["zombie"] == false);
                forks.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
        let send = || -> Result<()> {
            let mut rounds = 0;
            while (rounds < ROUNDS || forks.load(Ordering::Relaxed) < FORKS)
                && !forking.is_finished()
            {
                rounds += 1;
                kill(pid_of(pid)?, Signal::SIGSTOP)?;
                until("it stops", || {
                    status(pid, "State").starts_with('T') || forking.is_finished()
                })?;
                kill(pid_of(pid)?, Signal::SIGCONT)?;
                let is_stopped = || status(pid, "State").starts_with('T');
                until("it goes on", || !is_stopped() || forking.is_finished())?;
            }
            Ok(())
        };
        let sent = send();
        done.store(true, Ordering::Relaxed);
        forking.join().ok().context("the forks died")??;
        sent
    })?;
    kill(pid_of(pid)?, Signal::SIGCONT)?;
    ensure!(target.ask("echo")? == "echo" && children(pid).is_empty());
    Ok(())
}

/// A target that is in no state to fork is let go and stopped again, but not for longer in all than is allowed.
#[test]
fn tries_to_fork_do_not_take_longer_than_allowed_in_all() -> Result<()> {
    let (mut target, said) = Forked::start(&["state", "vfork"])?;
    ensure!(said == "ready", "{said}");
    let run = target.snapshot(&["--pause", "cow", "--max-pause", "60ms"])?;
    run.expect(8, &["allowed", "--pause stop"])?;
    ensure!(!run.stderr.contains("would take"), "no try was made: {}", run.stderr);
    ensure!(target.ask("echo")? == "echo");
    target.end()
}

/// Its main thread is killed while it is made to fork: it is gone only when its other threads are, which the guardian has
/// to let go of.
#[test]
fn a_target_that_is_killed_in_the_midst_of_a_fork_is_gone() -> Result<()> {
    let mut random = Random(20_261_127);
    for nth in 0..40 {
        let mut target = Forked::ready(&["memory", "64"])?;
        let pid = target.pid();
        let mut guardian = Command::new(pyheap())
            .args(["__guardian", &pid.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()?;
        // Whoever looks a moment too late sees the child, which stays as long as the guardian.
        until("it is traced", || status(pid, "TracerPid") != "0" || !children(pid).is_empty())?;
        for _ in 0..random.below(40) {
            let _ = status(pid, "State");
        }
        target.kill()?;
        let ended = until("the target ends", || target.has_ended()).and_then(|()| {
            until("the guardian ends", || matches!(guardian.try_wait(), Ok(Some(_))))
        });
        // One that hangs holds the target, whose end is waited for.
        let _ = guardian.kill();
        guardian.wait()?;
        ended.with_context(|| format!("kill {nth}"))?;
    }
    Ok(())
}

/// A guardian that nobody waits for any more does nothing.
#[test]
fn a_guardian_without_a_pyheap_leaves_the_target_alone() -> Result<()> {
    let mut target = Forked::ready(&["children"])?;
    let mut guardian = Command::new(pyheap())
        .args(["__guardian", &target.pid().to_string()])
        .stdin(Stdio::from(File::open("/dev/null")?))
        .stdout(Stdio::from(OpenOptions::new().write(true).open("/dev/null")?))
        .spawn()?;
    ensure!(!guardian.wait()?.success());
    ensure!(children(target.pid()).is_empty() && target.ask("wait")? == "none");
    Ok(())
}
