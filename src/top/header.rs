//! What is told of the process above the table.

use std::time::Duration;

use super::line::{Line, Role};
use super::rows::{Row, Sort, difference};
use super::size::{Header, Size};
use super::state::{Data, State};
use super::words::{age, ago, bytes_change, shortened};
use crate::facts::GenerationFacts;
use crate::report::table::middle;
use crate::report::{short_type, units};

/// The time over which it is told how fast memory grows.
const TREND: Duration = Duration::from_secs(60);
/// A trend of a shorter time is none.
const LEAST_TREND: Duration = Duration::from_secs(5);

/// The lines of the header; those beside a curve are to have room in the columns that it leaves.
pub(super) fn lines(state: &State, size: Size, beside_curve: usize) -> Vec<Line> {
    let data = state.data();
    let all = usize::from(size.width);
    match size.header() {
        Header::Line => vec![small(state).fit(all)],
        Header::Short => vec![small(state).fit(all), counted(state).fit(all)],
        Header::Medium => vec![
            title(state).fit(all),
            memory(data).fit(beside_curve),
            objects(data).fit(beside_curve),
            garbage(data).fit(all),
            counted(state).fit(all),
        ],
        Header::Full => vec![
            title(state).fit(all),
            memory(data).fit(beside_curve),
            trend(data).fit(beside_curve),
            objects(data).fit(beside_curve),
            grown(data, beside_curve).fit(beside_curve),
            garbage(data).fit(all),
            collector(data).fit(all),
            counted(state).fit(all),
        ],
    }
}

/// The word that a line begins with.
fn begin(word: &str) -> Line {
    Line::default().with(9, Role::Quiet, format!("{word:<7}"))
}

fn title(state: &State) -> Line {
    let who = &state.who;
    let uptime = who.uptime.map(|uptime| format!("up {}", age(uptime + state.data().now)));
    let held = if state.is_held() { "VIEW HELD (the process runs)" } else { "" };
    Line::default()
        .with(0, Role::Strong, format!("pid {}", who.pid))
        .with(0, Role::Bad, held)
        .with(1, Role::Plain, shortened(&who.command, usize::from(state.size.width) / 2))
        .with(3, Role::Plain, who.python.clone())
        .with(2, Role::Plain, uptime.unwrap_or_default())
}

/// All in one line.
fn small(state: &State) -> Line {
    let data = state.data();
    let rss = data.reading.as_ref().map_or(0, |reading| reading.sample.rss_bytes);
    let held = if state.is_held() { "HELD" } else { "" };
    Line::default()
        .with(2, Role::Quiet, format!("pid {}", state.who.pid))
        .with(0, Role::Strong, format!("RSS {}", units::bytes(rss)))
        .with(1, Role::Bad, held)
        .with(1, Role::Plain, since_start(data).map(units::signed_bytes).unwrap_or_default())
}

/// How much memory grew since the view began, in bytes.
fn since_start(data: &Data) -> Option<i64> {
    let first = data.memory.points().first()?.rss_bytes;
    Some(difference(first, data.reading.as_ref()?.sample.rss_bytes))
}

fn memory(data: &Data) -> Line {
    let Some(reading) = &data.reading else { return begin("RSS") };
    let sample = reading.sample;
    let grown = since_start(data).unwrap_or(0);
    let swap = match sample.swap_bytes {
        0 => String::new(),
        bytes => format!("{} in swap", units::bytes(bytes)),
    };
    let change = format!("{} in {}", units::signed_bytes(grown), age(data.now));
    begin("RSS")
        .with(0, Role::Strong, units::bytes(sample.rss_bytes))
        .with(1, Role::Plain, change)
        .with(2, Role::Quiet, format!("peak {}", units::bytes(data.peak_rss_bytes)))
        .with(1, Role::Bad, swap)
}

/// How fast memory grew of late.
fn trend(data: &Data) -> Line {
    let points = data.memory.points();
    let Some(last) = points.last() else { return begin("trend") };
    let from = last.seconds - TREND.as_secs_f64();
    let first = points.iter().find(|point| point.seconds >= from).unwrap_or(last);
    let seconds = last.seconds - first.seconds;
    if seconds < LEAST_TREND.as_secs_f64() {
        return begin("trend").with(1, Role::Quiet, "known in some seconds");
    }
    let grown = difference(first.rss_bytes, last.rss_bytes);
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
    let a_minute = (grown as f64 / seconds * 60.0) as i64;
    let over = age(Duration::try_from_secs_f64(seconds).unwrap_or_default());
    let cpu = data.cpu_share.map(|share| format!("cpu {:.0} %", share * 100.0));
    begin("trend")
        .with(0, Role::Plain, format!("{}/min over {over}", units::signed_bytes(a_minute)))
        .with(2, Role::Quiet, cpu.unwrap_or_default())
}

