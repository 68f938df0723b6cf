//! The live view on a real terminal, of a real process: its numbers, its keys, and the terminal afterwards.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::record::each_minor;
use crate::record_ends::EXEC;
use crate::support::fixture::Fixture;
use crate::support::pythons::{self, Python};
use crate::support::run::{Run, Target};
use crate::support::tmux::Tmux;

/// A shell in a terminal that has run `pyheap top`, or still does.
struct Top {
    tmux: Tmux,
    files: tempfile::TempDir,
}

/// What a shell says of its terminal, runs and says of it then.
const SCRIPT: &str = r#"
stty -a > "$FILES/before"
echo this was here before
sh -c 'echo $$ > "$FILES/pid.new"; mv "$FILES/pid.new" "$FILES/pid"; exec "$@"' sh "$PYHEAP" top -p "$@"
echo $? > "$FILES/code"
stty -a > "$FILES/after"
echo "and that is all: $(cat "$FILES/code")"
read line
"#;

impl Top {
    /// Starts it in a terminal of 80 by 24.
    fn start(pid: u32, args: &str) -> Result<Self> {
        let files = tempfile::tempdir()?;
        let folder = files.path().display();
        let pyheap = env!("CARGO_BIN_EXE_pyheap");
        let script =
            format!("export FILES='{folder}' PYHEAP='{pyheap}'; set -- {pid} {args}\n{SCRIPT}");
        Ok(Self { tmux: Tmux::start(80, 24, &script)?, files })
    }

    fn file(&self, name: &str) -> Result<String> {
        fs::read_to_string(self.files.path().join(name)).with_context(|| name.to_owned())
    }

    fn pid(&self) -> Result<u32> {
        Ok(self.file("pid")?.trim().parse()?)
    }

    fn signal(&self, name: &str) -> Result<()> {
        kill(name, self.pid()?)
    }

    /// Waits until it has ended, and checks that the terminal is as it was.
    fn ended(self, code: &str) -> Result<()> {
        let screen = self.tmux.wait_for_words("and that is all")?;
        ensure!(self.file("code")?.trim() == code, "{} instead of {code}", self.file("code")?);
        ensure!(self.file("before")? == self.file("after")?, "{}", self.file("after")?);
        ensure!(screen.starts_with("this was here before"), "{screen}");
        let (is_alternate, has_cursor) = self.tmux.flags()?;
        ensure!(!is_alternate && has_cursor, "the terminal is not as it was");
        Ok(())
    }
}

fn kill(signal: &str, pid: u32) -> Result<()> {
    let status = Command::new("kill").args(["-s", signal, &pid.to_string()]).status()?;
    ensure!(status.success(), "kill -s {signal} {pid}: {status}");
    Ok(())
}

fn fixture(python: &Python) -> Result<Fixture> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("python-fixtures");
    let fixture = Fixture::start(python, &sources, "leaks", &["list"])?;
    fixture.settle()?;
    Ok(fixture)
}

/// Checks that nobody holds a process, and that it goes on.
fn goes_on(fixture: &mut Fixture) -> Result<()> {
    let status = fs::read_to_string(format!("/proc/{}/status", fixture.pid()))?;
    ensure!(status.contains("TracerPid:\t0\n"), "it is still traced: {status}");
    ensure!(!status.contains("State:\tT") && !status.contains("State:\tt"), "it stands: {status}");
    fixture.ask("g").map(drop)
}

/// A number of bytes as the table has it.
fn bytes(bytes: u64) -> String {
    pyheap::report::units::bytes(bytes)
}

/// The words of the line of a type.
fn row<'s>(screen: &'s str, name: &str) -> Vec<&'s str> {
    let line = screen.lines().find(|line| line.trim_end().ends_with(name));
    line.unwrap_or_default().split_whitespace().collect()
}

