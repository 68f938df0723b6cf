//! Tables as comma-separated values (RFC 4180), for spreadsheets.

use std::io::{self, Write};

use crate::analysis::garbage::Garbage;
use crate::analysis::histogram::Totals;
use crate::analysis::strings::StringGroup;
use crate::analysis::{Diff, GroupBy, Histogram};
use crate::facts::{Facts, OrphanFacts};
use crate::graph::HeapGraph;
use crate::report::json::objects::ObjectJson;

/// Writes one row.
///
/// # Errors
/// Those of the writer.
pub fn row<'a>(out: &mut dyn Write, cells: impl IntoIterator<Item = &'a str>) -> io::Result<()> {
    for (index, cell) in cells.into_iter().enumerate() {
        if index > 0 {
            out.write_all(b",")?;
        }
        if cell.contains([',', '"', '\n', '\r']) {
            write!(out, "\"{}\"", cell.replace('"', "\"\""))?;
        } else {
            out.write_all(cell.as_bytes())?;
        }
    }
    out.write_all(b"\n")
}

/// Writes all types of a heap.
///
/// # Errors
/// Those of the writer.
pub fn histogram(out: &mut dyn Write, histogram: &Histogram, by: GroupBy) -> io::Result<()> {
    row(out, [by.name()].into_iter().chain(COLUMNS))?;
    for line in &histogram.types {
        let numbers = numbers(&line.totals);
        row(out, [line.name.as_str()].into_iter().chain(numbers.iter().map(String::as_str)))?;
    }
    Ok(())
}

/// The columns of a histogram, all but the first.
const COLUMNS: [&str; 6] =
    ["objects", "gc_tracked", "gc_frozen", "shallow_bytes", "payload_bytes", "buffer_bytes"];

/// All columns but the first.
fn numbers(totals: &Totals) -> [String; 6] {
    let t = totals;
    let tracked = [t.objects, t.gc_tracked, t.gc_frozen];
    let [objects, tracked, frozen] = tracked.map(|number| number.to_string());
    let bytes = [t.shallow_bytes, t.payload_bytes, t.buffer_bytes];
    let [shallow, payload, buffer] = bytes.map(|number| number.to_string());
    [objects, tracked, frozen, shallow, payload, buffer]
}

/// Writes all types of several heaps, each row with its process.
///
/// # Errors
/// Those of the writer.
pub fn histograms<'h>(
    out: &mut dyn Write,
    heaps: impl IntoIterator<Item = (u32, &'h Histogram)>,
    by: GroupBy,
) -> io::Result<()> {
    row(out, ["pid", by.name()].into_iter().chain(COLUMNS))?;
    for (pid, histogram) in heaps {
        let pid = pid.to_string();
        for line in &histogram.types {
            let numbers = numbers(&line.totals);
            let cells = [pid.as_str(), line.name.as_str()].into_iter();
            row(out, cells.chain(numbers.iter().map(String::as_str)))?;
        }
    }
    Ok(())
}

/// Writes all types that differ.
///
/// # Errors
/// Those of the writer.
pub fn diff(out: &mut dyn Write, diff: &Diff, by: GroupBy) -> io::Result<()> {
    let head = [by.name(), "objects_before", "objects_after", "objects_delta", "bytes_before"];
    row(out, head.into_iter().chain(["bytes_after", "bytes_delta", "new", "gone"]))?;
    for line in &diff.types {
        let optional = |number: Option<u64>| number.map(|n| n.to_string()).unwrap_or_default();
        let cells = [
            line.name.clone(),
            line.objects_before.to_string(),
            line.objects_after.to_string(),
            line.objects_delta().to_string(),
            line.bytes_before.to_string(),
            line.bytes_after.to_string(),
            line.bytes_delta().to_string(),
            optional(line.new),
            optional(line.gone),
        ];
        row(out, cells.iter().map(String::as_str))?;
    }
    Ok(())
}

