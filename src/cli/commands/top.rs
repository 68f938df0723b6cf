//! `pyheap top`.

use crate::cli::args::TopArgs;
use crate::cli::{Context, operands};
use crate::error::Error;
use crate::source::View;

pub(super) fn run(args: &TopArgs, context: &mut Context<'_>) -> Result<(), Error> {
    if let Some(text) = &args.positional {
        operands::file(text)?;
        return Err(Error::usage(
            "top shows a process that runs, and no file",
            Some("-p PID names it"),
        ));
    }
    let hint = "pyheap ps lists the Python processes";
    let pid = args.pid.ok_or_else(|| Error::usage("which process? give -p PID", Some(hint)))?;
    let (interval, options) = (args.interval, args.options().take());
    let is_colored = context.style.is_colored();
    let is_strict = context.strict;
    context.backend.show(&View { pid, interval, options, is_colored, is_strict })
}
