//! What cannot be read is refused with the cause, the way out and the right exit code; it never hangs or panics.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::support::fixture::Fixture;
use crate::support::pythons::{self, Python};
use crate::support::run::{Run, Target};

fn pyheap() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_pyheap"))
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// An interpreter that is not inside a root.
fn python() -> Result<Python> {
    let found = pythons::find(workspace())?;
    found.into_iter().rfind(|python| python.root.is_none()).context("no interpreter")
}

/// A Python that waits.
fn waiting() -> Result<Target> {
    let code = "import sys; print('READY', flush=True); sys.stdin.read()";
    Target::ready(python()?.command().args(["-c", code]))
}

fn snapshot(pid: &str) -> Result<Run> {
    Run::of(pyheap(), &["snapshot", "-p", pid, "--json"])
}

/// Waits until a new process runs its own program and no longer this one.
fn runs(target: &Target) -> Result<()> {
    let this = std::env::current_exe()?;
    let link = format!("/proc/{}/exe", target.pid());
    while std::fs::read_link(&link)? == this {
        std::thread::yield_now();
    }
    Ok(())
}

#[test]
fn a_process_that_is_not_there_is_said_to_be_so() -> Result<()> {
    snapshot("4194303")?.expect(4, &["4194303", "pyheap ps"])
}

#[test]
fn a_program_without_python_is_named_with_what_was_tried() -> Result<()> {
    let target = Target(Command::new("sleep").arg("1000").stdout(Stdio::null()).spawn()?);
    runs(&target)?;
    snapshot(&target.pid())?.expect(4, &["no Python interpreter", "cookie"])
}

#[test]
fn a_zombie_is_no_python_process() -> Result<()> {
    let target = Target(Command::new("true").spawn()?);
    while target.state()? != 'Z' {
        std::thread::yield_now();
    }
    snapshot(&target.pid())?.expect(4, &[])
}

#[test]
fn a_kernel_thread_is_no_python_process() -> Result<()> {
    // In a container there is none to see.
    if std::fs::read_to_string("/proc/2/comm").is_ok_and(|name| name.trim() == "kthreadd") {
        snapshot("2")?.expect(4, &[])?;
    }
    Ok(())
}

/// A program of 32 bits: `pause()` for ever, at the usual address.
#[test]
fn a_program_of_32_bits_is_no_python_process() -> Result<()> {
    const CODE: [u8; 9] = [0xb8, 29, 0, 0, 0, 0xcd, 0x80, 0xeb, 0xf7];
    let word = |number: u32| number.to_le_bytes();
    let base = 0x0804_8000_u32;
    let mut elf = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x03\0".to_vec();
    elf.extend([word(1), word(base + 84), word(52), word(0), word(0)].concat());
    elf.extend([52, 0, 32, 0, 1, 0, 40, 0, 0, 0, 0, 0]);
    let size = 84 + u32::try_from(CODE.len())?;
    elf.extend([1, 0, base, base, size, size, 5, 0x1000].map(u32::to_le_bytes).concat());
    elf.extend(CODE);
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("thirty-two");
    std::fs::write(&path, elf)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    match Command::new(&path).spawn() {
        Ok(child) => {
            let target = Target(child);
            runs(&target)?;
            snapshot(&target.pid())?.expect(4, &["not a 64-bit program"])
        }
        // A kernel without 32-bit programs has none to refuse.
        Err(error) => {
            println!("this kernel runs no 32-bit programs: {error}");
            Ok(())
        }
    }
}

#[test]
fn the_process_of_another_user_needs_a_permission_that_is_named() -> Result<()> {
    let target = waiting()?;
    let folder = tempfile::tempdir()?;
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
    let copy = folder.path().join("pyheap");
    std::fs::copy(pyheap(), &copy)?;
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "timeout", "60"]);
    let run = Run::command(command.arg(&copy).args(["snapshot", "-p", &target.pid()]))?;
    if run.stderr.contains("setpriv:") {
        println!("this test needs to be root: {}", run.stderr.trim());
        return Ok(());
    }
    run.expect(5, &["permi", "CAP_SYS_PTRACE"])
}

#[test]
fn a_stopped_process_is_read_and_stays_stopped() -> Result<()> {
    let target = waiting()?;
    let pid = nix::unistd::Pid::from_raw(i32::try_from(target.0.id())?);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGSTOP)?;
    while target.state()? != 'T' {
        std::thread::yield_now();
    }
    let document = snapshot(&target.pid())?.json()?;
    ensure!(document.pointer("/totals/objects").and_then(|n| n.as_u64()) > Some(10_000));
    ensure!(target.state()? == 'T', "it is {:?}", target.state());
    Ok(())
}

#[test]
fn a_process_that_ends_meanwhile_is_an_error_and_no_panic() -> Result<()> {
    for round in 0..10_u64 {
        let mut target = waiting()?;
        let mut command = Command::new(pyheap());
        command.args(["snapshot", "-p", &target.pid()]).stdout(Stdio::null());
        let child = command.stderr(Stdio::piped()).spawn()?;
        // Not a wait for anything: another moment of the read each time.
        std::thread::sleep(std::time::Duration::from_millis(round * 3));
        target.0.kill()?;
        target.0.wait()?;
        let output = child.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        let code = output.status.code();
        ensure!(matches!(code, Some(0 | 4 | 7)), "{code:?}: {said}");
        ensure!(!said.contains("panicked"), "{said}");
    }
    Ok(())
}

#[test]
fn a_bare_number_is_asked_back() -> Result<()> {
    Run::of(pyheap(), &["snapshot", "4242"])?.expect(2, &["-p 4242"])
}

#[test]
fn a_file_that_is_there_is_not_overwritten() -> Result<()> {
    let target = waiting()?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("a.parquet");
    std::fs::write(&file, "mine")?;
    let name = file.to_str().context("no name")?;
    let run = Run::of(pyheap(), &["snapshot", "-p", &target.pid(), "-o", name])?;
    run.expect(1, &["exists"])?;
    ensure!(std::fs::read_to_string(&file)? == "mine");
    Run::of(pyheap(), &["snapshot", "-p", &target.pid(), "-f", "-o", name])?.expect(0, &[])?;
    Run::of(pyheap(), &["histogram", name, "--json"])?.json()?;
    Ok(())
}

#[test]
fn a_reader_that_goes_away_is_no_failure() -> Result<()> {
    let target = waiting()?;
    let mut command = Command::new(pyheap());
    command.args(["objects", "-p", &target.pid(), "--json"]).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn()?;
    let mut first = String::new();
    BufReader::new(child.stdout.take().context("no output")?).read_line(&mut first)?;
    ensure!(first.contains("\"schema\""), "{first}");
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {said}", output.status);
    Ok(())
}

#[test]
fn an_anomaly_is_a_failure_for_those_who_are_strict() -> Result<()> {
    let sources = workspace().join("python-fixtures");
    let fixture = Fixture::start(&python()?, &sources, "corrupt", &["list_item"])?;
    let pid = fixture.pid().to_string();
    Run::of(pyheap(), &["snapshot", "-p", &pid, "--strict"])?.expect(1, &["anomal"])?;
    Run::of(pyheap(), &["snapshot", "-p", &pid])?.expect(0, &[])
}
