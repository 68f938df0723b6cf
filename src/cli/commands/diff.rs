//! `pyheap diff`.

use std::io::{self, BufRead};
use std::time::Duration;

use crate::analysis::diff::Side;
use crate::analysis::suspects::{Between, suspects};
use crate::analysis::{
    Diff, Filter, Groups, Growth, Histogram, Identity, Lineage, Selection, SortBy,
};
use crate::cli::args::{DiffArgs, GroupKey};
use crate::cli::{Context, operands, selecting};
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
    let filter = selecting::filter(&args.select)?;
    let plan = plan(args, context.interactive)?;
    let mut growth = Growth::default();
    // Costs memory for each object, so only where steps are to be told apart.
    let mut lineage = (plan.len() > 2).then(Lineage::default);
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
        if let Some(all) = &mut lineage {
            match ends
                .as_ref()
                .map_or(Identity::SameProcess, |(first, _)| identity(first, &snapshot))
            {
                Identity::SameProcess => all.push(&snapshot.graph, Identity::SameProcess),
                Identity::OtherProcess => lineage = None,
            }
        }
        ends = Some(match ends {
            None => (snapshot, None),
            Some((first, _)) => (first, Some(snapshot)),
        });
    }
    let Some((first, Some(last))) = ends else {
        return Err(Error::usage("two heaps are needed", None));
    };
    let between =
        (growth.heaps() > 2).then_some(Between { growth: &growth, lineage: lineage.as_ref() });
    report(args, filter.as_ref(), (&first, &last), between, context)?;
    context.check(&first.graph).and_then(|()| context.check(&last.graph))
}

fn report(
    args: &DiffArgs,
    filter: Option<&Filter>,
    (first, last): (&Snapshot, &Snapshot),
    between: Option<Between<'_>>,
    context: &mut Context<'_>,
) -> Result<(), Error> {
    let before = selecting::selection(filter, &first.graph, &first.facts)?;
    let after = selecting::selection(filter, &last.graph, &last.facts)?;
    let grouped = |key: GroupKey| -> Result<Diff, Error> {
        let groups = |heap: &Snapshot| selecting::groups(key, &heap.graph, &heap.facts);
        let (of_before, of_after) = (groups(first)?, groups(last)?);
        let before = Side { graph: &first.graph, groups: &of_before, selection: &before };
        let after = Side { graph: &last.graph, groups: &of_after, selection: &after };
        Ok(Diff::grouped(before, after, identity(first, last)))
    };
    let diff = compare((first, &before), (last, &after));
    let by = selecting::by(args.by);
    let groups = match args.by {
        GroupKey::Type => None,
        key => Some(grouped(key)?),
    };
    let table = groups.as_ref().unwrap_or(&diff);
    if args.csv {
        return Ok(csv::diff(context.out, table, by)?);
    }
    let suspects = suspects(&last.graph, &diff, between);
    let growth = between.map(|between| between.growth);
    if args.output.json {
        let document = DiffJson::new(&first.facts, &last.facts, &diff, &suspects, growth);
        let document = document.with_groups(by, groups.as_ref());
        return Ok(json::write(context.out, "diff", document)?);
    }
    let layout = context.layout(&args.output);
    text::diff::blocks(context.out, &first.facts, &last.facts, &layout)?;
    let found = text::diff::Found { diff: &diff, table, by, suspects: &suspects, growth };
    Ok(text::diff::write(context.out, &first.facts, &last.facts, found, &layout)?)
}

/// Compares what is meant of two heaps by type; by identity too, if they are of one process.
pub(super) fn compare(
    (first, of_first): (&Snapshot, &Selection),
    (last, of_last): (&Snapshot, &Selection),
) -> Diff {
    let groups = [first, last].map(|heap| Groups::by_type(&heap.graph));
    let [of_before, of_after] = &groups;
    let before = Side { graph: &first.graph, groups: of_before, selection: of_first };
    let after = Side { graph: &last.graph, groups: of_after, selection: of_last };
    Diff::grouped(before, after, identity(first, last))
}

fn identity(first: &Snapshot, last: &Snapshot) -> Identity {
    match first.facts.process.is_same_process(&last.facts.process) {
        true => Identity::SameProcess,
        false => Identity::OtherProcess,
    }
}
