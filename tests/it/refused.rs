//! Interpreters that pyheap does not read: each is named, with the reason and what to do, by `snapshot`, `doctor` and `ps`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::support::altered::Altered;
use crate::support::pythons;
use crate::support::run::{Run, Target};

fn pyheap() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_pyheap"))
}

const WAIT: &str = "import sys; sys.stdout.write('READY\\n'); sys.stdout.flush(); sys.stdin.read()";

/// What a person has to learn of an interpreter that is not read.
struct Expected<'a> {
    version: &'a str,
    build: &'a str,
    /// Words of the reason.
    reason: &'a str,
    /// Words of what to do.
    advice: &'a str,
}

/// Checks that all three commands say it.
fn is_refused(pid: &str, expected: &Expected<'_>) -> Result<()> {
    let Expected { version, build, reason, advice } = *expected;
    Run::of(pyheap(), &["snapshot", "-p", pid])?.expect(6, &[version, reason, "hint: ", advice])?;

    let run = Run::of(pyheap(), &["doctor", "-p", pid, "--json"])?;
    run.expect(6, &[])?;
    let document: Value = serde_json::from_str(&run.stdout)?;
    ensure!(document["exit_code"] == 6 && document["ok"] == false, "{document}");
    for (field, words) in [("reason", version), ("reason", reason), ("advice", advice)] {
        let said = document[field].as_str().unwrap_or_default();
        ensure!(said.contains(words), "{field} does not say {words:?}: {said:?}");
    }
    let text = Run::of(pyheap(), &["doctor", "-p", pid])?.stdout;
    ensure!(text.contains(reason) && text.contains(advice), "{text}");

    let document = Run::of(pyheap(), &["ps", "--json"])?.json()?;
    let rows = document["processes"].as_array().context("no processes")?;
    let row = rows
        .iter()
        .find(|row| row["pid"].as_u64() == pid.parse().ok())
        .context("ps has no such row")?;
    ensure!(
        row["version"] == version && row["build"] == build && row["readable"] == false,
        "{row}"
    );
    let said = row["reason"].as_str().unwrap_or_default();
    ensure!(said.contains(reason) && said.contains(advice), "{said}");
    let text = Run::of(pyheap(), &["ps"])?.stdout;
    ensure!(text.contains(said), "{text}");
    Ok(())
}

/// Python 2.7, 3.6 and 3.7, where pyenv has them: one that is older than the oldest runtime, one without and one with.
#[test]
fn versions_that_are_too_old_are_named_with_their_patch_level() -> Result<()> {
    let versions = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".pyenv/versions"));
    let versions = versions.and_then(|folder| std::fs::read_dir(folder).ok()).into_iter().flatten();
    let mut tried = Vec::new();
    for entry in versions.flatten() {
        let version = entry.file_name().to_string_lossy().into_owned();
        let program = entry.path().join("bin/python");
        let is_old = ["2.7.", "3.6.", "3.7."].iter().any(|minor| version.starts_with(minor));
        if !is_old || !program.exists() {
            continue;
        }
        let target = Target::ready(Command::new(program).args(["-c", WAIT]))?;
        let expected = Expected {
            version: &version,
            build: "default",
            reason: "pyheap reads CPython 3.8 to 3.15",
            advice: "run the program on 3.8 or later",
        };
        is_refused(&target.pid(), &expected).with_context(|| version.clone())?;
        tried.push(version);
    }
    println!("refused: {}", tried.join(" "));
    Ok(())
}

#[test]
fn pypy_is_told_from_cpython() -> Result<()> {
    let root = pythons::target_dir(Path::new(env!("CARGO_MANIFEST_DIR"))).join("pythons/pypy");
    if !root.join("usr/bin/pypy3").exists() {
        println!("no PyPy to be refused: cargo xtask pythons fetches one");
        return Ok(());
    }
    let mut command = Command::new("chroot");
    let target = Target::ready(command.arg(&root).args(["/usr/bin/pypy3", "-c", WAIT]))?;
    let version = std::fs::read_dir(root.join("usr/lib"))?
        .flatten()
        .find_map(|entry| Some(entry.file_name().to_str()?.strip_prefix("pypy3.")?.to_owned()));
    let minor = format!("3.{}", version.context("no version of PyPy")?);
    let row = Run::of(pyheap(), &["ps", "--json"])?.json()?;
    let rows = row["processes"].as_array().cloned().unwrap_or_default();
    let row = rows.iter().find(|row| row["pid"] == target.0.id());
    let version = row.and_then(|row| row["version"].as_str()).context("ps knows no version")?;
    ensure!(version.starts_with(&minor), "{version} is no {minor}");
    let expected = Expected {
        version,
        build: "PyPy",
        reason: "is PyPy",
        advice: "run the program on CPython 3.8 or later",
    };
    is_refused(&target.pid(), &expected)
}

/// Builds that no repository has any more, or not yet: an interpreter whose description of itself was altered says that
/// it is one.
#[test]
fn builds_that_are_not_read_say_what_they_are() -> Result<()> {
    const DEFAULT: &str = "default";
    let cases = [
        (0x030E_00F0, false, "3.14.0", DEFAULT, "3.14.0 to 3.14.4", "update to 3.14.5 or later"),
        (0x030E_04F0, false, "3.14.4", DEFAULT, "3.14.0 to 3.14.4", "update to 3.14.5 or later"),
        (0x030F_00B4, false, "3.15.0b4", DEFAULT, "pre-release", "update to the final release"),
        (0x030D_00C2, false, "3.13.0rc2", DEFAULT, "pre-release", "update to the final release"),
        (0x0310_00F0, false, "3.16.0", DEFAULT, "newer than the tables", "a newer pyheap"),
        (0x030D_05F0, true, "3.13.5", "free-threaded", "free-threaded", "with the GIL"),
        (0x030E_0AF0, true, "3.14.10", "free-threaded", "free-threaded", "with the GIL"),
    ];
    let Some(altered) = Altered::find()? else { return Ok(()) };
    for (hex, free_threaded, version, build, reason, advice) in cases {
        let target = altered.start(WAIT, |says| says.version(hex).free_threaded(free_threaded))?;
        let expected = Expected { version, build, reason, advice };
        is_refused(&target.pid(), &expected).with_context(|| version)?;
    }
    Ok(())
}

/// A process that only has an old or another Python's library in it, not started, is none.
#[test]
fn a_library_that_was_only_loaded_is_no_python() -> Result<()> {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let folder = home.join(".pyenv/versions");
    let mut tried = 0;
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let libraries = std::fs::read_dir(entry.path().join("lib")).into_iter().flatten().flatten();
        let library = libraries
            .map(|entry| entry.path())
            .find(|path| path.to_string_lossy().contains(".so.1.0"));
        let Some(library) = library else { continue };
        let mut command = Command::new("cat");
        let mut child = Target(
            command
                .env("LD_PRELOAD", &library)
                .stdin(std::process::Stdio::piped())
                .stdout(std::process::Stdio::piped())
                .spawn()?,
        );
        // It answers when it is loaded.
        use std::io::{Read, Write};
        child.0.stdin.as_mut().context("no stdin")?.write_all(b"x")?;
        child.0.stdout.as_mut().context("no stdout")?.read_exact(&mut [0])?;
        let run = Run::of(pyheap(), &["snapshot", "-p", &child.pid()])?;
        run.expect(4, &["no Python interpreter"]).with_context(|| library.display().to_string())?;
        tried += 1;
    }
    println!("{tried} libraries");
    Ok(())
}
