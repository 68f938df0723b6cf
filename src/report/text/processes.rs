//! `ps` and `doctor`.

use std::collections::BTreeMap;
use std::io::{self, Write};

use crate::facts::PythonProcess;
use crate::report::json::processes::{DoctorJson, ForecastJson, InterpreterJson};
use crate::report::table::{Align, Table};
use crate::report::{Layout, units};

/// The Python processes of the machine.
///
/// # Errors
/// Those of the writer.
pub fn list(out: &mut dyn Write, processes: &[PythonProcess], layout: &Layout) -> io::Result<()> {
    if processes.is_empty() {
        return writeln!(out, "no Python process can be seen");
    }
    let containers = processes.iter().any(|process| process.container.is_some());
    let mut columns = vec![
        ("pid", Align::Right),
        ("user", Align::Name),
        ("python", Align::Left),
        ("rss", Align::Right),
        ("uptime", Align::Right),
        ("readable", Align::Left),
    ];
    if containers {
        columns.push(("container", Align::Name));
    }
    columns.push(("command", Align::Name));
    let mut table = Table::new(&columns);
    for process in processes {
        let mut cells = vec![
            process.pid.to_string(),
            process.user.clone(),
            python(process),
            units::bytes(process.rss_bytes),
            units::seconds(process.uptime_seconds),
            if process.readable { "yes" } else { "no" }.to_owned(),
        ];
        if containers {
            cells.push(process.container.clone().unwrap_or_else(|| "-".to_owned()));
        }
        cells.push(one_line(&process.command));
        table.row(cells);
    }
    table.write(out, layout.style, layout.name_width())?;
    refused(out, processes)
}

/// `3.12.1`, `3.13.0 debug`, `-`.
fn python(process: &PythonProcess) -> String {
    match (&process.version, process.build.as_deref()) {
        (None, _) => "-".to_owned(),
        (Some(version), None | Some("" | "default")) => version.clone(),
        (Some(version), Some(build)) => format!("{version} {build}"),
    }
}

/// Why some cannot be read: each reason once, with the processes it is true of.
fn refused(out: &mut dyn Write, processes: &[PythonProcess]) -> io::Result<()> {
    let mut reasons: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    for process in processes.iter().filter(|process| !process.readable) {
        let reason = process.reason.as_deref().unwrap_or("not known why");
        reasons.entry(reason).or_default().push(process.pid);
    }
    for (reason, pids) in &reasons {
        let Some(first) = pids.first() else { continue };
        let list = pids.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
        let reason = reason.replace(char::is_control, "\u{fffd}");
        writeln!(out, "\nnot readable: {list}: {reason}\n  pyheap doctor {first} says more")?;
    }
    Ok(())
}

/// A command line as a person would type it: line breaks as `\\n`, other control characters, and
/// those that reorder text, as their numbers.
fn one_line(text: &str) -> String {
    let reorders = |c| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || reorders(c) { line.extend(c.escape_default()) } else { line.push(c) }
    }
    line
}

/// Whether a process can be read, what that would cost it, and what stands in the way.
///
/// # Errors
/// Those of the writer.
pub fn doctor(out: &mut dyn Write, report: &DoctorJson, layout: &Layout) -> io::Result<()> {
    let style = layout.style;
    let verdict = if report.ok { "can be read" } else { "cannot be read" };
    writeln!(out, "{}", style.bold(&format!("process {} {verdict}", report.pid)))?;
    if let Some(reason) = &report.reason {
        for line in reason.lines() {
            writeln!(out, "  {}", one_line(line))?;
        }
        if let Some(advice) = &report.advice {
            writeln!(out, "  what helps: {}", one_line(advice))?;
        }
        writeln!(out, "  exit code of a snapshot: {}", report.exit_code)?;
    }
    if let Some(found) = &report.interpreter {
        writeln!(out, "  {}", interpreter(found))?;
    }
    if let Some(expected) = &report.forecast {
        forecast(out, expected)?;
    }
    if let Some(cow) = &report.cow {
        match (&cow.refused, cow.pause_seconds) {
            (Some(reason), _) => writeln!(out, "  --pause cow is refused: {}", one_line(reason))?,
            (None, seconds) => {
                let pause = units::seconds(seconds.unwrap_or_default());
                writeln!(out, "  --pause cow makes it fork: a pause of some {pause}")?;
                writeln!(out, "  and could kill it only by {}", cow.risk)?;
            }
        }
    }
    for finding in &report.findings {
        // Of what can be read, nothing stands in the way.
        let (mark, fix) = match (finding.ok, report.ok) {
            (true, _) => (style.green("ok "), None),
            (false, true) => ("-  ".to_owned(), None),
            (false, false) => (style.red("no "), finding.fix.as_ref()),
        };
        writeln!(out, "{mark} {}", one_line(&finding.what))?;
        if let Some(fix) = fix {
            writeln!(out, "     {}", one_line(fix))?;
        }
    }
    if !report.otherwise.is_empty() {
        writeln!(out, "or from a core file, which whoever may trace the process can write:")?;
    }
    for command in &report.otherwise {
        writeln!(out, "     {command}")?;
    }
    Ok(())
}

/// `CPython 3.11.7, 1 interpreter, in /usr/bin/python3.11`.
fn interpreter(found: &InterpreterJson) -> String {
    let InterpreterJson { interpreter, binary } = found;
    let build = match interpreter.build.as_str() {
        "" | "default" => String::new(),
        build => format!(" {build}"),
    };
    let many = if interpreter.interpreters == 1 { "" } else { "s" };
    let place = binary.as_deref().map(|binary| format!(", in {}", one_line(binary)));
    format!(
        "CPython {}{build}, {} interpreter{many}{}",
        interpreter.version,
        interpreter.interpreters,
        place.unwrap_or_default()
    )
}

#[allow(clippy::cast_precision_loss)]
fn forecast(out: &mut dyn Write, forecast: &ForecastJson) -> io::Result<()> {
    writeln!(
        out,
        "  a snapshot copies {}: a pause of some {} (at {:.1} GB/s)",
        units::bytes(forecast.copied_bytes),
        units::seconds(forecast.pause_seconds),
        forecast.bytes_per_second as f64 / 1e9
    )?;
    if forecast.big_block_bytes > 0 {
        let bytes = units::bytes(forecast.big_block_bytes);
        writeln!(out, "  big blocks of malloc: {bytes}, copied only where they hold references")?;
    }
    if forecast.swapped_bytes > 0 {
        let (pages, bytes) = (forecast.swapped_bytes / 4096, units::bytes(forecast.swapped_bytes));
        let pages = units::count(pages);
        writeln!(out, "  swapped out: {pages} pages ({bytes}), read only where they are needed")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_stays_a_line() {
        assert_eq!(one_line("-c import os\nprint('é')"), "-c import os\\nprint('é')");
        assert_eq!(one_line("\x1b[2J\u{202e}"), "\\u{1b}[2J\\u{202e}");
    }
}
