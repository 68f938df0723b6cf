//! `strings`: duplicate texts and bytes.

use std::io::{self, Write};

use super::path;
use crate::analysis::HeldBy;
use crate::analysis::strings::{StringGroup, Strings};
use crate::facts::Facts;
use crate::graph::HeapGraph;
use crate::report::table::{Align, Table};
use crate::report::{Layout, short_type, units};

/// The classes, then what is there more than once with how most of it is held.
///
/// # Errors
/// Those of the writer.
pub fn write(
    out: &mut dyn Write,
    facts: &Facts,
    graph: &HeapGraph,
    strings: Option<&Strings>,
    held_by: &[Option<HeldBy>],
    layout: &Layout,
) -> io::Result<()> {
    super::histogram::header(out, facts, layout)?;
    let Some(strings) = strings else {
        return writeln!(
            out,
            "which strings are equal is not known: an earlier pyheap wrote this file"
        );
    };
    let objects: u64 = strings.types.iter().map(|ty| ty.objects).sum();
    let distinct: u64 = strings.types.iter().map(|ty| ty.distinct).sum();
    let title = format!(
        "{} of {} strings and bytes are duplicates: {} would be saved if each was there once",
        units::count(objects - distinct),
        units::count(objects),
        units::bytes(strings.saved_bytes()),
    );
    writeln!(out, "{}\n", layout.style.bold(&title))?;
    types(out, strings, layout)?;
    if strings.left_out_objects > 0 {
        let left_out = format!(
            "left out: {} of {} that were not copied and not read in time",
            units::count(strings.left_out_objects),
            units::bytes(strings.left_out_bytes),
        );
        writeln!(out, "{}", layout.style.red(&left_out))?;
    }
    writeln!(out)?;
    for (group, held) in strings.groups.iter().zip(held_by) {
        one(out, graph, group, held.as_ref(), layout)?;
    }
    let hidden = strings.groups.len().saturating_sub(held_by.len());
    if hidden > 0 {
        let hidden = units::count(hidden as u64);
        let more = format!("… and {hidden} groups more (-n {} shows all)", strings.groups.len());
        writeln!(out, "{}", layout.style.dim(&more))?;
    }
    Ok(())
}

fn types(out: &mut dyn Write, strings: &Strings, layout: &Layout) -> io::Result<()> {
    let mut table = Table::new(&[
        ("count", Align::Right),
        ("distinct", Align::Right),
        ("bytes", Align::Right),
        ("saved", Align::Right),
        ("type", Align::Name),
    ]);
    for ty in strings.types.iter().take(layout.limit) {
        table.row([
            units::count(ty.objects),
            units::count(ty.distinct),
            units::bytes(ty.bytes),
            units::bytes(ty.saved_bytes),
            short_type(&ty.type_name).to_owned(),
        ]);
    }
    table.write(out, layout.style, layout.name_width())
}

/// One line of what it is, and one of who holds most of it.
fn one(
    out: &mut dyn Write,
    graph: &HeapGraph,
    group: &StringGroup,
    held: Option<&HeldBy>,
    layout: &Layout,
) -> io::Result<()> {
    let value = graph.values.get(&group.example).map(|&value| graph.strings.text(value));
    let line = format!(
        "{:>9} saved  {} × {}  {} at {}{}",
        units::bytes(group.saved_bytes),
        units::count(group.copies),
        units::bytes(group.bytes_each),
        short_type(graph.type_name(group.ty)),
        graph.addr(group.example),
        value.map_or_else(String::new, |value| format!("  {value}")),
    );
    writeln!(out, "{}", line.replace(char::is_control, "\u{fffd}"))?;
    let Some(held) = held else { return Ok(()) };
    let share = units::percent(held.objects, group.copies);
    let line = path::held_by(held, layout.full_names);
    writeln!(out, "  {share:>7} {}", path::wrapped(&line, layout.width, 10, 18))
}
