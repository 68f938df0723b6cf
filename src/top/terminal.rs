//! The terminal while the live view has it: raw, with a screen of its own; and as it was again whatever happens.
//!
//! It can be asked for back by any thread (a signal, the end of `--timeout`), in the middle of a panic, and while the
//! thread that draws waits for a terminal that takes nothing more.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::panic;
use std::sync::{Mutex, MutexGuard, Once, PoisonError, TryLockError};
use std::thread::{self, ThreadId};
use std::time::Duration;

use crossterm::QueueableCommand;
use crossterm::cursor::{Hide, Show};
use crossterm::style::{Attribute, SetAttribute};
use crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};

/// The terminal as long as it is ours, and the thread that draws on it.
///
/// A file of its own: the lock of [`io::stdout`] is held by the command line all the time.
static OURS: Mutex<Option<(File, ThreadId)>> = Mutex::new(None);
/// What threads said that have panicked meanwhile: told when the screen is gone.
static KEPT: Mutex<Vec<String>> = Mutex::new(Vec::new());
static HOOK: Once = Once::new();

fn ours() -> MutexGuard<'static, Option<(File, ThreadId)>> {
    OURS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The terminal, ours until this is dropped.
#[derive(Debug)]
pub(super) struct Screen(());

impl Screen {
    /// Takes the terminal.
    ///
    /// # Errors
    /// There is none, or it cannot be written to. It is as it was.
    pub(super) fn take() -> io::Result<Self> {
        HOOK.call_once(keep_panics_from_the_screen);
        let mut file = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        enable_raw_mode()?;
        let entered =
            file.queue(EnterAlternateScreen).and_then(|file| file.queue(Hide)).map(|_| ());
        *ours() = Some((file, thread::current().id()));
        let screen = Self(());
        entered?;
        Ok(screen)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
        let kept = std::mem::take(&mut *KEPT.lock().unwrap_or_else(PoisonError::into_inner));
        for text in kept {
            // If this cannot be told, there is nobody to tell it.
            let _ = writeln!(io::stderr(), "{text}");
        }
    }
}

/// Makes the terminal as it was, if it is ours. What is drawn afterwards is lost.
pub(crate) fn give_back() {
    let mut taken = OURS.try_lock();
    if matches!(taken, Err(TryLockError::WouldBlock)) {
        // Somebody draws: that takes no time, or for ever, if the terminal takes nothing more. Its modes can be
        // restored in any case.
        thread::sleep(DRAWING);
        let _ = disable_raw_mode();
        taken = OURS.try_lock();
    }
    let taken = match taken {
        Ok(mut ours) => ours.take(),
        Err(TryLockError::Poisoned(ours)) => ours.into_inner().take(),
        Err(TryLockError::WouldBlock) => None,
    };
    let Some((mut file, _)) = taken else { return };
    // It may be gone: then there is nothing to restore. The modes first, which never wait.
    let _ = disable_raw_mode();
    let _ = leave(&mut file);
}

/// More time than a screen takes to be written.
const DRAWING: Duration = Duration::from_millis(200);

fn leave(file: &mut File) -> io::Result<()> {
    file.queue(SetAttribute(Attribute::Reset))?.queue(LeaveAlternateScreen)?.queue(Show)?;
    file.flush()
}

/// A panic of the thread that draws is told on the terminal as it was; one of another thread would be told in the middle
/// of the screen.
fn keep_panics_from_the_screen() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let drawing = ours().as_ref().map(|(_, drawing)| *drawing);
        match drawing {
            Some(drawing) if drawing != thread::current().id() => {
                let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
                kept.push(info.to_string());
            }
            _ => {
                give_back();
                before(info);
            }
        }
    }));
}

/// Where the view is drawn to: a screen is written at once, and not at all when the terminal is not ours any more.
#[derive(Debug, Default)]
pub(super) struct Output(Vec<u8>);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let bytes = std::mem::take(&mut self.0);
        match ours().as_mut() {
            Some((file, _)) => file.write_all(&bytes),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
#[path = "terminal_tests.rs"]
mod tests;
