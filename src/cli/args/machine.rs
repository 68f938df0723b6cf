//! `doctor` and `demo`.

use std::path::PathBuf;

use clap::Args;

use super::read::OutputArgs;
use super::values::pid;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  pyheap doctor\n  pyheap doctor 4242")]
pub(crate) struct DoctorArgs {
    /// A process
    #[arg(value_name = "PID", value_parser = pid, conflicts_with = "pid")]
    pub(crate) process: Option<u32>,
    /// A process
    #[arg(short, long, value_name = "PID", value_parser = pid)]
    pub(crate) pid: Option<u32>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  pyheap demo\n  pyheap demo --python /usr/bin/python3.12")]
pub(crate) struct DemoArgs {
    /// The Python to run the program with
    #[arg(long, value_name = "PROGRAM", default_value = "python3")]
    pub(crate) python: PathBuf,
}
