//! What the kernel says about the threads of a process: their state, and the system call that each
//! is in.

use std::collections::{BTreeSet, HashMap};
use std::fs;

use super::stat::Status;
use crate::addr::Addr;

/// A system call that a thread is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SystemCall {
    /// Its number on this architecture.
    pub number: u64,
    /// Its arguments.
    pub arguments: [u64; 6],
}

/// A thread as the kernel sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OsThread {
    /// Its number, as this pyheap sees it.
    pub tid: u32,
    /// Its number in the process's own namespace.
    pub namespace_tid: u32,
    /// Its name, of at most 15 bytes.
    pub name: String,
    /// The state letter of `/proc/PID/stat`; a space if unknown.
    pub state: char,
    /// Where in the kernel it waits.
    pub wchan: Option<String>,
    /// The call that it is in; none while it computes.
    pub call: Option<SystemCall>,
    /// Its stack pointer; none while it computes.
    pub stack_pointer: Option<Addr>,
    /// The instruction that it goes on with; unknown while it runs.
    pub instruction: Option<Addr>,
}

/// The most threads that are looked at: each costs three small files.
const MOST_THREADS: usize = 1 << 14;

/// Looks at the threads of a process, which need not stand still: what is read of one thread is of
/// moments apart. To be called before they are stopped, for the stop would be their state.
#[must_use]
pub fn observe(pid: u32) -> Vec<OsThread> {
    tids(pid).into_iter().take(MOST_THREADS).filter_map(|tid| thread(pid, tid)).collect()
}

/// The threads of a process. Where one ends while they are listed, the kernel may leave out others that
/// live (`proc_task_readdir` goes on by counting), so it is asked until it names no more.
fn tids(pid: u32) -> BTreeSet<u32> {
    const MOST_LISTINGS: usize = 8;
    let mut known = BTreeSet::new();
    for listing in 0..MOST_LISTINGS {
        let before = known.len();
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        known.extend(tasks.filter_map(|task| task.file_name().to_str()?.parse::<u32>().ok()));
        if listing > 0 && known.len() == before {
            break;
        }
    }
    known
}

fn thread(pid: u32, tid: u32) -> Option<OsThread> {
    let status = Status::read(&format!("{pid}/task/{tid}")).ok()?;
    let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/task/{tid}/{name}")).ok();
    let inner = status.get("NSpid").and_then(|tids| tids.split_ascii_whitespace().last());
    let wchan = read("wchan").map(|name| name.trim().to_owned());
    let call = read("syscall");
    Some(OsThread {
        tid,
        namespace_tid: inner.and_then(|tid| tid.parse().ok()).unwrap_or(tid),
        name: status.get("Name").unwrap_or_default().to_owned(),
        state: status.get("State").and_then(|state| state.chars().next()).unwrap_or(' '),
        wchan: wchan.filter(|name| !name.is_empty() && name != "0"),
        call: call.as_deref().and_then(parse_call),
        stack_pointer: call.as_deref().and_then(parse_stack_pointer),
        instruction: call.as_deref().and_then(parse_instruction),
    })
}

/// Where the threads are that ran when they were looked at: to be called while they are stopped.
pub fn locate(pid: u32, threads: &mut [OsThread]) {
    /// The most threads that are asked for it, some ten microseconds each: more do not run at once.
    const MOST_RUNNING: usize = 256;
    let running = threads.iter_mut().filter(|thread| thread.instruction.is_none());
    for thread in running.take(MOST_RUNNING) {
        let text = fs::read_to_string(format!("/proc/{pid}/task/{}/syscall", thread.tid));
        thread.instruction = text.ok().and_then(|text| parse_instruction(&text));
    }
}

/// The last word of `/proc/PID/task/TID/syscall`, behind the stack pointer.
fn parse_instruction(text: &str) -> Option<Addr> {
    let mut words = text.split_ascii_whitespace().rev();
    let last = words.next()?.strip_prefix("0x")?;
    words.next()?.strip_prefix("0x")?;
    u64::from_str_radix(last, 16).ok().map(Addr)
}

/// `/proc/PID/task/TID/syscall`: number, six arguments, stack pointer, instruction.
fn parse_call(text: &str) -> Option<SystemCall> {
    let mut words = text.split_ascii_whitespace();
    let number = words.next()?.parse().ok()?;
    let mut arguments = [0; 6];
    for argument in &mut arguments {
        *argument = u64::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok()?;
    }
    // Without a stack pointer it is the short form of a thread outside of any call.
    words.next()?;
    Some(SystemCall { number, arguments })
}

/// The stack pointer is the last number but one in either form of `/proc/PID/task/TID/syscall`.
fn parse_stack_pointer(text: &str) -> Option<Addr> {
    let word = text.split_ascii_whitespace().rev().nth(1)?;
    u64::from_str_radix(word.strip_prefix("0x")?, 16).ok().map(Addr)
}

/// What a file descriptor of a process is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Descriptor {
    /// A file, by its path as the process sees it.
    File(String),
    /// A pipe.
    Pipe,
    /// A connected socket, by both ends.
    Connection {
        /// This end.
        local: String,
        /// The other end.
        peer: String,
    },
    /// A socket that waits for connections, by its address.
    Listener(String),
    /// Another socket.
    Socket,
    /// Something else, by the kernel's name for it.
    Other(String),
}

