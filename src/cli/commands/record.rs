//! `pyheap record`.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::cli::Context;
use crate::cli::args::RecordArgs;
use crate::error::Error;
use crate::report::json::processes::Processes;
use crate::report::json::record::RecordJson;
use crate::report::{json, text};

pub(super) fn run(args: &RecordArgs, context: &mut Context<'_>) -> Result<(), Error> {
    // Known before anything is recorded, so told before it is.
    if let Some(file) = &args.file
        && !args.force
        && !args.resume
        && !args.subprocesses
        && file.exists()
    {
        return Err(Error::Exists(file.clone()));
    }
    let stop = stop_on_signals()?;
    let backend = context.backend;
    let mut notes = |text: &str| {
        // The recording matters more than this line.
        let _ = context.note(text);
    };
    let recorded = backend.record(&args.order(), &stop, &mut notes)?;
    if args.output.json {
        let documents = recorded
            .iter()
            .map(|one| RecordJson::new(&one.recording, one.file.as_deref()))
            .map(serde_json::to_value)
            .collect::<Result<Vec<_>, _>>()
            .map_err(std::io::Error::from)?;
        match <[_; 1]>::try_from(documents) {
            Ok([document]) if !args.subprocesses => json::write(context.out, "record", document)?,
            Ok(one) => json::write(context.out, "record", Processes { processes: one.into() })?,
            Err(processes) => json::write(context.out, "record", Processes { processes })?,
        }
    } else {
        let layout = context.layout(&args.output);
        for (nth, one) in recorded.iter().enumerate() {
            if nth > 0 {
                writeln!(context.out)?;
            }
            text::record::write(context.out, &one.recording, args.peak, &layout)?;
        }
        for file in recorded.iter().filter_map(|one| one.file.as_ref()) {
            let file = file.display();
            context
                .note(&format!("written to {file}; next: pyheap report {file} -o {file}.html"))?;
        }
    }
    match recorded.into_iter().find_map(|one| one.failure) {
        Some(failure) => Err(failure.into()),
        None => Ok(()),
    }
}

/// A flag that the first Ctrl-C sets; the second ends the process.
fn stop_on_signals() -> Result<Arc<AtomicBool>, Error> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: what is registered first sees the flag of the time before.
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&stop))?;
        flag::register(signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}
