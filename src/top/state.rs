//! What the live view knows, and what keys do: events go in, orders come out. No input and no output.

use std::sync::Arc;
use std::time::Duration;

use super::count::{Count, Ways};
use super::event::{Event, Key, Order, Reading};
use super::rows::{Counts, Row, Sort};
use super::size::Size;
use super::who::Who;
use crate::recording::{Sample, Series};
use crate::watch::{End, Pace};

/// The most points of memory that are kept.
const POINTS: usize = 4096;
/// How long an answer to a key is shown.
const NOTE: Duration = Duration::from_secs(6);
/// The longest filter.
const FILTER: usize = 100;
/// What reading a heap takes us may be one part in so many of the time, and five more: the processors are those of the
/// process, too.
const OWN_RARITY: u32 = 20;

/// What is known of the process.
#[derive(Debug, Clone)]
pub(super) struct Data {
    /// When that was, since the view began.
    pub(super) now: Duration,
    pub(super) memory: Series<Sample>,
    pub(super) peak_rss_bytes: u64,
    pub(super) reading: Option<Reading>,
    /// Which part of one processor it took between the last two readings.
    pub(super) cpu_share: Option<f64>,
    pub(super) counts: Counts,
    /// For how long it was stopped, all counts together.
    pub(super) stopped: Duration,
}

/// What is shown below the header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum View {
    Types,
    /// Who holds a type; opened: one way of these, from that line on.
    Ways {
        name: Arc<str>,
        selected: usize,
        opened: Option<usize>,
    },
    Threads {
        first: usize,
    },
    Help {
        first: usize,
    },
}

/// The state of the view.
#[derive(Debug)]
pub(super) struct State {
    pub(super) who: Who,
    pub(super) size: Size,
    data: Data,
    /// What is shown while the view is held.
    held: Option<Box<Data>>,
    pub(super) view: View,
    /// Who holds the type of [`View::Ways`], as soon as it is known.
    pub(super) ways: Option<Arc<Ways>>,
    pub(super) sort: Sort,
    pub(super) reversed: bool,
    pub(super) filter: String,
    /// Whether the filter is being typed.
    pub(super) is_typing: bool,
    /// The selected type, and where it was: another one is there when it is gone.
    selected: Option<Arc<str>>,
    index: usize,
    pace: Pace,
    /// Since when a count has been going on.
    pub(super) counting: Option<Duration>,
    /// Why the last one failed.
    pub(super) missed: Option<(String, Option<String>)>,
    /// The answer to a key, and until when it is shown.
    note: Option<(String, Duration)>,
    pub(super) end: Option<(End, Duration)>,
}

impl State {
    /// A view of a process, with a count each interval.
    pub(super) fn new(who: Who, interval: Duration, size: Size) -> Self {
        let data = Data {
            now: Duration::ZERO,
            memory: Series::new(POINTS),
            peak_rss_bytes: 0,
            reading: None,
            cpu_share: None,
            counts: Counts::default(),
            stopped: Duration::ZERO,
        };
        Self {
            who,
            size,
            data,
            held: None,
            view: View::Types,
            ways: None,
            sort: Sort::default(),
            reversed: false,
            filter: String::new(),
            is_typing: false,
            selected: None,
            index: 0,
            pace: Pace::new(Some(interval), false),
            counting: None,
            missed: None,
            note: None,
            end: None,
        }
    }

    /// What is shown.
    pub(super) fn data(&self) -> &Data {
        self.held.as_deref().unwrap_or(&self.data)
    }

    /// When it is now, whatever is shown.
    pub(super) const fn now(&self) -> Duration {
        self.data.now
    }

    pub(super) const fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// In how long the next count is due.
    pub(super) fn due_in(&self) -> Duration {
        self.pace.due_in(self.data.now)
    }

    /// The answer to the last key.
    pub(super) fn note(&self) -> Option<&str> {
        let (text, until) = self.note.as_ref()?;
        (self.data.now < *until).then_some(text)
    }

    /// The rows of the table of types.
    pub(super) fn rows(&self) -> Vec<Row> {
        self.data().counts.rows(&self.filter, self.sort, self.reversed)
    }

