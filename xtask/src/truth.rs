//! `cargo xtask truth`: one comparison by hand, for whoever debugs a decoder.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::support::compare::compare_fixture_by;
use crate::support::pythons::{self, Python};

/// What to compare.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// An interpreter: its path, `ROOT/./usr/bin/python3.14` for one inside a private root, or a version such as `3.12`
    /// or `3.14.10-dbg` (the first such interpreter that is found). All interpreters if not given.
    #[arg(long)]
    python: Option<String>,
    /// A fixture of `python-fixtures/`, without `.py`. Give it several times for several.
    #[arg(long, default_value = "containers")]
    fixture: Vec<String>,
    /// The pyheap to test. The one in the build folder if not given; it is not built.
    #[arg(long)]
    pyheap: Option<PathBuf>,
    /// How pyheap makes the heap stand still: `stop`, `cow` or `none`.
    #[arg(long, default_value = "stop")]
    pause: String,
    /// What the fixture gets as arguments.
    #[arg(last = true)]
    args: Vec<String>,
}

/// Prints a report for each interpreter and fixture.
///
/// # Errors
/// If a comparison cannot be made, or finds a difference.
pub(crate) fn run(workspace: &Path, arguments: &Arguments) -> Result<()> {
    let pyheap = arguments
        .pyheap
        .clone()
        .unwrap_or_else(|| pythons::target_dir(workspace).join("debug/pyheap"));
    let args: Vec<&str> = arguments.args.iter().map(String::as_str).collect();
    let mut wrong = 0;
    for python in chosen(workspace, arguments.python.as_deref())? {
        for fixture in &arguments.fixture {
            match compare_fixture_by(
                &python,
                &workspace.join("python-fixtures"),
                &pyheap,
                fixture,
                &args,
                &["--pause", &arguments.pause],
            ) {
                Ok(report) => {
                    print!("{report}");
                    wrong += u32::from(!report.is_exact());
                }
                Err(error) => {
                    println!("{} {fixture}: {error:#}", python.label());
                    wrong += 1;
                }
            }
        }
    }
    if wrong > 0 {
        bail!("{wrong} comparisons are not exact");
    }
    Ok(())
}

fn chosen(workspace: &Path, wanted: Option<&str>) -> Result<Vec<Python>> {
    let Some(wanted) = wanted else { return pythons::find(workspace) };
    if wanted.contains('/') {
        return Ok(vec![Python::probe(Path::new(wanted))?]);
    }
    let found = pythons::find(workspace)?;
    let labels: Vec<String> = found.iter().map(Python::label).collect();
    let matches =
        |python: &Python| python.label() == wanted || (python.minor() == wanted && !python.debug);
    match found.into_iter().find(matches) {
        Some(python) => Ok(vec![python]),
        None => bail!("no Python {wanted}; there are {}", labels.join(" ")),
    }
}
