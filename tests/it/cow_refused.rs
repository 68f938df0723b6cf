//! Targets that must not be made to fork are not, and nothing happens to them.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::forked::{Forked, children, status};
use crate::support::run::Run;

const COW: &[&str] = &["--pause", "cow"];

/// Starts a target in a state in which a fork is refused for a reason, and lets it answer afterwards.
fn refused(name: &str, reason: &str) -> Result<()> {
    let (mut target, said) = Forked::start(&["state", name])?;
    if said != "ready" {
        println!("this kernel has no {name}: {said}");
        return Ok(());
    }
    target.snapshot(COW)?.expect(8, &[reason, "--pause stop"])?;
    ensure!(target.ask("echo")? == "echo");
    // Only what it has started itself.
    ensure!(children(target.pid()).len() == usize::from(name == "vfork"));
    ensure!(status(target.pid(), "TracerPid") == "0");
    target.end()
}

#[test]
fn a_thread_that_has_just_started_a_program_is_a_reason() -> Result<()> {
    refused("vfork", "vfork")
}

#[test]
fn page_faults_that_another_program_handles_are_a_reason() -> Result<()> {
    refused("userfaultfd", "userfaultfd")
}

#[test]
fn system_calls_with_a_handler_of_their_own_are_a_reason() -> Result<()> {
    refused("dispatch", "handler of its own")
}

#[test]
fn a_fork_that_would_take_longer_than_allowed_is_not_begun() -> Result<()> {
    let mut target = Forked::ready(&["children"])?;
    let words = ["--pause", "cow", "--max-pause", "1ms"];
    target.snapshot(&words)?.expect(8, &["1 ms are allowed", "--pause stop"])?;
    ensure!(target.ask("wait")? == "none");
    Ok(())
}

/// The filter ends the process for what a fork takes: it must be lifted, or the fork refused.
#[test]
fn a_filter_of_system_calls_is_lifted_or_is_a_reason() -> Result<()> {
    let (mut target, said) = Forked::start(&["state", "filter"])?;
    ensure!(said == "ready", "{said}");
    let run = target.snapshot(COW)?;
    match run.status.code() {
        Some(0) => ensure!(run.json()?["pause"]["mode"] == "cow"),
        _ => run.expect(8, &["seccomp", "--pause stop"])?,
    }
    ensure!(target.ask("echo")? == "echo");
    ensure!(status(target.pid(), "Seccomp") == "2");
    ensure!(children(target.pid()).is_empty());
    Ok(())
}

/// Who may not lift the filter is refused before anything was done.
#[test]
fn a_filter_that_may_not_be_lifted_is_a_reason() -> Result<()> {
    let folder = tempfile::tempdir()?;
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
    let copy = folder.path().join("pyheap");
    std::fs::copy(env!("CARGO_BIN_EXE_pyheap"), &copy)?;
    let script = folder.path().join("forked.py");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("python-fixtures/forked.py");
    std::fs::copy(source, &script)?;
    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let mut command = Command::new("setpriv");
    command.args(nobody).arg("/usr/bin/python3").arg("-u").arg(&script).args(["state", "filter"]);
    let child = command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let Ok(mut child) = child.spawn() else {
        println!("there is no setpriv");
        return Ok(());
    };
    let mut line = String::new();
    let stdout = child.stdout.as_mut().context("no stdout")?;
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line)?;
    let pid = child.id().to_string();
    let run = match line.trim() {
        "ready" => {
            let mut command = Command::new("setpriv");
            command.args(nobody).args(["timeout", "60"]).arg(&copy);
            Some(Run::command(command.args(["snapshot", "-p", &pid]).args(COW))?)
        }
        said => {
            println!("this test needs to be root, and a Python that nobody may run: {said}");
            None
        }
    };
    let is_alive = child.try_wait()?.is_none();
    child.kill()?;
    child.wait()?;
    let Some(run) = run else { return Ok(()) };
    ensure!(is_alive, "the target has ended: {}", run.stderr);
    run.expect(8, &["seccomp", "CAP_SYS_ADMIN", "--pause stop"])
}
