//! What is on the screen, computed from the state: texts and rows, and no terminal.

use std::time::Duration;

use super::header;
use super::line::{Line, Role};
use super::size::Header;
use super::state::{State, View};
use super::table::{self, Table};
use super::words::{age, ago, shortened};
use crate::recording::Sample;
use crate::report::units;
use crate::watch::End;

/// The most columns of the curve of memory, and the fewest.
const CURVE: std::ops::RangeInclusive<usize> = 10..=60;

/// The height of the highest point of the curve.
pub(super) const HEIGHT: u64 = 1000;

/// A screen.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Picture {
    pub(super) header: Vec<Line>,
    /// Whether there are lines for the heading of the table and for the message, and one for the keys.
    pub(super) has_headings: bool,
    pub(super) has_keys: bool,
    pub(super) curve: Option<Curve>,
    pub(super) body: Table,
    /// A line for what is wrong, or else for what the table is of.
    pub(super) message: Line,
    pub(super) keys: Line,
}

/// Memory over time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Curve {
    /// How many columns it has.
    pub(super) columns: usize,
    /// The heights of its columns, the oldest first, of at most [`HEIGHT`].
    pub(super) heights: Vec<u64>,
    /// What its bottom and top are, and over which time.
    pub(super) label: String,
}

impl Picture {
    pub(super) fn of(state: &State) -> Self {
        let size = state.size;
        let width = usize::from(size.width);
        let columns = match size.header() {
            Header::Full | Header::Medium if width >= 40 => {
                (width / 3).clamp(*CURVE.start(), *CURVE.end())
            }
            _ => 0,
        };
        let curve = (columns > 0).then(|| Curve::of(state, columns));
        let beside = width.saturating_sub(if columns > 0 { columns + 2 } else { 0 });
        let mut header = header::lines(state, size, beside);
        let (body, about) = table::of(state, size);
        let message = wrong(state).unwrap_or(about).fit(width);
        if !size.has_headings() && wrong(state).is_some() {
            // There is no other line for it.
            header = vec![message.clone()];
        }
        Self {
            header,
            has_headings: size.has_headings(),
            has_keys: size.has_keys(),
            curve,
            body,
            message,
            keys: keys(state).fit(width),
        }
    }
}

impl Curve {
    /// Memory since the view began, in so many columns.
    fn of(state: &State, columns: usize) -> Self {
        let points = state.data().memory.points();
        let highest =
            |points: &[Sample]| points.iter().map(|point| point.rss_max_bytes).max().unwrap_or(0);
        let drawn = columns.min(points.len());
        let share = |nth: usize| (nth * points.len()).checked_div(drawn).unwrap_or(0);
        let shares = (0..drawn).map(|nth| points.get(share(nth)..share(nth + 1)).unwrap_or(&[]));
        let bytes: Vec<u64> = shares.map(highest).collect();
        let low = points.iter().map(|point| point.rss_min_bytes).min().unwrap_or(0);
        let high = highest(points);
        // What hardly changes is not to look like a cliff.
        let range = (high - low.min(high)).max(high / 20).max(1);
        let bottom = high.saturating_sub(range);
        let height = |bytes: &u64| {
            let above = u128::from(bytes.saturating_sub(bottom).min(range));
            let height = above * u128::from(HEIGHT) / u128::from(range);
            // The lowest is to be seen, too.
            u64::try_from(height).unwrap_or(HEIGHT).max(HEIGHT / 20)
        };
        let heights = bytes.iter().map(height).collect();
        let seconds =
            points.first().zip(points.last()).map(|(first, last)| last.seconds - first.seconds);
        let over = age(Duration::try_from_secs_f64(seconds.unwrap_or(0.0)).unwrap_or_default());
        let span = span(bottom, high);
        let labels = [format!("{span} in {over}"), span];
        let label = labels.into_iter().find(|label| label.chars().count() <= columns);
        let label = label.filter(|_| points.len() > 1).unwrap_or_default();
        Self { columns, heights, label }
    }
}

/// `50.0–62.2 MiB`, `980.0 KiB–1.2 MiB`.
fn span(low: u64, high: u64) -> String {
    let (low, high) = (units::bytes(low), units::bytes(high));
    let unit = |text: &str| text.rsplit_once(' ').map(|(_, unit)| unit.to_owned());
    let number = low.split(' ').next().unwrap_or_default();
    let low = if unit(&low) == unit(&high) { number } else { &low };
    format!("{low}–{high}")
}

/// What went wrong, or is to be known first.
fn wrong(state: &State) -> Option<Line> {
    let line = |role, text: String| Some(Line::default().with(0, role, text));
    if let Some((end, at)) = state.end {
        let what = match end {
            End::Ended => "has ended",
            End::Replaced => "runs another program now",
        };
        let ended = line(Role::Bad, format!("pid {} {what}", state.who.pid))?;
        let ago = ago(state.now().saturating_sub(at));
        return Some(ended.with(2, Role::Plain, ago).with(
            1,
            Role::Plain,
            "this is the last of it",
        ));
    }
    if state.is_typing {
        return line(Role::Strong, format!("/{}_", state.filter));
    }
    if let Some(note) = state.note() {
        return line(Role::Strong, note.to_owned());
    }
    let (why, hint) = state.missed.as_ref()?;
    let missed = line(Role::Bad, format!("not counted: {why}"))?;
    // Its beginning is better than nothing.
    let room = usize::from(state.size.width).saturating_sub(missed.width() + 2);
    let hint = hint.as_ref().map(|hint| shortened(hint, room.saturating_sub(1)));
    Some(missed.with(1, Role::Plain, hint.unwrap_or_default()))
}

/// The keys that do something here.
fn keys(state: &State) -> Line {
    let keys: &[(u8, &str)] = match &state.view {
        _ if state.is_typing => &[(0, "Enter keep"), (0, "Esc drop")],
        View::Types => &[
            (0, "q quit"),
            (1, "? help"),
            (2, "Enter holders"),
            (3, "s sort"),
            (4, "/ filter"),
            (5, "space hold"),
            (6, "u count"),
            (7, "t threads"),
            (8, "m mark"),
        ],
        View::Ways { opened: None, .. } => &[
            (0, "q quit"),
            (1, "Esc back"),
            (2, "Enter whole path"),
            (3, "? help"),
            (4, "space hold"),
        ],
        View::Ways { .. } | View::Threads { .. } | View::Help { .. } => {
            &[(0, "q quit"), (1, "Esc back"), (2, "↑↓ scroll"), (3, "? help"), (4, "space hold")]
        }
    };
    keys.iter().fold(Line::default(), |line, (rank, text)| line.with(*rank, Role::Quiet, *text))
}
