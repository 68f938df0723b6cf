//! Disks that fill up.

use std::io::{self, Write};
use std::path::Path;
use std::process::Command;

use super::graphs::{assert_same, random_snapshot};
use super::{file_of, write_to};
use crate::snapshot::{SnapshotError, load, save};

/// Takes so many bytes and no more.
struct Disk {
    free: usize,
}

impl Write for Disk {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let taken = buf.len().min(self.free);
        self.free -= taken;
        if taken == 0 && !buf.is_empty() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_disk_that_is_full_after_any_byte_is_an_error() {
    let snapshot = random_snapshot(21, 12, 3);
    let len = file_of(&snapshot).len();
    for free in (0..len).step_by(37).chain([len - 1]) {
        match write_to(&snapshot, Disk { free }) {
            Err(crate::snapshot::error::Fault::Io(error)) => {
                assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{free} bytes free");
            }
            other => panic!("{free} bytes free: {other:?}"),
        }
    }
    write_to(&snapshot, Disk { free: len }).unwrap();
}

/// Names the directory in which the process that runs the next test may fill the disk.
const FULL_DISK: &str = "PYHEAP_TEST_FULL_DISK";

/// Runs in a process of its own; see the tests below.
#[test]
fn saving_to_the_full_disk_of_this_process() {
    let Some(directory) = std::env::var_os(FULL_DISK) else { return };
    let directory = Path::new(&directory);
    let path = directory.join("snapshot.parquet");
    let small = random_snapshot(1, 5, 1);
    save(&small, &path, false).unwrap();
    let large = random_snapshot(2, 20_000, 10);
    for (name, overwrite) in [("snapshot.parquet", true), ("other.parquet", false)] {
        let error = save(&large, &directory.join(name), overwrite).unwrap_err();
        assert!(matches!(error, SnapshotError::Write { .. }), "{error}");
        let kind = match error {
            SnapshotError::Write { source, .. } => source.kind(),
            _ => unreachable!(),
        };
        assert!(
            matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::FileTooLarge),
            "{kind:?}"
        );
    }
    // The old file is whole, and nothing else is there.
    assert_same(&load(&path).unwrap(), &small);
    assert_eq!(std::fs::read_dir(directory).unwrap().count(), 1);
    println!("the disk was full");
}

/// Runs the test above under `sh -c`, in which `"$@"` is the command.
fn run_with_full_disk(mut shell: Command, script: &str) {
    let directory = tempfile::tempdir().unwrap();
    let test = format!("{}::saving_to_the_full_disk_of_this_process", module_path!());
    let test = test.split_once("::").unwrap().1;
    let output = shell
        .args(["sh", "-c", script, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(FULL_DISK, directory.path())
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stdout}{stderr}");
    assert!(stdout.contains("the disk was full"), "{stdout}{stderr}");
}

#[test]
fn a_limit_on_file_size_leaves_no_half_file() {
    // 64 blocks of 512 bytes; without the trap the limit would be a signal.
    run_with_full_disk(Command::new("env"), "trap '' XFSZ; ulimit -f 64; exec \"$@\"");
}

#[test]
fn a_full_file_system_leaves_no_half_file() {
    let namespaces = ["--user", "--map-root-user", "--mount"];
    let allowed = Command::new("unshare").args(namespaces).arg("true").status();
    if !allowed.is_ok_and(|status| status.success()) {
        assert!(std::env::var_os("PYHEAP_REQUIRE_NAMESPACES").is_none(), "no user namespaces");
        eprintln!("skipped: this machine allows no user namespaces");
        return;
    }
    let mut shell = Command::new("unshare");
    shell.args(namespaces);
    let script = format!("mount -t tmpfs -o size=64k none \"${FULL_DISK}\" && exec \"$@\"");
    run_with_full_disk(shell, &script);
}
