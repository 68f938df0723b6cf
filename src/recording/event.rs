//! What happened during a recording besides numbers.

/// The most events that are kept.
const MOST: usize = 4096;

/// What kind of thing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// The recording goes on after a break.
    Resumed,
    /// The process ended.
    Ended,
    /// The process became another program.
    Replaced,
    /// A census was left out.
    Skipped,
    /// A census failed.
    Failed,
    /// Samples were missed: the machine slept, or was too busy.
    Gap,
    /// A condition came true.
    Trigger,
    /// The control group of the process has reported something.
    Pressure,
    /// The recording ended for another reason than it was to.
    Stopped,
}

impl EventKind {
    /// All of them with their words in files.
    const WORDS: [(Self, &'static str); 9] = [
        (Self::Resumed, "resumed"),
        (Self::Ended, "ended"),
        (Self::Replaced, "replaced"),
        (Self::Skipped, "census skipped"),
        (Self::Failed, "census failed"),
        (Self::Gap, "gap"),
        (Self::Trigger, "trigger"),
        (Self::Pressure, "pressure"),
        (Self::Stopped, "stopped"),
    ];

    /// Its word in files and reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(kind, _)| *kind == self).map_or("", |(_, word)| word)
    }

    /// The kind with a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(_, known)| *known == word).map(|(kind, _)| *kind)
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// When, in seconds after the beginning of the recording.
    pub seconds: f64,
    /// What kind of thing.
    pub kind: EventKind,
    /// What, in words.
    pub text: String,
}

/// The events of a recording, the oldest first; of very many, the first ones.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Events(Vec<Event>);

impl Events {
    /// Adds one.
    pub fn push(&mut self, seconds: f64, kind: EventKind, text: impl Into<String>) {
        // How it ended is known last, and matters most.
        let is_end = matches!(kind, EventKind::Ended | EventKind::Replaced | EventKind::Stopped);
        if self.0.len() < MOST || is_end {
            self.0.push(Event { seconds, kind, text: text.into() });
        }
    }

    /// All of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Event> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a Events {
    type Item = &'a Event;
    type IntoIter = std::slice::Iter<'a, Event>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