/// How many objects of a type a process says that it has, and how large they are.
fn told(fixture: &mut Fixture, name: &str) -> Result<(u64, u64)> {
    let truth = fixture.tell(&[])?;
    let of_type = truth.objects.values().filter(|object| truth.type_name(object) == name);
    let sizes: Vec<u64> = of_type.map(|object| object.bytes.unwrap_or(0)).collect();
    Ok((sizes.len() as u64, sizes.iter().sum()))
}

/// Waits until a type's row has some numbers at its beginning.
fn wait_for_row(tmux: &Tmux, name: &str, expected: &str) -> Result<String> {
    let words: Vec<&str> = expected.split_whitespace().collect();
    tmux.wait_for(&format!("{name} with {expected}"), |screen| {
        row(screen, name).iter().skip_while(|word| **word == ">").zip(&words).all(|(a, b)| a == b)
            && !row(screen, name).is_empty()
    })
}

const LEAKED: &str = "__main__.Leaked";

#[test]
fn the_types_are_those_that_the_process_tells_and_their_holders_are_a_key_away() -> Result<()> {
    if !Tmux::is_there()? {
        println!("there is no tmux: top is not tried on a terminal");
        return Ok(());
    }
    pythons::each(each_minor()?, |python| {
        let mut fixture = fixture(python)?;
        let (objects, first) = told(&mut fixture, LEAKED)?;
        ensure!(objects == 500, "{objects} are leaked");
        fixture.settle()?;
        let top = Top::start(fixture.pid(), "--interval 1s")?;
        let tmux = &top.tmux;
        tmux.wait_for_words("> ")?;
        tmux.press(&["/", "leaked", "Enter"])?;
        wait_for_row(tmux, LEAKED, &format!("{} {objects}", bytes(first)))?;
        fixture.ask("g")?;
        let (objects, now) = told(&mut fixture, LEAKED)?;
        ensure!(objects == 1000, "{objects} are leaked");
        let expected = format!("{} 1,000 +{} +500", bytes(now), bytes(now - first));
        wait_for_row(tmux, LEAKED, &expected)?;
        tmux.press(&["Enter"])?;
        let way = "100.0 % 1,000 ";
        let holders =
            tmux.wait_for("the holder", |screen| row(screen, "→ Leaked").join(" ").contains(way))?;
        let line = row(&holders, "→ Leaked").join(" ");
        ensure!(line.ends_with("module __main__.history → list[*] → Leaked"), "{holders}");
        tmux.press(&["Enter"])?;
        let steps =
            ["module __main__", "→ .history list", "→ [*] __main__.Leaked", "pyheap show -p"];
        let has_all = |screen: &str| steps.iter().all(|step| screen.contains(step));
        tmux.wait_for("the whole path", has_all)?;
        tmux.press(&["q"])?;
        top.ended("0")?;
        goes_on(&mut fixture)
    })
}

fn newest() -> Result<Python> {
    each_minor()?.pop().context("no interpreter")
}

#[test]
fn a_terminal_may_shrink_to_almost_nothing_and_grow_again() -> Result<()> {
    if !Tmux::is_there()? {
        return Ok(());
    }
    let mut fixture = fixture(&newest()?)?;
    let top = Top::start(fixture.pid(), "--interval 1s")?;
    let tmux = &top.tmux;
    tmux.wait_for_words("collected")?;
    for (width, height) in [(20, 5), (7, 2), (1, 1), (200, 50)] {
        tmux.resize(width, height)?;
        let words = match width {
            20 => "q quit",
            7 => "RSS",
            1 => "R",
            _ => "t threads",
        };
        let screen = tmux.wait_for(words, |screen| {
            let fits = |line: &str| line.chars().count() <= width.into();
            screen.contains(words) && screen.lines().all(fits)
        })?;
        ensure!(screen.lines().count() <= height.into(), "{screen}");
    }
    tmux.resize(80, 24)?;
    for (key, words) in [("?", "what keys do"), ("t", "what it does"), ("Escape", "bytes ")] {
        tmux.press(&[key])?;
        tmux.wait_for_words(words)?;
    }
    tmux.press(&["C-c"])?;
    top.ended("0")?;
    goes_on(&mut fixture)
}

