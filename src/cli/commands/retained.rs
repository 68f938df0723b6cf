//! `pyheap retained`.

use crate::analysis::retained::{Cut, GroupBy, groups, tree};
use crate::analysis::{Dominators, lookup};
use crate::cli::args::{By, RetainedArgs};
use crate::cli::{Context, operands};
use crate::error::Error;
use crate::report::json::retained::RetainedJson;
use crate::report::{json, text};

/// What a JSON document has of the tree: nodes of at least a thousandth of the heap.
const JSON_SHARE: u64 = 1000;
const JSON_WIDTH: usize = 1000;
/// What people read: nodes of at least a hundredth.
const TEXT_SHARE: u64 = 100;
const TEXT_WIDTH: usize = 8;
const DEPTH: usize = 4;

pub(super) fn run(args: &RetainedArgs, context: &mut Context<'_>) -> Result<(), Error> {
    let (source, rest) = operands::split(&args.read.source, &args.positional, 1)?;
    if let Some(address) = rest.first() {
        // Checked before the target is stopped for it.
        lookup::parse_address(address)?;
        if args.by != By::Object {
            return Err(Error::usage("an address goes with --by object only", None));
        }
    }
    let snapshot = context.backend.load(&source, &args.read.capture.options())?;
    let (facts, graph) = (&snapshot.facts, &snapshot.graph);
    let below = rest.first().map(|address| lookup::find_object(graph, address)).transpose()?;
    let dominators = Dominators::new(graph);
    let total = dominators.total_bytes();
    let layout = context.layout(&args.read.output);
    let by = match args.by {
        By::Object => None,
        By::Type => Some(GroupBy::Type),
        By::Module => Some(GroupBy::Module),
    };
    if let Some(by) = by {
        let groups = groups(graph, &dominators, by);
        if args.read.output.json {
            json::write(context.out, "retained", RetainedJson::groups(facts, &groups, total))?;
        } else {
            text::retained::groups(context.out, facts, &groups, total, &layout)?;
        }
    } else {
        let within = below.map_or(total, |object| dominators.retained_bytes(object));
        let (share, width) =
            if args.read.output.json { (JSON_SHARE, JSON_WIDTH) } else { (TEXT_SHARE, TEXT_WIDTH) };
        // The first level is as long as people ask for, and below a small object nothing is too small.
        let min_bytes = if below.is_some() { 0 } else { within / share };
        let cut = Cut { min_bytes, width, depth: DEPTH };
        let nodes = tree(graph, &dominators, below, cut);
        if args.read.output.json {
            json::write(context.out, "retained", RetainedJson::tree(facts, graph, &nodes, total))?;
        } else {
            text::retained::tree(context.out, facts, graph, &nodes, total, &layout)?;
        }
    }
    context.check(graph)
}
