//! `record`, when it ends.

use std::path::Path;

use serde::Serialize;

use crate::facts::{InterpreterFacts, ProcessFacts};
use crate::recording::{Census, GrownLine, Recording};

/// A recording.
#[derive(Debug, Serialize)]
pub struct RecordJson<'a> {
    process: &'a ProcessFacts,
    interpreter: &'a InterpreterFacts,
    started_at: f64,
    finished: bool,
    seconds: f64,
    samples: u64,
    counter_samples: u64,
    running_samples: u64,
    rss: RssJson,
    growth: Vec<LineJson>,
    growth_bytes: u64,
    attributed_share: f64,
    sure_share: f64,
    peak_growth: Vec<LineJson>,
    peak_growth_bytes: u64,
    censuses: Vec<CensusJson>,
    types: Vec<ChangeJson>,
    peak_types: Vec<TypeJson<'a>>,
    events: Vec<EventJson<'a>>,
    overhead_share: f64,
    overhead: OverheadJson,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<String>,
}

#[derive(Debug, Serialize)]
struct RssJson {
    first: u64,
    last: u64,
    peak: u64,
    peak_at: f64,
}

#[derive(Debug, Serialize)]
struct LineJson {
    file: String,
    line: u32,
    function: String,
    bytes: u64,
    share: f64,
    seen_bytes: u64,
    sure_bytes: u64,
    samples: u64,
}

#[derive(Debug, Serialize)]
struct CensusJson {
    seconds: f64,
    pause_seconds: f64,
    objects: u64,
    shallow_bytes: u64,
    buffer_bytes: u64,
}

#[derive(Debug, Serialize)]
struct ChangeJson {
    #[serde(rename = "type")]
    type_name: String,
    objects_delta: i64,
    bytes_delta: i64,
}

#[derive(Debug, Serialize)]
struct TypeJson<'a> {
    #[serde(rename = "type")]
    type_name: &'a str,
    objects: u64,
    shallow_bytes: u64,
    buffer_bytes: u64,
}

#[derive(Debug, Serialize)]
struct EventJson<'a> {
    seconds: f64,
    event: &'static str,
    text: &'a str,
}

#[derive(Debug, Serialize)]
struct OverheadJson {
    stopped_seconds: f64,
    own_cpu_seconds: f64,
}

#[allow(clippy::cast_precision_loss)]
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// The lines by one of their sums, most first; those without any are left out.
fn rows(lines: &[GrownLine], of: impl Fn(&GrownLine) -> u64, all: u64) -> Vec<LineJson> {
    let mut lines: Vec<&GrownLine> = lines.iter().filter(|line| of(line) > 0).collect();
    lines.sort_by_key(|line| std::cmp::Reverse(of(line)));
    let row = |line: &GrownLine| LineJson {
        file: line.frame.file.clone(),
        line: line.frame.line,
        function: line.frame.function.clone(),
        bytes: of(line),
        share: share(of(line), all),
        seen_bytes: line.seen_bytes,
        sure_bytes: line.sure_bytes,
        samples: line.samples,
    };
    lines.into_iter().map(row).collect()
}

fn types(census: &Census) -> Vec<TypeJson<'_>> {
    census
        .types
        .iter()
        .map(|row| TypeJson {
            type_name: &row.name,
            objects: row.objects,
            shallow_bytes: row.shallow_bytes,
            buffer_bytes: row.buffer_bytes,
        })
        .collect()
}

impl<'a> RecordJson<'a> {
    /// The document of a recording; `output` is its file.
    #[must_use]
    pub fn new(recording: &'a Recording, output: Option<&Path>) -> Self {
        let head = &recording.head;
        let points = recording.samples.points();
        let lines = recording.growth.lines();
        let sure = lines.lines.iter().map(|line| line.sure_bytes).fold(0, u64::saturating_add);
        let censuses = recording.censuses.all().iter().map(|census| CensusJson {
            seconds: census.seconds,
            pause_seconds: census.pause_seconds,
            objects: census.objects,
            shallow_bytes: census.shallow_bytes,
            buffer_bytes: census.buffer_bytes,
        });
        let change = recording.censuses.change().into_iter();
        let peak = recording.censuses.nearest(head.peak_at);
        Self {
            process: &head.process,
            interpreter: &head.interpreter,
            started_at: head.started_at,
            finished: head.finished,
            seconds: head.seconds,
            samples: head.stack_samples.max(head.samples),
            counter_samples: head.samples,
            running_samples: head.running_samples,
            rss: RssJson {
                first: points.first().map_or(0, |sample| sample.rss_bytes),
                last: points.last().map_or(0, |sample| sample.rss_bytes),
                peak: head.peak_rss_bytes,
                peak_at: head.peak_at,
            },
            growth: rows(&lines.lines, |line| line.bytes, lines.bytes),
            growth_bytes: lines.bytes,
            attributed_share: share(lines.attributed_bytes, lines.bytes),
            sure_share: share(sure, lines.bytes),
            peak_growth: rows(&lines.lines, |line| line.peak_bytes, lines.peak_bytes),
            peak_growth_bytes: lines.peak_bytes,
            censuses: censuses.collect(),
            types: change
                .map(|(name, objects_delta, bytes_delta)| ChangeJson {
                    type_name: name.to_string(),
                    objects_delta,
                    bytes_delta,
                })
                .collect(),
            peak_types: peak.map(types).unwrap_or_default(),
            events: recording
                .events
                .iter()
                .map(|event| EventJson {
                    seconds: event.seconds,
                    event: event.kind.word(),
                    text: &event.text,
                })
                .collect(),
            overhead_share: recording.overhead_share(),
            overhead: OverheadJson {
                stopped_seconds: head.stopped_seconds,
                own_cpu_seconds: head.own_cpu_seconds,
            },
            output: output.map(|path| path.display().to_string()),
        }
    }
}
