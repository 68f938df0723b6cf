//! The page of a recording: memory over time, types over time, the lines that grow, flame graphs.

use maud::{Markup, html};
use serde::Serialize;

use super::page::{page, percent, table};
use crate::recording::{GrownLine, Lines, Recording};
use crate::report::flame;
use crate::report::plot::{Stack, stacked_types};
use crate::report::{short_type, units};

/// The most lines of a table.
const ROWS: usize = 100;

/// The numbers that `page.js` draws.
#[derive(Serialize)]
struct Data {
    at: Vec<f64>,
    rss: Vec<u64>,
    rss_max: Vec<u64>,
    private: Vec<u64>,
    pss: Vec<Option<u64>>,
    census_at: Vec<f64>,
    types: Vec<Stack>,
    marks: Vec<Mark>,
}

/// Moments that are marked in one way.
#[derive(Serialize)]
struct Mark {
    color: &'static str,
    dash: [u32; 2],
    at: Vec<f64>,
    #[serde(skip)]
    name: &'static str,
}

/// The page.
#[must_use]
pub fn write(recording: &Recording) -> String {
    let head = &recording.head;
    let title =
        format!("process {}: memory over {}", head.process.pid, units::seconds(head.seconds));
    let lines = recording.growth.lines();
    let data = data(recording);
    let body = html! {
        h1 { (title) }
        (header(recording))
        h2 { "Memory" }
        p.key {
            @for mark in &data.marks {
                span { i style=(format!("background:{}", mark.color)) {} (mark.name) }
            }
            span.dim { "drag: zoom, double click: back" }
        }
        div.plot id="memory" {}
        @if !data.census_at.is_empty() {
            h2 { "Types" }
            div.plot id="types" {}
        }
        (growth(recording, &lines))
        (types(recording))
        (events(recording))
    };
    page(&title, &body, Some(&data))
}

fn data(recording: &Recording) -> Data {
    let started = recording.head.started_at;
    let points = recording.samples.points();
    let (census_at, types) = stacked_types(recording);
    let at = |seconds: f64| started + seconds;
    let full = recording.collectors.values().flat_map(|series| {
        let points = series.points();
        let pairs = points.iter().zip(points.iter().skip(1));
        pairs
            .filter(|(before, after)| after.collections[2] > before.collections[2])
            .map(|pair| pair.1)
    });
    #[allow(clippy::cast_precision_loss)]
    let full = full.map(|point| at(point.millis as f64 / 1000.0)).collect();
    let events = recording.events.iter().map(|event| at(event.seconds)).collect();
    let mark = |name, color, dash, at| Mark { color, dash, at, name };
    Data {
        at: points.iter().map(|sample| at(sample.seconds)).collect(),
        rss: points.iter().map(|sample| sample.rss_bytes).collect(),
        rss_max: points.iter().map(|sample| sample.rss_max_bytes).collect(),
        private: points.iter().map(|sample| sample.private_bytes).collect(),
        pss: points.iter().map(|sample| sample.pss_bytes).collect(),
        marks: vec![
            mark("full collection", "#7f7f7f55", [0, 0], full),
            mark("census", "#1f77b499", [4, 4], census_at.iter().map(|&s| at(s)).collect()),
            mark("peak", "#d62728", [0, 0], vec![at(recording.head.peak_at)]),
            mark("event", "#ff7f0e", [2, 2], events),
        ],
        census_at: census_at.into_iter().map(at).collect(),
        types,
    }
}

fn header(recording: &Recording) -> Markup {
    let head = &recording.head;
    let points = recording.samples.points();
    let ends = points.first().zip(points.last());
    html! {
        p { code { (head.command.join(" ")) } ", Python " (head.interpreter.version) }
        @if let Some((first, last)) = ends {
            p {
                "RSS " (units::bytes(first.rss_bytes)) " → " (units::bytes(last.rss_bytes)) ", peak "
                (units::bytes(head.peak_rss_bytes)) " at " (units::seconds(head.peak_at))
            }
        }
        p.dim {
            "overhead " (format!("{:.1} %", recording.overhead_share() * 100.0)) ": stopped for "
            (units::seconds(head.stopped_seconds)) ", " (units::seconds(head.own_cpu_seconds))
            " of processor time of pyheap's own"
        }
        @if !head.finished {
            p.bad { "The recording was cut off: this is what it had up to then." }
        }
    }
}

fn growth(recording: &Recording, lines: &Lines) -> Markup {
    if recording.head.stack_samples == 0 {
        return html! {};
    }
    let row = |line: &GrownLine| {
        vec![
            units::bytes(line.bytes),
            percent(line.bytes, lines.bytes),
            units::bytes(line.peak_bytes),
            percent(line.peak_bytes, lines.peak_bytes),
            units::count(line.samples),
            format!("{}:{}", line.frame.file, line.frame.line),
            line.frame.function.clone(),
        ]
    };
    let rows: Vec<_> = lines.lines.iter().take(ROWS).map(row).collect();
    html! {
        h2 { "The lines that grow" }
        p {
            (units::bytes(lines.bytes)) " of private memory grown and still there; a stack was seen for "
            (units::percent(lines.attributed_bytes, lines.bytes)) " of it. "
            (units::count(recording.head.stack_samples)) " looks."
        }
        (table(&["#growth", "#%", "#at peak", "#%", "#seen", "line", "function"], &rows))
        (graph("Growth that is still there", recording, false))
        (graph("Growth when memory was highest", recording, true))
    }
}

/// A flame graph in a frame of its own, since it has a script and names of its own.
fn graph(title: &str, recording: &Recording, at_peak: bool) -> Markup {
    let Some(svg) = flame::growth(recording, title, at_peak) else { return html! {} };
    let height = svg_height(&svg).unwrap_or(600) + 20;
    html! {
        h2 { (title) }
        iframe title=(title) sandbox="allow-scripts" height=(height) srcdoc=(svg) {}
    }
}

fn svg_height(svg: &str) -> Option<u32> {
    svg.split_once(" height=\"")?.1.split_once('"')?.0.parse().ok()
}

fn types(recording: &Recording) -> Markup {
    let change = recording.censuses.change();
    let rows: Vec<_> = change
        .iter()
        .take(ROWS)
        .map(|(name, objects, bytes)| {
            let name = short_type(name).to_owned();
            vec![units::signed_count(*objects), units::signed_bytes(*bytes), name]
        })
        .collect();
    html! {
        @if !rows.is_empty() {
            h2 { "Types, from the first census to the last" }
            (table(&["#objects", "#bytes", "type"], &rows))
        }
    }
}

fn events(recording: &Recording) -> Markup {
    let rows: Vec<_> = recording
        .events
        .iter()
        .map(|event| {
            let at = units::seconds(event.seconds);
            vec![at, event.kind.word().to_owned(), event.text.clone()]
        })
        .collect();
    html! {
        @if !rows.is_empty() {
            h2 { "What happened" }
            (table(&["#at", "what", ""], &rows))
        }
    }
}