    /// Which of the rows is selected.
    pub(super) fn selected(&self, rows: &[Row]) -> usize {
        let known = self.selected.as_ref();
        let known = known.and_then(|name| rows.iter().position(|row| row.name == *name));
        known.unwrap_or(self.index).min(rows.len().saturating_sub(1))
    }

    /// Takes in what happens at a moment; gives what is to be done for it.
    pub(super) fn take(&mut self, now: Duration, event: Event) -> Option<Order> {
        self.data.now = self.data.now.max(now);
        match event {
            Event::Key(key) => self.key(key),
            Event::Size(size) => {
                self.size = size;
                None
            }
            Event::Reading(reading) => self.reading(reading),
            Event::Counted(count) => self.counted(count),
            Event::Missed { why, hint, stopped } => {
                self.counting = None;
                self.data.stopped = self.data.stopped.saturating_add(stopped);
                self.pace.refused(self.data.now, stopped);
                self.missed = Some((why, hint));
                None
            }
            Event::Ways(ways) => {
                // An answer to an older question is none.
                if matches!(&self.view, View::Ways { name, .. } if *name == ways.name) {
                    self.ways = Some(ways);
                    self.stay_in_ways();
                }
                None
            }
            Event::End(end) => {
                self.end = Some((end, self.data.now));
                self.counting = None;
                None
            }
        }
    }

    fn reading(&mut self, reading: Reading) -> Option<Order> {
        let sample = reading.sample;
        self.data.cpu_share = self.data.reading.as_ref().and_then(|before| {
            let passed = sample.seconds - before.sample.seconds;
            let taken = sample.cpu_seconds - before.sample.cpu_seconds;
            (passed > 0.0).then(|| (taken / passed).max(0.0))
        });
        self.data.peak_rss_bytes = self.data.peak_rss_bytes.max(sample.rss_max_bytes);
        self.data.memory.push(sample);
        self.data.reading = Some(reading);
        // While the view is held nobody looks, and the process need not be stopped.
        let is_idle = self.counting.is_none() && self.end.is_none() && self.held.is_none();
        (is_idle && self.pace.is_due(self.data.now, sample.rss_bytes)).then(|| {
            self.counting = Some(self.data.now);
            Order::Count
        })
    }

    fn counted(&mut self, count: Arc<Count>) -> Option<Order> {
        let pause = Duration::try_from_secs_f64(count.census.pause_seconds).unwrap_or_default();
        let cost = pause.max(count.took / OWN_RARITY);
        self.pace.taken(self.data.now, cost.as_secs_f64());
        self.data.stopped = self.data.stopped.saturating_add(pause);
        self.data.counts.push(count);
        self.counting = None;
        self.missed = None;
        match &self.view {
            View::Ways { name, .. } if self.held.is_none() => Some(Order::Ways(Arc::clone(name))),
            _ => None,
        }
    }

    fn key(&mut self, key: Key) -> Option<Order> {
        self.note = None;
        match key {
            Key::Interrupt => return Some(Order::Leave),
            Key::Suspend => {
                self.say("not suspended: the process could be left standing still. q quits");
                return None;
            }
            _ if self.is_typing => {
                self.typed(key);
                return None;
            }
            Key::Char('q') => return Some(Order::Leave),
            Key::Char('?') => {
                self.view = match self.view {
                    View::Help { .. } => View::Types,
                    _ => View::Help { first: 0 },
                };
            }
            Key::Char(' ') => return self.hold(),
            Key::Char('u') => self.ask(),
            Key::Char('t') => {
                self.view = match self.view {
                    View::Threads { .. } => View::Types,
                    _ => View::Threads { first: 0 },
                };
            }
            Key::Left => return self.key_of_view(Key::Back),
            Key::Right => return self.key_of_view(Key::Enter),
            _ => return self.key_of_view(key),
        }
        None
    }

    /// A key that means something else in each view.
    fn key_of_view(&mut self, key: Key) -> Option<Order> {
        match self.view {
            View::Types => return self.key_of_types(key),
            View::Ways { .. } => self.key_of_ways(key),
            View::Threads { first } => {
                let last =
                    self.data().counts.latest.as_ref().map_or(0, |count| count.threads.len());
                let moved = self.moved(key, first, last);
                self.view = moved.map_or(View::Types, |first| View::Threads { first });
            }
            View::Help { first } => {
                let moved = self.moved(key, first, super::help::LINES.len());
                self.view = moved.map_or(View::Types, |first| View::Help { first });
            }
        }
        None
    }

