//! When a target must not be made to fork, as far as can be told without stopping it.

use super::smaps::Unforked;
use crate::addr::AddrRange;
use crate::target::capture::headroom;
use crate::target::groups;
use crate::target::process::Process;
use crate::target::stat::Status;
use std::fs;
use std::time::Duration;

/// How long a fork takes besides copying page tables: the stop, the call, the child's start.
const FORK_BASE: Duration = Duration::from_millis(2);
/// How long it takes for a mebibyte of page tables, which map 512 MiB: the upper end of what was seen
/// when this was designed; no benchmark of ours has confirmed it yet.
const FORK_PER_TABLE_MIB: Duration = Duration::from_millis(20);
/// Of the target's own memory, one part in so many must be free: so much may be copied while the
/// child lives, because the target writes to it.
pub(super) const FREE_PART: u64 = 4;
/// So many tasks more the target must be able to have, for the child takes the place of one.
const FREE_TASKS: u64 = 16;

/// Why a target is not made to fork. It was not touched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub(super) String);

/// What was found out of a target that may be made to fork.
#[derive(Debug, Clone, PartialEq)]
pub struct Outlook {
    /// For how long it will probably stand still.
    pub pause: Duration,
    /// Mappings whose contents its child will not have.
    pub(super) not_saved: Vec<AddrRange>,
}

/// For how long a fork will probably make a process stand still.
#[must_use]
pub fn predicted_pause(process: &Process) -> Duration {
    let status = Status::read(&process.pid().to_string()).unwrap_or_default();
    let kib = u32::try_from(status.number("VmPTE").unwrap_or(0)).unwrap_or(u32::MAX);
    FORK_BASE + FORK_PER_TABLE_MIB * kib / 1024
}

/// What decides whether a process may be made to fork. Sizes are bytes; what is not known does not
/// decide.
#[derive(Debug, Clone, Default)]
struct Circumstances {
    pause: Duration,
    max_pause: Option<Duration>,
    /// `vm.overcommit_memory`.
    overcommit: String,
    /// How many tasks more its control groups may have.
    tasks_left: Option<u64>,
    /// Its own memory.
    own_bytes: u64,
    /// What is left for it.
    free_bytes: Option<u64>,
}

impl Circumstances {
    /// Why it may not be made to fork, if so.
    fn objection(&self) -> Option<String> {
        if let Some(limit) = self.max_pause.filter(|&limit| self.pause > limit) {
            return Some(format!(
                "the fork would take some {} ms, and {} ms are allowed",
                self.pause.as_millis(),
                limit.as_millis()
            ));
        }
        if self.overcommit.trim() == "2" {
            let why = "vm.overcommit_memory is 2: the kernel counts a fork as memory in use, and the \
                       process might lack it";
            return Some(why.to_owned());
        }
        if self.tasks_left.is_some_and(|left| left < FREE_TASKS) {
            let why = "its control group has hardly room for another process (pids.max)";
            return Some(why.to_owned());
        }
        let is_scarce = self.free_bytes.is_some_and(|free| free < self.own_bytes / FREE_PART);
        is_scarce.then(|| {
            format!(
                "less memory is left than a {FREE_PART}th of its own, and what it writes to while \
                 the fork lives is copied"
            )
        })
    }
}

/// Looks whether a process may be made to fork, and what that would cost it.
///
/// # Errors
/// It may not.
pub fn examine(process: &Process, max_pause: Option<Duration>) -> Result<Outlook, Refusal> {
    if !cfg!(target_arch = "x86_64") {
        let why = "forking a process from outside is not supported on this architecture";
        return Err(Refusal(why.to_owned()));
    }
    let pid = process.pid();
    let status = Status::read(&pid.to_string()).unwrap_or_default();
    let pause = predicted_pause(process);
    let circumstances = Circumstances {
        pause,
        max_pause,
        overcommit: fs::read_to_string("/proc/sys/vm/overcommit_memory").unwrap_or_default(),
        tasks_left: groups::room_for_tasks(&pid.to_string()),
        own_bytes: status.number("RssAnon").unwrap_or(0).saturating_mul(1024),
        free_bytes: headroom::bytes(pid),
    };
    if let Some(objection) = circumstances.objection() {
        return Err(Refusal(objection));
    }
    match Unforked::of(pid) {
        Ok(Unforked { userfaultfd: true, .. }) => {
            let why = "userfaultfd handles its page faults, and may hold up a fork";
            Err(Refusal(why.to_owned()))
        }
        Ok(Unforked { not_saved, .. }) => Ok(Outlook { pause, not_saved }),
        Err(error) => Err(Refusal(format!("what a fork would lack cannot be read: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_circumstance_that_could_harm_is_an_objection() {
        let good = Circumstances {
            pause: Duration::from_millis(20),
            max_pause: Some(Duration::from_millis(50)),
            overcommit: "0\n".to_owned(),
            tasks_left: Some(FREE_TASKS),
            own_bytes: 4 << 30,
            free_bytes: Some(1 << 30),
        };
        assert_eq!(good.objection(), None);
        assert_eq!(Circumstances::default().objection(), None);
        let objects = |bad: Circumstances, word: &str| {
            let objection = bad.objection().unwrap();
            assert!(objection.contains(word), "{objection}");
        };
        let slow = Duration::from_millis(51);
        objects(Circumstances { pause: slow, ..good.clone() }, "51 ms");
        objects(Circumstances { overcommit: "2\n".into(), ..good.clone() }, "overcommit");
        objects(Circumstances { tasks_left: Some(FREE_TASKS - 1), ..good.clone() }, "pids.max");
        objects(Circumstances { free_bytes: Some((1 << 30) - 1), ..good }, "memory");
    }
}