fn objects(data: &Data) -> Line {
    let Some(count) = &data.counts.latest else { return begin("objects") };
    let line = begin("objects").with(
        0,
        Role::Plain,
        format!("{} in {}", units::bytes(count.census.bytes()), units::count(count.census.objects)),
    );
    let Some(start) = data.counts.start() else { return line };
    let grown = difference(start.census.bytes(), count.census.bytes());
    line.with(1, Role::Plain, format!("{} since start", units::signed_bytes(grown)))
}

/// The type that grew most, in so many columns.
fn grown(data: &Data, width: usize) -> Line {
    let name = |row: &Row| middle(short_type(&row.name), width.saturating_sub(22).max(8));
    let rows = data.counts.rows("", Sort::Start, false);
    let grown = rows.first().and_then(|row| Some((row, row.since_start?)));
    match grown.filter(|(_, change)| change.bytes > 0) {
        Some((row, change)) => begin("grew")
            .with(0, Role::Bad, bytes_change(Some(change)))
            .with(0, Role::Bad, name(row))
            .with(1, Role::Plain, format!("{} objects", units::signed_count(change.objects))),
        None if data.counts.start().is_some() => begin("grew").with(0, Role::Quiet, "no type"),
        None => begin("grew").with(0, Role::Quiet, "known after the second count"),
    }
}

fn garbage(data: &Data) -> Line {
    let Some(count) = &data.counts.latest else { return begin("garbage") };
    let (objects, bytes) = count.garbage;
    let text = match objects {
        0 => "none waits".to_owned(),
        _ => format!("{} in {} objects", units::bytes(bytes), units::count(objects)),
    };
    // As much as the other reports call material.
    let role =
        if bytes > 0 && bytes >= count.census.bytes() / 50 { Role::Bad } else { Role::Plain };
    let waits = if objects > 0 { "waits for the collector" } else { "" };
    begin("garbage").with(0, role, text).with(2, Role::Quiet, waits)
}

fn collector(data: &Data) -> Line {
    let Some(reading) = &data.reading else { return begin("gc") };
    let each = |of: &dyn Fn(&GenerationFacts) -> String| {
        reading.generations.iter().map(of).collect::<Vec<_>>().join(" ")
    };
    let now = each(&|generation| format!("{}/{}", generation.count, generation.threshold));
    let runs = each(&|generation| units::signed_count(generation.collections).replace('+', ""));
    let enabled = data.counts.latest.as_ref().and_then(|count| count.gc_enabled);
    let off = if enabled == Some(false) { "OFF (gc.disable())" } else { "" };
    let threads = match reading.sample.threads {
        1 => "1 thread".to_owned(),
        threads => format!("{} threads", units::count(threads)),
    };
    begin("gc")
        .with(0, Role::Bad, off)
        .with(1, Role::Plain, now)
        .with(2, Role::Plain, format!("collected {runs} times"))
        .with(0, Role::Plain, threads)
}

/// How old the table is, and what it has cost.
fn counted(state: &State) -> Line {
    let data = state.data();
    let next = next(state);
    let Some(count) = &data.counts.latest else {
        return begin("counted").with(0, Role::Plain, "not yet").with(1, Role::Plain, next);
    };
    let pause = match count.mode.as_str() {
        "none" => "not paused".to_owned(),
        "frozen" => "it stood still".to_owned(),
        _ => format!("paused {}", units::seconds(count.census.pause_seconds)),
    };
    let share = match count.mode.as_str() {
        "none" | "frozen" => String::new(),
        _ => stopped_share(data),
    };
    let torn = count.torn_share.filter(|share| *share > 0.0);
    let torn = torn.map(|share| format!("{:.3} % of it torn", share * 100.0));
    let anomalies = match count.anomalies {
        0 => String::new(),
        anomalies => format!("{} anomalies", units::count(anomalies)),
    };
    begin("counted")
        .with(0, Role::Plain, ago(state.now().saturating_sub(count.at)))
        .with(1, Role::Plain, pause)
        .with(3, Role::Plain, share)
        .with(1, Role::Bad, torn.unwrap_or_default())
        .with(1, Role::Bad, anomalies)
        .with(2, Role::Quiet, next)
}

/// For which part of the time the process was paused.
fn stopped_share(data: &Data) -> String {
    if data.now < LEAST_TREND {
        return String::new();
    }
    let share = data.stopped.as_secs_f64() / data.now.as_secs_f64();
    format!("{:.2} % of the time", share * 100.0)
}

/// When it is counted again.
fn next(state: &State) -> String {
    if state.end.is_some() {
        return "not again".to_owned();
    }
    if let Some(since) = state.counting {
        return match state.now().saturating_sub(since).as_secs() {
            0 => "counting".to_owned(),
            seconds => format!("counting for {seconds} s"),
        };
    }
    if state.is_held() {
        return "not while the view is held".to_owned();
    }
    match state.due_in().as_secs() {
        0 => "next now".to_owned(),
        _ => format!("next in {}", age(state.due_in())),
    }
}
