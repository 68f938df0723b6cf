//! Flame graphs, drawn by inferno.

use std::io;

use inferno::flamegraph::{self, Options};

use super::folded;
use super::profile::{Profile, Stack};
use crate::recording::Recording;

/// A frame with less than one part in so many of all bytes is too narrow to be drawn.
const PARTS: u64 = 2_000;

/// The most bytes of all stacks together: more than there can be. inferno adds up what a hostile target claims
/// without a check.
const MOST_BYTES: u64 = 1 << 62;

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
    let mut left = MOST_BYTES;
    let mut lines: Vec<String> = Vec::new();
    for stack in profile.samples().filter(|stack| stack.bytes > 0) {
        let bytes = stack.bytes.min(left);
        left -= bytes;
        lines.push(folded::line(&profile, &Stack { bytes, ..*stack }));
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::profile::Frame;

    #[test]
    fn sizes_that_cannot_be_are_drawn_and_do_not_overflow() {
        let frame = |name: &str| Frame { name: name.into(), ..Frame::default() };
        let stack = |parent, frame| Stack { parent, frame, objects: 1, bytes: u64::MAX };
        let profile = Profile {
            frames: vec![frame("module app"), frame(".huge bytearray")],
            stacks: vec![stack(None, 0), stack(Some(0), 1)],
            has_objects: true,
        };
        let mut svg = Vec::new();
        write(&mut svg, &profile, "A test").unwrap();
        assert!(String::from_utf8(svg).unwrap().contains("module app"));
    }
}
