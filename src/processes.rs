//! The Python processes of this machine and their children: those that have an interpreter, not those
//! that are called so.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::Path;

use rayon::prelude::*;

use crate::cpython::discovery::{Binaries, DiscoveryError, Found};
use crate::facts::PythonProcess;
use crate::limits::Limits;
use crate::take::{self, TakeError};
use crate::target::{AttachError, Finding, Process};

/// Kernel clock ticks a second in `/proc`: `USER_HZ`, fixed at 100 for programs on Linux.
const TICKS_A_SECOND: f64 = 100.0;

/// All Python processes that can be seen, by pid. None of them is stopped.
pub(crate) fn python_processes() -> Vec<PythonProcess> {
    let survey = Survey::start();
    let own = std::process::id();
    let others = pids().into_par_iter().filter(|&pid| pid != own);
    others.filter_map(|pid| survey.look_at(pid)).collect()
}

/// A process and its descendants, the process first, then by pid.
pub(crate) fn tree(pid: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> =
        pids().into_iter().filter_map(|pid| Some((pid, Stat::read(pid)?.parent))).collect();
    let mut known = BTreeSet::from([pid]);
    let mut tree = vec![pid];
    let mut next = 0;
    while let Some(&parent) = tree.get(next) {
        next += 1;
        for &(child, of) in &parents {
            if of == parent && known.insert(child) {
                tree.push(child);
            }
        }
    }
    if let Some(children) = tree.get_mut(1..) {
        children.sort_unstable();
    }
    tree
}

fn pids() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let mut pids: Vec<u32> =
        entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    pids
}

/// What we need of `/proc/PID/stat`.
struct Stat {
    parent: u32,
    start_ticks: u64,
}

impl Stat {
    fn read(pid: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The name in parentheses may hold anything, so the fields count from the last `)`.
    fn parse(text: &str) -> Option<Self> {
        let mut fields = text.rsplit_once(')')?.1.split_whitespace();
        let parent = fields.nth(1)?.parse().ok()?;
        let start_ticks = fields.nth(17)?.parse().ok()?;
        Some(Self { parent, start_ticks })
    }
}

/// What is learnt of one process and serves for the next.
struct Survey {
    uptime: f64,
    users: HashMap<String, String>,
    binaries: Binaries,
}

impl Survey {
    fn start() -> Self {
        let uptime = fs::read_to_string("/proc/uptime").ok();
        let uptime = uptime.and_then(|text| text.split_whitespace().next()?.parse().ok());
        let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let user = |line: &str| {
            let mut fields = line.split(':');
            let name = fields.next()?.to_owned();
            Some((fields.nth(1)?.to_owned(), name))
        };
        Self {
            uptime: uptime.unwrap_or_default(),
            users: users.lines().filter_map(user).collect(),
            binaries: Binaries::default(),
        }
    }

    /// What is known of a process, if it is a Python.
    fn look_at(&self, pid: u32) -> Option<PythonProcess> {
        let stat = Stat::read(pid)?;
        // Without a command line: a thread of the kernel, or a process that has ended.
        let command_line =
            fs::read(format!("/proc/{pid}/cmdline")).ok().filter(|line| !line.is_empty())?;
        let program = fs::read_link(format!("/proc/{pid}/exe")).ok();
        let first = command_line.split(|&byte| byte == 0).next().unwrap_or_default();
        let first = String::from_utf8_lossy(first);
        let named = program.as_deref().and_then(Path::to_str).unwrap_or(&first);
        let (version, build, reason) = match interpreter(pid, &self.binaries) {
            Ok(found) => (Some(found.version.to_string()), Some(found.build.to_string()), None),
            Err(error) if named_by(&error).is_some() => {
                let (version, build) = named_by(&error).unzip();
                (version, build, Some(reason(&error)?))
            }
            // What cannot be read can only be guessed from its name.
            Err(error) if is_python_name(named) => {
                (python_version(named), None, Some(reason(&error)?))
            }
            Err(error @ TakeError::Discovery(_)) if !is_absent(&error) => {
                (None, None, Some(reason(&error)?))
            }
            Err(_) => return None,
        };
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.split_whitespace().next())
        };
        let kib: u64 = field("VmRSS:").and_then(|text| text.parse().ok()).unwrap_or_default();
        #[allow(clippy::cast_precision_loss)]
        let started = stat.start_ticks as f64 / TICKS_A_SECOND;
        let words: Vec<_> = command_line
            .split(|&byte| byte == 0)
            .filter(|word| !word.is_empty())
            .map(String::from_utf8_lossy)
            .collect();
        let tracer = field("TracerPid:").filter(|&tracer| tracer != "0");
        let reason = reason.or_else(|| tracer.map(|tracer| format!("traced by process {tracer}")));
        let user = field("Uid:").unwrap_or_default();
        Some(PythonProcess {
            pid,
            user: self.users.get(user).map_or(user, String::as_str).to_owned(),
            version,
            build,
            rss_bytes: kib.saturating_mul(1024),
            uptime_seconds: (self.uptime - started).max(0.0),
            container: container(pid),
            command: words.join(" "),
            readable: reason.is_none(),
            reason,
        })
    }
}

