//! `pyheap orphans`.

use crate::analysis::orphans::Orphans;
use crate::cli::args::OrphansArgs;
use crate::cli::{Context, operands};
use crate::error::Error;
use crate::report::json::orphans::OrphansJson;
use crate::report::{csv, json, text};

pub(super) fn run(args: &OrphansArgs, context: &mut Context<'_>) -> Result<(), Error> {
    let (source, _) = operands::split(&args.read.source, &args.positional, 0)?;
    let snapshot = context.backend.load(&source, &args.read.capture.options())?;
    let (facts, graph) = (&snapshot.facts, &snapshot.graph);
    let mut orphans = Orphans::new(graph);
    orphans.extend(facts.orphans.iter().cloned());
    let orphans = orphans.types();
    if args.read.output.json {
        json::write(context.out, "orphans", OrphansJson::new(facts, &orphans))?;
    } else if args.csv {
        csv::orphans(context.out, facts, &orphans)?;
    } else {
        let layout = context.layout(&args.read.output);
        text::orphans::write(context.out, facts, &orphans, &layout)?;
    }
    context.check(graph)
}
