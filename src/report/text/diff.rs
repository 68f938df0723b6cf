//! `diff`.

use std::io::{self, Write};

use super::{memory, path};
use crate::analysis::{Diff, GroupBy, Growth, Identity, Suspect, TypeDiff};
use crate::facts::{Facts, SizeClassFacts};
use crate::report::table::{Align, Table};
use crate::report::{Layout, short_type, units};

/// How many suspects are told in words.
const SUSPECTS: usize = 5;

/// A suspect is told if it is at least one part of so many of the first one.
const LEAST_PART: u64 = 10;

/// What is told of a difference.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// The difference of the first heap and the last.
    pub diff: &'a Diff,
    /// The same, or what was counted together by something else than the type.
    pub table: &'a Diff,
    /// What the table counts together.
    pub by: GroupBy,
    /// What leaks, likeliest first.
    pub suspects: &'a [Suspect],
    /// The counts in each heap, if there are more than two.
    pub growth: Option<&'a Growth>,
}

/// What the process gained, the suspects in words, then the types by growth.
///
/// # Errors
/// Those of the writer.
pub fn write(
    out: &mut dyn Write,
    before: &Facts,
    after: &Facts,
    found: Found<'_>,
    layout: &Layout,
) -> io::Result<()> {
    let Found { diff, suspects, growth, by, .. } = found;
    header(out, before, after, diff, layout)?;
    if diff.types.is_empty() {
        return writeln!(out, "nothing changed");
    }
    let gone = sum(diff).min(0).unsigned_abs();
    told(out, suspects, gone, growth.is_some(), layout)?;
    table(out, found, layout)?;
    let rows = found.table.types.len();
    let hidden = rows.saturating_sub(layout.limit);
    if hidden > 0 {
        let more = format!("… and {hidden} {}s more (-n {rows} shows all)", by.name());
        writeln!(out, "{}", layout.style.dim(&more))?;
    }
    if diff.identity == Identity::OtherProcess {
        writeln!(out, "\nTwo processes: which objects are new or gone cannot be known.")?;
    }
    Ok(())
}

/// The blocks of Python's allocator that no object explains, where their number has grown: memory
/// that C code has lost shows nowhere else.
///
/// # Errors
/// Those of the writer.
pub fn blocks(
    out: &mut dyn Write,
    before: &Facts,
    after: &Facts,
    layout: &Layout,
) -> io::Result<()> {
    /// Fewer may be in use for a moment; and many come and go where there are many.
    const FEWEST: u64 = 100;
    const ONE_IN: u64 = 10;
    if before.allocator.size_classes.is_empty() {
        return Ok(());
    }
    let mut grown = 0;
    for class in &after.allocator.size_classes {
        let same = |it: &&SizeClassFacts| it.block_bytes == class.block_bytes;
        let was = before.allocator.size_classes.iter().find(same);
        let was = was.map_or(0, |class| class.unexplained_blocks);
        let more = class.unexplained_blocks.saturating_sub(was);
        if more < FEWEST.max(was / ONE_IN) {
            continue;
        }
        let title = format!(
            "+{} unexplained blocks of {} bytes, +{}",
            units::count(more),
            class.block_bytes,
            units::bytes(more * class.block_bytes)
        );
        writeln!(out, "{}", layout.style.red(&title))?;
        grown += 1;
    }
    if grown > 0 {
        let note =
            "    no object and no binary refers to them: C code loses memory (pyheap orphans)\n";
        writeln!(out, "{}", layout.style.dim(note))?;
    }
    Ok(())
}

/// How much the process grew, and how much of that are objects.
fn header(
    out: &mut dyn Write,
    before: &Facts,
    after: &Facts,
    diff: &Diff,
    layout: &Layout,
) -> io::Result<()> {
    let objects = sum(diff);
    let rss = |facts: &Facts| facts.process.rss_bytes;
    let grown = rss(after).cast_signed().wrapping_sub(rss(before).cast_signed());
    let times = match diff.identity {
        Identity::SameProcess => {
            let seconds = units::seconds((after.taken_at - before.taken_at).max(0.0));
            format!("process {}, {seconds} later", after.process.pid)
        }
        Identity::OtherProcess => {
            format!("process {} against {}", after.process.pid, before.process.pid)
        }
    };
    writeln!(
        out,
        "{times}: RSS {} → {} ({}), objects {}",
        units::bytes(rss(before)),
        units::bytes(rss(after)),
        units::signed_bytes(grown),
        units::signed_bytes(objects),
    )?;
    if is_elsewhere(grown, objects) {
        let share = objects.max(0) as f64 / grown as f64 * 100.0;
        let text = format!(
            "No leak of objects explains this: live objects are {share:.0} % of the growth. The rest is memory \
             that was freed and not given back to the system, or memory of C code: pyheap memory says which."
        );
        writeln!(out, "{}", layout.style.red(&path::words(&text, layout.width)))?;
    }
    let memory = before.memory.as_ref().zip(after.memory.as_ref());
    if let Some(line) = memory.and_then(|(before, after)| memory::growth(before, after)) {
        writeln!(out, "{line}")?;
    }
    writeln!(out)
}

/// How many bytes more all objects are.
fn sum(diff: &Diff) -> i64 {
    diff.types.iter().map(TypeDiff::bytes_delta).fold(0, i64::saturating_add)
}

