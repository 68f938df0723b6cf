//! The page of a heap: what is there, what grew and who holds it, cycles, garbage, stacks.

use maud::{Markup, html};

use super::page::{page, percent, table};
use crate::analysis::garbage::Garbage;
use crate::analysis::{CycleGroup, Diff, Histogram, Suspect};
use crate::facts::{Facts, ThreadFacts};
use crate::graph::HeapGraph;
use crate::report::text;
use crate::report::{short_type, units};

/// The most rows of a table, and the most frames of a thread.
const ROWS: usize = 200;
const FRAMES: usize = 50;
/// The most shapes of cycles, and the most suspects.
const SHAPES: usize = 30;

/// What the page is made of.
pub struct Page<'a> {
    /// What is known of the heap besides its objects.
    pub facts: &'a Facts,
    /// The condition for the objects that are meant, where not all are.
    pub filter: Option<&'a str>,
    /// The heap.
    pub graph: &'a HeapGraph,
    /// Its types.
    pub histogram: &'a Histogram,
    /// What waits for the collector.
    pub garbage: &'a Garbage,
    /// Its cycles.
    pub cycles: &'a [CycleGroup],
    /// What changed since an earlier heap, and what is suspected, where there is one.
    pub growth: Option<(&'a Diff, &'a [Suspect])>,
}

/// The page.
#[must_use]
pub fn write(parts: &Page<'_>) -> String {
    let facts = parts.facts;
    let process = &facts.process;
    let title = format!("process {}: the heap", process.pid);
    let all = &parts.histogram.totals;
    let body = html! {
        h1 { (title) }
        p { code { (process.executable) } ", Python " (facts.interpreter.version) " (" (facts.interpreter.build) ")" }
        @if let Some(filter) = parts.filter { p { "Objects with " code { (filter) } } }
        p {
            "RSS " (units::bytes(process.rss_bytes)) ", " (units::count(all.objects)) " objects, "
            (units::bytes(all.shallow_bytes)) " shallow, " (units::bytes(all.buffers())) " in buffers"
        }
        p.dim {
            (facts.pause.mode) ": stopped for " (units::seconds(facts.pause.seconds)) ", "
            (units::seconds(facts.timings.total)) " in all"
        }
        @if let Some((diff, suspects)) = parts.growth { (growth(diff, suspects)) }
        (histogram(parts.histogram))
        (garbage(parts.garbage))
        (cycles(parts.cycles))
        (stacks(facts))
        (anomalies(parts.graph))
    };
    page(&title, &body, None::<&()>)
}

fn growth(diff: &Diff, suspects: &[Suspect]) -> Markup {
    let rows: Vec<_> = diff
        .types
        .iter()
        .take(ROWS)
        .map(|row| {
            vec![
                units::signed_count(row.objects_delta()),
                units::signed_bytes(row.bytes_delta()),
                units::bytes(row.bytes_after),
                short_type(&row.name).to_owned(),
            ]
        })
        .collect();
    html! {
        h2 { "What grew, and who holds it" }
        @if suspects.is_empty() { p { "No type grew." } }
        @for suspect in suspects.iter().filter(|one| one.owned_bytes > 0).take(SHAPES) {
            p {
                strong {
                    (units::signed_count(suspect.objects_delta)) " " (short_type(&suspect.type_name)) ", "
                    (units::signed_bytes(suspect.bytes_delta)) " (" (units::bytes(suspect.owned_bytes))
                    " with what they hold)"
                }
            }
            @for held in suspect.held_by.iter().take(5) {
                p.dim {
                    (units::percent(held.objects, suspect.held_objects)) " "
                    (text::path::held_by(held, true))
                }
            }
        }
        (table(&["#objects", "#bytes", "#now", "type"], &rows))
    }
}

fn histogram(histogram: &Histogram) -> Markup {
    let all = histogram.totals.bytes();
    let rows: Vec<_> = histogram
        .types
        .iter()
        .take(ROWS)
        .map(|row| {
            let totals = &row.totals;
            vec![
                units::count(totals.objects),
                units::bytes(totals.shallow_bytes),
                units::bytes(totals.buffers()),
                percent(totals.bytes(), all),
                short_type(&row.name).to_owned(),
            ]
        })
        .collect();
    let more = histogram.types.len().saturating_sub(ROWS);
    html! {
        h2 { "Types" }
        (table(&["#count", "#shallow", "#buffers", "#%", "type"], &rows))
        @if more > 0 { p.dim { "and " (more) " types more" } }
    }
}

fn garbage(garbage: &Garbage) -> Markup {
    let rows: Vec<_> = garbage
        .types
        .iter()
        .take(ROWS)
        .map(|row| {
            vec![
                units::count(row.objects),
                units::bytes(row.shallow_bytes),
                units::bytes(row.buffers()),
                short_type(&row.type_name).to_owned(),
            ]
        })
        .collect();
    html! {
        h2 { "Garbage" }
        p { (text::garbage::summary(garbage)) }
        @if !rows.is_empty() { (table(&["#count", "#shallow", "#buffers", "type"], &rows)) }
    }
}

fn cycles(groups: &[CycleGroup]) -> Markup {
    let told: Vec<_> = groups.iter().filter(|group| !group.is_code).take(SHAPES).collect();
    let row = |group: &&CycleGroup| {
        vec![
            group.state.name().to_owned(),
            units::count(group.count),
            units::count(group.objects),
            units::bytes(group.retained_bytes.max(group.shallow_bytes)),
            text::path::circle(&group.shape, true),
        ]
    };
    let rows: Vec<_> = told.iter().map(row).collect();
    html! {
        h2 { "Cycles" }
        @if rows.is_empty() {
            p { "None but the knot of modules, classes and functions that every program is." }
        } @else {
            (table(&["state", "#cycles", "#objects", "#bytes", "shape"], &rows))
        }
    }
}

fn stacks(facts: &Facts) -> Markup {
    html! {
        @if !facts.threads.is_empty() {
            h2 { "Threads" }
            p { (text::hang::summary(facts)) }
            @for thread in &facts.threads { (stack(thread)) }
        }
    }
}

fn stack(thread: &ThreadFacts) -> Markup {
    let left = thread.frames.len().saturating_sub(FRAMES) as u64 + thread.omitted_frames;
    html! {
        p {
            strong { (thread.name) } " " (thread.state)
            @if thread.holds_gil { ", holds the GIL" }
            @if let Some(wait) = &thread.waiting_for { ", waits for " (wait.description) }
        }
        pre {
            @for frame in thread.frames.iter().take(FRAMES) {
                (frame.function) "  " (frame.file)
                @if let Some(line) = frame.line { ":" (line) }
                "\n"
            }
            @if left > 0 { "and " (left) " frames more\n" }
        }
    }
}

fn anomalies(graph: &HeapGraph) -> Markup {
    html! {
        @for anomaly in graph.anomalies.iter() {
            p.bad { "anomaly: " (anomaly.kind) " (" (units::count(anomaly.count)) " times)" }
        }
    }
}
