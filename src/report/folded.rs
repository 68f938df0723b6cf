//! Folded stacks: a line for each stack, `frame;frame;frame bytes`, as FlameGraph, inferno and speedscope
//! read them.

use std::io::{self, Write};

use super::profile::{Frame, Profile, Stack};

/// Writes all stacks in which bytes end.
///
/// # Errors
/// Those of the writer.
pub fn write(out: &mut dyn Write, profile: &Profile) -> io::Result<()> {
    for stack in profile.samples().filter(|stack| stack.bytes > 0) {
        writeln!(out, "{}", line(profile, stack))?;
    }
    Ok(())
}

/// The line of a stack.
pub(super) fn line(profile: &Profile, stack: &Stack) -> String {
    let frames: Vec<u32> = profile.frames_of(stack).collect();
    let mut line = String::new();
    for (nth, &frame) in frames.iter().rev().enumerate() {
        if nth > 0 {
            line.push(';');
        }
        if let Some(frame) = profile.frames.get(frame as usize) {
            line.push_str(&name(frame));
        }
    }
    line.push_str(&format!(" {}", stack.bytes));
    line
}

/// A frame as one word of a folded stack: what separates words and stacks may not be in it.
fn name(frame: &Frame) -> String {
    let Frame { name, file, line } = frame;
    let name = if file.is_empty() { name.clone() } else { format!("{name} ({file}:{line})") };
    name.replace(';', ":").replace(char::is_control, "\u{fffd}")
}
