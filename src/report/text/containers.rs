//! The second half of `strings`: containers that cost more than what they hold.

use std::io::{self, Write};

use super::path;
use crate::analysis::HeldBy;
use crate::analysis::containers::{Containers, Sum};
use crate::graph::HeapGraph;
use crate::report::table::{Align, Table};
use crate::report::{Layout, short_type, units};

/// The containers by type, then dictionaries that could be objects with slots; `held_by` is how most
/// of the first groups are held.
///
/// # Errors
/// Those of the writer.
pub fn write(
    out: &mut dyn Write,
    graph: &HeapGraph,
    containers: &Containers,
    held_by: &[Option<HeldBy>],
    layout: &Layout,
) -> io::Result<()> {
    writeln!(
        out,
        "\n{}\n",
        layout.style.bold("containers (without those of instances and modules)")
    )?;
    let mut table = Table::new(&[
        ("count", Align::Right),
        ("bytes", Align::Right),
        ("empty", Align::Right),
        ("bytes", Align::Right),
        ("single", Align::Right),
        ("bytes", Align::Right),
        ("roomy", Align::Right),
        ("spare", Align::Right),
        ("type", Align::Name),
    ]);
    for ty in &containers.types {
        let sums = [ty.all, ty.empty, ty.single, ty.spare];
        let cells = sums.into_iter().flat_map(cells);
        table.row(cells.chain([short_type(ty.type_name).to_owned()]));
    }
    table.write(out, layout.style, layout.name_width())?;
    let note = "roomy: larger than a copy would be, by so many bytes to spare";
    writeln!(out, "{}", layout.style.dim(note))?;
    if !containers.same_keys.is_empty() {
        writeln!(
            out,
            "\n{}",
            layout
                .style
                .bold("dictionaries with the same keys, saved if they were objects with slots")
        )?;
    }
    for (group, held) in containers.same_keys.iter().zip(held_by) {
        let keys = if group.keys == 1 { "key" } else { "keys" };
        writeln!(
            out,
            "{:>9} saved  {} dicts of {} {keys}, {}",
            units::bytes(group.saved_bytes),
            units::count(group.dicts.objects),
            group.keys,
            units::bytes(group.dicts.bytes),
        )?;
        if let Some(held) = held {
            let share = units::percent(held.objects, group.dicts.objects);
            let line = path::held_by(held, layout.full_names);
            writeln!(out, "  {share:>7} {}", path::wrapped(&line, layout.width, 10, 18))?;
        }
    }
    more(out, containers.same_keys.len(), layout)?;
    if !containers.instances.is_empty() {
        writeln!(
            out,
            "\n{}",
            layout.style.bold("instances with dictionaries, saved if their class had slots")
        )?;
    }
    for class in containers.instances.iter().take(layout.limit) {
        let line = format!(
            "{:>9} saved  {} {}, {} in dictionaries",
            units::bytes(class.saved_bytes),
            units::count(class.dicts.objects),
            short_type(graph.type_name(class.ty)),
            units::bytes(class.dicts.bytes),
        );
        writeln!(out, "{}", line.replace(char::is_control, "\u{fffd}"))?;
    }
    more(out, containers.instances.len(), layout)
}

fn cells(sum: Sum) -> [String; 2] {
    match sum.objects {
        0 => ["-".to_owned(), "-".to_owned()],
        _ => [units::count(sum.objects), units::bytes(sum.bytes)],
    }
}

fn more(out: &mut dyn Write, count: usize, layout: &Layout) -> io::Result<()> {
    match count.saturating_sub(layout.limit) {
        0 => Ok(()),
        hidden => {
            let more = format!("… and {hidden} more (-n {count} shows all)");
            writeln!(out, "{}", layout.style.dim(&more))
        }
    }
}
