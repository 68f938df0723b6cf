//! Faults at random moments: whatever ends, and whenever, the target is at work and nothing is left behind.
//!
//! `PYHEAP_KILLS` says how often each of them happens in each mode (500 is the whole test), `PYHEAP_SEED` when: the seed of
//! a run is printed.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::forked::{Forked, children, guardians, status, until};
use crate::support::fixture::Fixture;
use crate::support::pythons::{self, Python};
use crate::support::random::Random;
use crate::support::run::Run;

const MODES: [&str; 3] = ["stop", "cow", "none"];

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn pyheap() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_pyheap"))
}

fn python() -> Result<Python> {
    let found = pythons::find(workspace())?;
    found.into_iter().rfind(|python| !python.debug).context("no interpreter")
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// How often each fault happens in each mode.
fn kills() -> u64 {
    number("PYHEAP_KILLS").unwrap_or(30)
}

/// Moments all over the time that something takes, in a random place of each part of it.
struct Moments {
    random: Random,
    whole: Duration,
    parts: u64,
}

impl Moments {
    fn of(what: &str, whole: Duration) -> Self {
        let seed =
            number("PYHEAP_SEED").unwrap_or_else(|| RandomState::new().build_hasher().finish());
        println!("{what}: {} moments in {whole:?}, PYHEAP_SEED={seed}", kills());
        Self { random: Random(seed), whole, parts: kills() }
    }

    /// Lets time pass up to a moment. If the process has ended before, the next moments are to be earlier.
    fn pass(&mut self, moment: Duration, process: &mut Child) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < moment {
            if process.try_wait()?.is_some() {
                self.whole = (self.whole + begun.elapsed() * 11 / 10) / 2;
                break;
            }
            std::thread::sleep(Duration::from_micros(100));
        }
        Ok(())
    }

    fn nth(&mut self, nth: u64) -> Duration {
        const FINE: u64 = 1 << 20;
        let whole = u64::try_from(self.whole.as_micros()).unwrap_or(u64::MAX);
        let within = self.random.below(FINE);
        let place = (nth * FINE + within).saturating_mul(whole) / (self.parts * FINE);
        Duration::from_micros(place)
    }
}

/// A process at work, and a folder in which snapshots of it are written.
struct Worker {
    fixture: Fixture,
    folder: tempfile::TempDir,
    rounds: u64,
    signals: u64,
}

impl Worker {
    fn start(python: &Python) -> Result<Self> {
        let fixture =
            Fixture::start(python, &workspace().join("python-fixtures"), "busy", &["more"])?;
        Ok(Self { fixture, folder: tempfile::tempdir()?, rounds: 0, signals: 0 })
    }

    fn pid(&self) -> u32 {
        self.fixture.pid()
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("a.parquet")
    }

    /// Begins a snapshot.
    fn snapshot(&self, mode: &str) -> Result<Child> {
        self.snapshot_by(&mut Command::new(pyheap()), mode)
    }

    fn snapshot_by(&self, pyheap: &mut Command, mode: &str) -> Result<Child> {
        pyheap.args(["snapshot", "-p", &self.pid().to_string(), "--pause", mode, "-f", "-o"]);
        pyheap.arg(self.file()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(pyheap.spawn()?)
    }

    /// How long a snapshot takes.
    fn time(&self, mode: &str) -> Result<Duration> {
        let begun = Instant::now();
        ensure!(self.snapshot(mode)?.wait()?.success(), "--pause {mode} does not work at all");
        let time = begun.elapsed();
        fs::remove_file(self.file())?;
        Ok(time)
    }

    /// Sends a signal that it counts.
    fn signal(&mut self) -> Result<()> {
        kill(Pid::from_raw(i32::try_from(self.pid())?), Signal::SIGUSR1)?;
        self.signals += 1;
        Ok(())
    }

    fn count(&mut self, what: &str) -> Result<u64> {
        Ok(self.fixture.ask(what)?.parse()?)
    }

    /// Whether it is at work as before, and nothing is left of the pyheap that has ended.
    fn is_unharmed(&mut self) -> Result<()> {
        let pid = self.pid();
        until("the guardian ends", || guardians(pid) == 0)?;
        ensure!(children(pid).is_empty(), "{:?} is left", children(pid));
        // Threads come and go: what is read of one that has gone is nothing.
        for task in fs::read_dir(format!("/proc/{pid}/task"))?.flatten() {
            let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
            let stops = status.lines().filter(|line| {
                line.starts_with("State:\tT")
                    || line.starts_with("State:\tt")
                    || line.starts_with("TracerPid:") && *line != "TracerPid:\t0"
            });
            ensure!(stops.count() == 0, "a thread is stopped or traced: {status}");
        }
        // The loop must get on: asked until a round has ended since the last time.
        loop {
            let answer = self.fixture.ask("check")?;
            let rounds: u64 = answer.strip_prefix("ok ").context(answer.clone())?.parse()?;
            if rounds > self.rounds {
                self.rounds = rounds;
                break;
            }
        }
        let sent = self.signals;
        let mut heard = 0;
        until("the signal arrives", || {
            heard = self.count("heard").unwrap_or(u64::MAX);
            heard >= sent
        })
        .with_context(|| format!("{heard} of {sent} signals"))?;
        ensure!(heard == sent, "{heard} signals, and {sent} were sent");
        self.has_no_half_file()
    }

    /// Whether every file in the folder is a whole snapshot: the folder is empty afterwards.
    fn has_no_half_file(&self) -> Result<()> {
        for entry in fs::read_dir(self.folder.path())? {
            let path = entry?.path();
            let name = path.to_str().context("no name")?;
            Run::of(pyheap(), &["histogram", name, "--json"])?.json().context(name.to_owned())?;
            fs::remove_file(&path)?;
        }
        Ok(())
    }
}

/// What a kill of pyheap waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Moment(Duration),
    /// The target stands still.
    Stop,
    /// The child is there.
    Fork,
}

