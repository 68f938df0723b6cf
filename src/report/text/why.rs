//! `why`: what keeps objects alive.

use std::io::{self, Write};

use super::{allocation, native, path};
use crate::analysis::HeldBy;
use crate::facts::Facts;
use crate::graph::HeapGraph;
use crate::report::{Layout, short_type, units};

/// So many blocks of native memory are told of one object.
const SHOWN: usize = 3;

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
    let title = format!("{} {}, {}", units::count(objects), short_type(name), units::bytes(bytes));
    writeln!(out, "{}", layout.style.bold(&title.replace(char::is_control, "\u{fffd}")))?;
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
        let more = format!("… and {hidden} ways more (-n {} shows all)", held_by.len());
        writeln!(out, "{}", layout.style.dim(&more))?;
    }
    Ok(())
}
