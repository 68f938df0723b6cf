//! Stopping real processes and letting them go, in every state they can be in.

#![allow(clippy::unwrap_used, reason = "a test that cannot set the scene has failed")]

use pyheap::target::{Failure, PauseError, Paused, Process};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(10);

/// A child that ends with the test, and a pipe in each direction.
struct Target {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Target {
    fn spawn(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdin, stdout }
    }

    /// A Python that runs a script and has said that it is ready.
    fn python(script: &str) -> Self {
        let mut target = Self::spawn(Command::new("python3").args(["-u", "-c", script]));
        assert_eq!(target.line(), "ready");
        target
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn ask(&mut self, question: &str) -> String {
        writeln!(self.stdin.as_mut().unwrap(), "{question}").unwrap();
        self.line()
    }

    fn process(&self) -> Process {
        Process::open(self.child.id()).unwrap()
    }

    fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = i32::try_from(self.child.id()).unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).unwrap();
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for something that the kernel does on its own, and shows no event for.
fn until(what: impl Fn() -> bool) {
    let start = Instant::now();
    while !what() {
        assert!(start.elapsed() < LIMIT, "it never happened");
        std::thread::yield_now();
    }
}

fn states(process: &Process) -> String {
    let state = |thread: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{thread}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next()).unwrap_or('X')
    };
    process.threads().into_iter().map(state).collect()
}

/// Answers each line with itself.
const ECHO: &str = "import sys\nprint('ready')\nfor line in sys.stdin: print(line.strip())";

/// Counts in a loop of its own, and answers each line with the count.
const COUNTER: &str = "
import sys, threading
count = 0
def run():
    global count
    while True:
        count += 1
threading.Thread(target=run, daemon=True).start()
print('ready')
for line in sys.stdin: print(count)
";

#[test]
fn a_stopped_target_stands_still_and_then_answers() {
    let mut target = Target::python(ECHO);
    let process = target.process();
    let paused = Paused::stop(&process, LIMIT).unwrap();
    assert!(!paused.is_frozen());
    assert_eq!(states(&process), "t");
    assert_eq!(process.tracer_pid(), Some(std::process::id()));
    let pause = paused.resume();
    assert!(pause > Duration::ZERO && pause < LIMIT);
    assert_eq!(process.tracer_pid(), None);
    assert_eq!(target.ask("hello"), "hello");
    // Dropping it does the same.
    drop(Paused::stop(&process, LIMIT).unwrap());
    assert_eq!(target.ask("again"), "again");
}

#[test]
fn two_hundred_threads_stop_and_run_again() {
    let mut target = Target::python(
        "
import sys, threading
gate = threading.Event()
done = []
for i in range(199):
    threading.Thread(target=lambda: (gate.wait(), done.append(1)), daemon=True).start()
print('ready')
sys.stdin.readline()
gate.set()
while len(done) < 199: pass
print('all')
",
    );
    let process = target.process();
    let paused = Paused::stop(&process, LIMIT).unwrap();
    assert_eq!(states(&process), "t".repeat(200));
    paused.resume();
    assert_eq!(target.ask("go"), "all");
}

#[test]
fn threads_that_come_and_go_meanwhile_are_stopped_too() {
    let mut target = Target::python(
        "
import sys, threading
stop = False
def churn():
    while not stop:
        thread = threading.Thread(target=lambda: None)
        thread.start()
        thread.join()
churners = [threading.Thread(target=churn, daemon=True) for i in range(8)]
for thread in churners: thread.start()
print('ready')
for line in sys.stdin:
    print(line.strip())
",
    );
    let process = target.process();
    for round in 0..100 {
        let paused = Paused::stop(&process, LIMIT).unwrap();
        let threads = process.threads();
        let states = states(&process);
        assert!(states.chars().all(|state| state == 't'), "{states}");
        // Nobody is left who could start another.
        assert_eq!(process.threads(), threads);
        paused.resume();
        assert_eq!(target.ask(&round.to_string()), round.to_string());
    }
}

