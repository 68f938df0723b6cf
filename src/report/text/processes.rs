//! `ps` and `doctor`.

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
    let mut table = Table::new(&[
        ("pid", Align::Right),
        ("user", Align::Left),
        ("version", Align::Left),
        ("build", Align::Left),
        ("rss", Align::Right),
        ("uptime", Align::Right),
        ("container", Align::Left),
        ("readable", Align::Left),
        ("command", Align::Left),
    ]);
    for process in processes {
        let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let refused = || process.reason.clone().unwrap_or_else(|| "no".to_owned());
        table.row([
            process.pid.to_string(),
            process.user.clone(),
            or_dash(&process.version),
            or_dash(&process.build),
            units::bytes(process.rss_bytes),
            units::seconds(process.uptime_seconds),
            or_dash(&process.container),
            if process.readable { "yes".to_owned() } else { refused() },
            one_line(&process.command),
        ]);
    }
    table.write(out, layout.style, layout.name_width())
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
