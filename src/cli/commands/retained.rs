//! `pyheap retained`.

use crate::analysis::retained::{self, Cut};
use crate::analysis::{Dominators, lookup};
use crate::cli::args::{By, GroupKey, RetainedArgs};
use crate::cli::{Context, operands, selecting};
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
        if args.select.filter.is_some() {
            return Err(Error::usage("an address does not go with --where", None));
        }
    }
    let filter = selecting::filter(&args.select)?;
    let snapshot = context.backend.load(&source, &args.read.capture.options())?;
    let (facts, graph) = (&snapshot.facts, &snapshot.graph);
    let below = rest.first().map(|address| lookup::find_object(graph, address)).transpose()?;
    let dominators = Dominators::new(graph);
    let total = dominators.total_bytes();
    let layout = context.layout(&args.read.output);
    let selection = selecting::selection(filter.as_ref(), graph, facts)?;
    let key = match args.by {
        By::Object => None,
        By::Type => Some(GroupKey::Type),
        By::Module => Some(GroupKey::Module),
        By::Line => Some(GroupKey::Line),
        By::Root => Some(GroupKey::Root),
        By::Thread => Some(GroupKey::Thread),
    };
    if let Some(key) = key {
        let groups = selecting::groups(key, graph, facts)?;
        let groups = retained::groups(graph, &dominators, &groups, &selection);
        if args.read.output.json {
            json::write(context.out, "retained", RetainedJson::groups(facts, &groups, total))?;
        } else {
            text::retained::groups(context.out, facts, &groups, total, &layout)?;
        }
    } else {
        let within = below.map_or(total, |object| dominators.retained_bytes(object));
        let is_text = !args.read.output.json;
        let (share, width) =
            if is_text { (TEXT_SHARE, TEXT_WIDTH) } else { (JSON_SHARE, JSON_WIDTH) };
        // Of what was asked for, nothing is too small.
        let is_asked = below.is_some() || !selection.is_all();
        let min_bytes = if is_asked { 0 } else { within / share };
        let cut = Cut { min_bytes, width, depth: DEPTH, merge: is_text };
        let nodes = match selection.is_all() {
            true => retained::tree(graph, &dominators, below, cut),
            false => retained::trees(graph, &dominators, &selection, cut),
        };
        if is_text {
            text::retained::tree(context.out, facts, graph, &nodes, total, &layout)?;
        } else {
            json::write(context.out, "retained", RetainedJson::tree(facts, graph, &nodes, total))?;
        }
    }
    context.check(graph)
}
