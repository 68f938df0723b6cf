//! What a snapshot of a process would be, without stopping the process.

use super::{TakeError, find};
use crate::facts::InterpreterFacts;
use crate::heap;
use crate::limits::Limits;
use crate::target::{CaptureError, Forecast, Paused, Process, Refusal, cow};
use std::time::Duration;

/// What can be said of a snapshot before it is taken.
#[derive(Debug, Default)]
pub struct Outlook {
    /// The interpreter, if one was found.
    pub interpreter: Option<InterpreterFacts>,
    /// The binary that holds it, as the process sees it.
    pub binary: Option<String>,
    /// How much would be copied.
    pub forecast: Option<Forecast>,
    /// For how long a fork would stop it, or why it is not made to fork.
    pub cow: Option<Result<Duration, Refusal>>,
    /// Why a snapshot would fail; with none it would succeed.
    pub failure: Option<TakeError>,
}

impl Outlook {
    /// Looks at a process as far as is possible.
    #[must_use]
    pub fn of(pid: u32) -> Self {
        let mut outlook = Self::default();
        outlook.failure = outlook.look_at(pid).err();
        outlook
    }

    fn look_at(&mut self, pid: u32) -> Result<(), TakeError> {
        let limits = Limits::default();
        let process = Process::open(pid)?;
        let found = find(&process, limits)?;
        let interpreters = heap::interpreters(&process.memory(), &found, limits).len();
        self.interpreter = Some(InterpreterFacts {
            version: found.version.to_string(),
            build: found.build.to_string(),
            interpreters: u32::try_from(interpreters).unwrap_or(u32::MAX),
        });
        self.binary = Some(found.binary);
        Paused::permitted(&process)?;
        let forecast = Forecast::of(&process, &process.memory_map()?)?;
        self.forecast = Some(forecast);
        self.cow = Some(cow::examine(&process, None).map(|outlook| outlook.pause));
        match forecast.limit_bytes {
            Some(limit) if forecast.copied_bytes > limit => {
                Err(CaptureError::TooLarge { limit }.into())
            }
            _ if !process.is_same() => Err(TakeError::Gone(pid)),
            _ => Ok(()),
        }
    }
}