/// The interpreter of a process; it is not stopped for this.
fn interpreter(pid: u32, binaries: &Binaries) -> Result<Found, TakeError> {
    let process = Process::open(pid)?;
    take::find_with(&process, Limits::default(), binaries)
}

/// Version and build of an interpreter that was found, and cannot be read.
fn named_by(error: &TakeError) -> Option<(String, String)> {
    let TakeError::Discovery(error) = error else { return None };
    error.found().map(|(version, build)| (version.to_string(), build))
}

/// Whether no interpreter is there at all.
fn is_absent(error: &TakeError) -> bool {
    matches!(error, TakeError::Discovery(DiscoveryError::NotFound(_)))
}

/// Why a process cannot be read, in a few words; nothing if it has ended.
fn reason(error: &TakeError) -> Option<String> {
    let reason = match error {
        TakeError::Attach(AttachError::Denied { findings, .. }) => {
            let is_yama = |finding: &&Finding| !finding.ok && finding.what.contains("ptrace_scope");
            match findings.iter().find(is_yama) {
                Some(finding) => format!("not permitted: {}", finding.what),
                None => "not permitted: needs CAP_SYS_PTRACE".to_owned(),
            }
        }
        TakeError::Gone(_)
        | TakeError::Attach(AttachError::NoSuchProcess { .. } | AttachError::Zombie { .. }) => {
            return None;
        }
        TakeError::Discovery(DiscoveryError::NotFound(_)) => "no interpreter found".to_owned(),
        // The first line says what it is; what was tried is the answer of `doctor`.
        error => error.to_string().lines().next().unwrap_or_default().to_owned(),
    };
    let advice = match error {
        TakeError::Discovery(error) => error.advice(),
        _ => None,
    };
    Some(match advice {
        Some(advice) => format!("{reason}; {advice}"),
        None => reason,
    })
}

/// Whether the file is called like an interpreter.
fn is_python_name(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let name = name.strip_suffix(" (deleted)").unwrap_or(name);
    name.strip_prefix("python").is_some_and(|rest| {
        rest.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | 't' | 'd'))
    })
}

/// The version in the name of an interpreter or of its library.
fn python_version(line: &str) -> Option<String> {
    let path = line.split_whitespace().find(|word| word.contains('/')).unwrap_or(line);
    let name = path.rsplit('/').next().unwrap_or(path);
    let rest = name
        .strip_prefix("libpython")
        .or_else(|| is_python_name(name).then(|| name.strip_prefix("python")).flatten())?;
    let digits: String = rest.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    let digits = digits.trim_end_matches('.');
    digits.contains('.').then(|| digits.to_owned())
}

/// The short id of the container whose control group the process is in.
fn container(pid: u32) -> Option<String> {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    groups.split(['/', '-', '.', '\n', ':']).find_map(|part| {
        let is_id = part.len() == 64 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_id.then(|| part.get(..12).map(str::to_owned)).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_whose_name_holds_parentheses_is_read() {
        let text = "42 (a) b) S 7 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 98765 0 0";
        let stat = Stat::parse(text).unwrap();
        assert_eq!((stat.parent, stat.start_ticks), (7, 98765));
    }

    #[test]
    fn versions_are_read_from_names() {
        assert_eq!(python_version("/usr/bin/python3.11").as_deref(), Some("3.11"));
        let line = "7f00-7f10 r--p 00000000 08:01 5  /usr/lib/libpython3.12.so.1.0";
        assert_eq!(python_version(line).as_deref(), Some("3.12.so.1.0").map(|_| "3.12"));
        assert_eq!(python_version("/usr/bin/python3"), None);
        assert!(is_python_name("/usr/bin/python3") && !is_python_name("/usr/bin/pythonista"));
    }

    #[test]
    fn the_tree_of_this_process_begins_with_it() {
        let pid = std::process::id();
        assert_eq!(tree(pid).first(), Some(&pid));
    }
}
