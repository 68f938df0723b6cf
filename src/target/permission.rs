//! What stands in the way of reading another process, and what would remove it.

use super::stat::Status;
use std::fs;
use std::path::Path;

/// One thing that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was found, in a sentence for people.
    pub what: String,
    /// Whether it permits reading.
    pub ok: bool,
    /// The command or setting that would change it.
    pub fix: Option<String>,
}

impl Finding {
    fn good(what: impl Into<String>) -> Self {
        Self { what: what.into(), ok: true, fix: None }
    }

    fn bad(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { what: what.into(), ok: false, fix: Some(fix.into()) }
    }

    fn hopeless(what: impl Into<String>) -> Self {
        Self { what: what.into(), ok: false, fix: None }
    }
}

/// The number of `CAP_SYS_PTRACE` in a capability set.
const CAP_SYS_PTRACE: u32 = 19;
/// The number of `CAP_SYS_ADMIN` in a capability set.
const CAP_SYS_ADMIN: u32 = 21;

/// Checks everything known to matter, for one process or for this machine as such. Reads only
/// what every user may read.
#[must_use]
pub fn diagnose(pid: Option<u32>) -> Vec<Finding> {
    let own = Status::read("self").unwrap_or_default();
    let container = container();
    let mut findings = vec![capability(&own, container)];
    findings.push(ptrace_scope(
        fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").ok().as_deref(),
        has(&own, CAP_SYS_PTRACE),
    ));
    findings.push(seccomp(&own, container));
    if let Some(container) = container {
        findings.push(Finding::good(format!(
            "running in a {container} container: only its own processes can be seen"
        )));
    }
    if let Some(pid) = pid {
        findings.extend(of_target(pid, &own));
    }
    findings
}

fn has(status: &Status, capability: u32) -> bool {
    status.hex("CapEff").is_some_and(|set| set.checked_shr(capability).unwrap_or(0) & 1 == 1)
}

/// The flags that give a container the capability.
fn capability_fix(container: Option<&str>) -> String {
    match container {
        Some("Kubernetes") => "securityContext: { capabilities: { add: [\"SYS_PTRACE\"] } } for \
             this container; to look into another container of the pod also \
             shareProcessNamespace: true, or kubectl debug --profile=sysadmin --target=CONTAINER"
            .to_owned(),
        Some(_) => {
            "docker run --cap-add SYS_PTRACE … (docker compose: cap_add: [SYS_PTRACE])".to_owned()
        }
        None => "sudo pyheap …, or once: sudo setcap cap_sys_ptrace=eip \"$(command -v pyheap)\""
            .to_owned(),
    }
}

fn capability(own: &Status, container: Option<&str>) -> Finding {
    if has(own, CAP_SYS_PTRACE) {
        Finding::good(
            "pyheap has the capability CAP_SYS_PTRACE: it may read every user's processes",
        )
    } else {
        Finding::bad(
            "pyheap lacks the capability CAP_SYS_PTRACE: at most processes of the same user",
            capability_fix(container),
        )
    }
}

fn ptrace_scope(text: Option<&str>, capable: bool) -> Finding {
    let Some(scope) = text else {
        return Finding::good("this kernel does not restrict ptrace (no Yama)");
    };
    const FIX: &str = "sudo sysctl kernel.yama.ptrace_scope=0 (until the next start; the setting \
                       belongs to the whole machine), or run pyheap with CAP_SYS_PTRACE";
    match (scope.trim(), capable) {
        ("0", _) => Finding::good(
            "kernel.yama.ptrace_scope is 0: processes of one user may trace \
                                   each other",
        ),
        ("1" | "2", true) => Finding::good(format!(
            "kernel.yama.ptrace_scope is {}, which CAP_SYS_PTRACE overrides",
            scope.trim()
        )),
        ("1", false) => Finding::bad(
            "kernel.yama.ptrace_scope is 1: only a process's ancestors may trace it",
            FIX,
        ),
        ("2", false) => {
            Finding::bad("kernel.yama.ptrace_scope is 2: tracing needs CAP_SYS_PTRACE", FIX)
        }
        ("3", _) => Finding::bad(
            "kernel.yama.ptrace_scope is 3: nobody may trace until the machine is restarted",
            "set kernel.yama.ptrace_scope to 1 in /etc/sysctl.d and restart the machine",
        ),
        (scope, _) => Finding::hopeless(format!("kernel.yama.ptrace_scope is {scope}: unknown")),
    }
}

