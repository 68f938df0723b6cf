//! The guards of `docs/ci`, on a program that leaks and on one that does not.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::support::pythons;
use crate::support::run::{Run, Target};

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Python that has Django and pytest; nothing where its environment was not made.
fn python() -> Result<Option<PathBuf>> {
    let folder = pythons::target_dir(workspace()).join("venvs/guard-3.12");
    let is_there = folder.join("installed.txt").exists();
    let is_required = std::env::var_os("PYHEAP_REQUIRE_PYTHONS").is_some();
    ensure!(is_there || !is_required, "no environment: `cargo xtask apps` makes it");
    Ok(is_there.then(|| folder.join("bin/python")))
}

/// A command that knows pyheap, where its report goes, and whether the program is to leak.
fn command(program: &Path, folder: &Path, leaks: bool) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).env("PYHEAP", env!("CARGO_BIN_EXE_pyheap"));
    command.env("PYHEAP_REPORT", folder.join("report.xml"));
    match leaks {
        true => command.env("SHOP_LEAKS", "1"),
        false => command.env_remove("SHOP_LEAKS"),
    };
    command
}

/// Checks the report: two rules, and the first broken by sessions if the program leaks.
fn verify(folder: &Path, leaks: bool, found: &str) -> Result<()> {
    let report = std::fs::read_to_string(folder.join("report.xml"))?;
    ensure!(report.contains("tests=\"2\""), "{report}");
    ensure!(report.contains("failures=\"0\"") != leaks, "{report}");
    ensure!(report.contains(&format!("{found}, more than 0")) == leaks, "{report}");
    ensure!(report.contains("held by module shop.SESSIONS") == leaks, "{report}");
    Ok(())
}

#[test]
fn a_pytest_run_that_leaks_fails_and_names_the_holder() -> Result<()> {
    let Some(python) = python()? else { return Ok(()) };
    for leaks in [true, false] {
        let folder = tempfile::tempdir()?;
        std::fs::copy(workspace().join("docs/ci/conftest.py"), folder.path().join("conftest.py"))?;
        for name in ["shop.py", "test_shop.py"] {
            let from = workspace().join("python-fixtures/guard").join(name);
            std::fs::copy(from, folder.path().join(name))?;
        }
        let mut pytest = command(&python, folder.path(), leaks);
        let run = Run::command(pytest.args(["-m", "pytest", "-q", "-p", "no:cacheprovider"]))?;
        ensure!(run.stdout.contains("5 passed"), "{}{}", run.stdout, run.stderr);
        run.expect(i32::from(leaks), &[])?;
        ensure!(
            run.stdout.contains("FAILED  --max-growth shop.Session=0: 4") == leaks,
            "{}",
            run.stdout
        );
        verify(folder.path(), leaks, "4")?;
    }
    Ok(())
}

#[test]
fn a_django_server_that_leaks_breaks_the_rule() -> Result<()> {
    let Some(python) = python()? else { return Ok(()) };
    for leaks in [true, false] {
        let folder = tempfile::tempdir()?;
        let mut server = command(&python, folder.path(), leaks);
        server.env("PYTHONPATH", workspace().join("python-fixtures/guard"));
        server.args(["-c", "import shop; shop.main()"]);
        let mut server = Target(server.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?);
        let mut port = String::new();
        BufReader::new(server.0.stdout.as_mut().context("no output")?).read_line(&mut port)?;
        let port: u16 = port.trim().parse().context("no port")?;
        let urls: String =
            (0..7).map(|page| format!("http://127.0.0.1:{port}/{page}/\n")).collect();
        std::fs::write(folder.path().join("urls.txt"), urls)?;
        let mut guard = command(Path::new("bash"), folder.path(), leaks);
        guard.arg(workspace().join("docs/ci/guard-server.sh"));
        let rules = ["--max-growth", "shop.Session=0", "--max-garbage", "50M"];
        let run = Run::command(guard.arg(server.pid()).arg("urls.txt").args(rules))?;
        run.expect(if leaks { 3 } else { 0 }, &[])?;
        verify(folder.path(), leaks, "7")?;
        ensure!(server.0.try_wait()?.is_none(), "the server has ended");
    }
    Ok(())
}
