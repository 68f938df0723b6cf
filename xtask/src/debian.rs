//! Private roots with Debian's CPythons, for the versions and debug builds that a machine lacks.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::support::pythons;

/// Unpacks Debian's newer CPythons and debug builds under the build folder. Quick where all is there already; on a
/// machine without apt it says so, and the tests take the interpreters that are installed.
///
/// # Errors
/// If a download or an unpacked interpreter fails.
pub(crate) fn fetch(workspace: &Path) -> Result<()> {
    let has = |tool: &str| {
        Command::new(tool).arg("--version").output().is_ok_and(|out| out.status.success())
    };
    let roots = pythons::target_dir(workspace).join("pythons");
    if !has("apt-get") || !has("dpkg-deb") {
        println!("no apt-get or dpkg-deb here: interpreters must come from pyenv, uv or PATH");
        return report(workspace);
    }
    let script = workspace.join("xtask/debian-pythons.sh");
    let status =
        Command::new("bash").arg(&script).arg(&roots).status().context("cannot run bash")?;
    if !status.success() {
        // the tests say which interpreters they must have; a machine without a network may do with what it has
        println!("{}: {status}; going on without", script.display());
    }
    report(workspace)
}

fn report(workspace: &Path) -> Result<()> {
    let found = pythons::find(workspace)?;
    let labels: Vec<String> = found.iter().map(pythons::Python::label).collect();
    println!("interpreters: {}", labels.join(" "));
    for minor in pythons::SUPPORTED {
        let name = format!("3.{minor}");
        if !found.iter().any(|python| python.minor() == name) {
            println!(
                "no Python {name}: `pyenv install {name}` or `uv python install {name}` would add it"
            );
        }
    }
    Ok(())
}
