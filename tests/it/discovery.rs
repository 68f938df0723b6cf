//! Interpreters in places where they are hard to find. (Stripped ones, those inside a chroot, in a library or in the
//! program itself are what the truth tests run on.)

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::support::pythons::{self, Python};
use crate::support::run::{Run, Target};

const WAIT: &str = "import sys; print('READY', flush=True); sys.stdin.read()";

fn pyheap() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_pyheap"))
}

/// The interpreters that are not inside a root.
fn installed() -> Result<Vec<Python>> {
    let found = pythons::find(Path::new(env!("CARGO_MANIFEST_DIR")))?;
    let installed: Vec<Python> =
        found.into_iter().filter(|python| python.root.is_none() && !python.debug).collect();
    ensure!(!installed.is_empty(), "no interpreter is installed");
    Ok(installed)
}

/// What an interpreter says of its configuration.
fn says(python: &Python, expression: &str) -> Result<String> {
    let code = format!("import sys, sysconfig; print({expression})");
    let output = python.command().args(["-c", &code]).output()?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Checks that pyheap reads a process, and gives its snapshot.
fn read(pid: &str) -> Result<serde_json::Value> {
    let document = Run::of(pyheap(), &["snapshot", "-p", pid, "--json"])?.json()?;
    let objects = document.pointer("/totals/objects").and_then(|objects| objects.as_u64());
    ensure!(objects > Some(10_000), "{objects:?} objects");
    let anomalies = document.get("anomalies").and_then(|list| list.as_array());
    ensure!(anomalies.is_some_and(Vec::is_empty), "{anomalies:?}");
    Ok(document)
}

/// A copy of an interpreter's program that finds its library.
fn copy(python: &Python, folder: &Path) -> Result<(PathBuf, Command)> {
    let path = folder.join("python-of-mine");
    std::fs::copy(python.executable.canonicalize()?, &path)?;
    let mut command = Command::new(&path);
    command.env("PYTHONHOME", says(python, "sys.base_prefix")?).args(["-c", WAIT]);
    Ok((path, command))
}

#[test]
fn a_binary_that_was_deleted_after_the_start() -> Result<()> {
    for python in installed()? {
        let folder = tempfile::tempdir()?;
        let (path, mut command) = copy(&python, folder.path())?;
        let target = Target::ready(&mut command)?;
        std::fs::remove_file(path)?;
        read(&target.pid()).with_context(|| python.label())?;
    }
    Ok(())
}

#[test]
fn a_binary_that_was_replaced_after_the_start() -> Result<()> {
    for python in installed()? {
        let folder = tempfile::tempdir()?;
        let (path, mut command) = copy(&python, folder.path())?;
        let target = Target::ready(&mut command)?;
        let other = folder.path().join("other");
        std::fs::write(&other, "#!/bin/sh\n")?;
        std::fs::rename(other, path)?;
        read(&target.pid()).with_context(|| python.label())?;
    }
    Ok(())
}

#[test]
fn a_virtual_environment() -> Result<()> {
    let python = installed()?.pop().context("no interpreter")?;
    let folder = tempfile::tempdir()?;
    let made =
        python.command().args(["-m", "venv", "--without-pip"]).arg(folder.path()).status()?;
    ensure!(made.success());
    let target = Target::ready(Command::new(folder.path().join("bin/python")).args(["-c", WAIT]))?;
    read(&target.pid())?;
    Ok(())
}

#[test]
fn a_second_copy_of_the_runtime_as_data() -> Result<()> {
    for python in installed()? {
        let binary = says(
            &python,
            "sysconfig.get_config_var('Py_ENABLE_SHARED') and \
             sysconfig.get_config_var('LIBDIR') + '/' + sysconfig.get_config_var('INSTSONAME') or ''",
        )?;
        let binary = match binary.is_empty() {
            true => python.executable.canonicalize()?,
            false => PathBuf::from(binary),
        };
        let code = format!(
            "import mmap, sys; file = open({binary:?}, 'rb'); \
             copy = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY); copy[0] = copy[0]; {WAIT}"
        );
        let target = Target::ready(python.command().args(["-c", &code]))?;
        read(&target.pid()).with_context(|| python.label())?;
    }
    Ok(())
}

/// Reads a Python below `unshare` in every mode.
fn read_unshared(options: &[&str]) -> Result<()> {
    let python = installed()?.pop().context("no interpreter")?;
    let mut command = Command::new("unshare");
    command.args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]).args(options);
    let target = match Target::ready(command.arg(&python.executable).args(["-c", WAIT])) {
        Ok(target) => target,
        Err(error) if std::env::var_os("CI").is_none() => {
            println!("no namespaces here: {error}");
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let id = target.0.id();
    let inside = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children"))?;
    read(inside.trim())?;
    for mode in [&["--pause", "cow"][..], &["--nonblocking"]] {
        let args = [&["snapshot", "--json", "-p", inside.trim()], mode].concat();
        let document = Run::of(Path::new(env!("CARGO_BIN_EXE_pyheap")), &args)?.json()?;
        ensure!(document["totals"]["objects"].as_u64() > Some(5_000), "{options:?} {mode:?}");
    }
    Ok(())
}

#[test]
fn another_mount_and_pid_namespace() -> Result<()> {
    read_unshared(&[])
}

#[test]
fn another_user_namespace() -> Result<()> {
    read_unshared(&["--user", "--map-root-user"])
}

#[test]
fn a_number_inside_a_container_is_translated() -> Result<()> {
    let python = installed()?.pop().context("no interpreter")?;
    // A number that nothing has out here.
    let limit: u32 = std::fs::read_to_string("/proc/sys/kernel/pid_max")?.trim().parse()?;
    let inside = (limit / 2..limit)
        .rfind(|pid| !Path::new(&format!("/proc/{pid}")).exists())
        .context("all numbers are taken")?;
    let script = format!(
        "echo {} > /proc/sys/kernel/ns_last_pid; exec 3<&0; \"$0\" -c \"$1\" <&3 & wait",
        inside - 1
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c"]);
    let target = match Target::ready(command.arg(script).arg(&python.executable).arg(WAIT)) {
        Ok(target) => target,
        Err(error) if std::env::var_os("CI").is_none() => {
            println!("no namespaces here: {error}");
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let run = Run::of(pyheap(), &["snapshot", "-p", &inside.to_string()])?;
    run.expect(4, &["inside its container"])?;
    let hint =
        run.stderr.lines().find_map(|line| line.strip_prefix("hint: -p ")).context("no hint")?;
    let outside = hint.split_whitespace().next().context("no number")?;
    read(outside)?;
    drop(target);
    Ok(())
}

#[test]
fn a_program_that_embeds_python() -> Result<()> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("python-fixtures/embed.c");
    let mut tried = 0;
    for python in installed()? {
        let include = says(&python, "sysconfig.get_path('include')")?;
        let library = says(&python, "sysconfig.get_config_var('LDVERSION')")?;
        let folder = says(&python, "sysconfig.get_config_var('LIBDIR')")?;
        let is_shared = says(&python, "sysconfig.get_config_var('Py_ENABLE_SHARED')")? == "1";
        let linked = Path::new(&folder).join(format!("libpython{library}.so"));
        if !is_shared || !linked.exists() || !Path::new(&include).join("Python.h").exists() {
            continue;
        }
        let built = tempfile::tempdir()?;
        let program = built.path().join("embedder");
        let mut compiler = Command::new("cc");
        compiler.arg(&source).arg("-I").arg(&include).arg("-o").arg(&program);
        compiler.arg(format!("-L{folder}")).arg(format!("-lpython{library}"));
        ensure!(compiler.arg(format!("-Wl,-rpath,{folder}")).status()?.success());
        let home = says(&python, "sys.base_prefix")?;
        let target = Target::ready(Command::new(program).env("PYTHONHOME", home))?;
        read(&target.pid()).with_context(|| python.label())?;
        tried += 1;
    }
    println!("{tried} embedding programs");
    ensure!(tried > 0 || std::env::var_os("CI").is_none(), "no interpreter has a shared library");
    Ok(())
}

#[test]
fn all_interpreters_of_a_process_are_counted() -> Result<()> {
    let found = pythons::find(Path::new(env!("CARGO_MANIFEST_DIR")))?;
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("python-fixtures");
    let python = found.iter().rfind(|python| !python.debug).context("no interpreter")?;
    let fixture =
        crate::support::fixture::Fixture::start(python, &sources, "subinterpreters", &[])?;
    let document = read(&fixture.pid().to_string())?;
    let count = document.pointer("/interpreter/interpreters").and_then(|count| count.as_u64());
    ensure!(count > Some(1), "{count:?} interpreters");
    Ok(())
}
