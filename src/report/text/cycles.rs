//! `cycles`: what refers to itself in circles, garbage first.

use std::io::{self, Write};

use super::{finalizers, path};
use crate::analysis::circles::CyclesOf;
use crate::analysis::{CycleGroup, State};
use crate::facts::Facts;
use crate::report::{Layout, short_type, units};

/// Each shape in a few lines; cycles that are alive are code, mostly, and told last.
///
/// # Errors
/// Those of the writer.
pub fn write(
    out: &mut dyn Write,
    facts: &Facts,
    groups: &[CycleGroup],
    layout: &Layout,
) -> io::Result<()> {
    super::histogram::header(out, facts, layout)?;
    if groups.iter().all(|group| group.state == State::Alive) {
        writeln!(out, "no cycle is garbage\n")?;
    }
    shapes(out, groups, layout)
}

/// The same for each group apart, those with garbage first.
///
/// # Errors
/// Those of the writer.
pub fn write_groups(
    out: &mut dyn Write,
    facts: &Facts,
    groups: &[CyclesOf],
    layout: &Layout,
) -> io::Result<()> {
    super::histogram::header(out, facts, layout)?;
    let is_alive = |of: &CyclesOf| of.cycles.iter().all(|group| group.state == State::Alive);
    if groups.iter().all(is_alive) {
        writeln!(out, "no cycle is garbage\n")?;
    }
    let is_code = |of: &&CyclesOf| of.cycles.iter().all(|group| group.is_code);
    let (code, told): (Vec<&CyclesOf>, Vec<&CyclesOf>) = groups.iter().partition(is_code);
    for of in told.iter().take(layout.limit) {
        let count = match of.count() {
            1 => "1 cycle".to_owned(),
            count => format!("{} cycles", units::count(count)),
        };
        let objects = units::count(of.objects());
        let bytes = units::bytes(of.retained_bytes());
        let line = format!("{}: {count}, {objects} objects, {bytes}", short_type(&of.name));
        let line = line.replace(char::is_control, "\u{fffd}");
        writeln!(out, "{}", layout.style.bold(&line))?;
        shapes(out, &of.cycles, layout)?;
    }
    let hidden = told.len().saturating_sub(layout.limit);
    if hidden > 0 {
        let more = format!("… and {hidden} groups more (-n {} shows all)", told.len());
        writeln!(out, "{}", layout.style.dim(&more))?;
    }
    if !code.is_empty() {
        let more = format!("not shown: {} groups of modules, classes and functions", code.len());
        writeln!(out, "{}", layout.style.dim(&format!("{more} (--json has them)")))?;
    }
    Ok(())
}

/// Each shape in a few lines, and what is code in one.
fn shapes(out: &mut dyn Write, groups: &[CycleGroup], layout: &Layout) -> io::Result<()> {
    let told: Vec<&CycleGroup> = groups.iter().filter(|group| !group.is_code).collect();
    for group in told.iter().take(layout.limit) {
        one(out, group, layout)?;
    }
    let hidden = told.len().saturating_sub(layout.limit);
    if hidden > 0 {
        let more = format!("… and {hidden} shapes more (-n {} shows all)", told.len());
        writeln!(out, "{}", layout.style.dim(&more))?;
    }
    let code = groups.iter().filter(|group| group.is_code);
    let (cycles, objects) = code
        .fold((0, 0), |(cycles, objects), group| (cycles + group.count, objects + group.objects));
    if cycles > 0 {
        let more = format!(
            "not shown: {} cycles of {} objects, alive, the knot of modules, classes and functions \
             that every program is (--json has them)",
            units::count(cycles),
            units::count(objects),
        );
        writeln!(out, "{}", layout.style.dim(&more))?;
    }
    Ok(())
}

fn one(out: &mut dyn Write, group: &CycleGroup, layout: &Layout) -> io::Result<()> {
    let count = match group.count {
        1 => "1 cycle".to_owned(),
        count => format!("{} cycles", units::count(count)),
    };
    let along = match group.retained_bytes > group.shallow_bytes && group.state != State::Alive {
        true => format!(", {} with what hangs on them", units::bytes(group.retained_bytes)),
        false => String::new(),
    };
    let title = format!(
        "{}  {count} of {} objects, {}{along}",
        group.state.name(),
        units::count(group.objects / group.count.max(1)),
        units::bytes(group.shallow_bytes),
    );
    let title = match group.state {
        State::Alive => title,
        State::Garbage | State::Uncollectable => layout.style.red(&title),
    };
    writeln!(out, "{title}")?;
    let line = path::circle(&group.shape, layout.full_names);
    writeln!(out, "    {}", path::wrapped(&line, layout.width, 4, 8))?;
    if let Some(edge) = &group.hidden_edge {
        let edge = edge.replace(char::is_control, "\u{fffd}");
        writeln!(out, "    the collector does not see {edge}: no collection will free it")?;
    }
    if group.has_del() {
        writeln!(out, "    a __del__ may bring it back to life")?;
    }
    finalizers::write(out, &group.finalizers, layout)?;
    writeln!(out)
}
