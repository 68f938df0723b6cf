//! The command line: from words to calls of the layers below, and from results to a report.

mod args;
mod commands;
mod exit;
mod operands;
mod selecting;
mod time_limit;

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::Parser;

use crate::error::Error;
use crate::graph::HeapGraph;
use crate::recording::Recording;
use crate::report::Layout;
use crate::report::style::Style;
use crate::snapshot::Snapshot;
use crate::source::{
    self, Diagnosis, Options, Order, PythonProcess, Recorded, SharingFacts, Source, View,
};

use time_limit::Reading;

/// What the commands ask of the layers below; tests answer with heaps made by hand.
trait Backend {
    fn load(&self, source: &Source, options: &Options) -> Result<Snapshot, Error>;
    fn save(&self, snapshot: &Snapshot, path: &Path, overwrite: bool) -> Result<(), Error>;
    /// Writes a report; one of that name is replaced.
    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), Error>;
    /// Writes a file that appears under its name when it is complete, or not at all.
    fn create(
        &self,
        path: &Path,
        overwrite: bool,
        write: &mut dyn FnMut(&mut dyn Write) -> Result<(), Error>,
    ) -> Result<(), Error>;
    fn processes(&self) -> Vec<PythonProcess>;
    fn process_tree(&self, pid: u32) -> Vec<u32>;
    fn sharing(&self, pid: u32) -> Option<SharingFacts>;
    fn diagnose(&self, pid: u32) -> Diagnosis;
    fn record(
        &self,
        order: &Order,
        stop: &AtomicBool,
        note: &mut dyn FnMut(&str),
    ) -> Result<Vec<Recorded>, Error>;
    /// Shows a process on the terminal.
    fn show(&self, view: &View) -> Result<(), Error>;
    /// The recording in a file; nothing if the file is something else.
    fn recording(&self, path: &Path) -> Result<Option<Recording>, Error>;
}

/// This machine.
#[derive(Default)]
struct Machine {
    reading: Reading,
}

impl Backend for Machine {
    fn load(&self, source: &Source, options: &Options) -> Result<Snapshot, Error> {
        self.reading.during(source, || source.load(options))
    }
    fn save(&self, snapshot: &Snapshot, path: &Path, overwrite: bool) -> Result<(), Error> {
        source::save(snapshot, path, overwrite)
    }
    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), Error> {
        std::fs::write(path, bytes).map_err(|source| Error::File { path: path.to_owned(), source })
    }
    fn create(
        &self,
        path: &Path,
        overwrite: bool,
        write: &mut dyn FnMut(&mut dyn Write) -> Result<(), Error>,
    ) -> Result<(), Error> {
        source::create(path, overwrite, write)
    }
    fn processes(&self) -> Vec<PythonProcess> {
        source::processes()
    }
    fn process_tree(&self, pid: u32) -> Vec<u32> {
        source::process_tree(pid)
    }
    fn sharing(&self, pid: u32) -> Option<SharingFacts> {
        source::sharing(pid)
    }
    fn diagnose(&self, pid: u32) -> Diagnosis {
        self.reading.during(&Source::Pid(pid), || source::diagnose(pid))
    }
    fn record(
        &self,
        order: &Order,
        stop: &AtomicBool,
        note: &mut dyn FnMut(&str),
    ) -> Result<Vec<Recorded>, Error> {
        source::record(order, stop, note)
    }
    fn show(&self, view: &View) -> Result<(), Error> {
        self.reading.during(&Source::Pid(view.pid), || source::show(view))
    }
    fn recording(&self, path: &Path) -> Result<Option<Recording>, Error> {
        self.reading.during(&Source::File(path.to_owned()), || source::recording(path))
    }
}

/// What a command works with.
struct Context<'a> {
    backend: &'a dyn Backend,
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
    style: Style,
    width: Option<usize>,
    quiet: bool,
    strict: bool,
    /// Whether a person can be asked to press a key.
    interactive: bool,
}

