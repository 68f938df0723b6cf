//! A small plot of memory over time, for a terminal.

use std::io::{self, Write};

use textplots::{Chart, Plot, Shape};

use crate::recording::Recording;

/// The most columns of the plot; a terminal of 80 has room for it and its labels.
const COLUMNS: u32 = 60;
/// Its rows.
const ROWS: u32 = 8;
/// A character shows two points across and four down.
const ACROSS: u32 = 2;
const DOWN: u32 = 4;

/// RSS over time in mebibytes.
///
/// # Errors
/// Those of the writer.
pub fn write(out: &mut dyn Write, recording: &Recording) -> io::Result<()> {
    let points = recording.samples.points();
    let curve: Vec<(f32, f32)> =
        points.iter().map(|sample| (real(sample.seconds), mebibytes(sample.rss_bytes))).collect();
    let (Some(first), Some(last)) = (curve.first(), curve.last()) else { return Ok(()) };
    if last.0 <= first.0 {
        return Ok(());
    }
    let top = mebibytes(recording.head.peak_rss_bytes);
    let mut text = String::new();
    {
        let mut chart = Chart::new_with_y_range(
            COLUMNS * ACROSS,
            ROWS * DOWN,
            first.0,
            last.0,
            0.0,
            top.max(1.0),
        );
        let shape = Shape::Lines(&curve);
        let chart = chart.lineplot(&shape);
        chart.axis();
        chart.figures();
        text.push_str(&chart.to_string());
    }
    for line in text.lines() {
        writeln!(out, "{}", line.trim_end())?;
    }
    writeln!(out, "RSS in MiB over seconds\n")
}

#[allow(clippy::cast_possible_truncation)]
const fn real(seconds: f64) -> f32 {
    seconds as f32
}

#[allow(clippy::cast_precision_loss)]
const fn mebibytes(bytes: u64) -> f32 {
    bytes as f32 / 1_048_576.0
}
