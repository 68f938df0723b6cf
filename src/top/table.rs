//! The tables of the live view: types, who holds one, threads, help.

use super::count::{ThreadLine, Way, Ways};
use super::help;
use super::line::{Line, Role};
use super::rows::Row;
use super::size::Size;
use super::state::{State, View};
use super::words::{ago, bytes_change, clean, count_change};
use crate::report::table::middle;
use crate::report::{short_type, units};

/// The fewest columns of a name, where there is room.
const NAME: usize = 20;
/// What goes before each row: a mark, if it is selected.
pub(super) const MARK: usize = 2;

/// A cell, as wide as its column.
pub(super) type Cell = (String, Role);

/// Rows under a heading.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Table {
    pub(super) heading: String,
    pub(super) rows: Vec<Vec<Cell>>,
    /// Which of the rows is selected, if one can be.
    pub(super) selected: Option<usize>,
}

/// The table that is looked at, and what it is of.
pub(super) fn of(state: &State, size: Size) -> (Table, Line) {
    match &state.view {
        View::Types => types(state, size),
        View::Ways { name, selected, opened } => match (&state.ways, opened) {
            (None, _) => {
                let text = format!("looking who holds {} …", short_type(name));
                (Table::default(), Line::default().with(0, Role::Strong, text))
            }
            (Some(ways), None) => ways_of(state, ways, *selected, size),
            (Some(ways), Some(first)) => match ways.ways.get(*selected) {
                Some(way) => opened_way(state, way, *first, size),
                None => (Table::default(), Line::default()),
            },
        },
        View::Threads { first } => threads(state, *first, size),
        View::Help { first } => {
            let lines = help::LINES.iter().map(|line| (*line).to_owned());
            (text("what keys do, and numbers mean", lines.skip(*first), size), Line::default())
        }
    }
}

/// Lines of text.
fn text(heading: &str, lines: impl Iterator<Item = String>, size: Size) -> Table {
    let rows = lines.take(size.rows().into()).map(|line| vec![(clean(&line), Role::Plain)]);
    Table { heading: clean(heading), rows: rows.collect(), selected: None }
}

fn right(text: &str, width: usize) -> String {
    format!("{text:>width$}")
}

fn left(text: &str, width: usize) -> String {
    let text = middle(&clean(text), width.saturating_sub(1));
    format!("{text:<width$}")
}

/// The first of the rows that are shown, so that the selected one is among them.
fn window(selected: usize, len: usize, size: Size) -> usize {
    let rows = usize::from(size.rows());
    selected.saturating_sub(rows / 2).min(len.saturating_sub(rows))
}

/// A column of numbers: its heading, its width, and how soon it gives way.
struct Column {
    heading: &'static str,
    width: usize,
    rank: u8,
    text: fn(&Row) -> String,
}

const fn column(heading: &'static str, width: usize, rank: u8, text: fn(&Row) -> String) -> Column {
    Column { heading, width, rank, text }
}

const COLUMNS: &[Column] = &[
    column("bytes", 10, 0, |row| units::bytes(row.bytes)),
    column("objects", 11, 3, |row| units::count(row.objects)),
    column("+start", 11, 1, |row| bytes_change(row.since_start)),
    column("+objects", 10, 2, |row| count_change(row.since_start)),
    column("+last", 11, 4, |row| bytes_change(row.since_last)),
    column("+objects", 10, 5, |row| count_change(row.since_last)),
];

impl Column {
    /// What a row has in it; a change is a red one if it is much.
    fn cell(&self, row: &Row, is_much: bool) -> Cell {
        let text = (self.text)(row);
        let role = match text.chars().next() {
            Some('-') if text.len() == 1 => Role::Quiet,
            Some('+') if is_much => Role::Bad,
            _ => Role::Plain,
        };
        (right(&text, self.width), role)
    }
}

/// Whether what a type grew by is much beside the growth of the one that grew most.
fn is_much(row: &Row, most: i64) -> bool {
    row.since_start.is_some_and(|change| change.bytes > 0 && change.bytes >= most / 20)
}

fn types(state: &State, size: Size) -> (Table, Line) {
    let rows = state.rows();
    let width = usize::from(size.width).saturating_sub(MARK);
    let room = |columns: &[&Column]| {
        // Two columns go between the numbers and the name.
        width.saturating_sub(2 + columns.iter().map(|column| column.width).sum::<usize>())
    };
    let mut columns: Vec<&Column> = COLUMNS.iter().collect();
    while columns.len() > 1 && room(&columns) < NAME.min(width / 3) {
        let last = columns.iter().enumerate().max_by_key(|(_, column)| column.rank);
        let Some((nth, _)) = last else { break };
        columns.remove(nth);
    }
    let name = room(&columns);
    let grown = rows.iter().filter_map(|row| row.since_start);
    let most = grown.map(|change| change.bytes).max().unwrap_or(0);
    let selected = state.selected(&rows);
    let first = window(selected, rows.len(), size);
    let shown = rows.iter().skip(first).take(size.rows().into()).map(|row| {
        let is_much = is_much(row, most);
        let mut cells: Vec<Cell> = columns.iter().map(|column| column.cell(row, is_much)).collect();
        let name = middle(&clean(short_type(&row.name)), name);
        cells.push((format!("  {name}"), Role::Plain));
        cells
    });
    let headings = columns.iter().map(|column| right(column.heading, column.width));
    let table = Table {
        heading: headings.chain(["  type".to_owned()]).collect(),
        rows: shown.collect(),
        selected: (!rows.is_empty()).then(|| selected - first),
    };
    if state.data().counts.latest.is_none() {
        let text = "the heap is read for the first time …";
        return (table, Line::default().with(0, Role::Strong, text));
    }
    let filter = match state.filter.as_str() {
        "" => String::new(),
        filter => format!("with “{filter}” (Esc: all)"),
    };
    let order = if state.reversed { ", least first" } else { "" };
    let line = Line::default()
        .with(0, Role::Quiet, format!("{} types", units::count(rows.len() as u64)))
        .with(1, Role::Strong, filter)
        .with(2, Role::Quiet, format!("by {}{order}", state.sort.words()));
    (table, line)
}

