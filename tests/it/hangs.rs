//! Hangs of every kind: each is told in words on the first screen.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::support::pythons::{self, Python};
use crate::support::run::{Run, Target};

/// How many lines one sees without scrolling.
const SCREEN: usize = 25;

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn pyheap() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_pyheap"))
}

/// The oldest and the newest interpreter that are installed here, so not those of private roots.
fn interpreters() -> Result<Vec<Python>> {
    let found = pythons::find(workspace())?;
    let mut installed: Vec<Python> = found.into_iter().filter(|p| p.root.is_none()).collect();
    ensure!(!installed.is_empty(), "no interpreter");
    let newest = installed.pop();
    installed.truncate(1);
    installed.extend(newest);
    Ok(installed)
}

/// Waits until something holds, for a minute at most.
fn until(what: &str, mut holds: impl FnMut() -> bool) -> Result<()> {
    let begun = Instant::now();
    while !holds() {
        ensure!(begun.elapsed() < Duration::from_secs(60), "it does not come to this: {what}");
        std::thread::yield_now();
    }
    Ok(())
}

/// The state letter of a process.
fn state(pid: u32) -> char {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next()).unwrap_or('?')
}

/// Whether the first thread of a process is in a system call, by its number.
fn is_in_call(pid: u32, numbers: &[i64]) -> bool {
    let text = std::fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
    let number = text.split(' ').next().and_then(|number| number.parse().ok());
    number.is_some_and(|number: i64| numbers.contains(&number))
}

/// How much processor time a process has used, in ticks.
fn ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = stat.rsplit_once(") ").map(|(_, rest)| rest.to_owned()).unwrap_or_default();
    fields.split(' ').nth(11).and_then(|ticks| ticks.parse().ok()).unwrap_or_default()
}

/// Starts a program that says a pid when it is about to hang.
fn start(python: &Python, program: &str, args: &[&str]) -> Result<(Target, u32)> {
    let mut command = python.command();
    let mut child = command
        .args(["-c", program])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    let stdout = child.stdout.as_mut().context("no output")?;
    BufReader::new(stdout).read_line(&mut line)?;
    let target = Target(child);
    let pid = line.trim().parse().with_context(|| format!("no pid but {line:?}"))?;
    Ok((target, pid))
}

/// What one sees first.
fn first_screen(pid: u32) -> Result<String> {
    let run = Run::of(pyheap(), &["stacks", "-p", &pid.to_string()])?;
    run.expect(0, &[])?;
    Ok(run.stdout.lines().take(SCREEN).collect::<Vec<_>>().join("\n"))
}

fn says(pid: u32, words: &[&str]) -> Result<()> {
    let screen = first_screen(pid)?;
    for words in words {
        ensure!(screen.contains(words), "{words:?} is not in:\n{screen}");
    }
    Ok(())
}

/// Runs a hang on the interpreters.
fn hang(program: &str, is_there: impl Fn(u32) -> bool, words: &[&str]) -> Result<()> {
    for python in interpreters()? {
        let (target, pid) = start(&python, program, &[])?;
        until("the hang", || is_there(pid))?;
        says(pid, words).with_context(|| python.label())?;
        // A hang of a child ends with it.
        if pid != target.0.id() {
            Command::new("kill").args(["-9", &pid.to_string()]).status()?;
        }
    }
    Ok(())
}

/// Whether a process has computed for a while since it was asked first.
fn computes() -> impl Fn(u32) -> bool {
    let first = std::cell::Cell::new(None);
    move |pid| {
        let now = ticks(pid);
        let begun = first.get().filter(|&(of, _)| of == pid);
        let (_, begun) = begun.unwrap_or((pid, now));
        first.set(Some((pid, begun)));
        now >= begun + 5
    }
}

#[test]
fn a_catastrophic_regular_expression() -> Result<()> {
    hang(
        "import os, re\nprint(os.getpid(), flush=True)\nre.match('(a+)+$', 'a' * 60 + 'b')",
        computes(),
        &[
            "\"MainThread\" holds the GIL and computes in match (",
            "    C code: ",
            "<module>  <string>:3",
        ],
    )
}

#[test]
fn a_tight_loop_of_c_code() -> Result<()> {
    hang(
        "import os, itertools\nprint(os.getpid(), flush=True)\nsum(itertools.repeat(0))",
        computes(),
        &["\"MainThread\" holds the GIL and computes in <module> (<string>:3)"],
    )
}

#[test]
fn c_code_that_sleeps_with_the_gil() -> Result<()> {
    hang(
        "import ctypes, os\nprint(os.getpid(), flush=True)\nctypes.PyDLL(None).sleep(10000)",
        |pid| is_in_call(pid, &[nix::libc::SYS_clock_nanosleep, nix::libc::SYS_nanosleep]),
        &["\"MainThread\" holds the GIL and waits for time to pass in <module> (<string>:3)"],
    )
}

#[test]
fn a_stop_signal() -> Result<()> {
    hang(
        "import os, signal\nprint(os.getpid(), flush=True)\nos.kill(os.getpid(), signal.SIGSTOP)",
        |pid| state(pid) == 'T',
        &["the process is STOPPED (SIGSTOP; kill -CONT lets it go on)"],
    )
}