#[test]
fn a_target_stopped_by_a_signal_stays_stopped() {
    let mut target = Target::python(COUNTER);
    let process = target.process();
    target.signal(nix::sys::signal::Signal::SIGSTOP);
    until(|| states(&process).chars().all(|state| state == 'T'));
    for _ in 0..20 {
        let paused = Paused::stop(&process, LIMIT).unwrap();
        assert!(!paused.is_frozen());
        paused.resume();
        until(|| states(&process).chars().all(|state| state == 'T'));
        assert_eq!(process.tracer_pid(), None);
    }
    writeln!(target.stdin.as_mut().unwrap(), "count").unwrap();
    target.signal(nix::sys::signal::Signal::SIGCONT);
    let first: u64 = target.line().parse().unwrap();
    until_grown(&mut target, first);
}

fn until_grown(target: &mut Target, before: u64) {
    let start = Instant::now();
    while target.ask("count").parse::<u64>().unwrap() <= before {
        assert!(start.elapsed() < LIMIT, "the counter stands still");
    }
}

#[test]
fn a_stop_signal_that_comes_during_the_pause_stops_afterwards() {
    let target = Target::python(COUNTER);
    let process = target.process();
    let paused = Paused::stop(&process, LIMIT).unwrap();
    target.signal(nix::sys::signal::Signal::SIGSTOP);
    assert!(states(&process).chars().all(|state| state == 't'));
    paused.resume();
    until(|| states(&process).chars().all(|state| state == 'T'));
}

#[test]
fn a_target_continued_during_the_pause_runs_afterwards() {
    let mut target = Target::python(COUNTER);
    let process = target.process();
    target.signal(nix::sys::signal::Signal::SIGSTOP);
    until(|| states(&process).chars().all(|state| state == 'T'));
    let paused = Paused::stop(&process, LIMIT).unwrap();
    target.signal(nix::sys::signal::Signal::SIGCONT);
    assert!(states(&process).chars().all(|state| state == 't'));
    paused.resume();
    let count: u64 = target.ask("count").parse().unwrap();
    until_grown(&mut target, count);
}

/// Writes a letter for each SIGUSR1 and each SIGRTMIN that arrives, one at a time.
const SIGNALS: &str = "
import os, signal, sys, threading
counts = {}
def handle(number, frame):
    counts[number] = counts.get(number, 0) + 1
    os.write(1, b'u' if number == signal.SIGUSR1 else b'r')
signal.signal(signal.SIGUSR1, handle)
signal.signal(signal.SIGRTMIN, handle)
signal.signal(signal.SIGTERM, lambda *_: (print('\\n%d %d' % (
    counts.get(signal.SIGUSR1, 0), counts.get(signal.SIGRTMIN, 0))), os._exit(0)))
print('ready')
while True: sum(range(100))
";

#[test]
fn a_signal_during_the_stop_arrives_exactly_once() {
    let mut target = Target::python(SIGNALS);
    let process = target.process();
    let mut letter = [0; 1];
    for _ in 0..20 {
        let paused = Paused::stop(&process, LIMIT).unwrap();
        target.signal(nix::sys::signal::Signal::SIGUSR1);
        paused.resume();
        target.stdout.read_exact(&mut letter).unwrap();
        assert_eq!(letter, *b"u");
    }
    target.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(target.line(), "");
    assert_eq!(target.line(), "20 0");
}

#[test]
fn signals_that_race_with_stops_arrive_exactly_once() {
    let mut target = Target::python(SIGNALS);
    let process = target.process();
    let pid = i32::try_from(target.child.id()).unwrap();
    let done = AtomicBool::new(false);
    let rounds = 300;
    std::thread::scope(|scope| {
        let pauses = scope.spawn(|| {
            let mut pauses = 0;
            while !done.load(Ordering::Relaxed) {
                Paused::stop(&process, LIMIT).unwrap().resume();
                pauses += 1;
            }
            pauses
        });
        let mut letter = [0; 1];
        for _ in 0..rounds {
            target.signal(nix::sys::signal::Signal::SIGUSR1);
            target.stdout.read_exact(&mut letter).unwrap();
            assert_eq!(letter, *b"u");
            // A real-time signal, which the nix crate's types cannot express.
            let number = nix::libc::SIGRTMIN().to_string();
            let status = Command::new("kill").args(["-s", &number, &pid.to_string()]).status();
            assert!(status.unwrap().success());
            target.stdout.read_exact(&mut letter).unwrap();
            assert_eq!(letter, *b"r");
        }
        done.store(true, Ordering::Relaxed);
        assert!(pauses.join().unwrap() > 10);
    });
    target.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(target.line(), "");
    assert_eq!(target.line(), format!("{rounds} {rounds}"));
}

