//! `pyheap stacks`.

use super::worker_tree;
use crate::analysis::Dominators;
use crate::cli::args::StacksArgs;
use crate::cli::{Context, operands};
use crate::error::Error;
use crate::report::json;
use crate::report::json::stacks::StacksJson;
use crate::report::text::hang;
use crate::report::text::stacks::{self, Detail};
use crate::snapshot::Snapshot;
use crate::source::Source;

pub(super) fn run(args: &StacksArgs, context: &mut Context<'_>) -> Result<(), Error> {
    let (source, _) = operands::split(&args.read.source, &args.positional, 0)?;
    let options = args.read.capture.options();
    let layout = context.layout(&args.read.output);
    let one = |snapshot: &Snapshot, context: &mut Context<'_>| {
        let (facts, graph) = (&snapshot.facts, &snapshot.graph);
        let dominators = args.locals.then(|| Dominators::new(graph));
        if args.read.output.json {
            let document = StacksJson::new(facts, graph, hang::summary(facts), dominators.as_ref());
            return Ok(Some(json::value(document)?));
        }
        let detail = dominators.as_ref().map_or(Detail::Frames, Detail::Locals);
        stacks::write(context.out, facts, graph, detail, &layout)?;
        Ok(None)
    };
    match &source {
        Source::Pid(root) if args.tree.subprocesses => {
            worker_tree::documents("stacks", *root, &options, context, one)?
        }
        source => {
            let snapshot = context.backend.load(source, &options)?;
            if let Some(document) = one(&snapshot, context)? {
                json::write(context.out, "stacks", document)?;
            }
            context.check(&snapshot.graph)
        }
    }
}