#[test]
fn a_pipe_that_nobody_reads() -> Result<()> {
    hang(
        "import os\nends = os.pipe()\nprint(os.getpid(), flush=True)\nwhile True: os.write(ends[1], bytes(1 << 20))",
        |pid| is_in_call(pid, &[nix::libc::SYS_write]) && state(pid) == 'S',
        &["waits for room in a pipe", "<module>  <string>:4"],
    )
}

#[test]
fn a_fork_with_a_lock_that_another_thread_held() -> Result<()> {
    let program = "
import os, threading
lock, taken = threading.Lock(), threading.Event()
def hold():
    with lock:
        taken.set()
        threading.Event().wait()
threading.Thread(target=hold, daemon=True).start()
taken.wait()
child = os.fork()
if child == 0:
    os.write(1, b'%d\\n' % os.getpid())
    lock.acquire()
os.waitpid(child, 0)
";
    hang(
        program,
        |pid| is_in_call(pid, &[nix::libc::SYS_futex]),
        &[
            "waiting for the Lock lock at 0x",
            "no thread is left that could release it (one that held it is gone: ended, or not \
             forked)",
        ],
    )
}

#[test]
fn a_thread_that_has_ended_with_a_lock() -> Result<()> {
    let program = "
import os, threading
lock = threading.RLock()
thread = threading.Thread(target=lock.acquire)
thread.start()
thread.join()
print(os.getpid(), flush=True)
lock.acquire()
";
    hang(
        program,
        |pid| is_in_call(pid, &[nix::libc::SYS_futex]),
        &["waiting for the RLock lock at 0x", "held by a thread that is gone"],
    )
}

#[test]
fn tasks_that_wait_for_each_other() -> Result<()> {
    let program = "
import asyncio, os
async def wait_for(other):
    await asyncio.sleep(0)
    await other[0]
async def main():
    others = []
    first = asyncio.ensure_future(wait_for(others))
    others.append(asyncio.ensure_future(wait_for([first])))
    for _ in range(3):
        await asyncio.sleep(0)
    print(os.getpid(), flush=True)
    await asyncio.gather(first, *others)
asyncio.run(main())
";
    hang(
        program,
        |pid| is_in_call(pid, &[nix::libc::SYS_epoll_wait, nix::libc::SYS_epoll_pwait]),
        &[
            "3 tasks: DEADLOCK, 2 wait for each other",
            "DEADLOCK OF TASKS\n  Task-2 wait_for waits for Task-3 wait_for  at <string>:5 in wait_for",
        ],
    )
}

#[test]
fn a_coroutine_that_sleeps_as_threads_do() -> Result<()> {
    let program = "
import asyncio, os, time
async def ticking():
    await asyncio.sleep(10000)
async def slow():
    print(os.getpid(), flush=True)
    time.sleep(10000)
async def main():
    await asyncio.gather(ticking(), slow())
asyncio.run(main())
";
    let calls = [nix::libc::SYS_clock_nanosleep, nix::libc::SYS_select, nix::libc::SYS_pselect6];
    hang(
        program,
        move |pid| is_in_call(pid, &calls),
        &[
            "the event loop in \"MainThread\" is BLOCKED: slow (<string>:7) waits for time to pass, \
             and 2 other tasks cannot run",
        ],
    )
}

#[test]
fn a_pool_whose_work_waits_for_the_pool() -> Result<()> {
    let program = "
import concurrent.futures, os, threading
pool = concurrent.futures.ThreadPoolExecutor(2, thread_name_prefix='work')
both = threading.Barrier(2)
def outer():
    both.wait()
    return pool.submit(int).result()
work = [pool.submit(outer) for _ in range(2)]
print(os.getpid(), flush=True)
work[0].result()
";
    let all_wait = |pid: u32| {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let calls: Vec<bool> = tasks
            .map(|task| {
                let call = std::fs::read_to_string(task.path().join("syscall"));
                // A wait without a limit, for a lock: its time-out is null.
                let call = call.unwrap_or_default();
                call.starts_with("202 ") && call.split(' ').nth(4) == Some("0x0")
            })
            .collect();
        calls.len() == 3 && calls.into_iter().all(|waits| waits)
    };
    hang(
        program,
        all_wait,
        &[
            "DEADLOCK of thread pool work: all 2 threads wait for the result of a Future, and 2 \
             wait for a thread",
            "thread pool work: 2 of 2 threads busy, 2 waiting for one",
        ],
    )
}

