//! `doctor` foretells what a snapshot then does: the same exit code, about as many bytes.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::support::pythons::{self, Python};
use crate::support::run::{Run, Target};

fn pyheap() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_pyheap"))
}

/// Each interpreter that is not inside a root.
fn interpreters() -> Result<Vec<Python>> {
    let found = pythons::find(Path::new(env!("CARGO_MANIFEST_DIR")))?;
    let found: Vec<Python> = found.into_iter().filter(|python| python.root.is_none()).collect();
    ensure!(!found.is_empty(), "no interpreter");
    Ok(found)
}

/// A Python that has run some code and waits.
fn waiting(mut command: Command, code: &str) -> Result<Target> {
    let code = format!("import sys\n{code}\nprint('READY', flush=True); sys.stdin.read()");
    Target::ready(command.args(["-c", &code]))
}

fn waiting_on_newest(code: &str) -> Result<Target> {
    waiting(interpreters()?.last().context("no interpreter")?.command(), code)
}

/// What `doctor` says, after it was seen that its exit code is the one of `snapshot`.
fn doctor(pid: &str, code: i32) -> Result<Value> {
    Run::of(pyheap(), &["snapshot", "-p", pid, "--json"])?.expect(code, &[])?;
    let run = Run::of(pyheap(), &["doctor", pid, "--json"])?;
    run.expect(code, &[])?;
    let document: Value = serde_json::from_str(&run.stdout)?;
    ensure!(document["exit_code"] == code && document["ok"] == (code == 0), "{document}");
    ensure!(document["reason"].is_null() == (code == 0), "{document}");
    Ok(document)
}

fn number(document: &Value, pointer: &str) -> Result<u64> {
    document.pointer(pointer).and_then(Value::as_u64).with_context(|| format!("no {pointer}"))
}

#[test]
fn what_can_be_read_is_foretold() -> Result<()> {
    for python in interpreters()? {
        let target = waiting(python.command(), "kept = [[i] for i in range(300000)]")?;
        let document = doctor(&target.pid(), 0)?;
        let version = document["interpreter"]["version"].as_str().unwrap_or_default();
        ensure!(python.label().contains(version), "{} is no {version}", python.label());
        ensure!(document["interpreter"]["interpreters"] == 1, "{document}");
        ensure!(
            document["interpreter"]["binary"].as_str().is_some_and(|path| path.starts_with('/'))
        );
        let snapshot = Run::of(pyheap(), &["snapshot", "-p", &target.pid(), "--json"])?.json()?;
        let copied = number(&snapshot, "/captured_bytes")?;
        let foretold = number(&document, "/forecast/copied_bytes")?
            + number(&document, "/forecast/big_block_bytes")?;
        // The list's own block is big and holds references: it is copied too.
        ensure!(
            foretold.abs_diff(copied) <= (1 << 20) + copied / 50,
            "{}: {foretold} bytes were foretold, {copied} copied",
            python.label()
        );
        let text = Run::of(pyheap(), &["doctor", &target.pid()])?.stdout;
        ensure!(text.contains("can be read") && text.contains(version), "{text}");
    }
    Ok(())
}

#[test]
fn a_big_block_without_references_is_foretold_to_be_left_out() -> Result<()> {
    let target = waiting_on_newest("kept = [b'x' * (64 << 20), b'y' * (32 << 20)]")?;
    let document = doctor(&target.pid(), 0)?;
    let blocks = number(&document, "/forecast/big_block_bytes")?;
    ensure!((95 << 20..98 << 20).contains(&blocks), "{blocks} bytes in big blocks");
    ensure!(number(&document, "/forecast/copied_bytes")? < 32 << 20, "{document}");
    Ok(())
}

#[test]
fn what_is_no_python_is_said_to_be_none() -> Result<()> {
    let document = doctor("4194303", 4)?;
    ensure!(document["reason"] == "there is no process 4194303", "{document}");
    let target = Target(Command::new("sleep").arg("1000").stdout(Stdio::null()).spawn()?);
    let document = doctor(&target.pid(), 4)?;
    ensure!(document["interpreter"].is_null() && document["forecast"].is_null(), "{document}");
    ensure!(document["otherwise"] == serde_json::json!([]), "a core has no Python either");
    Ok(())
}

#[test]
fn an_unsupported_python_is_named() -> Result<()> {
    let versions = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".pyenv/versions"));
    let versions = versions.and_then(|folder| std::fs::read_dir(folder).ok()).into_iter().flatten();
    let old = versions
        .flatten()
        .find(|entry| entry.file_name().to_string_lossy().starts_with("3.7."))
        .map(|entry| entry.path().join("bin/python"));
    let Some(old) = old else {
        println!("no Python 3.7 to be refused");
        return Ok(());
    };
    let target = waiting(Command::new(old), "")?;
    let document = doctor(&target.pid(), 6)?;
    ensure!(document["reason"].as_str().is_some_and(|reason| reason.contains("3.7")), "{document}");
    ensure!(document["otherwise"] == serde_json::json!([]), "{document}");
    Ok(())
}

#[test]
fn another_tracer_is_named_and_a_core_file_helps() -> Result<()> {
    let target = waiting_on_newest("")?;
    let pid = nix::unistd::Pid::from_raw(i32::try_from(target.0.id())?);
    // It runs on, and is this thread's until the thread ends.
    nix::sys::ptrace::seize(pid, nix::sys::ptrace::Options::empty())?;
    let document = doctor(&target.pid(), 5)?;
    let reason = document["reason"].as_str().unwrap_or_default();
    ensure!(reason.contains(&format!("traced by process {}", std::process::id())), "{reason}");
    let core = format!("pyheap snapshot -c core.{pid}");
    ensure!(document["otherwise"][1] == core.as_str(), "{document}");
    // The interpreter is found all the same: nothing needs to stand still for that.
    ensure!(document["interpreter"]["version"].is_string(), "{document}");
    Ok(())
}

#[test]
fn the_process_of_another_user_needs_what_doctor_names() -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let target = waiting_on_newest("")?;
    let folder = tempfile::tempdir()?;
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
    let copy = folder.path().join("pyheap");
    std::fs::copy(pyheap(), &copy)?;
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "timeout", "60"]);
    let run = Run::command(command.arg(&copy).args(["doctor", &target.pid()]))?;
    if run.stderr.contains("setpriv:") {
        println!("this test needs to be root: {}", run.stderr.trim());
        return Ok(());
    }
    run.expect(5, &["cannot be read"])?;
    for words in ["not permitted", "CAP_SYS_PTRACE", "another user", "gcore", "exit code"] {
        ensure!(run.stdout.contains(words), "{words:?} is not said in: {}", run.stdout);
    }
    Ok(())
}
