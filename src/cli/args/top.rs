//! `top`.

use std::time::Duration;

use clap::Args;

use super::read::CaptureArgs;
use super::values::{duration, pid};
use crate::source::Options;

/// The longest pause for a count unless another is given.
const MAX_PAUSE: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
#[command(
    after_help = "The keys are shown; ? says what they and the numbers mean. Each count pauses the process (see --pause), for\n\
1 % of the time at most, and is left out where it would take longer than --max-pause (500ms unless\n\
another is given). Exit code 7 if the process has ended meanwhile.\n\n\
Examples:\n  pyheap top -p 4242\n  pyheap top -p 4242 --interval 1m --nonblocking   never pauses it"
)]
pub(crate) struct TopArgs {
    /// A process, by its id (decimal or 0x…)
    #[arg(short, long, value_name = "PID", value_parser = pid)]
    pub(crate) pid: Option<u32>,
    /// A process is named by -p.
    #[arg(value_name = "PROCESS", hide = true)]
    pub(crate) positional: Option<String>,
    /// How often the types are counted, at most (such as 30s)
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = interval)]
    pub(crate) interval: Duration,
    #[command(flatten)]
    capture: CaptureArgs,
}

fn interval(text: &str) -> Result<Duration, String> {
    let least = Duration::from_secs(1);
    duration(text)
        .and_then(|time| if time < least { Err("at least 1s".to_owned()) } else { Ok(time) })
}

impl TopArgs {
    /// How the heap is read.
    pub(crate) fn options(&self) -> Options {
        let options = self.capture.options();
        Options { max_pause: options.max_pause.or(Some(MAX_PAUSE)), ..options }
    }
}