#[test]
fn a_target_frozen_by_another_tracer_is_taken_as_it_stands() {
    let target = Target::python(COUNTER);
    let process = target.process();
    // The other tracer is another process: this test's own binary.
    let mut tracer = other_process("other_pause_and_hold", target.child.id());
    tracer.wait_for("held");
    let paused = Paused::stop(&process, LIMIT).unwrap();
    assert!(paused.is_frozen());
    assert_eq!(paused.resume(), Duration::ZERO);
    assert_eq!(process.tracer_pid(), Some(tracer.child.id()));
    assert!(states(&process).chars().all(|state| state == 't'));
}

#[test]
fn a_target_that_runs_under_another_tracer_is_refused_with_its_name() {
    let target = Target::python(ECHO);
    let mut tracer = other_process("other_seize_and_hold", target.child.id());
    tracer.wait_for("held");
    let error = Paused::stop(&target.process(), LIMIT).unwrap_err();
    assert_eq!(error.failure(), Failure::Permission);
    let PauseError::TracedRunning { tracer: pid, name, .. } = error else { panic!("{error}") };
    assert_eq!(pid, tracer.child.id());
    assert!(!name.is_empty() && name != "?");
}

#[test]
fn a_target_that_ended_is_gone() {
    let mut target = Target::python(ECHO);
    let process = target.process();
    target.child.kill().unwrap();
    target.child.wait().unwrap();
    let error = Paused::stop(&process, LIMIT).unwrap_err();
    assert_eq!(error.failure(), Failure::Gone);
}

#[test]
fn a_target_that_ran_another_program_is_refused_and_runs_on() {
    let mut target = Target::spawn(Command::new("sh").args(["-c", "echo ready; read x; exec cat"]));
    assert_eq!(target.line(), "ready");
    let process = target.process();
    assert_eq!(target.ask("go\nhere"), "here");
    let error = Paused::stop(&process, LIMIT).unwrap_err();
    assert!(matches!(error, PauseError::Changed { .. }), "{error}");
    assert_eq!(target.ask("still"), "still");
}

#[test]
fn a_target_killed_during_the_pause_ends() {
    let mut target = Target::python(COUNTER);
    let process = target.process();
    let paused = Paused::stop(&process, LIMIT).unwrap();
    target.child.kill().unwrap();
    paused.resume();
    assert!(!target.child.wait().unwrap().success());
    assert!(!process.is_same());
}

#[test]
fn a_target_runs_on_when_its_tracer_is_killed_at_any_moment() {
    let mut target = Target::python(COUNTER);
    let process = target.process();
    for round in 0..50_u64 {
        let mut tracer = other_process("other_pause_for_ever", target.child.id());
        tracer.wait_for("begin");
        // Different moments of its loop, without a clock: after so many looks at the target.
        let looks = round * 7919 % 400;
        for _ in 0..looks {
            let _ = process.state();
        }
        tracer.child.kill().unwrap();
        tracer.child.wait().unwrap();
        assert_eq!(process.tracer_pid(), None);
        let count: u64 = target.ask("count").parse().unwrap();
        until_grown(&mut target, count);
    }
}

