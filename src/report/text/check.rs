//! `check`: a verdict, with the reason.

use std::io::{self, Write};

use super::path;
use crate::analysis::verdict::{Outcome, Rule};
use crate::report::{Layout, units};

/// One line a rule, and for those that do not hold who keeps the objects.
///
/// # Errors
/// Those of the writer.
pub fn write(out: &mut dyn Write, outcomes: &[Outcome], layout: &Layout) -> io::Result<()> {
    for outcome in outcomes {
        let number = |number: u64| match outcome.rule {
            Rule::MaxGarbage { .. } => units::bytes(number),
            Rule::Max { .. } | Rule::MaxGrowth { .. } => units::count(number),
        };
        let (found, limit) = (number(outcome.found), number(outcome.rule.limit()));
        let rule = outcome.rule.text().replace(char::is_control, "\u{fffd}");
        if outcome.holds {
            writeln!(out, "ok      {rule}: {found}")?;
            continue;
        }
        let line = format!("FAILED  {rule}: {found}, more than {limit}");
        writeln!(out, "{}", layout.style.red(&line))?;
        for held in outcome.held_by.iter().take(3) {
            let holder = path::held_by(held, layout.full_names);
            let holder = path::wrapped(&holder, layout.width, 18, 12);
            writeln!(out, "        {} {holder}", units::count(held.objects))?;
        }
    }
    Ok(())
}
