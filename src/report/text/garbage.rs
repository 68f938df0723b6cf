//! `garbage`: what a collection would free now.

use std::io::{self, Write};

use super::{finalizers, path};
use crate::analysis::garbage::Garbage;
use crate::analysis::{CycleGroup, GroupBy};
use crate::facts::{Facts, GenerationFacts};
use crate::report::table::{Align, Table};
use crate::report::{Layout, short_type, units};

/// What is told of garbage.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// What would be freed.
    pub garbage: &'a Garbage,
    /// What of it was counted together.
    pub by: GroupBy,
    /// The cycles that keep it, most bytes first.
    pub keepers: &'a [CycleGroup],
}

/// The sum in words, the types, and when the collector will come by itself.
///
/// # Errors
/// Those of the writer.
pub fn write(
    out: &mut dyn Write,
    facts: &Facts,
    found: Found<'_>,
    layout: &Layout,
) -> io::Result<()> {
    let Found { garbage, by, keepers } = found;
    super::histogram::header(out, facts, layout)?;
    let sum = summary(garbage);
    let sum = if garbage.objects == 0 { sum } else { layout.style.red(&sum) };
    writeln!(out, "{sum}")?;
    if garbage.may_be_resurrected > 0 {
        let objects = units::count(garbage.may_be_resurrected);
        writeln!(out, "{objects} of them have a __del__, which may bring them back to life")?;
    }
    finalizers::write(out, &garbage.finalizers, layout)?;
    kept_by(out, garbage, keepers, layout)?;
    if !garbage.types.is_empty() {
        writeln!(out)?;
        table(out, garbage, by, layout)?;
    }
    if !garbage.uncollectable.is_empty() {
        let objects =
            garbage.uncollectable.iter().map(|row| row.objects).fold(0, u64::saturating_add);
        writeln!(
            out,
            "\n{} objects are in gc.garbage or would be put there: a collection finds them and cannot \
             free them",
            units::count(objects)
        )?;
    }
    writeln!(out)?;
    if facts.gc_enabled == Some(false) {
        writeln!(out, "the collector is switched off (gc.disable()): it never comes by itself")?;
    }
    for generation in &facts.generations {
        writeln!(out, "{}", self::generation(generation, facts.gc_enabled))?;
    }
    Ok(())
}

/// The cycles that keep most of it.
fn kept_by(
    out: &mut dyn Write,
    garbage: &Garbage,
    keepers: &[CycleGroup],
    layout: &Layout,
) -> io::Result<()> {
    /// What is less than one part of so many is no matter.
    const LEAST_PART: u64 = 20;
    const MOST: usize = 3;
    let least = garbage.bytes() / LEAST_PART;
    for group in keepers.iter().filter(|group| group.retained_bytes >= least).take(MOST) {
        let cycles = match group.count {
            1 => "1 cycle keeps".to_owned(),
            count => format!("{} cycles keep", units::count(count)),
        };
        let circle = path::circle(&group.shape, layout.full_names);
        let line = format!("{cycles} {}: {circle}", units::bytes(group.retained_bytes));
        writeln!(out, "    {}", path::wrapped(&line, layout.width, 4, 8))?;
    }
    Ok(())
}

/// All in one sentence.
#[must_use]
pub fn summary(garbage: &Garbage) -> String {
    if garbage.objects == 0 {
        return "no garbage: a collection would free nothing".to_owned();
    }
    let buffers = match garbage.buffers() {
        0 => String::new(),
        bytes => format!(" ({} of it in buffers)", units::bytes(bytes)),
    };
    format!(
        "{} in {} objects wait for the collector{buffers}: {} in cycles, {} that hang on them",
        units::bytes(garbage.bytes()),
        units::count(garbage.objects),
        units::count(garbage.unreachable),
        units::count(garbage.objects.saturating_sub(garbage.unreachable)),
    )
}

/// The one line for a table of the whole heap, which has `heap_bytes` in all; nothing where the
/// garbage is less than one part in fifty: a little always waits, and says nothing.
#[must_use]
pub fn waiting(garbage: &Garbage, heap_bytes: u64) -> Option<String> {
    let is_material = garbage.bytes() > 0 && garbage.bytes() >= heap_bytes / 50;
    is_material.then(|| {
        format!(
            "{} in {} objects wait for the collector: pyheap garbage names them",
            units::bytes(garbage.bytes()),
            units::count(garbage.objects),
        )
    })
}

fn table(out: &mut dyn Write, garbage: &Garbage, by: GroupBy, layout: &Layout) -> io::Result<()> {
    let mut table = Table::new(&[
        ("count", Align::Right),
        ("shallow", Align::Right),
        ("buffers", Align::Right),
        (by.name(), Align::Name),
    ]);
    for row in garbage.types.iter().take(layout.limit) {
        let buffers = row.buffers();
        table.row([
            units::count(row.objects),
            units::bytes(row.shallow_bytes),
            if buffers == 0 { "-".to_owned() } else { units::bytes(buffers) },
            short_type(&row.type_name).to_owned(),
        ]);
    }
    table.write(out, layout.style, layout.name_width())?;
    let hidden = garbage.types.len().saturating_sub(layout.limit);
    if hidden > 0 {
        let more =
            format!("… and {hidden} {}s more (-n {} shows all)", by.name(), garbage.types.len());
        writeln!(out, "{}", layout.style.dim(&more))?;
    }
    Ok(())
}

/// How near the next collection of a generation is, by its counter.
fn generation(facts: &GenerationFacts, enabled: Option<bool>) -> String {
    let GenerationFacts { generation, count, threshold, collections } = facts;
    let unit = match generation {
        0 => "allocations more than deallocations of containers".to_owned(),
        _ => format!("collections of generation {}", generation - 1),
    };
    if enabled == Some(false) {
        return format!(
            "generation {generation}: {count} of {threshold}, collected {collections} times"
        );
    }
    let next = match threshold {
        0 => "never by itself (its threshold is 0)".to_owned(),
        threshold if count > threshold => "due at the next allocation".to_owned(),
        threshold => format!("next after {} {unit}", threshold - count + 1),
    };
    format!(
        "generation {generation}: {count} of {threshold}, collected {collections} times; {next}"
    )
}
