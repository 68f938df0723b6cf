//! `/proc/PID/stat` and `/proc/PID/status`: the facts of one process or thread.

/// The fields of `/proc/PID/stat` that serve here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stat {
    /// The state letter: `R`, `S`, `D`, `T`, `t`, `Z`, …
    pub(super) state: char,
    /// The kernel's flags of the task (`PF_*`).
    pub(super) flags: u64,
    /// When it was started, in clock ticks since boot.
    pub(super) start_ticks: u64,
    /// Where its stack began when its program was loaded; 0 where we may not know. Another
    /// program image has another one, which is how an `execve` of the same file shows.
    pub(super) start_stack: u64,
}

impl Stat {
    /// Reads the text. The command name (field 2) may hold spaces and parentheses: what counts
    /// is the last `)`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (_, rest) = text.rsplit_once(')')?;
        // The first of these is field 3.
        let fields: Vec<&str> = rest.split_ascii_whitespace().take(64).collect();
        let number = |field: usize| fields.get(field.checked_sub(3)?)?.parse::<u64>().ok();
        Some(Self {
            state: fields.first()?.chars().next()?,
            flags: number(9)?,
            start_ticks: number(22)?,
            start_stack: number(28)?,
        })
    }

    /// Reads the file of a process, or of a thread by its number.
    pub(super) fn read(pid: u32) -> std::io::Result<Self> {
        let bytes = std::fs::read(format!("/proc/{pid}/stat"))?;
        Self::parse(&String::from_utf8_lossy(&bytes))
            .ok_or_else(|| std::io::Error::from(std::io::ErrorKind::InvalidData))
    }

    /// Whether the task has ended.
    pub(super) const fn is_dead(&self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x')
    }

    /// Whether it belongs to the kernel (`PF_KTHREAD`).
    pub(super) const fn is_kernel_thread(&self) -> bool {
        self.flags & 0x0020_0000 != 0
    }
}

/// The lines of `/proc/PID/status`.
#[derive(Debug, Clone, Default)]
pub(super) struct Status(String);

impl Status {
    pub(super) fn parse(text: String) -> Self {
        Self(text)
    }

    pub(super) fn read(process: &str) -> std::io::Result<Self> {
        let bytes = std::fs::read(format!("/proc/{process}/status"))?;
        Ok(Self(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// What stands behind `name:`.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim()))
    }

    /// The first word behind `name:` as a decimal number.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.get(name)?.split_ascii_whitespace().next()?.parse().ok()
    }

    /// The value behind `name:` as a hexadecimal number.
    pub(super) fn hex(&self, name: &str) -> Option<u64> {
        u64::from_str_radix(self.get(name)?, 16).ok()
    }

    /// The process that traces this one. The kernel names the thread that does.
    pub(super) fn tracer(&self) -> Option<u32> {
        let thread = self.number("TracerPid").filter(|&thread| thread != 0)?;
        let status = Self::read(&thread.to_string()).unwrap_or_default();
        u32::try_from(status.number("Tgid").unwrap_or(thread)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STAT: &str = "42 (a) b) (c R) S 1 42 42 0 -1 4194304 100 0 0 0 5 6 0 0 20 0 3 0 777 9 8 \
                        184 1 2 140720000000000 0 0 0 0 0 0 0 0 0 17 0";

    #[test]
    fn a_command_name_with_parentheses_and_spaces_is_skipped() {
        let stat = Stat::parse(STAT).unwrap();
        assert_eq!(stat.state, 'S');
        assert_eq!(stat.start_ticks, 777);
    }

    #[test]
    fn our_own_stat_reads() {
        let stat = Stat::read(std::process::id()).unwrap();
        assert!(!stat.is_dead() && !stat.is_kernel_thread());
        assert!(stat.start_ticks > 0 && stat.start_stack > 0x1000);
    }

    #[test]
    fn status_lines_are_found_by_their_whole_name() {
        let text =
            "Name:\tTracerPid:\nTracerPid:\t0\nUid:\t1000\t1001\nCapEff:\t00000000000000ff\n";
        let status = Status::parse(text.to_owned());
        assert_eq!(status.tracer(), None);
        assert_eq!(status.number("Uid"), Some(1000));
        assert_eq!(status.hex("CapEff"), Some(255));
        assert_eq!(status.get("Ui"), None);
        let traced = Status::parse(format!("TracerPid:\t{}", u32::MAX));
        assert_eq!(traced.tracer(), Some(u32::MAX));
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "[0-9a-zA-Z() \n:]{0,300}") {
            let _ = Stat::parse(&text);
            let _ = Status::parse(text).tracer();
        }
    }
}
