//! `snapshot` and `histogram`.

use std::io::{self, Write};

use crate::analysis::histogram::marked_types;
use crate::analysis::{GroupBy, Histogram};
use crate::facts::{Facts, TornFacts};
use crate::graph::HeapGraph;
use crate::report::table::{Align, Table};
use crate::report::{Layout, short_type, units};

/// Which process, which Python, and what reading it has cost.
///
/// # Errors
/// Those of the writer.
pub fn header(out: &mut dyn Write, facts: &Facts, layout: &Layout) -> io::Result<()> {
    let process = &facts.process;
    let python = &facts.interpreter;
    let build = match python.build.as_str() {
        "" | "default" => String::new(),
        build => format!(" ({build})"),
    };
    let title = format!(
        "process {}  {}  Python {}{build}",
        process.pid, process.executable, python.version
    );
    let title = title.replace(char::is_control, "\u{fffd}");
    writeln!(out, "{}", layout.style.bold(&title))?;
    if facts.pause.mode == "core" {
        let saved = units::bytes(facts.captured_bytes);
        let total = units::seconds(facts.timings.total);
        return writeln!(out, "core file with {saved} of memory, {total} in all\n");
    }
    let pause = match facts.pause.mode.as_str() {
        "none" => "not paused (read while it ran)".to_owned(),
        "frozen" => "not paused (it stood still already)".to_owned(),
        mode => format!("paused for {} ({mode})", units::seconds(facts.pause.seconds)),
    };
    let rss = units::bytes(process.rss_bytes);
    writeln!(out, "RSS {rss}, {pause}, {} in all\n", units::seconds(facts.timings.total))
}

/// Objects that were counted together, and by what.
#[derive(Clone, Copy, Debug)]
pub struct Counted<'a> {
    /// The counts.
    pub histogram: &'a Histogram,
    /// What was counted together.
    pub by: GroupBy,
}

/// The types of a heap, with header and footer; `waiting` is the line about garbage, if any.
///
/// # Errors
/// Those of the writer.
pub fn write(
    out: &mut dyn Write,
    facts: &Facts,
    graph: &HeapGraph,
    counted: Counted<'_>,
    waiting: Option<&str>,
    layout: &Layout,
) -> io::Result<()> {
    header(out, facts, layout)?;
    if let Some(hang) = super::hang::hang(facts) {
        let hang = hang.replace(char::is_control, "\u{fffd}");
        writeln!(out, "{}\npyheap stacks tells each thread\n", layout.style.red(&hang))?;
    }
    table(out, counted, layout)?;
    footer(out, graph, counted, waiting, layout)?;
    match &facts.torn {
        Some(torn) => writeln!(out, "{}", consistency(torn)),
        None => Ok(()),
    }
}

/// How far a heap that was read while its process ran can be believed.
fn consistency(torn: &TornFacts) -> String {
    let again = match torn.retries {
        0 => String::new(),
        1 => ", after torn parts were read again once".to_owned(),
        times => format!(", after torn parts were read again {times} times"),
    };
    if torn.objects == 0 {
        return format!(
            "it ran while it was read: nothing was seen that does not fit together{again}"
        );
    }
    format!(
        "it ran while it was read: {} objects ({:.3} %, {} or {:.3} % of the bytes) make no sense{again}",
        units::count(torn.objects),
        torn.object_share * 100.0,
        units::bytes(torn.bytes),
        torn.byte_share * 100.0,
    )
}

/// The table alone.
///
/// # Errors
/// Those of the writer.
pub fn table(out: &mut dyn Write, counted: Counted<'_>, layout: &Layout) -> io::Result<()> {
    let Counted { histogram, by } = counted;
    let mut table = Table::new(&[
        ("count", Align::Right),
        ("%", Align::Right),
        ("shallow", Align::Right),
        ("buffers", Align::Right),
        ("%", Align::Right),
        ("cum%", Align::Right),
        (by.name(), Align::Name),
    ]);
    let all = &histogram.totals;
    let mut so_far = 0_u64;
    for row in histogram.types.iter().take(layout.limit) {
        let totals = &row.totals;
        so_far = so_far.saturating_add(totals.bytes());
        let share = |part, whole| format!("{:.1}", units::share(part, whole) * 100.0);
        table.row([
            units::count(totals.objects),
            share(totals.objects, all.objects),
            units::bytes(totals.shallow_bytes),
            if totals.buffers() == 0 { "-".to_owned() } else { units::bytes(totals.buffers()) },
            share(totals.bytes(), all.bytes()),
            share(so_far, all.bytes()),
            short_type(&row.name).to_owned(),
        ]);
    }
    table.write(out, layout.style, layout.name_width())
}

fn footer(
    out: &mut dyn Write,
    graph: &HeapGraph,
    Counted { histogram, by }: Counted<'_>,
    waiting: Option<&str>,
    layout: &Layout,
) -> io::Result<()> {
    let style = layout.style;
    let hidden = histogram.types.len().saturating_sub(layout.limit);
    if hidden > 0 {
        let more =
            format!("… and {hidden} {}s more (-n {} shows all)", by.name(), histogram.types.len());
        writeln!(out, "{}", style.dim(&more))?;
    }
    let all = &histogram.totals;
    writeln!(
        out,
        "\n{} objects ({} tracked by the collector, {} frozen), {} shallow, {} in buffers",
        units::count(all.objects),
        units::count(all.gc_tracked),
        units::count(all.gc_frozen),
        units::bytes(all.shallow_bytes),
        units::bytes(all.buffers()),
    )?;
    if let Some(waiting) = waiting {
        writeln!(out, "{}", style.red(waiting))?;
    }
    let names = |names: Vec<String>| {
        names.iter().map(|name| short_type(name)).collect::<Vec<_>>().join(", ")
    };
    let estimated = marked_types(graph, |row| row.estimated);
    if !estimated.is_empty() {
        writeln!(out, "sizes are estimates for: {}", names(estimated))?;
    }
    let inferred = marked_types(graph, |row| row.inferred);
    if !inferred.is_empty() {
        writeln!(out, "references were found by scanning for: {}", names(inferred))?;
    }
    for anomaly in graph.anomalies.iter() {
        let at = anomaly.examples.first().map(|at| format!(", first at {at}")).unwrap_or_default();
        let text = format!("anomaly: {} ({} times{at})", anomaly.kind, units::count(anomaly.count));
        writeln!(out, "{}", style.red(&text))?;
    }
    Ok(())
}
