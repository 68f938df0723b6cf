//! A tree of processes: what each has, what they share, and the types of all.

use std::io::{self, Write};
use std::path::PathBuf;

use super::histogram::Counted;
use crate::analysis::Histogram;
use crate::facts::{Facts, SharingFacts};
use crate::report::json::processes::LeftOut;
use crate::report::table::{Align, Table};
use crate::report::{Layout, units};

/// A process of the tree.
#[derive(Debug)]
pub struct Member {
    /// What is known of it.
    pub facts: Facts,
    /// How much of its memory is its own.
    pub sharing: Option<SharingFacts>,
    /// Its types.
    pub histogram: Histogram,
    /// The snapshot file that was written.
    pub file: Option<PathBuf>,
}

/// The processes, one a line, and the types of all of them together.
///
/// # Errors
/// Those of the writer.
pub fn write(
    out: &mut dyn Write,
    members: &[Member],
    left_out: &[LeftOut],
    counted: Counted<'_>,
    layout: &Layout,
) -> io::Result<()> {
    let all = counted.histogram;
    let mut table = Table::new(&[
        ("process", Align::Right),
        ("Python", Align::Left),
        ("objects", Align::Right),
        ("heap", Align::Right),
        ("RSS", Align::Right),
        ("private", Align::Right),
        ("shared", Align::Right),
        ("PSS", Align::Right),
        ("pause", Align::Right),
    ]);
    let mut sums = SharingFacts::default();
    for member in members {
        let Member { facts, sharing, histogram, .. } = member;
        let shared = |bytes: fn(&SharingFacts) -> u64| {
            sharing.as_ref().map_or_else(|| "-".to_owned(), |sharing| units::bytes(bytes(sharing)))
        };
        if let Some(sharing) = sharing {
            sums.rss_bytes = sums.rss_bytes.saturating_add(sharing.rss_bytes);
            sums.private_bytes = sums.private_bytes.saturating_add(sharing.private_bytes);
            sums.proportional_bytes =
                sums.proportional_bytes.saturating_add(sharing.proportional_bytes);
        }
        table.row([
            facts.process.pid.to_string(),
            facts.interpreter.version.clone(),
            units::count(histogram.totals.objects),
            units::bytes(histogram.totals.bytes()),
            units::bytes(facts.process.rss_bytes),
            shared(|sharing| sharing.private_bytes),
            shared(|sharing| sharing.shared_bytes),
            shared(|sharing| sharing.proportional_bytes),
            units::seconds(facts.pause.seconds),
        ]);
    }
    table.write(out, layout.style, layout.width)?;
    let one = |many: usize| if many == 1 { "process" } else { "processes" };
    writeln!(
        out,
        "\n{} {}: {} objects, {} of heap\n{} private; {} in all, counting no page twice (PSS)",
        members.len(),
        one(members.len()),
        units::count(all.totals.objects),
        units::bytes(all.totals.bytes()),
        units::bytes(sums.private_bytes),
        units::bytes(sums.proportional_bytes),
    )?;
    for row in left_out {
        let text = format!("left out: {}, {}", row.pid, row.reason);
        writeln!(out, "{}", layout.style.dim(&text.replace(char::is_control, "\u{fffd}")))?;
    }
    writeln!(out, "\nthe types of all processes (what a fork shares counts in each)\n")?;
    super::histogram::table(out, counted, layout)
}
