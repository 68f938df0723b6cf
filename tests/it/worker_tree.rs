//! A master and its workers, read in one call.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::support::pythons::{self, Python};
use crate::support::run::{Run, Target};

const PYHEAP: &str = env!("CARGO_BIN_EXE_pyheap");

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Three workers with 100, 200 and 300 jobs, a child that is no Python, and one that has ended and
/// that nobody has waited for. All of them go with the master.
const MASTER: &str = "
import ctypes, multiprocessing, os, signal, subprocess, sys
class Job: pass
def with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
def work(number, ready):
    with_parent()
    jobs = [Job() for _ in range(100 * number)]
    os.write(ready, b'x')
    signal.pause()
if __name__ == '__main__':
    context = multiprocessing.get_context('fork')
    reader, ready = os.pipe()
    workers = [context.Process(target=work, args=(n, ready)) for n in (1, 2, 3)]
    for worker in workers: worker.start()
    other = subprocess.Popen(['sleep', '1000'], preexec_fn=with_parent)
    ended = os.fork()
    if ended == 0: os._exit(0)
    os.waitid(os.P_PID, ended, os.WEXITED | os.WNOWAIT)
    got = 0
    while got < 3: got += len(os.read(reader, 3))
    print(other.pid, ended, flush=True)
    sys.stdin.read()
";

/// How many jobs each process of a document has.
fn jobs(document: &Value) -> Result<Vec<u64>> {
    let processes = document["processes"].as_array().context("no processes")?;
    let mut jobs: Vec<u64> = processes.iter().map(jobs_of).collect();
    jobs.sort_unstable();
    Ok(jobs)
}

fn jobs_of(process: &Value) -> u64 {
    let types = process["types"].as_array().into_iter().flatten();
    let mut jobs = types.filter(|row| row["type"] == "__main__.Job");
    jobs.next().and_then(|row| row["objects"].as_u64()).unwrap_or_default()
}

fn check(python: &Python) -> Result<()> {
    let target = Target::ready(python.command().args(["-c", MASTER]))?;
    let pid = target.pid();
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("tree.parquet").display().to_string();
    let args = ["snapshot", "-p", &pid, "-s", "-o", &file, "--json"];
    let document = Run::of(Path::new(PYHEAP), &args)?.json()?;
    ensure!(jobs(&document)? == [0, 100, 200, 300], "{:?}", jobs(&document)?);
    let left_out = document["left_out"].as_array().context("nothing is left out")?;
    let codes: Vec<&Value> = left_out.iter().map(|row| &row["exit_code"]).collect();
    ensure!(codes == [4, 4], "{left_out:?}");
    for process in document["processes"].as_array().context("no processes")? {
        let bytes = |name: &str| process["sharing"][name].as_u64().unwrap_or_default();
        let (rss, private) = (bytes("rss_bytes"), bytes("private_bytes"));
        ensure!(private > 0 && private + bytes("shared_bytes") == rss, "{}", process["sharing"]);
        // Each has a file of its own, which holds the same heap.
        let file = folder.path().join(format!("tree.{}.parquet", process["process"]["pid"]));
        let loaded =
            Run::of(Path::new(PYHEAP), &["histogram", "--json", &file.display().to_string()])?
                .json()?;
        ensure!(loaded["types"] == process["types"], "{} differs", file.display());
    }
    // Files that are there are not replaced, which is known before a process is stopped.
    Run::of(Path::new(PYHEAP), &args)?.expect(1, &["exists"])?;
    for command in ["stacks", "garbage"] {
        let args = [command, "-p", &pid, "-s", "--json"];
        let document = Run::of(Path::new(PYHEAP), &args)?.json()?;
        let processes = document["processes"].as_array().map(Vec::len);
        ensure!(processes == Some(4), "{command}: {processes:?}");
    }
    let text = Run::of(Path::new(PYHEAP), &["histogram", "-p", &pid, "-s", "-n", "1000"])?;
    text.expect(0, &["is left out"])?;
    ensure!(text.stdout.contains("4 processes: "), "{}", text.stdout);
    let sum = text.stdout.lines().find(|line| line.ends_with("  __main__.Job"));
    let sum = sum.unwrap_or_default();
    ensure!(sum.trim_start().starts_with("600 "), "{sum}");
    Ok(())
}

#[test]
fn a_tree_of_workers_is_read_in_one_call() -> Result<()> {
    for python in pythons::find(workspace())?.iter().filter(|python| python.root.is_none()) {
        check(python).with_context(|| python.label())?;
    }
    Ok(())
}

/// A server of gunicorn with an application of one line.
const APPLICATION: &str = "
class Visit: pass
visits = []
def application(environ, start_response):
    visits.append(Visit())
    start_response('200 OK', [('Content-Length', '2')])
    return [b'ok']
";

/// The workers of gunicorn: its master says when each is ready.
#[test]
fn the_workers_of_gunicorn_are_told_apart_from_their_master() -> Result<()> {
    let venvs = pythons::target_dir(workspace()).join("venvs");
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("app.py"), APPLICATION)?;
    let ready = folder.path().join("ready");
    let hook = format!(
        "import os\nbind = 'unix:{}/socket'\nworkers = 2\n\
         def post_worker_init(worker): os.write(os.open({:?}, os.O_WRONLY), b'x')\n",
        folder.path().display(),
        ready.display().to_string()
    );
    let config = folder.path().join("config.py");
    std::fs::write(&config, hook)?;
    let mut ran = 0;
    for version in ["3.11", "3.12"] {
        let gunicorn = venvs.join(format!("django_app-{version}/bin/gunicorn"));
        if !gunicorn.exists() {
            continue;
        }
        ran += 1;
        ensure!(Command::new("mkfifo").arg(&ready).status()?.success(), "no fifo");
        let child = Command::new(&gunicorn)
            .args(["--chdir".as_ref(), folder.path().as_os_str(), "-c".as_ref()])
            .args([config.as_os_str(), "app".as_ref()])
            .stderr(std::process::Stdio::null())
            .spawn()?;
        let target = Target(child);
        let mut fifo = std::fs::File::open(&ready)?;
        // Both have written: a fifo ends when no writer is left, so it is read by the byte.
        let mut seen = [0_u8; 1];
        for _ in 0..2 {
            while std::io::Read::read(&mut fifo, &mut seen)? == 0 {
                std::thread::yield_now();
            }
        }
        let document =
            Run::of(Path::new(PYHEAP), &["stacks", "-p", &target.pid(), "-s", "--json"])?.json()?;
        let processes = document["processes"].as_array().context("no processes")?;
        let mut kinds: BTreeMap<&str, u32> = BTreeMap::new();
        for process in processes {
            let frames = process["threads"][0]["frames"].as_array().context("no frames")?;
            let is_worker = frames.iter().any(|frame| {
                frame["file"].as_str().is_some_and(|file| file.ends_with("workers/sync.py"))
            });
            *kinds.entry(if is_worker { "worker" } else { "master" }).or_default() += 1;
        }
        ensure!(kinds == BTreeMap::from([("master", 1), ("worker", 2)]), "{version}: {kinds:?}");
        nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(i32::try_from(target.0.id())?),
            nix::sys::signal::Signal::SIGTERM,
        )?;
        drop(fifo);
        drop(target);
        std::fs::remove_file(&ready)?;
    }
    println!("gunicorn of {ran} environments");
    Ok(())
}
