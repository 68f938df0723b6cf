//! `pyheap show`.

use crate::analysis::lookup;
use crate::analysis::references::referrers;
use crate::cli::args::ShowArgs;
use crate::cli::{Context, operands};
use crate::error::Error;
use crate::report::json::objects::ShowJson;
use crate::report::{json, text};

pub(super) fn run(args: &ShowArgs, context: &mut Context<'_>) -> Result<(), Error> {
    let (source, rest) = operands::split(&args.read.source, &args.positional, 1)?;
    let Some(address) = rest.first() else {
        return Err(Error::usage(
            "which object? give its address",
            Some("pyheap objects lists them"),
        ));
    };
    // Checked before the target is stopped for it.
    lookup::parse_address(address)?;
    let snapshot = context.backend.load(&source, &args.read.capture.options())?;
    let (facts, graph) = (&snapshot.facts, &snapshot.graph);
    let object = lookup::find_object(graph, address)?;
    let found = graph.found_references();
    let most = if args.read.output.json { usize::MAX } else { args.read.output.limit };
    let holders = referrers(graph, &[object], most).remove(&object).unwrap_or_default();
    if args.read.output.json {
        let document = ShowJson::new((facts, graph), object, &found, &holders.0);
        json::write(context.out, "show", document)?;
    } else {
        let layout = context.layout(&args.read.output);
        text::objects::show(context.out, (facts, graph), object, &found, &holders, &layout)?;
    }
    context.check(graph)
}
