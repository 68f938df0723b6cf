//! Whether the code compiles for aarch64, which no test runs on.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::cargo::cargo;
use crate::support::pythons;

const TARGET: &str = "aarch64-unknown-linux-gnu";
/// Some dependencies have C code, which `cargo check` compiles too.
const C_COMPILER: &str = "aarch64-linux-gnu-gcc";
/// Nothing of what is built is run, but for build scripts and macros.
const QUICKLY: (&str, &str) = ("CARGO_PROFILE_DEV_OPT_LEVEL", "0");

/// Compiles the library and the program, without linking.
///
/// # Errors
/// If that fails, or what it takes is not here.
pub(crate) fn check(workspace: &Path) -> Result<()> {
    let c_compiler = Command::new(C_COMPILER).arg("--version").output();
    ensure!(
        c_compiler.is_ok_and(|out| out.status.success()),
        "no {C_COMPILER}: Debian's package gcc-aarch64-linux-gnu has it"
    );
    let build = pythons::target_dir(workspace).join("aarch64");
    let build = build.to_str().context("the build folder is not UTF-8")?;
    let args = ["check", "--lib", "--bins", "--target", TARGET, "--target-dir", build];
    if has_target() {
        return cargo(workspace, &args, &[QUICKLY, ("RUSTFLAGS", "-D warnings")]);
    }
    let rustc = debian_rustc(workspace)?;
    let rustc = rustc.to_str().context("the build folder is not UTF-8")?;
    // Warnings of another version of the compiler are no errors.
    cargo(workspace, &args, &[QUICKLY, ("RUSTC", rustc)])
}

/// Whether the compiler in use has the standard library of the target.
fn has_target() -> bool {
    let asked =
        Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]).output();
    asked.is_ok_and(|out| {
        let folder = String::from_utf8_lossy(&out.stdout);
        out.status.success() && Path::new(folder.trim()).is_dir()
    })
}

fn debian_rustc(workspace: &Path) -> Result<PathBuf> {
    let root = pythons::target_dir(workspace).join("rust");
    let script = workspace.join("xtask/debian-rust.sh");
    let status =
        Command::new("bash").arg(&script).arg(&root).status().context("cannot run bash")?;
    ensure!(
        status.success(),
        "{}: {status}; `rustup target add {TARGET}` does as well",
        script.display()
    );
    Ok(root.join("rustc"))
}