/// Writes all types of which something is garbage; `with_pid`: each row with its process.
///
/// # Errors
/// Those of the writer.
pub fn garbage(
    out: &mut dyn Write,
    heaps: &[(u32, Garbage)],
    with_pid: bool,
    by: GroupBy,
) -> io::Result<()> {
    let head =
        [by.name(), "objects", "unreachable", "shallow_bytes", "payload_bytes", "buffer_bytes"];
    row(out, with_pid.then_some("pid").into_iter().chain(head))?;
    for (pid, garbage) in heaps {
        let pid = pid.to_string();
        for line in &garbage.types {
            let numbers = [
                line.objects,
                line.unreachable,
                line.shallow_bytes,
                line.payload_bytes,
                line.buffer_bytes,
            ];
            let numbers = numbers.map(|number| number.to_string());
            let cells = with_pid.then_some(pid.as_str()).into_iter();
            let cells = cells.chain([line.type_name.as_str()]);
            row(out, cells.chain(numbers.iter().map(String::as_str)))?;
        }
    }
    Ok(())
}

/// The heading of the rows of objects.
///
/// # Errors
/// Those of the writer.
pub fn objects_heading(out: &mut dyn Write) -> io::Result<()> {
    row(out, ObjectJson::COLUMNS)
}

/// Writes one object: the columns are the fields of its JSON document, lists are JSON.
///
/// # Errors
/// Those of the writer.
pub fn object(out: &mut dyn Write, object: &ObjectJson<'_>) -> io::Result<()> {
    row(out, object.cells()?.iter().map(String::as_str))
}

/// Writes all texts and bytes that are there more than once.
///
/// # Errors
/// Those of the writer.
pub fn strings(out: &mut dyn Write, graph: &HeapGraph, groups: &[StringGroup]) -> io::Result<()> {
    row(out, ["type", "copies", "bytes_each", "shallow_bytes", "saved_bytes", "example", "value"])?;
    for group in groups {
        let numbers = [group.copies, group.bytes_each, group.bytes, group.saved_bytes];
        let numbers = numbers.map(|number| number.to_string());
        let value = graph.values.get(&group.example).map(|&value| graph.strings.text(value));
        let example = graph.addr(group.example).to_string();
        let cells = numbers.iter().map(String::as_str);
        let cells = cells.chain([example.as_str(), value.unwrap_or_default()]);
        row(out, [graph.type_name(group.ty)].into_iter().chain(cells))?;
    }
    Ok(())
}

/// Writes the orphans of each type, then the unexplained blocks of each size.
///
/// # Errors
/// Those of the writer.
pub fn orphans(out: &mut dyn Write, facts: &Facts, orphans: &[OrphanFacts]) -> io::Result<()> {
    row(out, ["kind", "name", "count", "bytes", "lost", "lost_bytes", "held_by"])?;
    for line in orphans {
        let bytes = line.shallow_bytes.saturating_add(line.buffer_bytes);
        let numbers = [line.objects, bytes, line.lost, line.lost_bytes];
        let numbers = numbers.map(|number| number.to_string());
        let held: Vec<String> =
            line.held_by.iter().map(|(file, count)| format!("{file}={count}")).collect();
        let held = held.join("; ");
        let cells = ["type", line.type_name.as_str()].into_iter();
        row(out, cells.chain(numbers.iter().map(String::as_str)).chain([held.as_str()]))?;
    }
    for class in &facts.allocator.size_classes {
        let bytes = class.used_blocks().saturating_mul(class.block_bytes);
        let lost = class.unexplained_blocks;
        let numbers =
            [class.block_bytes, class.used_blocks(), bytes, lost, class.unexplained_bytes()];
        let numbers = numbers.map(|number| number.to_string());
        row(out, ["block"].into_iter().chain(numbers.iter().map(String::as_str)).chain([""]))?;
    }
    Ok(())
}
