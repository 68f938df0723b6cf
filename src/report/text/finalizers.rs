//! What runs when objects go, in `garbage` and `cycles`.

use std::io::{self, Write};

use super::path;
use crate::analysis::finalizers::{FinalizerKind, FinalizerRow};
use crate::graph::Finalizer;
use crate::report::{Layout, short_type, units};

/// So many are told; the most frequent come first.
const MOST: usize = 8;

/// A line for each kind and name.
///
/// # Errors
/// Those of the writer.
pub fn write(out: &mut dyn Write, rows: &[FinalizerRow], layout: &Layout) -> io::Result<()> {
    for row in rows.iter().take(MOST) {
        let times = match row.count {
            1 => String::new(),
            count => format!(" ({} times)", units::count(count)),
        };
        let line = format!("    {}{times}", sentence(row));
        writeln!(out, "{}", line.replace(char::is_control, "\u{fffd}"))?;
    }
    let rest = rows.len().saturating_sub(MOST);
    if rest > 0 {
        let more = format!("    … and {rest} others run (--json has them)");
        writeln!(out, "{}", layout.style.dim(&more))?;
    }
    Ok(())
}

fn sentence(row: &FinalizerRow) -> String {
    let name = path::short_place(short_type(&row.name));
    match row.kind {
        FinalizerKind::Del => format!("runs the __del__ of {name}"),
        FinalizerKind::WeakCallback => format!("calls {name}, the callback of a weak reference"),
        FinalizerKind::WeakFinalize => format!("calls {name}, given to weakref.finalize"),
        FinalizerKind::Native(finalizer) => match finalizer {
            Finalizer::Generator => format!("closes {name}, suspended inside of try or with"),
            Finalizer::Coroutine => format!("warns that {name} was never awaited"),
            Finalizer::Hook => format!("calls the hook for asynchronous generators with {name}"),
            Finalizer::File => format!("closes {name}, a descriptor that is open"),
            Finalizer::Task => format!("logs that {name} was destroyed while it was pending"),
            Finalizer::Future => format!("logs the exception that {name} was not asked for"),
            Finalizer::C => format!("runs the finalizer in C of {name}"),
            Finalizer::Legacy => format!("leaves {name} in gc.garbage for its tp_del"),
        },
    }
}
