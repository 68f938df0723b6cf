//! `pyheap memory`.

use super::worker_tree;
use crate::cli::args::MemoryArgs;
use crate::cli::{Context, operands};
use crate::error::Error;
use crate::facts::MemoryFacts;
use crate::report::json;
use crate::report::json::memory::MemoryJson;
use crate::report::text::memory;
use crate::snapshot::Snapshot;
use crate::source::Source;

pub(super) fn run(args: &MemoryArgs, context: &mut Context<'_>) -> Result<(), Error> {
    let (source, _) = operands::split(&args.read.source, &args.positional, 0)?;
    if let (true, Source::Pid(pid)) = (args.tree.subprocesses, &source) {
        return workers(args, *pid, context);
    }
    let snapshot = context.backend.load(&source, &args.read.capture.options())?;
    if args.read.output.json {
        json::write(context.out, "memory", document(&snapshot)?)?;
    } else {
        let layout = context.layout(&args.read.output);
        memory::write(context.out, &snapshot.facts, of(&snapshot)?, &layout)?;
    }
    context.check(&snapshot.graph)
}

/// A process and its descendants: their documents, or one table.
fn workers(args: &MemoryArgs, root: u32, context: &mut Context<'_>) -> Result<(), Error> {
    let options = args.read.capture.options();
    if args.read.output.json {
        return worker_tree::documents("memory", root, &options, context, |snapshot, _| {
            Ok(Some(json::value(document(snapshot)?)?))
        })?;
    }
    let mut found = Vec::new();
    let outcome = worker_tree::each(root, &options, context, |snapshot, _| {
        found.push((snapshot.facts.process.pid, of(&snapshot)?.clone()));
        Ok(())
    })?;
    let layout = context.layout(&args.read.output);
    memory::workers(context.out, &found, &layout)?;
    outcome.result
}

fn document(snapshot: &Snapshot) -> Result<MemoryJson<'_>, Error> {
    let found = of(snapshot)?;
    Ok(MemoryJson::new(&snapshot.facts, found, memory::verdict(found)))
}

fn of(snapshot: &Snapshot) -> Result<&MemoryFacts, Error> {
    snapshot.facts.memory.as_ref().ok_or(Error::NotSupported("memory of a file of an older pyheap"))
}
