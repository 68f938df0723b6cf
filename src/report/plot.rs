//! Plots of a recording as SVG, drawn by plotters.

use std::fmt::Display;
use std::io;

use plotters::coord::Shift;
use plotters::prelude::{
    AreaSeries, ChartBuilder, DrawingArea, IntoDrawingArea, LineSeries, Palette, Palette99,
    PathElement, RGBColor, Rectangle, SVGBackend, WHITE,
};
use plotters::style::Color;
use serde::Serialize;

use crate::recording::Recording;
use crate::report::{short_type, units};

/// The size of a picture, in pixels.
const SIZE: (u32, u32) = (1200, 800);
/// The most types that are told apart.
const TYPES: usize = 9;

const BLUE: RGBColor = RGBColor(31, 119, 180);
const GREEN: RGBColor = RGBColor(44, 160, 44);
const RED: RGBColor = RGBColor(214, 39, 40);
const GREY: RGBColor = RGBColor(127, 127, 127);

/// A type over all censuses.
#[derive(Debug, Clone, Serialize)]
pub struct Stack {
    /// Its name.
    pub name: String,
    /// Its bytes in each census.
    pub bytes: Vec<u64>,
}

/// The types with the most bytes over time, and all others as one, and when the censuses were.
#[must_use]
pub fn stacked_types(recording: &Recording) -> (Vec<f64>, Vec<Stack>) {
    let censuses = recording.censuses.all();
    let mut highest: std::collections::BTreeMap<&str, u64> = std::collections::BTreeMap::new();
    for row in censuses.iter().flat_map(|census| &census.types) {
        let most = highest.entry(&row.name).or_default();
        *most = row.bytes().max(*most);
    }
    let mut names: Vec<(&str, u64)> = highest.into_iter().collect();
    names.sort_by_key(|&(_, bytes)| std::cmp::Reverse(bytes));
    names.truncate(TYPES);
    let mut stacks: Vec<Stack> = names
        .iter()
        .map(|&(name, _)| {
            let of = |census: &crate::recording::Census| {
                let row = census.types.iter().find(|row| &*row.name == name);
                row.map_or(0, crate::recording::TypeCount::bytes)
            };
            let name = short_type(name).to_owned();
            Stack { name, bytes: censuses.iter().map(of).collect() }
        })
        .collect();
    let others = censuses.iter().enumerate().map(|(nth, census)| {
        let shown = stacks.iter().filter_map(|stack| stack.bytes.get(nth));
        census.bytes().saturating_sub(shown.fold(0, |sum, bytes| bytes.saturating_add(sum)))
    });
    let others: Vec<u64> = others.collect();
    if others.iter().any(|&bytes| bytes > 0) {
        stacks.push(Stack { name: "all others".to_owned(), bytes: others });
    }
    (censuses.iter().map(|census| census.seconds).collect(), stacks)
}

/// Memory over time with collections, censuses and the peak, and below it the types by bytes.
///
/// # Errors
/// The picture cannot be drawn.
pub fn svg(recording: &Recording) -> io::Result<String> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        root.fill(&WHITE).map_err(failed)?;
        let (upper, lower) = match recording.censuses.all().len() {
            0 | 1 => (root.clone(), None),
            _ => {
                let (upper, lower) = root.split_vertically(SIZE.1 / 2);
                (upper, Some(lower))
            }
        };
        memory(recording, &upper)?;
        if let Some(lower) = lower {
            types(recording, &lower)?;
        }
        root.present().map_err(failed)?;
    }
    Ok(svg)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn failed(error: impl Display) -> io::Error {
    io::Error::other(error.to_string())
}

