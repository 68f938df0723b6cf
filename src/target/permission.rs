//! What stands between us and the memory of a process, and what would remove it.

use std::fs;

/// One thing that was looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at, and what was found, as a sentence.
    pub what: String,
    /// Whether it allows reading.
    pub ok: bool,
    /// The exact command or setting that would repair it.
    pub fix: Option<String>,
}

/// Looks at everything that decides whether the memory of a process can be read.
#[must_use]
pub fn diagnose(pid: u32) -> Vec<Finding> {
    let exists = fs::exists(format!("/proc/{pid}")).unwrap_or(false);
    let mut findings = vec![Finding {
        what: format!("process {pid} {}", if exists { "exists" } else { "does not exist" }),
        ok: exists,
        fix: None,
    }];
    if exists {
        let opened = fs::File::open(format!("/proc/{pid}/mem"));
        findings.push(Finding {
            what: match &opened {
                Ok(_) => "its memory can be read".to_owned(),
                Err(error) => format!("its memory cannot be read: {error}"),
            },
            ok: opened.is_ok(),
            fix: opened.is_err().then(|| format!("sudo pyheap snapshot -p {pid}")),
        });
    }
    findings
}
