//! `orphans`: what nothing known refers to.

use std::io::{self, Write};

use crate::addr::Addr;
use crate::facts::{AllocatorFacts, Facts, OrphanFacts};
use crate::report::table::{Align, Table};
use crate::report::{Layout, short_type, units};

/// The lost objects, those that a binary holds, and the blocks by size.
///
/// # Errors
/// Those of the writer.
pub fn write(
    out: &mut dyn Write,
    facts: &Facts,
    orphans: &[OrphanFacts],
    layout: &Layout,
) -> io::Result<()> {
    super::histogram::header(out, facts, layout)?;
    lost(out, orphans, layout)?;
    held(out, orphans, layout)?;
    blocks(out, &facts.allocator, layout)
}

fn lost(out: &mut dyn Write, orphans: &[OrphanFacts], layout: &Layout) -> io::Result<()> {
    let rows: Vec<&OrphanFacts> = orphans.iter().filter(|row| row.lost > 0).collect();
    let count = rows.iter().map(|row| row.lost).fold(0, u64::saturating_add);
    let bytes = rows.iter().map(|row| row.lost_bytes).fold(0, u64::saturating_add);
    if count == 0 {
        return writeln!(out, "No object is alive without anything that refers to it.");
    }
    let title = format!(
        "{} live objects ({}) that nothing known refers to: leaked by C code?",
        units::count(count),
        units::bytes(bytes)
    );
    writeln!(out, "{}", layout.style.red(&title))?;
    let mut table = Table::new(&[
        ("count", Align::Right),
        ("bytes", Align::Right),
        ("one of them", Align::Left),
        ("type", Align::Name),
    ]);
    for row in rows.iter().take(layout.limit) {
        table.row([
            units::count(row.lost),
            units::bytes(row.lost_bytes),
            row.examples.first().map(|&at| Addr(at).to_string()).unwrap_or_default(),
            short_type(&row.type_name).to_owned(),
        ]);
    }
    table.write(out, layout.style, layout.name_width())?;
    more(out, rows.len(), "types", layout)
}

fn held(out: &mut dyn Write, orphans: &[OrphanFacts], layout: &Layout) -> io::Result<()> {
    let mut rows: Vec<(u64, &str, &str)> = orphans
        .iter()
        .flat_map(|row| {
            row.held_by.iter().map(|(file, count)| (*count, row.type_name.as_str(), file.as_str()))
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    rows.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| (a.1, a.2).cmp(&(b.1, b.2))));
    let count = rows.iter().map(|row| row.0).fold(0, u64::saturating_add);
    writeln!(out, "\n{} more are held by C code:", units::count(count))?;
    let mut table =
        Table::new(&[("count", Align::Right), ("type", Align::Left), ("place", Align::Name)]);
    for (count, name, file) in rows.iter().take(layout.limit) {
        table.row([
            units::count(*count),
            short_type(name).to_owned(),
            file.replace(char::is_control, "\u{fffd}"),
        ]);
    }
    table.write(out, layout.style, layout.name_width())?;
    more(out, rows.len(), "rows", layout)
}

fn blocks(out: &mut dyn Write, allocator: &AllocatorFacts, layout: &Layout) -> io::Result<()> {
    if allocator.size_classes.is_empty() {
        let why = match allocator.name.as_str() {
            "" => "The file does not say how Python's allocator was used.",
            "pymalloc" => "Python's allocator has no block in use.",
            _ => {
                "The process does not use Python's own allocator (PYTHONMALLOC?): blocks that nothing\n\
                  refers to, and untracked objects without a referrer, cannot be found."
            }
        };
        return writeln!(out, "\n{why}");
    }
    let classes = &allocator.size_classes;
    let unexplained =
        classes.iter().map(|class| class.unexplained_blocks).fold(0, u64::saturating_add);
    let bytes = classes.iter().map(|class| class.unexplained_bytes()).fold(0, u64::saturating_add);
    let used = classes.iter().map(|class| class.used_blocks()).fold(0, u64::saturating_add);
    writeln!(
        out,
        "\n{} of {} blocks of Python's allocator are unexplained ({}):",
        units::count(unexplained),
        units::count(used),
        units::bytes(bytes)
    )?;
    let columns = ["size", "in use", "objects", "buffers", "kept", "unexplained", "free", "% free"];
    let mut table = Table::new(&columns.map(|name| (name, Align::Right)));
    let mut rows: Vec<_> = classes.iter().collect();
    rows.sort_by_key(|class| std::cmp::Reverse(class.unexplained_bytes()));
    for class in rows.iter().take(layout.limit) {
        table.row([
            class.block_bytes.to_string(),
            units::count(class.used_blocks()),
            units::count(class.object_blocks),
            units::count(class.buffer_blocks),
            units::count(class.kept_blocks),
            units::count(class.unexplained_blocks),
            units::count(class.free_blocks),
            format!("{:.1}", class.fragmentation() * 100.0),
        ]);
    }
    table.write(out, layout.style, layout.name_width())?;
    more(out, rows.len(), "sizes", layout)?;
    let note = "kept: by the interpreter and binaries. pyheap diff shows what grows";
    writeln!(out, "{}", layout.style.dim(note))
}

fn more(out: &mut dyn Write, rows: usize, what: &str, layout: &Layout) -> io::Result<()> {
    let hidden = rows.saturating_sub(layout.limit);
    if hidden > 0 {
        let more = format!("… and {hidden} more {what} (-n {rows} shows all)");
        writeln!(out, "{}", layout.style.dim(&more))?;
    }
    Ok(())
}
