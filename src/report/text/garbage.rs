//! `garbage`: what a collection would free now.

use std::io::{self, Write};

use crate::analysis::garbage::Garbage;
use crate::facts::{Facts, GenerationFacts};
use crate::report::table::{Align, Table};
use crate::report::{Layout, short_type, units};

/// The sum in words, the types, and when the collector will come by itself.
///
/// # Errors
/// Those of the writer.
pub fn write(
    out: &mut dyn Write,
    facts: &Facts,
    garbage: &Garbage,
    layout: &Layout,
) -> io::Result<()> {
    super::histogram::header(out, facts, layout)?;
    let sum = summary(garbage);
    let sum = if garbage.objects == 0 { sum } else { layout.style.red(&sum) };
    writeln!(out, "{sum}")?;
    if garbage.may_be_resurrected > 0 {
        let objects = units::count(garbage.may_be_resurrected);
        writeln!(out, "{objects} of them have a __del__, which may bring them back to life")?;
    }
    if !garbage.types.is_empty() {
        writeln!(out)?;
        table(out, garbage, layout)?;
    }
    if !garbage.uncollectable.is_empty() {
        let objects: u64 = garbage.uncollectable.iter().map(|row| row.objects).sum();
        writeln!(
            out,
            "\n{} objects are in gc.garbage: a collection found them and could not \
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
        units::count(garbage.objects - garbage.unreachable),
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

fn table(out: &mut dyn Write, garbage: &Garbage, layout: &Layout) -> io::Result<()> {
    let mut table = Table::new(&[
        ("count", Align::Right),
        ("shallow", Align::Right),
        ("buffers", Align::Right),
        ("type", Align::Name),
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
        let more = format!("… and {hidden} types more (-n {} shows all)", garbage.types.len());
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
