//! What reaches the live view, and what it asks for.

use std::sync::Arc;
use std::time::Duration;

use super::count::{Count, Ways};
use super::size::Size;
use crate::facts::GenerationFacts;
use crate::recording::Sample;
use crate::watch::End;

/// A key, whatever the terminal calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Char(char),
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
    Enter,
    /// Escape.
    Back,
    /// The same as [`Key::Back`] and [`Key::Enter`], except where a text is typed.
    Left,
    Right,
    Backspace,
    /// Ctrl-U: what was typed goes.
    Clear,
    /// Ctrl-Z.
    Suspend,
    /// Ctrl-C.
    Interrupt,
}

/// What is cheap to read, at one moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Reading {
    /// Memory, threads and processor time.
    pub(super) sample: Sample,
    /// The generations of the main interpreter's collector; empty if they cannot be read.
    pub(super) generations: Vec<GenerationFacts>,
}

/// Something that happens.
#[derive(Debug)]
pub(super) enum Event {
    Key(Key),
    /// The terminal is so large now.
    Size(Size),
    /// What is cheap was read.
    Reading(Reading),
    /// The heap was read.
    Counted(Arc<Count>),
    /// The heap could not be read. Of the process, so much time may have been taken for nothing.
    Missed {
        why: String,
        /// What helps.
        hint: Option<String>,
        stopped: Duration,
    },
    /// Who holds a type was found out.
    Ways(Arc<Ways>),
    /// The process is there no more.
    End(End),
}

/// What the view asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Order {
    /// The end of the view.
    Leave,
    /// A look at the heap.
    Count,
    /// Who holds the objects of a type.
    Ways(Arc<str>),
}
