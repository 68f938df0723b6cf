//! The project's chores: `cargo xtask help` lists them. What CI does is `cargo xtask ci`, nothing else.

mod aarch64;
mod apps;
mod cargo;
mod debian;
mod dwarf;
mod layouts;
mod pictures;
#[path = "../../tests/support/mod.rs"]
mod support;
mod truth;
mod types;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

/// Chores of the pyheap project.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Fetch the interpreters that this machine lacks into private roots under the build folder.
    Pythons,
    /// Make the virtual environments of the real programs under the build folder.
    Apps,
    /// Compare what pyheap says of a fixture with what the process says of itself.
    Truth(truth::Arguments),
    /// Measure which types are exact and which inferred, and write `docs/types.md`.
    Types,
    /// Compare the table of layouts with the debug information of every interpreter that has it.
    Dwarf(dwarf::Arguments),
    /// Compare the table of layouts with the headers of every interpreter that has them.
    Layouts(layouts::Arguments),
    /// Draw the README's pictures anew, from what pyheap prints now.
    Pictures(pictures::Arguments),
    /// Formatting, clippy and documentation, with warnings as errors.
    Lint,
    /// Fetch what the tests need, build, and run all tests.
    Test,
    /// Compile for aarch64, which no test runs on.
    Aarch64,
    /// `lint`, `aarch64` and `test`.
    Ci,
}

fn main() -> ExitCode {
    match run(&Arguments::parse().chore) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(chore: &Chore) -> Result<()> {
    let workspace = workspace()?;
    match chore {
        Chore::Pythons => debian::fetch(&workspace),
        Chore::Apps => apps::make(&workspace),
        Chore::Truth(arguments) => truth::run(&workspace, arguments),
        Chore::Types => types::write(&workspace),
        Chore::Dwarf(arguments) => dwarf::run(&workspace, arguments),
        Chore::Layouts(arguments) => layouts::run(&workspace, arguments),
        Chore::Pictures(arguments) => pictures::draw(&workspace, arguments),
        Chore::Lint => cargo::lint(&workspace),
        Chore::Aarch64 => aarch64::check(&workspace),
        Chore::Test => cargo::test(&workspace),
        Chore::Ci => cargo::ci(&workspace),
    }
}

/// The folder of the workspace.
fn workspace() -> Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    Ok(here.parent().context("xtask has no parent folder")?.to_path_buf())
}