#[test]
fn a_signal_ends_it_at_any_moment_and_the_terminal_and_the_process_are_as_before() -> Result<()> {
    if !Tmux::is_there()? {
        return Ok(());
    }
    let mut fixture = fixture(&newest()?)?;
    for (signal, code) in [("TERM", "143"), ("HUP", "129"), ("INT", "130"), ("QUIT", "131")] {
        // Some end it in the middle of its first count.
        for words in ["RSS", "collected"] {
            let top = Top::start(fixture.pid(), "--interval 1s")?;
            top.tmux.wait_for_words(words)?;
            // That does nothing: the process might stand still meanwhile.
            top.signal("TSTP")?;
            top.tmux.wait_for_words("not suspended")?;
            top.signal(signal)?;
            top.ended(code).with_context(|| format!("{signal} after {words}"))?;
            goes_on(&mut fixture)?;
        }
    }
    // Its limit of time ends it, too.
    let top = Top::start(fixture.pid(), "--timeout 2s")?;
    top.ended("8")?;
    goes_on(&mut fixture)
}

#[test]
fn a_terminal_that_is_closed_ends_it() -> Result<()> {
    if !Tmux::is_there()? {
        return Ok(());
    }
    let mut fixture = fixture(&newest()?)?;
    let top = Top::start(fixture.pid(), "--interval 1s")?;
    top.tmux.wait_for_words("collected")?;
    let process = PathBuf::from(format!("/proc/{}/exe", top.pid()?));
    ensure!(process.exists(), "it does not run");
    drop(top);
    let begun = Instant::now();
    while process.exists() {
        ensure!(begun.elapsed() < Duration::from_secs(60), "it outlives its terminal");
        std::thread::yield_now();
    }
    goes_on(&mut fixture)
}

#[test]
fn of_a_process_that_ends_the_last_screen_stays_until_somebody_quits() -> Result<()> {
    if !Tmux::is_there()? {
        return Ok(());
    }
    let fixture = fixture(&newest()?)?;
    let top = Top::start(fixture.pid(), "--interval 1s")?;
    top.tmux.wait_for_words("collected")?;
    top.tmux.press(&["/", "leaked", "Enter"])?;
    wait_for_row(&top.tmux, LEAKED, "")?;
    kill("KILL", fixture.pid())?;
    drop(fixture);
    let screen = top.tmux.wait_for_words("has ended")?;
    ensure!(row(&screen, LEAKED).contains(&"500"), "the last screen is gone: {screen}");
    top.tmux.press(&["q"])?;
    top.ended("7")
}

#[test]
fn a_process_that_runs_another_program_is_not_taken_for_the_same() -> Result<()> {
    if !Tmux::is_there()? {
        return Ok(());
    }
    let python = newest()?;
    let mut target = Target::ready(python.command().args(["-c", EXEC]))?;
    let top = Top::start(target.0.id(), "--interval 1s")?;
    top.tmux.wait_for_words("collected")?;
    target.0.stdin.as_mut().context("no stdin")?.write_all(b"\n")?;
    top.tmux.wait_for_words("runs another program now")?;
    top.tmux.press(&["q"])?;
    top.ended("7")
}

#[test]
fn without_a_terminal_it_says_what_to_do_instead() -> Result<()> {
    let mut fixture = fixture(&newest()?)?;
    let pid = fixture.pid().to_string();
    let run = Run::of(Path::new(env!("CARGO_BIN_EXE_pyheap")), &["top", "-p", &pid])?;
    run.expect(2, &["needs a terminal", "pyheap histogram -p", "pyheap record -p"])?;
    ensure!(run.stdout.is_empty(), "{}", run.stdout);
    if Tmux::is_there()? {
        // Nor does it let itself be written over.
        Top::start(fixture.pid(), "-v")?.ended("2")?;
    }
    goes_on(&mut fixture)
}
