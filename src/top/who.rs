//! Which process is watched.

use std::time::Duration;

use super::words::clean;
use crate::facts::{InterpreterFacts, ProcessFacts};

/// Which process and which Python, in words.
#[derive(Debug, Clone, Default)]
pub(super) struct Who {
    pub(super) pid: u32,
    pub(super) command: String,
    pub(super) python: String,
    /// For how long it had been running when the view began.
    pub(super) uptime: Option<Duration>,
}

impl Who {
    pub(super) fn new(
        process: &ProcessFacts,
        interpreter: &InterpreterFacts,
        command: &[String],
        uptime_seconds: Option<f64>,
    ) -> Self {
        let command = match command {
            [] => process.executable.clone(),
            [program, rest @ ..] => {
                // Which Python it is matters less than what it runs.
                let program = program.rsplit('/').next().unwrap_or(program);
                [&[program.to_owned()], rest].concat().join(" ")
            }
        };
        let build = match interpreter.build.as_str() {
            "" | "default" => String::new(),
            build => format!(" ({build})"),
        };
        Self {
            pid: process.pid,
            command: clean(&command),
            python: format!("Python {}{build}", interpreter.version),
            uptime: uptime_seconds.and_then(|time| Duration::try_from_secs_f64(time).ok()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_by_what_it_runs() {
        let interpreter = InterpreterFacts {
            version: "3.13.1".into(),
            build: "debug".into(),
            ..Default::default()
        };
        let process =
            ProcessFacts { pid: 7, executable: "/usr/bin/python3.13".into(), ..Default::default() };
        let who = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            Who::new(&process, &interpreter, &words, Some(1.5))
        };
        let one = who(&["/srv/venv/bin/python", "-m", "app\x1b[2J"]);
        assert_eq!((one.pid, one.command.as_str()), (7, "python -m app\u{fffd}[2J"));
        assert_eq!(one.python, "Python 3.13.1 (debug)");
        // It has overwritten its arguments with nothing.
        assert_eq!(who(&[]).command, "/usr/bin/python3.13");
    }
}
