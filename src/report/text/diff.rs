//! `diff`.

use std::io::{self, Write};

use super::path;
use crate::analysis::{Diff, Growth, Identity, Suspect};
use crate::report::table::{Align, Table};
use crate::report::{Layout, short_type, units};

/// How many suspects are told in words.
const SUSPECTS: usize = 5;

/// The suspects in words, then the types by growth.
///
/// # Errors
/// Those of the writer.
pub fn write(
    out: &mut dyn Write,
    diff: &Diff,
    suspects: &[Suspect],
    growth: &Growth,
    layout: &Layout,
) -> io::Result<()> {
    if diff.types.is_empty() {
        return writeln!(out, "nothing changed");
    }
    told(out, suspects, layout)?;
    table(out, diff, growth, layout)?;
    let hidden = diff.types.len().saturating_sub(layout.limit);
    if hidden > 0 {
        let more = format!("… and {hidden} types more (-n {} shows all)", diff.types.len());
        writeln!(out, "{}", layout.style.dim(&more))?;
    }
    if diff.identity == Identity::OtherProcess {
        writeln!(out, "\nTwo processes: which objects are new or gone cannot be known.")?;
    }
    Ok(())
}

fn told(out: &mut dyn Write, suspects: &[Suspect], layout: &Layout) -> io::Result<()> {
    // What owns nothing came along with another suspect: it is in the table, not in the words.
    let owners = suspects.iter().filter(|suspect| suspect.owned_bytes > 0);
    for suspect in owners.take(SUSPECTS.min(layout.limit)) {
        let name = short_type(&suspect.type_name);
        let own = suspect.bytes_delta.max(0).unsigned_abs();
        let along = if suspect.owned_bytes > own {
            format!(" ({} with what they hold)", units::bytes(suspect.owned_bytes))
        } else {
            String::new()
        };
        let title = if suspect.objects_delta == 0 {
            format!("{name} grew by {}{along}", units::bytes(own))
        } else {
            let bytes = units::signed_bytes(suspect.bytes_delta);
            format!("{} {name}, {bytes}{along}", units::signed_count(suspect.objects_delta))
        };
        writeln!(out, "{}", layout.style.red(&title.replace(char::is_control, "\u{fffd}")))?;
        for held in suspect.held_by.iter().take(3) {
            let share = units::percent(held.objects, suspect.held_objects);
            let line = path::held_by(held, layout.full_names);
            let line = path::wrapped(&line, layout.width, 12, 20);
            writeln!(out, "    {share:>7} {line}")?;
        }
    }
    if suspects.is_empty() { writeln!(out, "nothing grew\n") } else { writeln!(out) }
}

fn table(out: &mut dyn Write, diff: &Diff, growth: &Growth, layout: &Layout) -> io::Result<()> {
    let many = growth.heaps() > 2;
    let mut columns = vec![
        ("objects", Align::Right),
        ("new", Align::Right),
        ("gone", Align::Right),
        ("bytes", Align::Right),
        ("now", Align::Right),
    ];
    if many {
        columns.push(("every step", Align::Right));
    }
    columns.push(("type", Align::Name));
    let mut table = Table::new(&columns);
    for row in diff.types.iter().take(layout.limit) {
        let optional = |number: Option<u64>| number.map_or("?".to_owned(), units::count);
        let mut cells = vec![
            units::signed_count(row.objects_delta()),
            optional(row.new),
            optional(row.gone),
            units::signed_bytes(row.bytes_delta()),
            units::bytes(row.bytes_after),
        ];
        if many {
            let grew = growth.grew_at_every_step(&row.name);
            cells.push(if grew { "grew" } else { "-" }.to_owned());
        }
        cells.push(short_type(&row.name).to_owned());
        table.row(cells);
    }
    table.write(out, layout.style, layout.name_width())
}
