//! `objects` and `show`.

use std::io::{self, Write};

use rustc_hash::FxHashMap;

use super::{allocation, native, path};
use crate::analysis::references::Referrer;
use crate::facts::Facts;
use crate::graph::{HeapGraph, ObjectFlags, ObjectId};
use crate::report::table::{Align, Table};
use crate::report::{Layout, short_type, units};

/// The biggest objects, each with its first referrer; `total` counts those not shown, too.
///
/// # Errors
/// Those of the writer.
pub fn list(
    out: &mut dyn Write,
    graph: &HeapGraph,
    shown: &[ObjectId],
    total: u64,
    referrers: &FxHashMap<ObjectId, (Vec<Referrer>, u64)>,
    layout: &Layout,
) -> io::Result<()> {
    let mut table = Table::new(&[
        ("address", Align::Left),
        ("refs", Align::Right),
        ("shallow", Align::Right),
        ("buffers", Align::Right),
        ("type", Align::Name),
        ("first referrer", Align::Name),
    ]);
    for &object in shown {
        let buffers = graph.buffers_of(object);
        let first = referrers.get(&object).and_then(|(list, _)| list.first());
        table.row([
            graph.addr(object).to_string(),
            refcount(graph, object),
            units::bytes(graph.shallow_bytes_of(object)),
            if buffers == 0 { "-".to_owned() } else { units::bytes(buffers) },
            short_type(graph.type_name_of(object)).to_owned(),
            first.map_or_else(|| "-".to_owned(), |referrer| holder(graph, referrer)),
        ]);
    }
    table.write(out, layout.style, layout.name_width())?;
    let rest = total.saturating_sub(shown.len() as u64);
    if rest > 0 {
        writeln!(out, "{}", layout.style.dim(&format!("… and {} more", units::count(rest))))?;
    }
    Ok(())
}

fn refcount(graph: &HeapGraph, object: ObjectId) -> String {
    if graph.flags_of(object).has(ObjectFlags::IMMORTAL) {
        return "immortal".to_owned();
    }
    let count = graph.refcounts.get(object.index()).copied().unwrap_or_default();
    units::count(count.into())
}

/// `dict[3] at 0x…`.
fn holder(graph: &HeapGraph, referrer: &Referrer) -> String {
    let name = short_type(graph.type_name_of(referrer.object));
    let hidden = if referrer.hidden { " (hidden)" } else { "" };
    let label = path::label(&referrer.label);
    let text = format!("{name}{label} at {}{hidden}", graph.addr(referrer.object));
    text.replace(char::is_control, "\u{fffd}")
}

/// One object with its referents and referrers.
///
/// # Errors
/// Those of the writer.
pub fn show(
    out: &mut dyn Write,
    (facts, graph): (&Facts, &HeapGraph),
    object: ObjectId,
    found: &[u64],
    referrers: &(Vec<Referrer>, u64),
    layout: &Layout,
) -> io::Result<()> {
    let style = layout.style;
    let name = short_type(graph.type_name_of(object)).replace(char::is_control, "\u{fffd}");
    writeln!(out, "{}", style.bold(&format!("{name} at {}", graph.addr(object))))?;
    let buffers = graph.buffers_of(object);
    let shallow = units::bytes(graph.shallow_bytes_of(object));
    writeln!(out, "  size      {shallow} shallow, {} in buffers", units::bytes(buffers))?;
    let explained = match graph.unexplained_references(object, found) {
        Some(0) => ", all found".to_owned(),
        Some(rest) => format!(", {} not found", units::signed_count(rest)),
        None => String::new(),
    };
    writeln!(out, "  refcount  {}{explained}", refcount(graph, object))?;
    let flags = graph.flags_of(object);
    let collector = if flags.has(ObjectFlags::GC_FROZEN) {
        "frozen (permanent generation)".to_owned()
    } else if flags.has(ObjectFlags::GC_TRACKED) {
        format!("tracked, generation {}", flags.generation())
    } else {
        "not tracked".to_owned()
    };
    writeln!(out, "  collector {collector}")?;
    allocated(out, graph, object, layout)?;
    if let Some(&value) = graph.values.get(&object) {
        let text = graph.strings.text(value).replace(char::is_control, "\u{fffd}");
        writeln!(out, "  value     {text}")?;
    }
    for root in graph.roots.iter().filter(|root| root.object == object) {
        writeln!(out, "  root      {} {}", root.kind.name(), graph.strings.text(root.name))?;
    }
    for line in native::lines(facts, graph, object).iter().take(layout.limit) {
        writeln!(out, "  stands in {line}")?;
    }
    let visible = graph.referents.of(object);
    let hidden = graph.hidden_referents.of(object);
    let count = visible.len() + hidden.len();
    writeln!(out, "\n{}", style.bold(&format!("refers to {}", units::count(count as u64))))?;
    let visible = visible.iter().enumerate();
    let visible = visible.map(|(nth, &to)| (graph.referent_label(object, nth), to, ""));
    let hidden = hidden.iter().enumerate();
    let hidden = hidden.map(|(nth, &to)| (graph.hidden_label(object, nth), to, "  (hidden)"));
    for (label, to, mark) in visible.chain(hidden).take(layout.limit) {
        let line = format!("{label}  {}", short_type(graph.type_name_of(to)));
        let line = line.replace(char::is_control, "\u{fffd}");
        writeln!(out, "  {line} at {}{mark}", graph.addr(to))?;
    }
    rest(out, count as u64, layout)?;
    let (list, count) = referrers;
    writeln!(out, "\n{}", style.bold(&format!("referred to by {}", units::count(*count))))?;
    for referrer in list.iter().take(layout.limit) {
        writeln!(out, "  {}", holder(graph, referrer))?;
    }
    rest(out, *count, layout)
}

/// Where it was allocated; who called is told below.
fn allocated(
    out: &mut dyn Write,
    graph: &HeapGraph,
    object: ObjectId,
    layout: &Layout,
) -> io::Result<()> {
    let Some(site) = graph.allocations.site_of(object) else {
        if !graph.allocations.is_empty() {
            return writeln!(out, "  allocated before tracemalloc was started");
        }
        let how = format!("  allocated unknown: no tracemalloc ({})", allocation::HOW_TO_TRACE);
        return writeln!(out, "{}", layout.style.dim(&how));
    };
    for (nth, &line) in graph.allocations.lines(site).iter().enumerate() {
        let word = if nth == 0 { "allocated at" } else { "         from" };
        let line = allocation::line(graph, line).replace(char::is_control, "\u{fffd}");
        writeln!(out, "  {word} {line}")?;
    }
    Ok(())
}

fn rest(out: &mut dyn Write, count: u64, layout: &Layout) -> io::Result<()> {
    match count.saturating_sub(layout.limit as u64) {
        0 => Ok(()),
        rest => writeln!(out, "  {}", layout.style.dim(&format!("… and {}", units::count(rest)))),
    }
}