/// Counts signals that queue up (`SIGRTMIN`) in a handler of machine code, so that each of them counts: Python runs its
/// own handlers once for several. Two threads, which spin in machine code, receive most of them. Starts a sender for each
/// number that it reads.
const EACH_SIGNAL: &str = "
import ctypes, mmap, os, signal, struct, subprocess, sys, threading
libc = ctypes.CDLL(None)
page = mmap.mmap(-1, 4096, prot=7)
at = ctypes.addressof(ctypes.c_char.from_buffer(page))
code = bytes.fromhex('f048ff05') + struct.pack('i', 64 - 8) + bytes.fromhex('c3')  # lock incq count(%rip); ret
page[:len(code)] = code
count = ctypes.c_uint64.from_address(at + 64)
libc.signal(34, ctypes.c_void_p(at))
page[32:34] = bytes.fromhex('ebfe')  # jmp .
for _ in range(2): threading.Thread(target=ctypes.CFUNCTYPE(None)(at + 32), daemon=True).start()
signal.pthread_sigmask(signal.SIG_BLOCK, [34])
print('ready')
for line in sys.stdin:
    if line.strip() != 'count':
        other = 'import os, sys\\nfor i in range(int(sys.argv[2])): os.kill(int(sys.argv[1]), 34)'
        subprocess.Popen([sys.executable, '-c', other, str(os.getpid()), line.strip()])
    print(count.value)
";

/// A tracer that is killed lets its tracees go, and the signals that they were about to receive arrive.
#[test]
fn no_signal_is_lost_when_the_tracer_is_killed() {
    const BURST: u64 = 30_000;
    const ROUNDS: u64 = 50;
    let mut target = Target::python(EACH_SIGNAL);
    let process = target.process();
    let start = Instant::now();
    for round in 1..=ROUNDS {
        let mut tracer = other_process("other_pause_for_ever", target.child.id());
        tracer.wait_for("begin");
        // Signals arrive while the tracer stops the target again and again.
        let mut count: u64 = target.ask(&BURST.to_string()).parse().unwrap();
        while count == (round - 1) * BURST {
            count = target.ask("count").parse().unwrap();
        }
        let looks = round * 7919 % 100;
        for _ in 0..looks {
            let _ = process.state();
        }
        tracer.child.kill().unwrap();
        tracer.child.wait().unwrap();
        while count < round * BURST {
            assert!(start.elapsed() < LIMIT * 12, "{count} of {} signals arrived", round * BURST);
            count = target.ask("count").parse().unwrap();
        }
        assert_eq!(count, round * BURST);
    }
}

/// Runs one of the tests below in a process of its own.
fn other_process(name: &str, pid: u32) -> Target {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "--nocapture", &format!("pause::{name}")]);
    Target::spawn(command.env("TARGET_PID", pid.to_string()))
}

impl Target {
    fn wait_for(&mut self, word: &str) {
        let mut line = String::new();
        while !line.ends_with(&format!("{word}\n")) {
            line.clear();
            assert_ne!(self.stdout.read_line(&mut line).unwrap(), 0, "the other process has ended");
        }
    }
}

fn target_pid() -> Option<u32> {
    std::env::var("TARGET_PID").ok()?.parse().ok()
}

/// Says a word, so that the test knows.
fn say(word: &str) {
    println!("\n{word}");
}

fn hold() {
    let _ = std::io::stdin().read(&mut [0]);
}

#[test]
#[ignore = "a process for other tests"]
fn other_pause_for_ever() {
    let Some(pid) = target_pid() else { return };
    let process = Process::open(pid).unwrap();
    say("begin");
    loop {
        Paused::stop(&process, LIMIT).unwrap().resume();
    }
}

#[test]
#[ignore = "a process for other tests"]
fn other_pause_and_hold() {
    let Some(pid) = target_pid() else { return };
    let _paused = Paused::stop(&Process::open(pid).unwrap(), LIMIT).unwrap();
    say("held");
    hold();
}

#[test]
#[ignore = "a process for other tests"]
fn other_seize_and_hold() {
    let Some(pid) = target_pid() else { return };
    let thread = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap());
    nix::sys::ptrace::seize(thread, nix::sys::ptrace::Options::empty()).unwrap();
    say("held");
    hold();
}