/// Whether a process grew by much that is no object.
const fn is_elsewhere(grown: i64, objects: i64) -> bool {
    /// Less comes and goes with buffers of the interpreter.
    const MUCH: i64 = 16 << 20;
    grown >= MUCH && objects < grown / 4
}

fn told(
    out: &mut dyn Write,
    suspects: &[Suspect],
    gone: u64,
    many: bool,
    layout: &Layout,
) -> io::Result<()> {
    // What owns nothing came along with another suspect: it is in the table, not in the words.
    let mut owners = suspects.iter().filter(|suspect| suspect.owned_bytes > 0).peekable();
    let Some(first) = owners.peek() else {
        return writeln!(
            out,
            "{}\n",
            if suspects.is_empty() { "nothing grew" } else { "" }.trim_end()
        );
    };
    // Where much has gone, a little that came is no leak.
    let least = (first.owned_bytes / LEAST_PART).max(gone / LEAST_PART);
    let steady = first.is_steady;
    let most = SUSPECTS.min(layout.limit);
    let mut shown = 0;
    let (mut smaller, mut bytes) = (0_u64, 0_u64);
    for suspect in owners {
        let matters = suspect.owned_bytes >= least && suspect.is_steady == steady;
        if shown < most && matters {
            shown += 1;
            one(out, suspect, many, layout)?;
        } else {
            smaller += 1;
            bytes = bytes.saturating_add(suspect.owned_bytes);
        }
    }
    if smaller > 0 {
        let what = match (smaller, steady) {
            (1, false) => "type that matters less",
            (_, false) => "types that matter less",
            (1, true) => "type that matters less or did not grow at every step",
            (_, true) => "types that matter less or did not grow at every step",
        };
        let line = format!("… and {} {what}, +{}", units::count(smaller), units::bytes(bytes));
        writeln!(out, "{}", layout.style.dim(&line))?;
    }
    writeln!(out)
}

/// A suspect: how much, who holds it, and what it is that hangs on it.
fn one(out: &mut dyn Write, suspect: &Suspect, many: bool, layout: &Layout) -> io::Result<()> {
    let title = title(suspect, many).replace(char::is_control, "\u{fffd}");
    writeln!(out, "{}", layout.style.red(&title))?;
    let most = suspect.held_by.first().map_or(0, |held| held.bytes);
    let ways = suspect.held_by.iter().take_while(|held| held.bytes >= most / LEAST_PART);
    for held in ways.take(3) {
        let line = path::held_by(held, layout.full_names);
        let line = path::wrapped(&line, layout.width, 23, 25);
        let (count, bytes) = (units::count(held.objects), units::bytes(held.bytes));
        writeln!(out, "  {count:>8} {bytes:>10}  {line}")?;
    }
    for part in &suspect.holds {
        let line = path::circle(&part.path, layout.full_names);
        let line = path::wrapped(&format!("of it: {line}"), layout.width, 23, 25);
        let (count, bytes) = (units::count(part.objects), units::bytes(part.bytes));
        writeln!(out, "  {count:>8} {bytes:>10}  {line}")?;
    }
    Ok(())
}

fn title(suspect: &Suspect, many: bool) -> String {
    let name = short_type(&suspect.type_name);
    let own = suspect.bytes_delta.max(0).unsigned_abs();
    let owned = suspect.owned_bytes;
    let along = if owned > own {
        format!(" ({} with what they hold)", units::bytes(owned))
    } else {
        String::new()
    };
    let steps = if many && suspect.is_steady {
        let steps: Vec<String> = suspect.steps.iter().map(|&bytes| units::bytes(bytes)).collect();
        format!(", at every step: {}", steps.join(", "))
    } else {
        String::new()
    };
    if suspect.objects_delta == 0 {
        return format!("{name} grew by {}{along}{steps}", units::bytes(own));
    }
    let bytes = units::signed_bytes(suspect.bytes_delta);
    format!("{} {name}, {bytes}{along}{steps}", units::signed_count(suspect.objects_delta))
}

fn table(out: &mut dyn Write, found: Found<'_>, layout: &Layout) -> io::Result<()> {
    let (diff, by) = (found.table, found.by);
    // The counts of the heaps between are those of types.
    let growth = found.growth.filter(|_| by == GroupBy::Type);
    let mut columns = vec![
        ("objects", Align::Right),
        ("new", Align::Right),
        ("gone", Align::Right),
        ("bytes", Align::Right),
        ("now", Align::Right),
    ];
    if growth.is_some() {
        columns.push(("every step", Align::Right));
    }
    columns.push((by.name(), Align::Name));
    let mut table = Table::new(&columns);
    let mut rows: Vec<&TypeDiff> = diff.types.iter().collect();
    if sum(diff) < 0 {
        // What is gone is what happened.
        rows.sort_by_key(|row| std::cmp::Reverse(row.bytes_delta().unsigned_abs()));
    }
    for row in rows.into_iter().take(layout.limit) {
        let optional = |number: Option<u64>| number.map_or("?".to_owned(), units::count);
        let mut cells = vec![
            units::signed_count(row.objects_delta()),
            optional(row.new),
            optional(row.gone),
            units::signed_bytes(row.bytes_delta()),
            units::bytes(row.bytes_after),
        ];
        if let Some(growth) = growth {
            let grew = growth.grew_at_every_step(&row.name);
            cells.push(if grew { "grew" } else { "-" }.to_owned());
        }
        cells.push(short_type(&row.name).to_owned());
        table.row(cells);
    }
    table.write(out, layout.style, layout.name_width())
}