#[test]
fn pyheap_is_killed_at_any_moment() -> Result<()> {
    let mut worker = Worker::start(&python()?)?;
    for mode in MODES {
        // What is killed a little later has ended.
        let mut moments = Moments::of(mode, worker.time(mode)? * 11 / 10);
        let mut hits = [0; 4];
        for nth in 0..kills() {
            let moment = moments.nth(nth);
            let at = match (mode, nth % 3) {
                ("stop" | "cow", 1) => At::Stop,
                ("cow", 2) => At::Fork,
                _ => At::Moment(moment),
            };
            let pid = worker.pid();
            let mut child = worker.snapshot(mode)?;
            let is_stopped = || status(pid, "TracerPid") != "0";
            match at {
                // Not a wait for anything: the moment is what is tested.
                At::Moment(moment) => moments.pass(moment, &mut child)?,
                At::Stop => while !is_stopped() && child.try_wait()?.is_none() {},
                At::Fork => while children(pid).is_empty() && child.try_wait()?.is_none() {},
            }
            worker.signal()?;
            let has_fork = !children(pid).is_empty();
            let phase = match (has_fork, is_stopped(), child.try_wait()?.is_some()) {
                (_, _, true) => 3,
                (true, ..) => 1,
                (_, true, _) => 0,
                _ => 2,
            };
            hits[phase] += 1;
            child.kill()?;
            child.wait()?;
            worker.is_unharmed().with_context(|| format!("{mode}, kill {nth}, {at:?}"))?;
        }
        let [stopped, forked, otherwise, ended] = hits;
        println!(
            "{mode}: {stopped} stopped, {forked} with a fork, {otherwise} others, {ended} had ended"
        );
        ensure!(mode != "stop" || stopped > 0, "no kill hit a stop");
        ensure!(mode != "cow" || forked > 0, "no kill hit a fork");
    }
    println!("{} threads came and went", worker.count("made")?);
    Ok(())
}

/// The processes whose arguments have a certain word.
fn with_word(word: &str) -> Vec<String> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter(|process| {
            let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
            line.split(|&byte| byte == 0).any(|argument| argument == word.as_bytes())
        })
        .map(|process| process.file_name().to_string_lossy().into_owned())
        .collect()
}