impl Context<'_> {
    fn layout(&self, output: &args::OutputArgs) -> Layout {
        Layout {
            style: self.style,
            width: self.width,
            limit: output.limit,
            full_names: output.full_names,
        }
    }

    /// Tells the person something that is no result.
    fn note(&mut self, text: &str) -> Result<(), Error> {
        if !self.quiet {
            writeln!(self.err, "{}", text.replace(char::is_control, "\u{fffd}"))?;
        }
        Ok(())
    }

    /// With `--strict`, anomalies are a failure: after the result is written.
    fn check(&self, graph: &HeapGraph) -> Result<(), Error> {
        let count = graph.anomalies.iter().map(|anomaly| anomaly.count).sum();
        if self.strict && count > 0 { Err(Error::Anomalies(count)) } else { Ok(()) }
    }
}

/// Runs the command that the process was started with.
#[must_use]
pub fn run() -> ExitCode {
    if let Some((pid, max_pause)) = guarded() {
        return ExitCode::from(u8::from(!source::guard(pid, max_pause)));
    }
    let cli = match args::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { 2 } else { 0 };
            // Nothing is left to tell if even this cannot be written.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    start_log(cli.global.verbose);
    let machine = Machine::default();
    if let Some(limit) = cli.global.timeout {
        time_limit::start(limit, machine.reading.clone());
    }
    let (stdout, stderr) = (io::stdout(), io::stderr());
    let terminal = stdout.is_terminal();
    let environment = |name: &str| std::env::var(name).ok();
    let mut out = io::BufWriter::new(stdout.lock());
    let mut err = io::stderr();
    let mut context = Context {
        backend: &machine,
        out: &mut out,
        err: &mut err,
        style: Style::new(cli.global.color(), environment, terminal),
        width: if terminal { terminal_width() } else { named_width(environment) },
        quiet: cli.global.quiet,
        strict: cli.global.strict,
        interactive: io::stdin().is_terminal() && stderr.is_terminal(),
    };
    let result = commands::run(&cli.command, &mut context);
    let flushed = out.flush().map_err(Error::from);
    let result = result.and(flushed);
    if let Err(error) = &result
        && !error.is_closed_pipe()
    {
        let mut err = io::stderr();
        let _ = writeln!(err, "pyheap: {error}");
        if let Some(hint) = error.hint() {
            let _ = writeln!(err, "hint: {hint}");
        }
    }
    exit::code(&result)
}

/// The process that this one is to guard, and for how long that may stand still, if another pyheap has started it for
/// that.
fn guarded() -> Option<(u32, Option<Duration>)> {
    let mut words = std::env::args().skip(1);
    let word = words.next()?;
    let pid = words.next()?.parse().ok()?;
    let limit =
        words.next().map(|micros| micros.parse().map(Duration::from_micros)).transpose().ok()?;
    (word == source::GUARDIAN && words.next().is_none()).then_some((pid, limit))
}

/// Sends the log to stderr, where it is wanted.
fn start_log(verbose: u8) {
    let level = match verbose {
        0 => return,
        1 => tracing::Level::INFO,
        2 => tracing::Level::DEBUG,
        _ => tracing::Level::TRACE,
    };
    let log = tracing_subscriber::fmt().with_max_level(level).with_writer(io::stderr);
    let _ = log.with_ansi(io::stderr().is_terminal()).try_init();
}

/// The columns that `COLUMNS` asks for where the output is no terminal.
fn named_width(environment: impl Fn(&str) -> Option<String>) -> Option<usize> {
    environment("COLUMNS")?.parse().ok().filter(|&width| width > 0)
}

/// The columns of the terminal.
fn terminal_width() -> Option<usize> {
    terminal_size::terminal_size().map(|(width, _)| usize::from(width.0))
}

#[cfg(test)]
mod tests;
