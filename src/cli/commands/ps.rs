//! `pyheap ps`.

use crate::cli::Context;
use crate::cli::args::OutputArgs;
use crate::error::Error;
use crate::report::json::processes::PsJson;
use crate::report::{json, text};

pub(super) fn run(args: &OutputArgs, context: &mut Context<'_>) -> Result<(), Error> {
    let mut processes = context.backend.processes();
    if args.json {
        json::write(context.out, "ps", PsJson { processes })?;
    } else {
        let layout = context.layout(args);
        processes.truncate(args.limit);
        text::processes::list(context.out, &processes, &layout)?;
    }
    Ok(())
}