    fn key_of_types(&mut self, key: Key) -> Option<Order> {
        match key {
            Key::Char('s') => self.sort = self.sort.step(1),
            Key::Char('S') => self.sort = self.sort.back(),
            Key::Char('r') => self.reversed = !self.reversed,
            Key::Char('/') => self.is_typing = true,
            Key::Char('m') => self.mark(),
            Key::Back => self.filter.clear(),
            Key::Enter => {
                let rows = self.rows();
                let row = rows.get(self.selected(&rows))?;
                let name = Arc::clone(&row.name);
                self.selected = Some(Arc::clone(&name));
                self.ways = None;
                self.view = View::Ways { name: Arc::clone(&name), selected: 0, opened: None };
                return Some(Order::Ways(name));
            }
            _ => {
                let rows = self.rows();
                let from = self.selected(&rows);
                if let Some(to) = self.moved(key, from, rows.len())
                    && to != from
                {
                    self.index = to;
                    self.selected = rows.get(to).map(|row| Arc::clone(&row.name));
                }
            }
        }
        None
    }

    fn key_of_ways(&mut self, key: Key) {
        let View::Ways { name, selected, opened } = self.view.clone() else { return };
        let ways = self.ways.as_ref().map_or(&[][..], |ways| &ways.ways);
        self.view = match (key, opened) {
            (Key::Enter, None) if selected < ways.len() => {
                View::Ways { name, selected, opened: Some(0) }
            }
            (_, None) => match self.moved(key, selected, ways.len()) {
                Some(selected) => View::Ways { name, selected, opened },
                None => View::Types,
            },
            (_, Some(first)) => {
                let lines = ways.get(selected).map_or(0, |way| way.steps.len());
                View::Ways { name, selected, opened: self.moved(key, first, lines) }
            }
        };
    }

    /// Where in a list of so many lines a key leads to; nothing: out of it.
    fn moved(&self, key: Key, from: usize, len: usize) -> Option<usize> {
        let last = len.saturating_sub(1);
        let page = usize::from(self.size.rows().saturating_sub(1)).max(1);
        let to = match key {
            Key::Back => return None,
            Key::Up | Key::Char('k') => from.saturating_sub(1),
            Key::Down | Key::Char('j') => from.saturating_add(1),
            Key::PageUp => from.saturating_sub(page),
            Key::PageDown => from.saturating_add(page),
            Key::Home => 0,
            Key::End => last,
            _ => from,
        };
        Some(to.min(last))
    }

    /// Fewer ways may have come than there were.
    fn stay_in_ways(&mut self) {
        let many = self.ways.as_ref().map_or(0, |ways| ways.ways.len());
        if let View::Ways { selected, opened, .. } = &mut self.view
            && *selected >= many
        {
            *selected = many.saturating_sub(1);
            *opened = None;
        }
    }

    fn typed(&mut self, key: Key) {
        match key {
            Key::Char(char) if self.filter.chars().count() < FILTER => self.filter.push(char),
            Key::Backspace => {
                self.filter.pop();
            }
            Key::Clear => self.filter.clear(),
            Key::Back => {
                self.filter.clear();
                self.is_typing = false;
            }
            Key::Enter => self.is_typing = false,
            _ => {}
        }
        // What is found is looked at from the top.
        self.selected = None;
        self.index = 0;
    }

    fn hold(&mut self) -> Option<Order> {
        if self.held.take().is_none() {
            self.held = Some(Box::new(self.data.clone()));
            return None;
        }
        // What was counted meanwhile.
        match &self.view {
            View::Ways { name, .. } => Some(Order::Ways(Arc::clone(name))),
            _ => None,
        }
    }

    fn ask(&mut self) {
        if self.end.is_some() {
            return;
        }
        self.held = None;
        let wait = self.pace.ask(self.data.now);
        if !wait.is_zero() {
            let wait = super::words::age(wait);
            self.say(&format!(
                "counting again in {wait}: sooner would take too much of the process"
            ));
        }
    }

    fn mark(&mut self) {
        self.held = None;
        if self.data.counts.mark() {
            self.say("marked: changes are since now");
        }
    }

    fn say(&mut self, text: &str) {
        self.note = Some((text.to_owned(), self.data.now + NOTE));
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