/// Who holds a type, a way a line.
fn ways_of(state: &State, ways: &Ways, selected: usize, size: Size) -> (Table, Line) {
    let first = window(selected, ways.ways.len(), size);
    // In a narrow terminal the way itself is what one looks for.
    let widths = if size.width >= 60 { [7, 11, 11] } else { [7, 0, 0] };
    let numbers = |texts: [String; 3]| -> String {
        let texts = texts.iter().zip(widths).filter(|(_, width)| *width > 0);
        texts.map(|(text, width)| right(text, width)).collect()
    };
    let room = usize::from(size.width).saturating_sub(MARK + 2 + widths.iter().sum::<usize>());
    let rows = ways.ways.iter().skip(first).take(size.rows().into()).map(|way| {
        let share = units::percent(way.objects, ways.objects);
        let numbers = numbers([share, units::count(way.objects), units::bytes(way.bytes)]);
        vec![(numbers, Role::Plain), (format!("  {}", middle(&way.line, room)), Role::Plain)]
    });
    let headings = numbers(["%", "objects", "bytes"].map(str::to_owned));
    let title = middle(&clean(&format!("who holds {}", short_type(&ways.name))), room);
    let table = Table {
        heading: format!("{headings}  {title}"),
        rows: rows.collect(),
        selected: (!ways.ways.is_empty()).then(|| selected.saturating_sub(first)),
    };
    let more = match ways.more {
        0 => String::new(),
        more => format!("{} ways more", units::count(more as u64)),
    };
    let line = Line::default()
        .with(0, Role::Quiet, format!("{} objects", units::count(ways.objects)))
        .with(1, Role::Quiet, units::bytes(ways.bytes))
        .with(2, Role::Quiet, format!("counted {}", ago(state.now().saturating_sub(ways.at))))
        .with(3, Role::Quiet, more);
    (table, line)
}

/// One way, an object a line.
fn opened_way(state: &State, way: &Way, first: usize, size: Size) -> (Table, Line) {
    let width = usize::from(size.width).saturating_sub(MARK);
    let indented = way.steps.iter().enumerate().map(|(depth, step)| match depth {
        0 => middle(step, width),
        _ => {
            let indent = " ".repeat((depth - 1).min(width / 4));
            middle(&format!("{indent}→ {step}"), width)
        }
    });
    let heading = format!("{} objects, {}", units::count(way.objects), units::bytes(way.bytes));
    let table = text(&heading, indented.skip(first), size);
    let allocated = way.allocated.as_ref().map(|at| format!("allocated at {at}"));
    let line = Line::default()
        .with(0, Role::Quiet, format!("one: pyheap show -p {} {}", state.who.pid, way.example))
        .with(1, Role::Quiet, allocated.unwrap_or_default());
    (table, line)
}

/// What the threads do.
fn threads(state: &State, first: usize, size: Size) -> (Table, Line) {
    let Some(count) = &state.data().counts.latest else {
        return (Table::default(), Line::default().with(0, Role::Quiet, "not counted yet"));
    };
    let width = usize::from(size.width).saturating_sub(MARK);
    let [stated, named] = [(width / 5).min(14), (width / 5).min(24)];
    let doing = width.saturating_sub(stated + named);
    let row = |thread: &ThreadLine| {
        let gil = if thread.holds_gil { " GIL" } else { "" };
        let state = left(&format!("{}{gil}", thread.state), stated);
        let cells = [state, left(&thread.name, named), middle(&thread.doing, doing)];
        cells.into_iter().map(|text| (text, Role::Plain)).collect()
    };
    let heading =
        ["state", "thread"].iter().zip([stated, named]).map(|(text, width)| left(text, width));
    let table = Table {
        heading: heading.chain(["what it does".to_owned()]).collect(),
        rows: count.threads.iter().skip(first).take(size.rows().into()).map(row).collect(),
        selected: None,
    };
    let line = Line::default()
        .with(1, Role::Bad, count.hang.clone().unwrap_or_default())
        .with(2, Role::Quiet, format!("read {}", ago(state.now().saturating_sub(count.at))))
        .with(0, Role::Quiet, format!("more: pyheap stacks -p {}", state.who.pid));
    (table, line)
}
