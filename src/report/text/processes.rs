//! `ps` and `doctor`.

use std::collections::BTreeMap;
use std::io::{self, Write};

use crate::facts::PythonProcess;
use crate::report::json::processes::FindingJson;
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

/// What stands in the way of reading a process.
///
/// # Errors
/// Those of the writer.
pub fn findings(out: &mut dyn Write, findings: &[FindingJson], layout: &Layout) -> io::Result<()> {
    for finding in findings {
        let mark = if finding.ok { layout.style.green("ok ") } else { layout.style.red("no ") };
        writeln!(out, "{mark} {}", finding.what)?;
        if let Some(fix) = &finding.fix {
            writeln!(out, "     {fix}")?;
        }
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
