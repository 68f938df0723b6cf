use super::*;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// `cat`, waiting for more input. It has answered: `spawn` returns before the kernel has finished
/// loading the program.
fn cat(program: &Path) -> Running {
    let mut command = Command::new(program);
    let mut child = Running(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap());
    child.0.stdin.as_mut().unwrap().write_all(b"x").unwrap();
    child.0.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    child
}

#[test]
fn our_own_process_has_its_facts() {
    let own = Process::open(std::process::id()).unwrap();
    assert!(own.is_same());
    assert_eq!(own.namespace_pid(), own.pid());
    assert!(own.executable().contains("pyheap"));
    let arguments: Vec<String> = std::env::args().collect();
    assert_eq!(own.command_line(), arguments);
    assert!(own.rss_bytes() > 100_000);
    assert_eq!(own.tracer_pid(), None);
    assert_eq!(own.uid(), Some(nix::unistd::geteuid().as_raw()));
    assert!(own.uptime_seconds().unwrap() < 3600.0);
    assert!(own.threads().contains(&own.pid()));
    assert_eq!(Process::boot_id().unwrap().len(), 36);
}

#[test]
fn what_is_no_program_is_refused_as_such() {
    let missing = Process::open(u32::MAX).unwrap_err();
    assert!(matches!(missing, AttachError::NoSuchProcess { .. }));
    assert_eq!(missing.failure(), Failure::NotPython);
    let kernel = (2..100).find(|&pid| Stat::read(pid).is_ok_and(|stat| stat.is_kernel_thread()));
    if let Some(pid) = kernel {
        let error = Process::open(pid).unwrap_err();
        assert!(matches!(error, AttachError::KernelThread { .. }), "{error}");
    }
    let mut child = Running(Command::new("true").stdout(Stdio::piped()).spawn().unwrap());
    let mut end = [0; 1];
    assert_eq!(child.0.stdout.take().unwrap().read(&mut end).unwrap(), 0);
    // The pipe closes a moment before the process is a zombie.
    let mut status = nix::sys::wait::WaitPidFlag::WEXITED;
    status.insert(nix::sys::wait::WaitPidFlag::WNOWAIT);
    let pid = i32::try_from(child.0.id()).unwrap();
    let id = nix::sys::wait::Id::Pid(nix::unistd::Pid::from_raw(pid));
    nix::sys::wait::waitid(id, status).unwrap();
    let error = Process::open(child.0.id()).unwrap_err();
    assert!(matches!(error, AttachError::Zombie { .. }), "{error}");
}

#[test]
fn a_process_that_ended_is_not_the_same() {
    let mut child = cat(Path::new("cat"));
    let process = Process::open(child.0.id()).unwrap();
    assert!(process.is_same());
    child.0.kill().unwrap();
    child.0.wait().unwrap();
    assert!(!process.is_same());
    assert_eq!(process.state(), 'X');
    assert!(process.threads().is_empty());
    let error = process.memory_map().unwrap_err();
    assert_eq!(error.failure(), Failure::NotPython);
}

#[test]
fn an_exec_of_the_same_program_is_not_the_same() {
    let script = "echo ready; read x; exec sh -c 'echo here; read x'";
    let mut command = Command::new("sh");
    command.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = Running(command.spawn().unwrap());
    child.0.stdout.as_mut().unwrap().read_exact(&mut [0; 6]).unwrap();
    let process = Process::open(child.0.id()).unwrap();
    let before = process.memory();
    let stack = process.memory_map().unwrap();
    let stack = stack.iter().find(|mapping| mapping.path.as_deref() == Some("[stack]")).unwrap();
    let last = stack.range.end - 8;
    assert!(before.u64(last).is_ok());
    let stdin = child.0.stdin.as_mut().unwrap();
    stdin.write_all(b"go\n").unwrap();
    let mut text = [0; 5];
    child.0.stdout.as_mut().unwrap().read_exact(&mut text).unwrap();
    assert!(!process.is_same());
    // And what was opened does not read the memory of the new program.
    assert_eq!(before.u64(last).unwrap_err().kind, crate::target::ReadErrorKind::Gone);
}

#[test]
fn the_file_behind_a_mapping_is_opened_even_if_it_is_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("a program");
    // By another process: a child of another test would have the file open for writing until it execs, and
    // what is open for writing cannot be run.
    assert!(Command::new("cp").arg("/bin/cat").arg(&program).status().unwrap().success());
    let original = fs::read(&program).unwrap();
    let child = cat(&program);
    let process = Process::open(child.0.id()).unwrap();
    let map = process.memory_map().unwrap();
    let named = |map: &MemoryMap| {
        let is_ours = |mapping: &&Mapping| {
            mapping.path.as_deref().is_some_and(|path| path.ends_with("a program"))
        };
        map.iter().find(is_ours).unwrap().clone()
    };
    let mut bytes = Vec::new();
    process.open_mapped(&named(&map)).unwrap().read_to_end(&mut bytes).unwrap();
    assert!(bytes == original);

    fs::remove_file(&program).unwrap();
    fs::write(&program, "another file of the same name").unwrap();
    let mapping = named(&process.memory_map().unwrap());
    assert!(mapping.deleted);
    // The other file is never taken for it; the right one is found where the links are allowed.
    match process.open_mapped(&mapping) {
        Ok(mut file) => {
            bytes.clear();
            file.read_to_end(&mut bytes).unwrap();
            assert!(bytes == original);
        }
        Err(error) => assert_ne!(error.kind(), io::ErrorKind::PermissionDenied),
    }
    let other = File::open(&program).unwrap();
    assert!(!process.is_mapped_file(&other, &mapping));
    assert!(process.is_same());
}
