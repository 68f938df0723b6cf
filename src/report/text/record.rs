//! `record`, when it ends.

use std::io::{self, Write};

use crate::recording::{GrownLine, Lines, Recording};
use crate::report::table::{Align, Table};
use crate::report::{Layout, short_type, units};

/// How many types are shown that changed, and how many that were there at the peak.
const TYPES: usize = 8;

/// What a recording says: memory, the lines that made it grow, the types that changed, what it cost.
///
/// # Errors
/// Those of the writer.
pub fn write(
    out: &mut dyn Write,
    recording: &Recording,
    peak: bool,
    layout: &Layout,
) -> io::Result<()> {
    header(out, recording, layout)?;
    super::plot::write(out, recording)?;
    let lines = recording.growth.lines();
    if recording.head.stack_samples > 0 {
        growth(out, recording, &lines, peak, layout)?;
    }
    changes(out, recording, layout)?;
    if peak {
        peak_types(out, recording, layout)?;
    }
    for event in &recording.events {
        let at = units::seconds(event.seconds);
        let text = format!("{}: {} (at {at})", event.kind.word(), event.text);
        writeln!(out, "{}", layout.style.red(&text.replace(char::is_control, "\u{fffd}")))?;
    }
    overhead(out, recording, layout)
}

fn header(out: &mut dyn Write, recording: &Recording, layout: &Layout) -> io::Result<()> {
    let head = &recording.head;
    let command = match head.command.is_empty() {
        true => head.process.executable.clone(),
        false => head.command.join(" "),
    };
    let python = &head.interpreter.version;
    let title = format!("process {}  {command}  Python {python}", head.process.pid);
    let title = title.replace(char::is_control, "\u{fffd}");
    writeln!(out, "{}", layout.style.bold(&title))?;
    let points = recording.samples.points();
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return writeln!(out, "nothing was recorded");
    };
    let change = units::signed_bytes(difference(last.rss_bytes, first.rss_bytes));
    writeln!(
        out,
        "RSS {} → {} ({change}), peak {} at {}; {} recorded",
        units::bytes(first.rss_bytes),
        units::bytes(last.rss_bytes),
        units::bytes(head.peak_rss_bytes),
        units::seconds(head.peak_at),
        units::seconds(head.seconds),
    )?;
    if let Some(collected) = collections(recording) {
        writeln!(out, "{collected}")?;
    }
    if !head.finished {
        let text = "the recording was cut off: this is what it had up to then";
        writeln!(out, "{}", layout.style.red(text))?;
    }
    writeln!(out)
}

/// How often the collectors came.
fn collections(recording: &Recording) -> Option<String> {
    let mut sums = [0_i64; 3];
    for series in recording.collectors.values() {
        let (first, last) = (series.points().first()?, series.points().last()?);
        for (sum, (to, from)) in sums.iter_mut().zip(last.collections.iter().zip(first.collections))
        {
            *sum = sum.saturating_add(to.saturating_sub(from));
        }
    }
    let [young, middle, old] = sums;
    Some(format!("collections: {young} young, {middle} middle, {old} full"))
}

