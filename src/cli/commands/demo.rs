//! `pyheap demo`: a leak, found in ten seconds.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::analysis::suspects::suspects;
use crate::analysis::{GroupBy, Selection};
use crate::cli::Context;
use crate::cli::args::DemoArgs;
use crate::error::Error;
use crate::report::{Layout, text};
use crate::source::{Options, Source};

/// The leaking program.
const PROGRAM: &str = include_str!("demo.py");

/// The running program. It ends with its input, so it does not outlive us even if we are killed.
struct Service {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Service {
    fn start(python: &Path) -> Result<Self, Error> {
        let mut child = Command::new(python)
            .args(["-u", "-c", PROGRAM])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C is for us: the program would answer it with a traceback.
            .process_group(0)
            .spawn()
            .map_err(|error| Error::Demo(format!("cannot start {}: {error}", python.display())))?;
        let pipes = (child.stdin.take(), child.stdout.take());
        let (Some(input), Some(output)) = pipes else {
            let _ = child.kill();
            let _ = child.wait();
            return Err(Error::Demo("the program has no pipes".to_owned()));
        };
        let mut service = Self { child, input, output: BufReader::new(output) };
        service.expect("ready")?;
        Ok(service)
    }

    /// Waits until the program says a word.
    fn expect(&mut self, word: &str) -> Result<(), Error> {
        let mut line = String::new();
        let read = self.output.read_line(&mut line);
        match read {
            Ok(_) if line.trim_end() == word => Ok(()),
            Ok(0) => Err(Error::Demo("the program has ended".to_owned())),
            Ok(_) => Err(Error::Demo(format!("the program said {line:?}"))),
            Err(error) => Err(Error::Demo(error.to_string())),
        }
    }

    fn serve(&mut self) -> Result<(), Error> {
        let sent = self.input.write_all(b".").and_then(|()| self.input.flush());
        sent.map_err(|error| Error::Demo(error.to_string()))?;
        self.expect("served")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(super) fn run(args: &DemoArgs, context: &mut Context<'_>) -> Result<(), Error> {
    let mut service = Service::start(&args.python)?;
    let pid = service.child.id();
    writeln!(
        context.out,
        "A small web service runs as process {pid}. It has served 1,000 requests."
    )?;
    writeln!(context.out, "Snapshot 1, from outside:  pyheap snapshot -p {pid} -o a.parquet")?;
    context.out.flush()?;
    let source = Source::Pid(pid);
    let first = context.backend.load(&source, &Options::default())?;
    service.serve()?;
    writeln!(context.out, "It serves 5,000 more. Healthy code would now be as big as before.")?;
    writeln!(context.out, "Snapshot 2 and the difference:  pyheap diff a.parquet -p {pid}\n")?;
    context.out.flush()?;
    let last = context.backend.load(&source, &Options::default())?;
    let all = Selection::all();
    let diff = super::diff::compare((&first, &all), (&last, &all));
    let suspects = suspects(&last.graph, &diff, None);
    let layout = Layout { style: context.style, width: context.width, limit: 8, full_names: false };
    let found = text::diff::Found {
        diff: &diff,
        table: &diff,
        by: GroupBy::Type,
        suspects: &suspects,
        growth: None,
    };
    text::diff::write(context.out, &first.facts, &last.facts, found, &layout)?;
    let culprit = suspects.first().and_then(|suspect| Some((suspect, suspect.held_by.first()?)));
    if let Some((suspect, held)) = culprit {
        let name = crate::report::short_type(&suspect.type_name);
        let path = text::path::holder(held, false);
        let line = format!("The culprit: {name}, kept by {path}");
        let line = text::path::wrapped(&line, context.width, 0, 4);
        writeln!(context.out, "\n{}", context.style.bold(&line))?;
    }
    let seconds = first.facts.pause.seconds + last.facts.pause.seconds;
    let pause = crate::report::units::seconds(seconds);
    writeln!(
        context.out,
        "The service was paused for {pause} in all, and has noticed nothing else."
    )?;
    context.note(
        "next: pyheap ps, and then on a process of yours: pyheap snapshot -p PID -o a.parquet",
    )
}
