//! The exit codes that scripts rely on.

use std::process::ExitCode;

use crate::error::Error;

/// The text for `--help`.
pub(crate) const HELP: &str = "\
First steps:
  pyheap demo                        find a leak in a program of our own
  pyheap ps                          the Python processes of this machine
  pyheap snapshot -p PID -o a.parquet
  pyheap diff a.parquet -p PID       what grew since, and who holds it
  pyheap COMMAND --help              options and examples of a command

Exit codes:
  0 done    1 failed    2 wrong usage    3 a check did not hold
  4 no Python process    5 no permission    6 this Python is not supported
  7 the target went away    8 refused so as not to harm the target, or a limit";

/// The exit code of a result. A reader that went away has had enough: that is success.
pub(crate) fn code(result: &Result<(), Error>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is_closed_pipe() => ExitCode::SUCCESS,
        Err(error) => ExitCode::from(error.exit_code()),
    }
}
