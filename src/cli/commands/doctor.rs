//! `pyheap doctor`.

use crate::cli::Context;
use crate::cli::args::DoctorArgs;
use crate::error::Error;
use crate::report::json::processes::{DoctorJson, FindingJson, Processes};
use crate::report::{json, text};

pub(super) fn run(args: &DoctorArgs, context: &mut Context<'_>) -> Result<(), Error> {
    let layout = context.layout(&args.output);
    let chosen = args.pid.or(args.process);
    let pids = match chosen {
        Some(pid) => vec![pid],
        None => context.backend.processes().iter().map(|process| process.pid).collect(),
    };
    let mut all: Vec<DoctorJson> =
        pids.into_iter()
            .map(|pid| {
                let findings = context.backend.diagnose(pid).into_iter().map(|finding| {
                    FindingJson { what: finding.what, ok: finding.ok, fix: finding.fix }
                });
                let findings: Vec<FindingJson> = findings.collect();
                DoctorJson { pid, ok: findings.iter().all(|finding| finding.ok), findings }
            })
            .collect();
    if args.output.json {
        match (chosen, all.pop()) {
            (Some(_), Some(one)) => json::write(context.out, "doctor", one)?,
            (_, last) => {
                all.extend(last);
                json::write(context.out, "doctor", Processes { processes: all })?;
            }
        }
        return Ok(());
    }
    if all.is_empty() {
        context.note("no Python process can be seen; start one, or give a PID")?;
    }
    for report in &all {
        writeln!(context.out, "{}", context.style.bold(&format!("process {}", report.pid)))?;
        text::processes::findings(context.out, &report.findings, &layout)?;
    }
    Ok(())
}