#[allow(clippy::cast_precision_loss)]
const fn float(number: u64) -> f64 {
    number as f64
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn label(bytes: &f64) -> String {
    units::bytes(bytes.max(0.0) as u64)
}

fn memory(recording: &Recording, area: &Area<'_>) -> io::Result<()> {
    let head = &recording.head;
    let points = recording.samples.points();
    let end = head.seconds.max(0.1);
    let top = float(head.peak_rss_bytes.max(1)) * 1.08;
    let title = format!("process {}: memory", head.process.pid);
    let mut chart = axes(area, &title, end, top)?;
    let upright = |at: f64, color: RGBColor, strength: f64| {
        PathElement::new(vec![(at, 0.0), (at, top)], color.mix(strength).stroke_width(1))
    };
    let full = recording.collectors.values().flat_map(|series| {
        let pairs = series.points().iter().zip(series.points().iter().skip(1));
        pairs.filter(|(before, after)| after.collections[2] > before.collections[2])
    });
    let full = full.map(|(_, after)| upright(float(after.millis) / 1000.0, GREY, 0.3));
    let short = |x: i32, y: i32, color: RGBColor| {
        PathElement::new(vec![(x, y), (x + 18, y)], color.stroke_width(2))
    };
    chart
        .draw_series(full)
        .map_err(failed)?
        .label("full collection")
        .legend(move |(x, y)| short(x, y, GREY));
    let censuses = recording.censuses.all().iter();
    chart
        .draw_series(censuses.map(|census| upright(census.seconds, BLUE, 0.4)))
        .map_err(failed)?
        .label("census")
        .legend(move |(x, y)| PathElement::new(vec![(x + 9, y - 5), (x + 9, y + 5)], BLUE));
    chart
        .draw_series([upright(head.peak_at, RED, 1.0)])
        .map_err(failed)?
        .label(format!("peak {}", units::bytes(head.peak_rss_bytes)))
        .legend(move |(x, y)| PathElement::new(vec![(x + 9, y - 5), (x + 9, y + 5)], RED));
    for (name, color, of) in [
        ("private", GREEN, (|sample| sample.private_bytes) as fn(&crate::recording::Sample) -> u64),
        ("RSS", BLUE, |sample| sample.rss_bytes),
    ] {
        let curve = points.iter().map(|sample| (sample.seconds, float(of(sample))));
        chart
            .draw_series(LineSeries::new(curve, color.stroke_width(2)))
            .map_err(failed)?
            .label(name)
            .legend(move |(x, y)| short(x, y, color));
    }
    legend(&mut chart)
}

fn types(recording: &Recording, area: &Area<'_>) -> io::Result<()> {
    let (at, stacks) = stacked_types(recording);
    let all = recording.censuses.all().iter().map(crate::recording::Census::bytes);
    let top = float(all.max().unwrap_or(1).max(1)) * 1.08;
    let end = recording.head.seconds.max(0.1);
    let mut chart = axes(area, "types by bytes", end, top)?;
    // Each area is drawn over the one before, which reaches above it by its own type.
    let mut sums: Vec<u64> = vec![0; at.len()];
    for stack in &stacks {
        for (sum, bytes) in sums.iter_mut().zip(&stack.bytes) {
            *sum = sum.saturating_add(*bytes);
        }
    }
    for (nth, stack) in stacks.iter().enumerate() {
        let color = Palette99::pick(nth).to_rgba();
        let curve = at.iter().copied().zip(sums.iter().map(|&sum| float(sum)));
        chart
            .draw_series(AreaSeries::new(curve, 0.0, color.filled()))
            .map_err(failed)?
            .label(stack.name.clone())
            .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 18, y + 5)], color.filled()));
        for (sum, bytes) in sums.iter_mut().zip(&stack.bytes) {
            *sum = sum.saturating_sub(*bytes);
        }
    }
    legend(&mut chart)
}

type Chart<'a, 'b> = plotters::chart::ChartContext<
    'a,
    SVGBackend<'b>,
    plotters::prelude::Cartesian2d<
        plotters::coord::types::RangedCoordf64,
        plotters::coord::types::RangedCoordf64,
    >,
>;

/// Axes of time and bytes.
fn axes<'a, 'b: 'a>(area: &Area<'b>, title: &str, end: f64, top: f64) -> io::Result<Chart<'a, 'b>> {
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 18))
        .margin(10)
        .x_label_area_size(28)
        .y_label_area_size(90)
        .build_cartesian_2d(0.0..end, 0.0..top)
        .map_err(failed)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_label_formatter(&|seconds| units::seconds(*seconds))
        .y_label_formatter(&label)
        .draw()
        .map_err(failed)?;
    Ok(chart)
}

fn legend<'a, 'b: 'a>(chart: &mut Chart<'a, 'b>) -> io::Result<()> {
    chart
        .configure_series_labels()
        .position(plotters::chart::SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.85))
        .border_style(GREY)
        .draw()
        .map_err(failed)
}