fn growth(
    out: &mut dyn Write,
    recording: &Recording,
    lines: &Lines,
    peak: bool,
    layout: &Layout,
) -> io::Result<()> {
    if lines.bytes == 0 && lines.peak_bytes == 0 {
        return writeln!(out, "private memory did not grow\n");
    }
    // What was there only for a while is in no growth that stayed, but may be what is looked for.
    let by_peak = peak || lines.bytes < lines.peak_bytes / 2;
    let mut rows: Vec<&GrownLine> = lines.lines.iter().collect();
    if by_peak {
        rows.sort_by_key(|line| std::cmp::Reverse(line.peak_bytes));
    }
    let mut table = Table::new(&[
        ("growth", Align::Right),
        ("%", Align::Right),
        ("at peak", Align::Right),
        ("%", Align::Right),
        ("seen", Align::Right),
        ("line", Align::Name),
        ("function", Align::Name),
    ]);
    let share = |part, whole| format!("{:.1}", units::share(part, whole) * 100.0);
    for line in rows.iter().take(layout.limit) {
        table.row([
            units::bytes(line.bytes),
            share(line.bytes, lines.bytes),
            units::bytes(line.peak_bytes),
            share(line.peak_bytes, lines.peak_bytes),
            units::count(line.samples),
            format!("{}:{}", line.frame.file, line.frame.line),
            line.frame.function.clone(),
        ]);
    }
    table.write(out, layout.style, layout.name_width())?;
    let hidden = rows.len().saturating_sub(layout.limit);
    if hidden > 0 {
        let more = format!("… and {hidden} lines more (-n {} shows all)", rows.len());
        writeln!(out, "{}", layout.style.dim(&more))?;
    }
    let unseen = lines.attributed_bytes < lines.bytes;
    let sure = lines.lines.iter().map(|line| line.sure_bytes).fold(0, u64::saturating_add);
    writeln!(
        out,
        "\n{} grown and still there, {} up to the peak; a stack was seen for {} of it,\n\
         no other line beside it for {}; {} looks, at {} Python ran",
        units::bytes(lines.bytes),
        units::bytes(lines.peak_bytes),
        units::percent(lines.attributed_bytes, lines.bytes),
        units::percent(sure, lines.bytes),
        units::count(recording.head.stack_samples),
        units::count(recording.head.running_samples),
    )?;
    if unseen && lines.attributed_bytes > 0 {
        writeln!(out, "what no stack was seen for is shared out as what was seen")?;
    }
    writeln!(out)
}

fn changes(out: &mut dyn Write, recording: &Recording, layout: &Layout) -> io::Result<()> {
    let censuses = recording.censuses.all();
    let change = recording.censuses.change();
    let (Some(first), Some(last)) = (censuses.first(), censuses.last()) else { return Ok(()) };
    if censuses.len() < 2 || change.is_empty() {
        return Ok(());
    }
    let mut table =
        Table::new(&[("objects", Align::Right), ("bytes", Align::Right), ("type", Align::Name)]);
    for (name, objects, bytes) in change.iter().take(TYPES.min(layout.limit)) {
        table.row([
            units::signed_count(*objects),
            units::signed_bytes(*bytes),
            short_type(name).to_owned(),
        ]);
    }
    table.write(out, layout.style, layout.name_width())?;
    writeln!(
        out,
        "from the first of {} censuses (at {}) to the last (at {})\n",
        censuses.len(),
        units::seconds(first.seconds),
        units::seconds(last.seconds),
    )
}

fn peak_types(out: &mut dyn Write, recording: &Recording, layout: &Layout) -> io::Result<()> {
    let head = &recording.head;
    let Some(census) = recording.censuses.nearest(head.peak_at) else { return Ok(()) };
    let mut table =
        Table::new(&[("count", Align::Right), ("bytes", Align::Right), ("type", Align::Name)]);
    for row in census.types.iter().take(TYPES.min(layout.limit)) {
        let name = short_type(&row.name).to_owned();
        table.row([units::count(row.objects), units::bytes(row.bytes()), name]);
    }
    table.write(out, layout.style, layout.name_width())?;
    writeln!(
        out,
        "in the census nearest to the peak (at {}; the peak was at {})\n",
        units::seconds(census.seconds),
        units::seconds(head.peak_at),
    )
}

fn overhead(out: &mut dyn Write, recording: &Recording, layout: &Layout) -> io::Result<()> {
    let head = &recording.head;
    let text = format!(
        "overhead {:.1} %: stopped for {} in {} censuses, {} of processor time of pyheap's own",
        recording.overhead_share() * 100.0,
        units::seconds(head.stopped_seconds),
        recording.censuses.all().len(),
        units::seconds(head.own_cpu_seconds),
    );
    writeln!(out, "{}", layout.style.dim(&text))
}

fn difference(a: u64, b: u64) -> i64 {
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    signed(a).saturating_sub(signed(b))
}
