//! A core file says what the process said: cores of gdb and of the kernel, whole, filtered, compressed and cut off.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::support::fixture::Fixture;
use crate::support::pythons::{self, Python};
use crate::support::run::{Run, Target};

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn pyheap(args: &[&str]) -> Result<Run> {
    Run::of(Path::new(env!("CARGO_BIN_EXE_pyheap")), args)
}

/// Whether CI demands that nothing is left out.
fn is_required() -> bool {
    std::env::var_os("PYHEAP_REQUIRE_PYTHONS").is_some()
}

pub(crate) fn start(python: &Python, name: &str) -> Result<Fixture> {
    let fixture = Fixture::start(python, &workspace().join("python-fixtures"), name, &[])?;
    fixture.settle()?;
    Ok(fixture)
}

/// The objects of a source, one JSON line each, in the order of their addresses.
fn objects(source: &[&str]) -> Result<String> {
    let run = pyheap(&[&["objects", "--json"], source].concat())?;
    run.expect(0, &[])?;
    Ok(run.stdout)
}

/// Lets gdb write a core of a process that runs on.
pub(crate) fn gcore(pid: u32, folder: &Path) -> Result<Option<PathBuf>> {
    let prefix = folder.join("core");
    let output = Command::new("gcore").arg("-o").arg(&prefix).arg(pid.to_string()).output();
    let Ok(output) = output else {
        ensure!(!is_required(), "gcore is missing: gdb has it");
        println!("gcore is not here: its cores are not tested");
        return Ok(None);
    };
    let core = folder.join(format!("core.{pid}"));
    ensure!(core.exists(), "gcore: {}", String::from_utf8_lossy(&output.stderr));
    Ok(Some(core))
}

/// Ends a process by a signal, and finds the core that the kernel writes for it.
fn kernel_core(fixture: Fixture, filter: &str) -> Result<Option<PathBuf>> {
    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern")?;
    if pattern.trim() != "core" {
        println!("the kernel gives cores to {}: they are not tested", pattern.trim());
        return Ok(None);
    }
    let pid = fixture.pid();
    let folder = std::fs::read_link(format!("/proc/{pid}/cwd"))?;
    std::fs::write(format!("/proc/{pid}/coredump_filter"), filter)?;
    let arguments = ["--core=unlimited", "--pid", &pid.to_string()];
    ensure!(Command::new("prlimit").args(arguments).status()?.success(), "prlimit failed");
    let folder = fixture.end_by("-ABRT", &folder)?;
    for name in ["core".to_owned(), format!("core.{pid}")] {
        let core = folder.join(name);
        if core.exists() {
            return Ok(Some(core));
        }
    }
    bail!("the kernel wrote no core into {}", folder.display())
}

/// Where the binaries of an interpreter are, if it runs in a root of its own.
pub(crate) fn search_root(python: &Python) -> Vec<String> {
    let root = python.root.as_ref().map(|root| root.display().to_string());
    root.map_or_else(Vec::new, |root| vec!["--lib-search-root".to_owned(), root])
}

/// The first lines that differ.
fn first_difference(live: &str, core: &str) -> String {
    let differs = live.lines().zip(core.lines()).find(|(live, core)| live != core);
    let (live_line, core_line) = differs.unwrap_or(("the same", "but more or fewer"));
    let counts = (live.lines().count(), core.lines().count());
    format!("{counts:?} lines\nlive: {live_line:.600}\ncore: {core_line:.600}")
}

/// Whether a core is said to lack stacks of threads. gdb stops at the guard pages inside of those that glibc 2.42 makes.
fn lost_stacks(source: &[&str]) -> Result<bool> {
    let run = pyheap(&[&["snapshot"], source].concat())?;
    run.expect(0, &[])?;
    Ok(run.stdout.contains("stacks of threads are not in the core file"))
}

