//! `record`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::read::OutputArgs;
use super::values::{duration, pid};
use crate::source::{Condition, Options, Order, Plan, Rule, Then};

/// The longest pause for a census unless another is given.
const MAX_PAUSE: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  pyheap record -p 4242 -d 60s -o a.parquet\n  pyheap record -p 4242 --census none --rate 0 -o a.parquet   counters only: the process is never stopped\n  pyheap record -p 4242 -s -o a.parquet   the whole tree of workers, a file each\n\nCtrl-C ends a recording as it should; what was recorded up to a kill -9 is in the file, too."
)]
pub(crate) struct RecordArgs {
    /// The process, by its id (decimal or 0x…)
    #[arg(short, long, value_name = "PID", value_parser = pid)]
    pid: u32,
    /// For how long (such as 60s); else until the process ends or Ctrl-C
    #[arg(short, long, value_name = "TIME", value_parser = duration)]
    duration: Option<Duration>,
    /// The file of the recording
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Replace the file if it is there
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Go on with the recording in the file, if it is there
    #[arg(long, requires = "file", conflicts_with = "force")]
    pub(crate) resume: bool,
    /// The process and all its descendants, those to come too
    #[arg(short, long)]
    pub(crate) subprocesses: bool,
    /// How many times a second stacks are looked at, without stopping (0: never)
    #[arg(long, value_name = "HERTZ", default_value_t = 100,
          value_parser = clap::value_parser!(u32).range(0..=1000))]
    rate: u32,
    /// How often the types are counted, for which the process is stopped (such as 30s, or none)
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = interval)]
    census: Interval,
    /// Count the types also when memory is higher than ever, and show what there was then
    #[arg(long)]
    pub(crate) peak: bool,
    /// Leave a count out rather than stop the process for longer
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = duration)]
    max_pause: Option<Duration>,
    /// A condition, such as 'rss > 4G or growth(DataFrame) > 100'; when it comes true, --then is done
    #[arg(long, value_name = "CONDITION", value_parser = condition)]
    when: Option<Condition>,
    /// What is done then
    #[arg(long, value_enum, default_value = "snapshot", value_name = "DEED", requires = "when")]
    then: Deed,
    /// Answer Prometheus meanwhile (a port of this machine alone, or ADDRESS:PORT)
    #[arg(long, value_name = "PORT", value_parser = address)]
    prometheus: Option<SocketAddr>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// What is done when a condition comes true.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Deed {
    /// Write a snapshot file beside the recording
    Snapshot,
    /// Write a snapshot file and end the recording
    Stop,
}

fn condition(text: &str) -> Result<Condition, String> {
    text.parse()
}

/// Without an address, nobody but this machine may ask.
fn address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(port) = text.parse::<u16>() {
        return Ok(SocketAddr::from(([127, 0, 0, 1], port)));
    }
    text.parse().map_err(|_| "not a port, nor ADDRESS:PORT".to_owned())
}

/// A time, or never.
#[derive(Debug, Clone, Copy)]
struct Interval(Option<Duration>);

fn interval(text: &str) -> Result<Interval, String> {
    if text == "none" {
        return Ok(Interval(None));
    }
    match duration(text)? {
        Duration::ZERO => Ok(Interval(None)),
        interval if interval < Duration::from_secs(1) => Err("at least 1s, or none".to_owned()),
        interval => Ok(Interval(Some(interval))),
    }
}

impl RecordArgs {
    /// What is to be done.
    pub(crate) fn order(&self) -> Order {
        let max_pause = Some(self.max_pause.unwrap_or(MAX_PAUSE));
        Order {
            pid: self.pid,
            subprocesses: self.subprocesses,
            plan: Plan {
                duration: self.duration,
                rate: self.rate,
                census: self.census.0,
                max_pause,
                peak: self.peak,
                file: self.file.clone(),
                rule: self.when.clone().map(|when| Rule {
                    when,
                    then: match self.then {
                        Deed::Snapshot => Then::Snapshot,
                        Deed::Stop => Then::Stop,
                    },
                }),
            },
            options: Options { max_pause, ..Options::default() }.take(),
            resume: self.resume,
            prometheus: self.prometheus,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_census_may_be_left_out() {
        assert!(interval("none").unwrap().0.is_none() && interval("0").unwrap().0.is_none());
        assert_eq!(interval("2m").unwrap().0, Some(Duration::from_secs(120)));
        assert_eq!(address("9090").unwrap(), "127.0.0.1:9090".parse().unwrap());
        assert!(address("0.0.0.0:9090").is_ok() && address("here").is_err());
        assert!(interval("10ms").is_err() && interval("often").is_err());
    }
}