#[test]
fn the_target_is_killed_at_any_moment() -> Result<()> {
    let python = python()?;
    for mode in MODES {
        let whole = Worker::start(&python)?.time(mode)? * 11 / 10;
        let mut moments = Moments::of(mode, whole);
        let mut codes = std::collections::BTreeMap::new();
        for nth in 0..kills() {
            let marker = format!("marker-{}-{mode}-{nth}", std::process::id());
            let folder = tempfile::tempdir()?;
            let sources = workspace().join("python-fixtures");
            let fixture = Fixture::start(&python, &sources, "busy", &["more", &marker])?;
            let worker = Worker { fixture, folder, rounds: 0, signals: 0 };
            let pid = worker.pid();
            let said = tempfile::NamedTempFile::new()?;
            let mut command = Command::new("timeout");
            command.arg("60").arg(pyheap());
            command.args(["snapshot", "-p", &pid.to_string(), "--pause", mode, "-o"]);
            let command = command.arg(worker.file()).stdout(Stdio::null()).stderr(said.reopen()?);
            let mut child = command.spawn()?;
            let moment = moments.nth(nth);
            moments.pass(moment, &mut child)?;
            let Worker { fixture, folder, .. } = worker;
            drop(fixture);
            let code = child.wait()?.code();
            let said = fs::read_to_string(said.path())?;
            let what = format!("{mode}, kill {nth}: {code:?}: {said}");
            ensure!(!said.contains("panicked"), "{what}");
            ensure!(matches!(code, Some(0 | 4 | 7)), "{what}");
            *codes.entry(code).or_insert(0) += 1;
            until("the guardian ends", || guardians(pid) == 0)?;
            until("its fork ends", || with_word(&marker).is_empty())
                .with_context(|| format!("{what}: {:?}", with_word(&marker)))?;
            for entry in fs::read_dir(folder.path())? {
                let path = entry?.path();
                let name = path.to_str().context("no name")?;
                Run::of(pyheap(), &["histogram", name, "--json"])?.json().context(what.clone())?;
            }
        }
        println!("{mode}: {codes:?}");
    }
    Ok(())
}

/// A target that runs another program all the time, by its main thread and by another one.
#[test]
fn a_target_that_runs_other_programs_meanwhile_goes_on() -> Result<()> {
    let (mut target, said) = Forked::start(&["execs"])?;
    ensure!(said == "0", "{said}");
    let pid = target.pid();
    let count = AtomicU64::new(0);
    let folder = tempfile::tempdir()?;
    let stdout = target.stdout.take().context("no output")?;
    std::thread::scope(|scope| -> Result<()> {
        scope.spawn(|| {
            for line in stdout.lines().map_while(Result::ok) {
                count.store(line.parse().unwrap_or(0), Ordering::Relaxed);
            }
        });
        let run = || -> Result<()> {
            let mut codes = std::collections::BTreeMap::new();
            for nth in 0..kills() {
                for mode in MODES {
                    let file = folder.path().join("a.parquet");
                    let name = file.to_str().context("no name")?;
                    let words = ["--pause", mode, "-f", "-o", name];
                    let run = target.snapshot(&words)?;
                    let code = run.status.code();
                    // What is there while a program is being loaded is no Python yet.
                    let is_known = matches!(code, Some(0 | 4 | 6 | 7 | 8));
                    ensure!(is_known, "{mode} {nth}: {code:?} {}", run.stderr);
                    *codes.entry((mode, code)).or_insert(0) += 1;
                    let before = count.load(Ordering::Relaxed);
                    until("it goes on", || count.load(Ordering::Relaxed) > before)?;
                    let mut left = String::new();
                    let what = format!("{mode} {nth}: {code:?}: {}", run.stderr);
                    until("nothing is left", || {
                        let tracer = status(pid, "TracerPid");
                        left = format!("{} {:?} {tracer}", guardians(pid), children(pid));
                        left == "0 [] 0"
                    })
                    .with_context(|| format!("{what}: guardians, children, tracer: {left}"))?;
                }
            }
            println!("{codes:?}");
            Ok(())
        };
        let result = run();
        // The reader ends with it.
        target.kill()?;
        result
    })
}

/// pyheap has hardly any memory, or not enough: it says so or is ended, and the target does not notice.
#[test]
fn pyheap_without_memory_harms_nothing() -> Result<()> {
    let mut worker = Worker::start(&python()?)?;
    for mode in MODES {
        let mut codes = Vec::new();
        for mebibytes in
            [4, 8, 12, 16, 20, 24, 28, 32, 40, 48, 64, 80, 96, 128, 192, 256, 384, 512, 1024]
        {
            let mut command = Command::new("prlimit");
            command.arg(format!("--as={}", mebibytes << 20)).arg(pyheap());
            worker.signal()?;
            let status = worker.snapshot_by(&mut command, mode)?.wait()?;
            codes.push((mebibytes, status.code()));
            worker
                .is_unharmed()
                .with_context(|| format!("{mode} with {mebibytes} MiB: {status}"))?;
        }
        println!("{mode}: {codes:?}");
        ensure!(codes.iter().any(|&(_, code)| code != Some(0)), "it always had enough");
        ensure!(
            codes.last().is_some_and(|&(_, code)| code == Some(0)),
            "it never had enough: {codes:?}"
        );
    }
    Ok(())
}
