//! Cargo, run as CI runs it.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::support::pythons::{self, Python};
use crate::{aarch64, apps, debian};

/// Formatting, clippy and documentation.
///
/// # Errors
/// If one of them complains.
pub(crate) fn lint(workspace: &Path) -> Result<()> {
    cargo(workspace, &["fmt", "--all", "--check"], &[])?;
    cargo(
        workspace,
        &["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"],
        &[],
    )?;
    cargo(
        workspace,
        &["doc", "--workspace", "--no-deps", "--quiet"],
        &[("RUSTDOCFLAGS", "-D warnings")],
    )
}

/// Fetches what the tests need, and runs them; says at the end on which interpreters.
///
/// # Errors
/// If a test fails, or an interpreter that must be there is missing.
pub(crate) fn test(workspace: &Path) -> Result<()> {
    debian::fetch(workspace)?;
    apps::make(workspace)?;
    run_tests(workspace)
}

/// All that CI does. Installing the real programs waits for the network and writes files most of the time, so that
/// another architecture is compiled meanwhile.
///
/// # Errors
/// If a part fails.
pub(crate) fn ci(workspace: &Path) -> Result<()> {
    lint(workspace)?;
    debian::fetch(workspace)?;
    std::thread::scope(|scope| {
        let apps = scope.spawn(|| apps::make(workspace));
        let checked = aarch64::check(workspace);
        let made = apps.join().map_err(|_| anyhow!("making the environments panicked"))?;
        checked.and(made)
    })?;
    run_tests(workspace)
}

fn run_tests(workspace: &Path) -> Result<()> {
    let found = pythons::find(workspace)?;
    let missing = pythons::missing(&found);
    ensure!(missing.is_empty(), "required interpreters are missing: {}", missing.join(" "));
    // Snapshot files are also read by tools that are not ours.
    let query = apps::query(workspace)?;
    let query = query.as_deref().and_then(Path::to_str).map(|path| ("PYHEAP_QUERY_PYTHON", path));
    let outcome = cargo(workspace, &["test", "--workspace"], query.as_slice());
    let ran: Vec<String> = found.iter().map(Python::label).collect();
    println!("interpreters that ran: {}", ran.join(" "));
    let lacking: Vec<String> = pythons::SUPPORTED
        .map(|minor| format!("3.{minor}"))
        .filter(|name| !found.iter().any(|python| python.minor() == *name))
        .collect();
    if !lacking.is_empty() {
        println!("interpreters that did not run, for they are not here: {}", lacking.join(" "));
    }
    outcome
}

/// Runs cargo in the workspace.
///
/// # Errors
/// If it cannot be run, or fails.
pub(crate) fn cargo(workspace: &Path, args: &[&str], environment: &[(&str, &str)]) -> Result<()> {
    println!("$ cargo {}", args.join(" "));
    let program = std::env::var_os("CARGO");
    let program = program.as_deref().unwrap_or_else(|| OsStr::new("cargo"));
    let status = Command::new(program)
        .args(args)
        .envs(environment.iter().copied())
        .current_dir(workspace)
        .status()
        .context("cannot run cargo")?;
    if !status.success() {
        bail!("cargo {}: {status}", args.join(" "));
    }
    Ok(())
}