/// The parent of a `vfork` cannot be stopped until the child has run another program: here that
/// waits for the other end of a fifo.
#[test]
fn an_uninterruptible_sleep() -> Result<()> {
    let program = "
import os, sys
print(os.getpid(), flush=True)
os.posix_spawn('/bin/true', ['true'], {}, file_actions=[(os.POSIX_SPAWN_OPEN, 0, sys.argv[1], os.O_RDONLY, 0)])
";
    let folder = tempfile::tempdir()?;
    let fifo = folder.path().join("fifo").display().to_string();
    ensure!(Command::new("mkfifo").arg(&fifo).status()?.success(), "no fifo");
    for python in interpreters()? {
        let (target, pid) = start(&python, program, &[&fifo])?;
        until("uninterruptible sleep", || state(pid) == 'D')?;
        let begun = Instant::now();
        says(pid, &["uninterruptible", "<module>  <string>:4"])?;
        let took = begun.elapsed();
        ensure!(took < Duration::from_secs(20), "{}: it took {took:?}", python.label());
        ensure!(state(pid) == 'D', "{}: it is in state {}", python.label(), state(pid));
        // It ends when the other end is opened.
        drop(std::fs::OpenOptions::new().write(true).open(&fifo)?);
        until("its end", || matches!(state(pid), 'Z' | '?'))?;
        drop(target);
    }
    Ok(())
}

/// Waits until another program traces a process.
fn traced(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("TracerPid:") && !line.ends_with("\t0"))
}

const WAITS: &str = "import os, sys\nprint(os.getpid(), flush=True)\nsys.stdin.read()";

#[test]
fn a_target_under_gdb_is_read_as_it_stands() -> Result<()> {
    let python = interpreters()?.pop().context("no interpreter")?;
    let (_target, pid) = start(&python, WAITS, &[])?;
    let gdb = Command::new("gdb")
        .args(["-q", "-nx", "-p", &pid.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(gdb) = gdb else {
        ensure!(std::env::var_os("PYHEAP_REQUIRE_PYTHONS").is_none(), "gdb is missing");
        return Ok(());
    };
    let gdb = Target(gdb);
    until("gdb has stopped it", || traced(pid) && state(pid) == 't')?;
    let words = format!("the process is STOPPED by process {}, which traces it", gdb.0.id());
    says(pid, &[&words, "not paused (it stood still already)", "<module>  <string>:3"])?;
    ensure!(state(pid) == 't', "gdb has lost it");
    Ok(())
}

#[test]
fn a_target_that_runs_under_strace_is_refused_with_the_name_of_the_tracer() -> Result<()> {
    let python = interpreters()?.pop().context("no interpreter")?;
    let (_target, pid) = start(&python, WAITS, &[])?;
    let strace = Command::new("strace")
        .args(["-f", "-o", "/dev/null", "-p", &pid.to_string()])
        .stderr(Stdio::null())
        .spawn();
    let Ok(strace) = strace else {
        ensure!(std::env::var_os("PYHEAP_REQUIRE_PYTHONS").is_none(), "strace is missing");
        return Ok(());
    };
    let strace = Target(strace);
    // It stands still for a moment while strace attaches.
    until("strace traces it", || traced(pid) && state(pid) == 'S')?;
    let run = Run::of(pyheap(), &["stacks", "-p", &pid.to_string()])?;
    run.expect(5, &["strace", &strace.0.id().to_string()])
}

#[test]
fn a_worker_of_gunicorn_that_is_stuck_on_a_socket() -> Result<()> {
    let gunicorn = pythons::target_dir(workspace()).join("venvs/django_app-3.11/bin/gunicorn");
    if !gunicorn.exists() {
        println!("no environment with gunicorn: left out");
        return Ok(());
    }
    let silent = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = silent.local_addr()?;
    let folder = tempfile::tempdir()?;
    let application = format!(
        "import socket\n\
         def application(environ, start_response):\n    \
             backend = socket.create_connection(('127.0.0.1', {}))\n    \
             return [backend.recv(1)]\n",
        address.port()
    );
    std::fs::write(folder.path().join("app.py"), application)?;
    let socket = folder.path().join("socket");
    let server = Command::new(&gunicorn)
        .arg("--chdir")
        .arg(folder.path())
        .args(["-t", "0", "-b", &format!("unix:{}", socket.display()), "app"])
        .stderr(Stdio::null())
        .spawn()?;
    let server = Target(server);
    let mut client = None;
    until("it listens", || {
        client = std::os::unix::net::UnixStream::connect(&socket).ok();
        client.is_some()
    })?;
    std::io::Write::write_all(&mut client.context("no client")?, b"GET / HTTP/1.0\r\n\r\n")?;
    // Its connection is accepted: then it waits for an answer.
    let _backend = silent.accept()?;
    let children = format!("/proc/{0}/task/{0}/children", server.0.id());
    let worker = std::fs::read_to_string(children)?;
    let worker: u32 = worker.trim().parse()?;
    until("it waits", || is_in_call(worker, &[nix::libc::SYS_recvfrom]) && state(worker) == 'S')?;
    let words = format!("waits for data from 127.0.0.1:{} (socket 127.0.0.1:", address.port());
    says(worker, &[&words, "application  ", "app.py:4"])?;
    // The whole tree says the same.
    let run = Run::of(pyheap(), &["stacks", "-s", "-p", &server.0.id().to_string()])?;
    run.expect(0, &[])?;
    ensure!(run.stdout.contains(&words), "{}", run.stdout);
    Ok(())
}
