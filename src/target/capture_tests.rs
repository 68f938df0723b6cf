use super::*;
use crate::target::pause::Paused;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

/// A Python with memory of every kind; it says where, and changes all of it when told to.
const SCRIPT: &str = "
import ctypes, mmap, sys
def at(buffer):
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))
small = bytearray(b'small' * 100)
big = bytearray(b'0123456789abcdef' * (1 << 19))
other = bytearray(b'fedcba9876543210' * (1 << 20))
gaps = mmap.mmap(-1, 64 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
for page in range(0, 1000, 3):
    gaps[page * 4096 : page * 4096 + 4] = page.to_bytes(4, 'little')
shared = mmap.mmap(-1, 1 << 20, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
shared[0:6] = b'shared'
code = ctypes.cast(ctypes.pythonapi.Py_GetVersion, ctypes.c_void_p).value
print(at(small), at(big), at(other), at(gaps), at(shared), code, flush=True)
sys.stdin.readline()
for buffer in small, big, other, gaps, shared:
    buffer[0:6] = b'------'
for page in (30, 2), (300, 400):
    gaps.madvise(mmap.MADV_DONTNEED, page[0] * 4096, page[1] * 4096)
new = bytearray(b'new' * 200000)
print('changed', flush=True)
sys.stdin.readline()
";

struct Target {
    child: Child,
    stdout: BufReader<ChildStdout>,
    addresses: Vec<Addr>,
}

impl Target {
    fn start() -> Self {
        let mut command = Command::new("python3");
        command.args(["-c", SCRIPT]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut target = Self { child, stdout, addresses: Vec::new() };
        let line = target.line();
        let parse = |word: &str| Addr(word.parse().unwrap());
        target.addresses = line.split_whitespace().map(parse).collect();
        target
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn change(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
        assert_eq!(self.line(), "changed");
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn pause_and_capture(process: &Process, limits: &CaptureLimits) -> (Paused, CapturedMemory) {
    let paused = Paused::stop(process, Duration::from_secs(10)).unwrap();
    let map = process.memory_map().unwrap();
    let captured = capture(process, &map, limits, &mut Rehearsal::default()).unwrap();
    (paused, captured)
}

#[test]
fn the_copy_is_of_one_instant() {
    let mut target = Target::start();
    let &[small, big, other, gaps, shared, code] = target.addresses.as_slice() else { panic!() };
    let process = Process::open(target.child.id()).unwrap();
    let (paused, captured) = pause_and_capture(&process, &CaptureLimits::default());
    // Two arrays of 8 and 16 MiB and the shared memory wait to be asked for.
    assert!(captured.deferred_bytes() >= 22 << 20, "{}", captured.deferred_bytes());
    assert!(captured.captured_bytes() < 20 << 20, "{}", captured.captured_bytes());
    let behind = big + (4 << 20);
    assert_eq!(captured.slice(behind, 16), None);
    captured.fetch(AddrRange::new(big, big + (8 << 20))).unwrap();
    assert_eq!(captured.array(shared).unwrap(), *b"shared");
    captured.detach();
    paused.resume();
    target.change();

    assert_eq!(captured.slice(small, 10).unwrap(), b"smallsmall");
    assert_eq!(captured.slice(behind, 16).unwrap(), b"0123456789abcdef");
    assert_eq!(captured.array(big).unwrap(), *b"0123456789abcdef");
    let all = captured.bytes(big, 8 << 20).unwrap();
    assert!(all.chunks(16).all(|bytes| bytes == b"0123456789abcdef"));
    // What was asked for in time is there, what was not is not.
    assert_eq!(captured.array(shared).unwrap(), *b"shared");
    let error = captured.u64(other + (4 << 20)).unwrap_err();
    assert_eq!((error.kind, error.addr), (ReadErrorKind::NotSaved, other + (4 << 20)));
    assert_eq!(captured.u64(shared + 0x8000).unwrap_err().kind, ReadErrorKind::NotSaved);
    for page in 0..1002_u64 {
        let expected = if page % 3 == 0 && page < 1000 { page } else { 0 };
        assert_eq!(captured.u32(gaps + page * 4096).unwrap(), expected as u32, "{page}");
    }
    // Across touched and untouched pages, and far into what nobody touched.
    assert_eq!(captured.bytes(gaps + 2 * 4096 + 4090, 10).unwrap(), [0, 0, 0, 0, 0, 0, 3, 0, 0, 0]);
    assert_eq!(captured.slice(gaps + (32 << 20), 4096).unwrap(), [0; 4096]);
    assert!(captured.bytes(gaps, 64 << 20).unwrap().len() == 64 << 20);
    // Code cannot change: it is read from the target as it runs.
    assert_eq!(captured.u64(code).unwrap(), process.memory().u64(code).unwrap());
    assert_eq!(captured.u64(Addr(8)).unwrap_err().kind, ReadErrorKind::Unmapped);
    assert_eq!(captured.u64(Addr(u64::MAX - 2)).unwrap_err().kind, ReadErrorKind::Overflow);
}

#[test]
fn a_capture_is_the_memory_byte_by_byte() {
    let target = Target::start();
    let process = Process::open(target.child.id()).unwrap();
    let (_paused, captured) = pause_and_capture(&process, &CaptureLimits::default());
    compare(&process, &captured);
}

#[test]
fn a_rehearsed_capture_is_the_memory_as_it_is_then() {
    let mut target = Target::start();
    let process = Process::open(target.child.id()).unwrap();
    let map = process.memory_map().unwrap();
    let mut rehearsal = rehearse(&process, &map, &CaptureLimits::default()).unwrap();
    // It writes, gives pages back and takes new ones.
    target.change();
    let _paused = Paused::stop(&process, Duration::from_secs(10)).unwrap();
    let map = process.memory_map().unwrap();
    let limits = CaptureLimits::default();
    let captured = capture(&process, &map, &limits, &mut rehearsal).unwrap();
    compare(&process, &captured);
    let small = CaptureLimits { max_bytes: Some(1 << 20), deadline: None };
    let error = rehearse(&process, &map, &small).unwrap_err();
    assert!(matches!(error, CaptureError::TooLarge { limit } if limit == 1 << 20), "{error}");
}

/// Compares a copy with a target that stands still.
fn compare(process: &Process, captured: &CapturedMemory) {
    let live = process.memory();
    let mut compared = 0_u64;
    for mapping in &process.memory_map().unwrap() {
        let mut at = mapping.range.start;
        while mapping.read && mapping.write && at < mapping.range.end {
            let len = (mapping.range.end - at).min(1 << 16);
            let theirs = live.bytes(at, len as usize).unwrap();
            assert!(captured.bytes(at, len as usize).unwrap() == theirs, "{at} of {mapping:?}");
            compared += len;
            at = at + len;
        }
    }
    assert!(compared > 64 << 20);
}

#[test]
fn the_copy_does_not_touch_what_the_target_has_not() {
    let target = Target::start();
    let process = Process::open(target.child.id()).unwrap();
    let tables = || {
        let text = std::fs::read_to_string(format!("/proc/{}/status", process.pid())).unwrap();
        let line = |name| text.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
        (line("VmRSS:"), line("VmPTE:"), line("RssAnon:"))
    };
    // It may still be on its way into the wait for its input: nothing of its own counts behind the stop.
    let _paused = Paused::stop(&process, Duration::from_secs(10)).unwrap();
    let before = tables();
    let map = process.memory_map().unwrap();
    let limits = CaptureLimits::default();
    let _captured = capture(&process, &map, &limits, &mut Rehearsal::default()).unwrap();
    assert_eq!(tables(), before);
}

#[test]
fn a_copy_beyond_its_limits_is_refused() {
    let target = Target::start();
    let process = Process::open(target.child.id()).unwrap();
    let _paused = Paused::stop(&process, Duration::from_secs(10)).unwrap();
    let map = process.memory_map().unwrap();
    let small = CaptureLimits { max_bytes: Some(1 << 20), deadline: None };
    let error = capture(&process, &map, &small, &mut Rehearsal::default()).unwrap_err();
    assert!(matches!(error, CaptureError::TooLarge { limit } if limit == 1 << 20), "{error}");
    let late = CaptureLimits { max_bytes: None, deadline: Some(Instant::now()) };
    let error = capture(&process, &map, &late, &mut Rehearsal::default()).unwrap_err();
    assert_eq!(error.failure(), Failure::Refused);
}

#[test]
fn a_target_that_ended_is_gone() {
    let mut target = Target::start();
    let process = Process::open(target.child.id()).unwrap();
    let map = process.memory_map().unwrap();
    target.child.kill().unwrap();
    target.child.wait().unwrap();
    let error =
        capture(&process, &map, &CaptureLimits::default(), &mut Rehearsal::default()).unwrap_err();
    assert_eq!(error.failure(), Failure::Gone);
}