#[test]
fn a_core_of_every_interpreter_has_the_objects_that_the_process_had() -> Result<()> {
    let mut failures = Vec::new();
    // The allocators and layouts of one interpreter are in either.
    for (nth, python) in pythons::find(workspace())?.into_iter().enumerate() {
        for name in if nth % 2 == 0 { ["stdlib"] } else { ["threads"] } {
            let fixture = start(&python, name)?;
            let live = objects(&["-p", &fixture.pid().to_string()])?;
            let folder = tempfile::tempdir()?;
            let Some(core) = gcore(fixture.pid(), folder.path())? else { return Ok(()) };
            let path = core.display().to_string();
            let root = search_root(&python);
            let mut source = vec!["-c", &path];
            source.extend(root.iter().map(String::as_str));
            let dead = objects(&source).with_context(|| python.label())?;
            if dead != live && lost_stacks(&source)? {
                println!("{} {name}: gdb did not save the stacks, and it is said", python.label());
            } else if dead != live {
                let difference = first_difference(&live, &dead);
                failures.push(format!("{} {name}: {difference}", python.label()));
            }
        }
    }
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}

#[test]
fn a_core_of_the_kernel_has_the_objects_that_the_process_had() -> Result<()> {
    let found = pythons::find(workspace())?;
    let python = found.iter().rfind(|python| python.root.is_none()).context("no interpreter")?;
    // Everything; the default; without the headers of binaries, whose build-id then is not known.
    for filter in ["0x7f", "0x33", "0x23"] {
        let fixture = start(python, "stdlib")?;
        let live = objects(&["-p", &fixture.pid().to_string()])?;
        let Some(core) = kernel_core(fixture, filter)? else { return Ok(()) };
        let path = core.display().to_string();
        let dead = objects(&["-c", &path])?;
        ensure!(dead == live, "filter {filter}: {}", first_difference(&live, &dead));
        // The stack of the main thread is the last that the kernel writes.
        let len = std::fs::metadata(&core)?.len();
        std::fs::OpenOptions::new().write(true).open(&core)?.set_len(len - (100 << 10))?;
        let run = pyheap(&["snapshot", "-c", &path])?;
        run.expect(0, &[])?;
        ensure!(run.stdout.contains("it is cut off"), "{}", run.stdout);
        pyheap(&["snapshot", "--strict", "-c", &path])?.expect(1, &["anomal"])?;
        std::fs::remove_dir_all(core.parent().context("no folder")?)?;
    }
    Ok(())
}

#[test]
fn compressed_cores_are_the_same_and_what_was_cut_off_is_said() -> Result<()> {
    let found = pythons::find(workspace())?;
    let python = found.iter().rfind(|python| python.root.is_none()).context("no interpreter")?;
    let fixture = start(python, "containers")?;
    let folder = tempfile::tempdir()?;
    let Some(core) = gcore(fixture.pid(), folder.path())? else { return Ok(()) };
    let plain = objects(&["-c", &core.display().to_string()])?;
    let bytes = std::fs::read(&core)?;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&bytes)?;
    let temp = tempfile::tempdir()?;
    for (name, packed) in [("gz", gzip.finish()?), ("zst", zstd::encode_all(&bytes[..], 1)?)] {
        let path = folder.path().join(name);
        std::fs::write(&path, packed)?;
        let (path, temp) = (path.display().to_string(), temp.path().display().to_string());
        ensure!(objects(&["-c", &path, "--temp-dir", &temp])? == plain, "{name}");
    }
    ensure!(std::fs::read_dir(temp.path())?.count() == 0, "something is left");
    // gdb writes the notes last: without them nothing is known of what is mapped.
    std::fs::write(&core, &bytes[..bytes.len() / 2])?;
    pyheap(&["snapshot", "-c", &core.display().to_string()])?.expect(1, &["is cut off"])
}

#[test]
fn a_core_of_another_program_has_no_interpreter() -> Result<()> {
    let mut command = Command::new("sh");
    command.args(["-c", "echo ready; exec cat"]).stdin(Stdio::piped());
    let target = Target::ready(&mut command)?;
    let folder = tempfile::tempdir()?;
    let Some(core) = gcore(target.0.id(), folder.path())? else { return Ok(()) };
    let core = core.display().to_string();
    pyheap(&["snapshot", "-c", &core])?.expect(4, &["no Python interpreter"])?;
    pyheap(&["snapshot", "-c", "/nowhere"])?.expect(1, &["/nowhere"])?;
    pyheap(&["snapshot", "-c", "/bin/sh"])?.expect(1, &["not a core file"])
}
