//! `pyheap doctor`.

use crate::cli::Context;
use crate::cli::args::DoctorArgs;
use crate::error::Error;
use crate::report::json::processes::{
    CowJson, DoctorJson, FindingJson, ForecastJson, InterpreterJson, Processes,
};
use crate::report::{json, text};
use crate::source::Diagnosis;
use crate::take::TakeError;
use crate::target::PauseError;
use std::time::Duration;

/// How fast memory is copied while the target stands still. From 0.9 to 3 GB/s were measured
/// (`docs/performance.md`).
const BYTES_PER_SECOND: u64 = 1_500_000_000;

/// The one thing that a fork from outside cannot be made safe against.
const COW_RISK: &str = "a SIGKILL to its guardian, a second pyheap, in the instant of the fork";

pub(super) fn run(args: &DoctorArgs, context: &mut Context<'_>) -> Result<(), Error> {
    let layout = context.layout(&args.output);
    let chosen = args.pid.or(args.process);
    let pids = match chosen {
        Some(pid) => vec![pid],
        None => context.backend.processes().iter().map(|process| process.pid).collect(),
    };
    let mut all: Vec<DoctorJson> =
        pids.into_iter().map(|pid| document(pid, context.backend.diagnose(pid))).collect();
    // Of several processes some may be readable and some not: only the one that was asked for counts.
    let failed = match (chosen, all.first()) {
        (Some(pid), Some(one)) if !one.ok => Err(Error::Unreadable { pid, code: one.exit_code }),
        _ => Ok(()),
    };
    if args.output.json {
        match (chosen, all.pop()) {
            (Some(_), Some(one)) => json::write(context.out, "doctor", one)?,
            (_, last) => {
                all.extend(last);
                json::write(context.out, "doctor", Processes { processes: all })?;
            }
        }
        return failed;
    }
    if all.is_empty() {
        context.note("no Python process can be seen; start one, or give a PID")?;
    }
    for (index, report) in all.iter().enumerate() {
        if index > 0 {
            writeln!(context.out)?;
        }
        text::processes::doctor(context.out, report, &layout)?;
    }
    failed
}

fn document(pid: u32, diagnosis: Diagnosis) -> DoctorJson {
    let Diagnosis { findings, interpreter, binary, forecast, cow, failure } = diagnosis;
    let findings = findings.into_iter().map(|finding| FindingJson {
        what: finding.what,
        ok: finding.ok,
        fix: finding.fix,
    });
    DoctorJson {
        pid,
        ok: failure.is_none(),
        exit_code: failure.as_ref().map_or(0, Error::exit_code),
        reason: failure.as_ref().map(ToString::to_string),
        // What stands in the way of the rest is in the findings.
        advice: failure.as_ref().filter(|failure| failure.exit_code() == 6).and_then(Error::hint),
        interpreter: interpreter.map(|interpreter| InterpreterJson { interpreter, binary }),
        forecast: forecast.map(|forecast| {
            ForecastJson::new(
                forecast.copied_bytes,
                forecast.block_bytes,
                forecast.swapped_bytes,
                forecast.limit_bytes,
                BYTES_PER_SECOND,
            )
        }),
        cow: cow.map(|cow| CowJson {
            pause_seconds: cow.as_ref().ok().map(Duration::as_secs_f64),
            refused: cow.err(),
            risk: COW_RISK,
        }),
        otherwise: failure.map(|failure| otherwise(pid, &failure)).unwrap_or_default(),
        findings: findings.collect(),
    }
}

/// The commands that lead to the heap all the same: by a core file, that somebody writes who may.
fn otherwise(pid: u32, failure: &Error) -> Vec<String> {
    let write = match failure {
        Error::Take(TakeError::Pause(PauseError::TracedRunning { .. })) => {
            format!("generate-core-file core.{pid}   (in the tool that traces it, if it is gdb)")
        }
        _ => match failure.exit_code() {
            5 => format!("sudo gcore -o core {pid}   (where you may: on the host, as the user)"),
            8 => format!("gcore -o core {pid}   (then read it where there is more memory)"),
            // What has no interpreter that can be read has none in its core.
            _ => return Vec::new(),
        },
    };
    vec![write, format!("pyheap snapshot -c core.{pid}")]
}
