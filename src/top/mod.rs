//! The live view of one process: `pyheap top`.
//!
//! `session` is one view from its beginning to its end. Its threads read what is cheap, read the heap (`worker`), and wait
//! for keys and signals; what they find goes as an `Event` to the one thread that has the `State`. That decides when the
//! heap is read again. A `Picture` is computed from it, and drawn.

mod count;
mod draw;
mod event;
mod header;
mod help;
mod line;
mod picture;
mod rows;
#[cfg(test)]
mod scene;
#[cfg(test)]
mod screens;
mod session;
mod size;
mod state;
mod table;
mod terminal;
mod who;
mod words;
mod worker;

use std::io::{self, IsTerminal};
use std::time::Duration;

use crate::error::Error;
use crate::take::TakeOptions;
pub(crate) use terminal::give_back as give_back_terminal;

/// What is shown, and how.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The process.
    pub pid: u32,
    /// How often its heap is read, at most.
    pub interval: Duration,
    /// How its heap is read.
    pub options: TakeOptions,
    /// Whether there are colours.
    pub is_colored: bool,
    /// Whether a heap with anomalies is a failure, told at the end.
    pub is_strict: bool,
}

/// Shows a process on the terminal until somebody quits. Whatever happens, the terminal is as it was afterwards. This
/// program is to end then: no process can be stopped any more.
///
/// # Errors
/// There is no terminal; the process cannot be read; it has ended; a signal has ended the view.
pub fn run(plan: &Plan) -> Result<(), Error> {
    if !io::stdout().is_terminal() {
        let pid = plan.pid;
        let hint = format!(
            "pyheap histogram -p {pid} prints the types once; pyheap record -p {pid} -o FILE watches the process \
             without a terminal"
        );
        return Err(Error::usage("top needs a terminal, and the output is none", Some(&hint)));
    }
    if tracing::enabled!(tracing::Level::INFO) && io::stderr().is_terminal() {
        let hint = Some("2>FILE sends the log elsewhere");
        return Err(Error::usage("the log (-v) would be written over the screen", hint));
    }
    session::run(plan)
}
