//! `pyheap diff`.

use std::io::{self, BufRead};
use std::time::Duration;

use crate::analysis::{Diff, Growth, Histogram, Identity, SortBy, suspects};
use crate::cli::args::DiffArgs;
use crate::cli::{Context, operands};
use crate::error::Error;
use crate::report::json::diff::DiffJson;
use crate::report::{csv, json, text};
use crate::snapshot::Snapshot;
use crate::source::Source;

/// What happens before a heap is read.
#[derive(Clone, Copy)]
enum Before {
    Nothing,
    Wait(Duration),
    Enter,
}

/// The heaps to compare, oldest first.
fn plan(args: &DiffArgs, interactive: bool) -> Result<Vec<(Before, Source)>, Error> {
    let files = args.files.iter().map(|text| operands::file(text).map(|f| (Before::Nothing, f)));
    let mut plan = files.collect::<Result<Vec<_>, _>>()?;
    plan.extend(args.pid.iter().map(|&pid| (Before::Nothing, Source::Pid(pid))));
    if let (Some(interval), &[pid]) = (args.interval, args.pid.as_slice()) {
        let again = (0..args.times).map(|_| (Before::Wait(interval), Source::Pid(pid)));
        plan.extend(again);
    } else if args.interval.is_some() {
        return Err(Error::usage("--interval is for one process", None));
    }
    match (plan.as_slice(), args.pid.as_slice()) {
        ([_], &[pid]) if interactive => plan.push((Before::Enter, Source::Pid(pid))),
        ([_], [pid]) => {
            let hint = format!("-p {pid} --interval 30s");
            return Err(Error::usage("when is the second snapshot to be taken?", Some(&hint)));
        }
        ([] | [_], _) => {
            let hint = "pyheap diff OLD.parquet NEW.parquet, or -p PID --interval 30s";
            return Err(Error::usage("two heaps are needed", Some(hint)));
        }
        _ => {}
    }
    Ok(plan)
}

pub(super) fn run(args: &DiffArgs, context: &mut Context<'_>) -> Result<(), Error> {
    let plan = plan(args, context.interactive)?;
    let mut growth = Growth::default();
    let mut ends: Option<(Snapshot, Option<Snapshot>)> = None;
    let options = args.capture.options();
    for (before, source) in &plan {
        match before {
            Before::Nothing => {}
            Before::Wait(interval) => {
                let _ = context.note(&format!("waiting for {:.1} s", interval.as_secs_f64()));
                std::thread::sleep(*interval);
            }
            Before::Enter => {
                context.note("press Enter for the second snapshot")?;
                io::stdin().lock().read_line(&mut String::new())?;
            }
        }
        let snapshot = context.backend.load(source, &options)?;
        growth.push(&Histogram::new(&snapshot.graph, SortBy::Bytes));
        ends = Some(match ends {
            None => (snapshot, None),
            Some((first, _)) => (first, Some(snapshot)),
        });
    }
    let Some((first, Some(last))) = ends else {
        return Err(Error::usage("two heaps are needed", None));
    };
    report(args, &first, &last, &growth, context)?;
    context.check(&first.graph).and_then(|()| context.check(&last.graph))
}

fn report(
    args: &DiffArgs,
    first: &Snapshot,
    last: &Snapshot,
    growth: &Growth,
    context: &mut Context<'_>,
) -> Result<(), Error> {
    let diff = compare(first, last);
    if args.csv {
        return Ok(csv::diff(context.out, &diff)?);
    }
    let suspects = suspects::suspects(&last.graph, &diff);
    if args.output.json {
        let document = DiffJson::new(&first.facts, &last.facts, &diff, &suspects, growth);
        return Ok(json::write(context.out, "diff", document)?);
    }
    let layout = context.layout(&args.output);
    Ok(text::diff::write(context.out, &diff, &suspects, growth, &layout)?)
}

/// Compares two heaps: by identity if they are of one process.
pub(super) fn compare(first: &Snapshot, last: &Snapshot) -> Diff {
    let same = first.facts.process.is_same_process(&last.facts.process);
    let identity = if same { Identity::SameProcess } else { Identity::OtherProcess };
    Diff::new(&first.graph, &last.graph, identity)
}
