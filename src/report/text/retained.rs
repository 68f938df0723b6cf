//! `retained`: who keeps how much alive.

use std::io::{self, Write};

use super::path;
use crate::analysis::retained::{RetainedGroup, RetainedNode};
use crate::facts::Facts;
use crate::graph::HeapGraph;
use crate::report::table::{Align, Table};
use crate::report::{Layout, short_type, units};

/// The tree: each object with what it retains, indented below the one that dominates it.
///
/// # Errors
/// Those of the writer.
pub fn tree(
    out: &mut dyn Write,
    facts: &Facts,
    graph: &HeapGraph,
    nodes: &[RetainedNode],
    total: u64,
    layout: &Layout,
) -> io::Result<()> {
    super::histogram::header(out, facts, layout)?;
    let mut table = Table::new(&[
        ("retained", Align::Right),
        ("%", Align::Right),
        ("own", Align::Right),
        ("address", Align::Left),
        ("object", Align::Name),
    ]);
    let mut rows = 0;
    for node in nodes {
        add(&mut table, graph, node, total, 0, &mut rows, layout);
    }
    table.write(out, layout.style, layout.name_width())?;
    let note =
        "retained: what would be freed with the object; pyheap retained SOURCE ADDRESS goes deeper";
    writeln!(out, "\n{}", layout.style.dim(note))
}

fn add(
    table: &mut Table,
    graph: &HeapGraph,
    node: &RetainedNode,
    total: u64,
    depth: usize,
    rows: &mut usize,
    layout: &Layout,
) {
    if *rows >= layout.limit {
        return;
    }
    *rows += 1;
    let name = short_type(graph.type_name_of(node.object));
    let name = match node.count {
        1 => name.to_owned(),
        count => format!("{} × {name}", units::count(count)),
    };
    let object = match (depth, node.label.as_str()) {
        (_, "") => name,
        (0, root) => format!("{root} → {name}"),
        (_, label) => format!("{} → {name}", path::label(label).trim_start()),
    };
    table.row([
        units::bytes(node.retained_bytes),
        format!("{:.1}", units::share(node.retained_bytes, total) * 100.0),
        units::bytes(node.own_bytes),
        graph.addr(node.object).to_string(),
        format!("{}{object}", "  ".repeat(depth)),
    ]);
    for child in &node.children {
        add(table, graph, child, total, depth + 1, rows, layout);
    }
}

/// Types or modules by what their objects retain.
///
/// # Errors
/// Those of the writer.
pub fn groups(
    out: &mut dyn Write,
    facts: &Facts,
    groups: &[RetainedGroup],
    total: u64,
    layout: &Layout,
) -> io::Result<()> {
    super::histogram::header(out, facts, layout)?;
    let mut table = Table::new(&[
        ("count", Align::Right),
        ("own", Align::Right),
        ("retained", Align::Right),
        ("%", Align::Right),
        ("name", Align::Name),
    ]);
    for group in groups.iter().take(layout.limit) {
        table.row([
            units::count(group.objects),
            units::bytes(group.own_bytes),
            units::bytes(group.retained_bytes),
            format!("{:.1}", units::share(group.retained_bytes, total) * 100.0),
            short_type(&group.name).to_owned(),
        ]);
    }
    table.write(out, layout.style, layout.name_width())?;
    let hidden = groups.len().saturating_sub(layout.limit);
    if hidden > 0 {
        let more = format!("… and {hidden} more (-n {} shows all)", groups.len());
        writeln!(out, "{}", layout.style.dim(&more))?;
    }
    Ok(())
}
