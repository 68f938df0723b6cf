//! Flame graphs of growth, drawn by inferno.

use inferno::flamegraph::{self, Options};

use crate::recording::{Frame, Recording};

/// The flame graph of the stacks that made memory grow, as SVG; nothing if none did.
#[must_use]
pub fn growth(recording: &Recording, title: &str, at_peak: bool) -> Option<String> {
    let rows = recording.growth.by_stack(at_peak);
    let lines: Vec<String> = rows
        .iter()
        .filter(|(frames, bytes)| *bytes > 0 && !frames.is_empty())
        .map(|(frames, bytes)| {
            let names: Vec<String> = frames.iter().map(|frame| name(frame)).collect();
            format!("{} {bytes}", names.join(";"))
        })
        .collect();
    if lines.is_empty() {
        return None;
    }
    let mut options = Options::default();
    title.clone_into(&mut options.title);
    "bytes".clone_into(&mut options.count_name);
    "Line:".clone_into(&mut options.name_type);
    options.deterministic = true;
    let mut svg = Vec::new();
    flamegraph::from_lines(&mut options, lines.iter().map(String::as_str), &mut svg).ok()?;
    String::from_utf8(svg).ok()
}

/// A frame as one word of a folded stack: what separates words and stacks may not be in it.
fn name(frame: &Frame) -> String {
    let Frame { file, line, function } = frame;
    let short = file.rsplit('/').take(2).collect::<Vec<_>>();
    let short = short.into_iter().rev().collect::<Vec<_>>().join("/");
    let name = format!("{function} ({short}:{line})");
    name.replace(';', ":").replace(char::is_control, "\u{fffd}")
}
