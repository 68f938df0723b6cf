//! Flame graphs, drawn by inferno.

use std::io;

use inferno::flamegraph::{self, Options};

use super::folded;
use super::profile::Profile;
use crate::recording::Recording;

/// A frame with less than one part in so many of all bytes is too narrow to be drawn.
const PARTS: u64 = 2_000;

/// The flame graph of the stacks that made memory grow, as SVG; nothing if none did.
#[must_use]
pub fn growth(recording: &Recording, title: &str, at_peak: bool) -> Option<String> {
    let mut profile = Profile::of_growth(recording, at_peak);
    for frame in &mut profile.frames {
        let mut last = frame.file.rsplitn(3, '/');
        if let (Some(name), Some(folder)) = (last.next(), last.next()) {
            frame.file = format!("{folder}/{name}");
        }
    }
    let mut svg = Vec::new();
    write(&mut svg, &profile, title).ok()?;
    String::from_utf8(svg).ok()
}

/// Writes the flame graph of a profile as SVG. What is too narrow to be seen is not in the file.
///
/// # Errors
/// Those of the writer; and there must be something to draw.
pub fn write(out: &mut dyn io::Write, profile: &Profile, title: &str) -> io::Result<()> {
    let profile = profile.coarse(PARTS);
    let lines: Vec<String> = profile
        .samples()
        .filter(|stack| stack.bytes > 0)
        .map(|stack| folded::line(&profile, stack))
        .collect();
    if lines.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "nothing to draw"));
    }
    let mut options = Options::default();
    title.clone_into(&mut options.title);
    "bytes".clone_into(&mut options.count_name);
    let word = if profile.has_objects { "Object:" } else { "Line:" };
    word.clone_into(&mut options.name_type);
    options.deterministic = true;
    flamegraph::from_lines(&mut options, lines.iter().map(String::as_str), out)
}