/// Looks up a file descriptor.
#[must_use]
pub fn descriptor(pid: u32, number: u64) -> Option<Descriptor> {
    let link = fs::read_link(format!("/proc/{pid}/fd/{number}")).ok()?;
    let link = link.to_string_lossy().into_owned();
    let inside = |kind: &str| link.strip_prefix(kind)?.strip_suffix(']').map(str::to_owned);
    Some(match () {
        () if link.starts_with('/') => Descriptor::File(link),
        () if link.starts_with("pipe:[") => Descriptor::Pipe,
        () => match inside("socket:[") {
            Some(inode) => socket(pid, &inode).unwrap_or(Descriptor::Socket),
            None => Descriptor::Other(link),
        },
    })
}

/// `TCP_LISTEN` in the state column of `/proc/net/tcp`.
const LISTEN: &str = "0A";

fn socket(pid: u32, inode: &str) -> Option<Descriptor> {
    for (table, is_v6) in [("tcp", false), ("tcp6", true), ("udp", false), ("udp6", true)] {
        let text = fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
        let row = text.lines().skip(1).find_map(|line| {
            let fields: Vec<&str> = line.split_ascii_whitespace().take(10).collect();
            let [_, local, peer, state, .., found] = fields[..] else { return None };
            (found == inode)
                .then(|| (endpoint(local, is_v6), endpoint(peer, is_v6), state == LISTEN))
        });
        if let Some((Some(local), Some(peer), listens)) = row {
            return Some(match listens {
                true => Descriptor::Listener(local),
                false => Descriptor::Connection { local, peer },
            });
        }
    }
    let text = fs::read_to_string(format!("/proc/{pid}/net/unix")).unwrap_or_default();
    text.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().take(8).collect();
        let path = fields.get(7).copied().unwrap_or("an unnamed unix socket");
        (fields.get(6) == Some(&inode)).then(|| Descriptor::Other(path.to_owned()))
    })
}

/// `0100007F:1F90` as an address and a port; each group of four bytes is in the machine's order.
fn endpoint(text: &str, is_v6: bool) -> Option<String> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let words: Option<Vec<u32>> = (0..address.len() / 8)
        .map(|nth| u32::from_str_radix(address.get(nth * 8..nth * 8 + 8)?, 16).ok())
        .collect();
    let words = words?;
    Some(if is_v6 {
        let mut octets = [0_u8; 16];
        let (groups, _) = octets.as_chunks_mut::<4>();
        for (group, word) in groups.iter_mut().zip(&words) {
            *group = word.to_le_bytes();
        }
        format!("[{}]:{port}", std::net::Ipv6Addr::from(octets))
    } else {
        let word = words.first()?;
        format!("{}:{port}", std::net::Ipv4Addr::from(word.to_le_bytes()))
    })
}

/// The names of the children of a process, by their numbers.
#[must_use]
pub fn children(pid: u32) -> HashMap<u32, String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let mut children = HashMap::new();
    for list in lists.take(MOST_THREADS) {
        for child in list.split_ascii_whitespace().filter_map(|child| child.parse::<u32>().ok()) {
            let name = fs::read_to_string(format!("/proc/{child}/comm")).unwrap_or_default();
            children.insert(child, name.trim().to_owned());
        }
    }
    children
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_in_a_call_or_not() {
        let text = "202 0x7f00 0x189 0x0 0x0 0x0 0xffffffff 0x7ffd 0x7f01\n";
        let call = parse_call(text).unwrap();
        assert_eq!(parse_stack_pointer(text), Some(Addr(0x7ffd)));
        assert_eq!(parse_stack_pointer("-1 0x7ffd 0x7f01\n"), Some(Addr(0x7ffd)));
        assert_eq!(parse_stack_pointer("running\n"), None);
        assert_eq!((call.number, call.arguments[0], call.arguments[5]), (202, 0x7f00, 0xffff_ffff));
        for text in ["running\n", "-1 0x7ffd 0x7f01\n", "", "202 0x1 0x2", "x 0x0"] {
            assert_eq!(parse_call(text), None, "{text}");
        }
    }

    #[test]
    fn the_instruction_is_behind_the_stack_pointer() {
        assert_eq!(parse_instruction("-1 0x7ffd 0x7f01\n"), Some(Addr(0x7f01)));
        let call = "202 0x7f00 0x189 0x0 0x0 0x0 0xffffffff 0x7ffd 0x7f02\n";
        assert_eq!(parse_instruction(call), Some(Addr(0x7f02)));
        for text in ["running\n", "", "0x1", "7 0x1"] {
            assert_eq!(parse_instruction(text), None, "{text}");
        }
    }

    #[test]
    fn our_own_descriptors_are_told_apart() {
        use std::net::{TcpListener, TcpStream};
        use std::os::fd::AsRawFd;
        let pid = std::process::id();
        let of =
            |fd: &dyn AsRawFd| descriptor(pid, u64::try_from(fd.as_raw_fd()).unwrap()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        assert_eq!(of(&listener), Descriptor::Listener(address.clone()));
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let local = stream.local_addr().unwrap().to_string();
        assert_eq!(of(&stream), Descriptor::Connection { local, peer: address });
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().display().to_string();
        assert_eq!(of(file.as_file()), Descriptor::File(path));
    }

    #[test]
    fn addresses_of_both_families_are_written_as_people_write_them() {
        assert_eq!(endpoint("0100007F:1F90", false).unwrap(), "127.0.0.1:8080");
        let loopback = "00000000000000000000000001000000:0050";
        assert_eq!(endpoint(loopback, true).unwrap(), "[::1]:80");
        assert_eq!(endpoint("zz:80", false), None);
    }

    #[test]
    fn this_thread_is_among_ours() {
        let threads = observe(std::process::id());
        let tid = u32::try_from(nix::unistd::gettid().as_raw()).unwrap();
        assert!(threads.iter().any(|thread| thread.tid == tid && thread.state == 'R'));
    }
}
