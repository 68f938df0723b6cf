//! Targets that must not be made to fork are not, and nothing happens to them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

use crate::cow_rules::with_file;
use crate::forked::{Forked, children, status};
use crate::groups::Group;
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

/// The filter ends the process for what a fork takes, or makes it fail: it must be lifted, or the fork refused.
#[test]
fn a_filter_of_system_calls_is_lifted_or_is_a_reason() -> Result<()> {
    for name in ["filter", "errno"] {
        let mut target = Forked::ready(&["state", name])?;
        let run = target.snapshot(COW)?;
        match run.status.code() {
            Some(0) => ensure!(run.json()?["pause"]["mode"] == "cow"),
            _ => run.expect(8, &["seccomp", "--pause stop"])?,
        }
        ensure!(target.ask("echo")? == "echo");
        ensure!(status(target.pid(), "Seccomp") == "2");
        ensure!(children(target.pid()).is_empty());
        // It is in force as before.
        ensure!(name == "filter" || target.ask("fork")? == "refused 1");
    }
    Ok(())
}

/// A target of a user who has no rights, and a pyheap that this user may run.
struct Unprivileged {
    target: Forked,
    folder: tempfile::TempDir,
}

const NOBODY: [&str; 3] = ["--reuid=65534", "--regid=65534", "--clear-groups"];

impl Unprivileged {
    /// Nothing where there can be none.
    fn start(words: &[&str]) -> Result<Option<Self>> {
        let folder = tempfile::tempdir()?;
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        fs::copy(env!("CARGO_BIN_EXE_pyheap"), folder.path().join("pyheap"))?;
        let script = folder.path().join("forked.py");
        fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("python-fixtures/forked.py"), &script)?;
        let mut command = Command::new("setpriv");
        command.args(NOBODY).arg("/usr/bin/python3");
        match Forked::start_from(&mut command, &script, words) {
            Ok((target, said)) if said == "ready" => Ok(Some(Self { target, folder })),
            Ok((_, said)) => anyhow::bail!("{said}"),
            Err(error) => {
                println!("this test needs to be root, setpriv and a Python for all: {error}");
                Ok(None)
            }
        }
    }

    /// A snapshot of it by its own user.
    fn snapshot(&self) -> Result<Run> {
        let mut command = Command::new("setpriv");
        command.args(NOBODY).args(["timeout", "60"]).arg(self.folder.path().join("pyheap"));
        let pid = self.target.pid().to_string();
        Run::command(command.args(["snapshot", "-p", &pid]).args(COW))
    }
}

/// Who may not lift the filter is refused before anything was done.
#[test]
fn a_filter_that_may_not_be_lifted_is_a_reason() -> Result<()> {
    for name in ["filter", "errno"] {
        let Some(mut other) = Unprivileged::start(&["state", name])? else { return Ok(()) };
        other.snapshot()?.expect(8, &["seccomp", "CAP_SYS_ADMIN", "--pause stop"])?;
        ensure!(other.target.ask("echo")? == "echo");
        ensure!(status(other.target.pid(), "TracerPid") == "0");
    }
    Ok(())
}

/// `RLIMIT_NPROC`: the kernel refuses the fork, and the target does not notice.
#[test]
fn a_user_who_may_have_no_more_processes_is_a_reason() -> Result<()> {
    let Some(mut other) = Unprivileged::start(&["state", "processes"])? else { return Ok(()) };
    ensure!(other.target.ask("fork")? == "refused 11", "it may fork");
    other.target.snapshot(COW)?.expect(8, &["another process", "--pause stop"])?;
    ensure!(other.target.ask("echo")? == "echo");
    ensure!(children(other.target.pid()).is_empty());
    ensure!(other.target.ask("fork")? == "refused 11");
    Ok(())
}

/// `RLIMIT_AS` of the target: its fork takes no address space of its own.
#[test]
fn a_target_without_room_in_its_address_space_can_fork() -> Result<()> {
    let mut target = Forked::ready(&["state", "address-space"])?;
    let document = target.snapshot(COW)?.json()?;
    ensure!(document["pause"]["mode"] == "cow", "{}", document["pause"]);
    ensure!(target.ask("echo")? == "echo" && children(target.pid()).is_empty());
    Ok(())
}

/// There is room for a few, but the target may be about to need it.
#[test]
fn a_group_with_hardly_room_for_a_process_is_a_reason() -> Result<()> {
    let Some(group) = Group::new("pids", "room")? else { return Ok(()) };
    let (mut target, said) = Forked::start_as(&mut group.python(), &["state", "none"])?;
    ensure!(said == "ready", "{said}");
    for more in [0, 8] {
        group.allow_more(more)?;
        target.snapshot(COW)?.expect(8, &["pids.max", "--pause stop"])?;
    }
    ensure!(target.ask("fork")? == "forked" && children(target.pid()).is_empty());
    group.allow_more(64)?;
    ensure!(target.snapshot(COW)?.json()?["pause"]["mode"] == "cow");
    Ok(())
}

#[test]
fn a_group_without_room_for_what_is_written_is_a_reason() -> Result<()> {
    let Some(group) = Group::new("memory", "room")? else { return Ok(()) };
    let (mut target, said) = Forked::start_as(&mut group.python(), &["memory", "64"])?;
    ensure!(said == "ready", "{said}");
    group.allow_more(8 << 20)?;
    target.snapshot(COW)?.expect(8, &["less memory is left", "--pause stop"])?;
    ensure!(target.ask("echo")? == "echo" && children(target.pid()).is_empty());
    group.allow_more(1 << 30)?;
    ensure!(target.snapshot(COW)?.json()?["pause"]["mode"] == "cow");
    Ok(())
}

/// Under `vm.overcommit_memory=2` the kernel counts a fork as memory that is used.
#[test]
fn a_kernel_that_does_not_overcommit_is_a_reason() -> Result<()> {
    let mut target = Forked::ready(&["children"])?;
    let file = tempfile::NamedTempFile::new()?;
    let pid = target.pid().to_string();
    for (value, code) in [("1\n", 0), ("2\n", 8)] {
        fs::write(file.path(), value)?;
        let mut command = with_file("/proc/sys/vm/overcommit_memory", file.path());
        let run = Run::command(command.args(["snapshot", "-p", &pid]).args(COW))?;
        if run.stderr.contains("unshare") && std::env::var_os("CI").is_none() {
            println!("no mount namespaces here: {}", run.stderr);
            return Ok(());
        }
        let words: &[&str] = if code == 0 { &[] } else { &["overcommit_memory", "--pause stop"] };
        run.expect(code, words)?;
    }
    ensure!(target.ask("wait")? == "none");
    Ok(())
}
