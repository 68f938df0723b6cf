//! The virtual environments of the real programs in `python-fixtures/apps`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::support::pythons::{self, Python};

/// Makes one environment for each `python-fixtures/apps/NAME.txt` and interpreter that the file's first line names
/// (`# python: 3.11 3.13`), as `BUILD/venvs/NAME-3.11`. One that is there with the same requirements is left alone.
///
/// # Errors
/// If pip fails.
pub(crate) fn make(workspace: &Path) -> Result<()> {
    let found = pythons::find(workspace)?;
    for requirements in requirement_files(&workspace.join("python-fixtures/apps"))? {
        let text = std::fs::read_to_string(&requirements)?;
        let name = requirements.file_stem().context("no name")?.to_string_lossy().into_owned();
        for minor in wanted_versions(&text) {
            // a root's interpreter has no pip of its own
            let installed = |python: &&Python| {
                python.minor() == minor && !python.debug && python.root.is_none()
            };
            match found.iter().find(|python| installed(python) && has_venv(python)) {
                Some(python) => {
                    let folder =
                        pythons::target_dir(workspace).join(format!("venvs/{name}-{minor}"));
                    environment(python, &requirements, &text, &folder)?;
                }
                None => println!("no installed Python {minor} with venv: {name} is left out there"),
            }
        }
    }
    Ok(())
}

/// Makes the environment of the tools that query snapshot files (`tests/query-requirements.txt`), and gives its Python;
/// nothing if no installed interpreter can have one.
///
/// # Errors
/// If pip fails.
pub(crate) fn query(workspace: &Path) -> Result<Option<PathBuf>> {
    let requirements = workspace.join("tests/query-requirements.txt");
    let text = std::fs::read_to_string(&requirements)?;
    let found = pythons::find(workspace)?;
    let installed = |python: &&Python| !python.debug && python.root.is_none();
    let Some(python) = found.iter().rev().find(|python| installed(python) && has_venv(python))
    else {
        println!("no installed Python with venv: snapshot files are not queried");
        return Ok(None);
    };
    let folder = pythons::target_dir(workspace).join("query-venv");
    environment(python, &requirements, &text, &folder)?;
    Ok(Some(folder.join("bin/python")))
}

/// Whether an interpreter can make environments (Debian splits that off).
fn has_venv(python: &Python) -> bool {
    let check = python.command().args(["-c", "import venv, ensurepip"]).output();
    check.is_ok_and(|output| output.status.success())
}

fn requirement_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "txt") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn wanted_versions(text: &str) -> Vec<String> {
    let line = text.lines().next().and_then(|line| line.strip_prefix("# python:"));
    line.unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

fn environment(python: &Python, requirements: &Path, text: &str, folder: &Path) -> Result<()> {
    let stamp = folder.join("installed.txt");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == text) {
        return Ok(());
    }
    println!("making {}", folder.display());
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    run(python.command().args(["-m", "venv"]).arg(folder))?;
    let pip = folder.join("bin/python");
    // What is imported is compiled then: most of it never is.
    let install = ["-m", "pip", "install", "--quiet", "--no-compile", "-r"];
    run(Command::new(pip).args(install).arg(requirements))?;
    std::fs::write(stamp, text)?;
    Ok(())
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot run {command:?}"))?;
    if !status.success() {
        bail!("{command:?}: {status}");
    }
    Ok(())
}
