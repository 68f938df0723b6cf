//! `pyheap strings`: duplicate texts and bytes, and containers that cost more than what they hold.

use crate::analysis::containers::{Containers, SameKeys};
use crate::analysis::strings::Strings;
use crate::analysis::{HeldBy, Path, Paths};
use crate::cli::args::StringsArgs;
use crate::cli::{Context, operands, selecting};
use crate::error::Error;
use crate::report::json::containers::ContainersJson;
use crate::report::json::strings::StringsJson;
use crate::report::{csv, json, text};
use crate::source::Options;

pub(super) fn run(args: &StringsArgs, context: &mut Context<'_>) -> Result<(), Error> {
    let (source, _) = operands::split(&args.read.source, &args.positional, 0)?;
    let filter = selecting::filter(&args.select)?;
    let options = Options { contents: true, ..args.read.capture.options() };
    let mut snapshot = context.backend.load(&source, &options)?;
    if !options.values {
        // A file may have them; they are shown to those only who ask.
        snapshot.graph.values.clear();
    }
    let (facts, graph) = (&snapshot.facts, &snapshot.graph);
    let selection = selecting::selection(filter.as_ref(), graph, facts)?;
    let strings = Strings::new(graph, &selection);
    let strings = strings.as_ref();
    let groups = strings.map_or(&[][..], |strings| strings.groups.as_slice());
    if args.read.output.json {
        let paths = Paths::new(graph);
        let held_by: Vec<Path> =
            groups.iter().map(|group| paths.to(graph, group.example)).collect();
        let containers = Containers::new(graph, &selection);
        let first = |group: &SameKeys| group.objects.first().map(|&one| paths.to(graph, one));
        let held: Vec<Path> = containers.same_keys.iter().filter_map(first).collect();
        let containers = ContainersJson::new(graph, &containers, &held);
        let document =
            StringsJson::new(facts, graph, strings, &held_by, args.addresses, containers);
        json::write(context.out, "strings", document)?;
    } else if args.csv {
        csv::strings(context.out, graph, groups)?;
    } else {
        let layout = context.layout(&args.read.output);
        let paths = Paths::new(graph);
        let holder = |group| -> Option<HeldBy> {
            let objects = strings?.objects(group).iter().copied();
            paths.group(graph, objects).into_iter().next()
        };
        let held_by: Vec<Option<HeldBy>> = groups.iter().take(layout.limit).map(holder).collect();
        text::strings::write(context.out, facts, graph, strings, &held_by, &layout)?;
        let containers = Containers::new(graph, &selection);
        let holder =
            |group: &SameKeys| paths.group(graph, group.objects.iter().copied()).into_iter().next();
        let held_by: Vec<Option<HeldBy>> =
            containers.same_keys.iter().take(layout.limit).map(holder).collect();
        text::containers::write(context.out, graph, &containers, &held_by, &layout)?;
    }
    context.check(graph)
}
