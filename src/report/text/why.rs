//! `why`: what keeps objects alive.

use std::io::{self, Write};

use super::{allocation, native, path};
use crate::analysis::{HeldBy, HeldGroup};
use crate::facts::Facts;
use crate::graph::HeapGraph;
use crate::report::{Layout, short_type, units};

/// So many blocks of native memory are told of one object.
const SHOWN: usize = 3;

/// So many ways of each group are told; `--json` has all.
const WAYS_OF_A_GROUP: usize = 5;

/// The ways in which some objects are held, most bytes first.
///
/// # Errors
/// Those of the writer.
pub fn write(
    out: &mut dyn Write,
    facts: &Facts,
    graph: &HeapGraph,
    name: &str,
    held_by: &[HeldBy],
    layout: &Layout,
) -> io::Result<()> {
    super::histogram::header(out, facts, layout)?;
    let objects: u64 = held_by.iter().map(|held| held.objects).sum();
    let bytes = held_by.iter().map(|held| held.bytes).fold(0, u64::saturating_add);
    title(out, objects, name, bytes, layout)?;
    let hint = format!("-n {} shows all", held_by.len());
    ways(out, (facts, graph), held_by, &hint, layout)
}

/// The same for each group of the objects, the group with most bytes first.
///
/// # Errors
/// Those of the writer.
pub fn write_groups(
    out: &mut dyn Write,
    facts: &Facts,
    graph: &HeapGraph,
    name: &str,
    groups: &[HeldGroup],
    layout: &Layout,
) -> io::Result<()> {
    super::histogram::header(out, facts, layout)?;
    let objects: u64 = groups.iter().map(|group| group.objects).sum();
    let bytes = groups.iter().map(|group| group.bytes).fold(0, u64::saturating_add);
    title(out, objects, name, bytes, layout)?;
    for group in groups.iter().take(layout.limit) {
        let line = format!(
            "{}: {} ({}), {}",
            short_type(&group.name),
            units::count(group.objects),
            units::percent(group.objects, objects),
            units::bytes(group.bytes),
        );
        writeln!(out, "\n{}", layout.style.bold(&line.replace(char::is_control, "\u{fffd}")))?;
        let few = Layout { limit: layout.limit.min(WAYS_OF_A_GROUP), ..*layout };
        ways(out, (facts, graph), &group.held_by, "--json has all", &few)?;
    }
    let hidden = groups.len().saturating_sub(layout.limit);
    if hidden > 0 {
        let more = format!("\n… and {hidden} groups more (-n {} shows all)", groups.len());
        writeln!(out, "{}", layout.style.dim(&more))?;
    }
    Ok(())
}

fn title(
    out: &mut dyn Write,
    objects: u64,
    name: &str,
    bytes: u64,
    layout: &Layout,
) -> io::Result<()> {
    let title = format!("{} {}, {}", units::count(objects), short_type(name), units::bytes(bytes));
    writeln!(out, "{}", layout.style.bold(&title.replace(char::is_control, "\u{fffd}")))
}

/// Each way with its share of all that are told.
fn ways(
    out: &mut dyn Write,
    (facts, graph): (&Facts, &HeapGraph),
    held_by: &[HeldBy],
    hint: &str,
    layout: &Layout,
) -> io::Result<()> {
    let objects: u64 = held_by.iter().map(|held| held.objects).sum();
    for held in held_by.iter().take(layout.limit) {
        let share = units::percent(held.objects, objects);
        let line = path::holder(held, layout.full_names);
        let line = path::wrapped(&line, layout.width, 28, 12);
        writeln!(out, "  {share:>7}  {:>9}  {line}", units::count(held.objects))?;
        for line in native::lines(facts, graph, held.example).iter().take(SHOWN) {
            let which = if held.objects == 1 { "it" } else { "one of them" };
            let line = format!("{which} stands in a {line}");
            writeln!(
                out,
                "{:23}{}",
                "",
                layout.style.dim(&path::wrapped(&line, layout.width, 23, 25))
            )?;
        }
        if let Some(line) = allocation::of(graph, held.example) {
            let which = if held.objects == 1 { "" } else { "one of them " };
            let line = line.replace(char::is_control, "\u{fffd}");
            let line = format!("{which}allocated at {line}");
            writeln!(out, "{:23}{}", "", layout.style.dim(&line))?;
        }
    }
    let hidden = held_by.len().saturating_sub(layout.limit);
    if hidden > 0 {
        let more = format!("… and {hidden} ways more ({hint})");
        writeln!(out, "{}", layout.style.dim(&more))?;
    }
    Ok(())
}