fn seccomp(own: &Status, container: Option<&str>) -> Finding {
    if own.number("Seccomp") != Some(2) {
        return Finding::good("no seccomp filter is on pyheap itself");
    }
    let what = "a seccomp filter is on pyheap itself, which may forbid ptrace";
    match container {
        // The filter of the container runtimes allows ptrace together with the capability, and
        // without it from kernel 4.8 on.
        Some(_) if has(own, CAP_SYS_PTRACE) => Finding::good(what),
        Some("Kubernetes") => {
            Finding::bad(what, "securityContext: { seccompProfile: { type: Unconfined } }")
        }
        Some(_) => Finding::bad(
            what,
            "docker run --cap-add SYS_PTRACE … (the default filter then allows ptrace), or \
             --security-opt seccomp=unconfined",
        ),
        None => Finding::bad(what, "start pyheap outside the sandbox that set the filter"),
    }
}

fn container() -> Option<&'static str> {
    if std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() {
        Some("Kubernetes")
    } else if Path::new("/.dockerenv").exists() {
        Some("Docker")
    } else if Path::new("/run/.containerenv").exists() {
        Some("Podman")
    } else {
        container_of_cgroup(&fs::read_to_string("/proc/self/cgroup").unwrap_or_default())
    }
}

fn container_of_cgroup(text: &str) -> Option<&'static str> {
    [
        ("kubepods", "Kubernetes"),
        ("docker", "Docker"),
        ("libpod", "Podman"),
        ("containerd", "containerd"),
        ("lxc", "LXC"),
    ]
    .into_iter()
    // `docker.service` is the daemon's own group.
    .find(|(word, _)| text.lines().any(|line| line.contains(word) && !line.ends_with(".service")))
    .map(|(_, name)| name)
}

fn of_target(pid: u32, own: &Status) -> Vec<Finding> {
    let Ok(status) = Status::read(&pid.to_string()) else {
        return vec![Finding::hopeless(format!("there is no process {pid}"))];
    };
    let mut findings = vec![same_user(pid, own, &status)];
    if let Some(tracer) = status.tracer() {
        findings.push(Finding::bad(
            format!("process {pid} is being traced by process {tracer} ({})", name_of(tracer)),
            format!("detach or end that tool (kill {tracer})"),
        ));
    }
    let own_namespace = fs::read_link("/proc/self/ns/user").ok();
    match fs::read_link(format!("/proc/{pid}/ns/user")) {
        Ok(namespace) if Some(&namespace) != own_namespace.as_ref() => {
            let what = format!("process {pid} is in another user namespace");
            findings.push(if has(own, CAP_SYS_PTRACE) {
                Finding::good(what)
            } else {
                let fix = format!("sudo pyheap …, or sudo nsenter --user --target {pid} pyheap …");
                Finding::bad(what, fix)
            });
        }
        Ok(_) => {}
        // The link needs the very permission that is in question. Of a process of the same user
        // it is refused only if it is not dumpable, has more capabilities, or Yama forbids it.
        Err(_) => findings.extend(undumpable(pid, own, &status)),
    }
    findings
}

fn users(status: &Status) -> Vec<u32> {
    let ids = status.get("Uid").unwrap_or_default();
    ids.split_ascii_whitespace().take(3).filter_map(|id| id.parse().ok()).collect()
}

fn same_user(pid: u32, own: &Status, target: &Status) -> Finding {
    let effective = users(own).get(1).copied();
    let theirs = users(target);
    if effective.is_some() && theirs.iter().all(|&id| Some(id) == effective) {
        return Finding::good(format!("process {pid} belongs to the same user"));
    }
    let what = format!("process {pid} belongs to another user (uid {:?})", theirs);
    match theirs.first() {
        _ if has(own, CAP_SYS_PTRACE) => Finding::good(what),
        Some(uid) => Finding::bad(what, format!("sudo pyheap …, or sudo -u '#{uid}' pyheap …")),
        None => Finding::hopeless(what),
    }
}

