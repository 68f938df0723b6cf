//! `pyheap stacks`.

use crate::cli::args::StacksArgs;
use crate::cli::{Context, operands};
use crate::error::Error;
use crate::report::json;
use crate::report::json::stacks::StacksJson;
use crate::report::text::stacks::{self, Detail};

pub(super) fn run(args: &StacksArgs, context: &mut Context<'_>) -> Result<(), Error> {
    let (source, _) = operands::split(&args.read.source, &args.positional, 0)?;
    let snapshot = context.backend.load(&source, &args.read.capture.options())?;
    let (facts, graph) = (&snapshot.facts, &snapshot.graph);
    if args.read.output.json {
        let document = StacksJson::new(facts, graph, stacks::summary(facts));
        json::write(context.out, "stacks", document)?;
    } else {
        let detail = if args.locals { Detail::Locals } else { Detail::Frames };
        let layout = context.layout(&args.read.output);
        stacks::write(context.out, facts, graph, detail, &layout)?;
    }
    context.check(graph)
}
