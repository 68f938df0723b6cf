//! `--timeout`: ends pyheap when its time is over, wherever the rest of it waits: for a process that does not stop, for a
//! file that gives nothing, for memory that another program has to deliver.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{fs, process, thread};

use crate::error::Error;
use crate::source::{self, Source};

/// What is being read, to be named if that takes too long.
#[derive(Debug, Clone, Default)]
pub(super) struct Reading(Arc<Mutex<Option<Source>>>);

impl Reading {
    /// Reads something, and is known to meanwhile.
    pub(super) fn during<T>(&self, source: &Source, read: impl FnOnce() -> T) -> T {
        self.set(Some(source.clone()));
        let result = read();
        self.set(None);
        result
    }

    fn set(&self, source: Option<Source>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = source;
    }

    /// What it is, as the end of a sentence.
    fn describe(&self) -> Option<String> {
        let source = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        Some(match source {
            Source::Pid(pid) => {
                let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
                let state = state.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
                let note = match state {
                    Some('D') => ", which is in an uninterruptible sleep (state D)",
                    Some('T' | 't') => ", which is stopped",
                    _ => "",
                };
                format!("process {pid}{note}")
            }
            Source::Core { core: path, .. } | Source::File(path) => path.display().to_string(),
        })
    }
}

/// Ends this program after a time, with the targets running and no file half written.
pub(super) fn start(limit: Duration, reading: Reading) {
    let watch = move || {
        thread::sleep(limit);
        let error = Error::Timeout { limit, reading: reading.describe() };
        let _files = source::abandon();
        let _ = writeln!(io::stderr(), "pyheap: {error}");
        process::exit(error.exit_code().into())
    };
    // Without a thread there is no limit, and the machine has other troubles.
    let _ = thread::Builder::new().name("time limit".to_owned()).spawn(watch);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_named_as_long_as_it_is() {
        let reading = Reading::default();
        let own = process::id();
        let said = reading.during(&Source::Pid(own), || reading.describe());
        assert_eq!(said, Some(format!("process {own}")));
        let said = reading.during(&Source::File("a.parquet".into()), || reading.describe());
        assert_eq!(said.as_deref(), Some("a.parquet"));
        assert_eq!(reading.describe(), None);
    }
}