fn undumpable(pid: u32, own: &Status, target: &Status) -> Option<Finding> {
    if has(own, CAP_SYS_PTRACE) {
        return Some(Finding::bad(
            format!("process {pid} is protected (another user namespace, or a security module)"),
            if has(own, CAP_SYS_ADMIN) {
                "look for a denial of SELinux or AppArmor: sudo dmesg | grep -i denied"
            } else {
                "run pyheap on the host, outside of this container: sudo pyheap …"
            },
        ));
    }
    let effective = users(own).get(1).copied();
    if users(target).iter().any(|&id| Some(id) != effective) {
        return None;
    }
    let fix = "sudo pyheap …";
    let more = target.hex("CapPrm").unwrap_or(0) & !own.hex("CapEff").unwrap_or(0);
    Some(if more != 0 {
        Finding::bad(format!("process {pid} has capabilities that pyheap lacks ({more:#x})"), fix)
    } else {
        Finding::bad(
            format!(
                "process {pid} is not dumpable (it changed its user, or asked to be protected)"
            ),
            fix,
        )
    })
}

/// The name of a process, for messages.
pub(super) fn name_of(pid: u32) -> String {
    let name = Status::read(&pid.to_string()).unwrap_or_default();
    name.get("Name").unwrap_or("?").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(text: &str) -> Status {
        Status::parse(text.to_owned())
    }

    #[test]
    fn the_capability_is_bit_19() {
        assert!(has(&status("CapEff:\t0000000000080000"), CAP_SYS_PTRACE));
        assert!(!has(&status("CapEff:\t000001fffff7ffff"), CAP_SYS_PTRACE));
        assert!(!has(&status(""), CAP_SYS_PTRACE));
    }

    #[test]
    fn yama_restricts_those_without_the_capability() {
        let ok = |text, capable| ptrace_scope(text, capable).ok;
        assert!(ok(None, false) && ok(Some("0\n"), false));
        assert!(!ok(Some("1\n"), false) && ok(Some("1\n"), true));
        assert!(!ok(Some("2\n"), false) && ok(Some("2\n"), true));
        assert!(!ok(Some("3\n"), true));
        assert!(ptrace_scope(Some("1"), false).fix.unwrap().contains("ptrace_scope=0"));
    }

    #[test]
    fn the_fix_is_the_one_of_the_container_runtime() {
        let none = status("CapEff:\t0");
        let fix = |container| capability(&none, container).fix.unwrap();
        assert!(fix(Some("Docker")).contains("--cap-add SYS_PTRACE"));
        assert!(fix(Some("Kubernetes")).contains("add: [\"SYS_PTRACE\"]"));
        assert!(fix(None).starts_with("sudo"));
    }

    #[test]
    fn containers_are_known_by_their_cgroup() {
        assert_eq!(container_of_cgroup("0::/user.slice/session-1.scope\n"), None);
        assert_eq!(container_of_cgroup("0::/system.slice/docker.service"), None);
        assert_eq!(container_of_cgroup("4:memory:/docker/0123abcd"), Some("Docker"));
        let pod = "0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-12.scope";
        assert_eq!(container_of_cgroup(pod), Some("Kubernetes"));
    }

    #[test]
    fn another_user_needs_the_capability() {
        let own = status("Uid:\t1000\t1000\t1000\t1000\nCapEff:\t0");
        let root = status("Uid:\t0\t0\t0\t0\nCapEff:\tffffffffff");
        assert!(same_user(1, &own, &status("Uid:\t1000\t1000\t1000\t1000")).ok);
        assert!(!same_user(1, &own, &root).ok);
        assert!(!same_user(1, &own, &status("Uid:\t1000\t0\t1000\t1000")).ok);
        assert!(same_user(1, &root, &own).ok);
    }

    #[test]
    fn a_filter_on_ourselves_is_seen() {
        assert!(seccomp(&status("Seccomp:\t0"), None).ok);
        assert!(!seccomp(&status("Seccomp:\t2\nCapEff:\t0"), Some("Docker")).ok);
        assert!(seccomp(&status("Seccomp:\t2\nCapEff:\t80000"), Some("Docker")).ok);
    }

    #[test]
    fn no_such_process_is_said() {
        let findings = diagnose(Some(u32::MAX));
        assert!(findings.iter().any(|finding| finding.what.contains("there is no process")));
        assert!(diagnose(None).len() >= 3);
    }
}
