//! What every thread was doing: one screen that says who waits for whom.

use std::io::{self, Write};

use crate::analysis::{Dominators, lookup};
use crate::facts::{Facts, FrameFacts, NativeFacts, ThreadFacts, WaitFacts};
use crate::graph::HeapGraph;
use crate::report::{Layout, short_type, units};

use super::hang::summary;
use super::tasks;

/// The most frames of a thread that people read, unless they ask for more.
const MOST_FRAMES: usize = 12;

/// How much is told of each thread.
#[derive(Clone, Copy, Debug)]
pub enum Detail<'a> {
    /// Frames.
    Frames,
    /// Frames and their local variables, with what would be freed with each.
    Locals(&'a Dominators),
}

/// Writes the summary, the circles, and each thread.
///
/// # Errors
/// Those of the writer.
pub fn write(
    out: &mut dyn Write,
    facts: &Facts,
    graph: &HeapGraph,
    detail: Detail<'_>,
    layout: &Layout,
) -> io::Result<()> {
    super::histogram::header(out, facts, layout)?;
    writeln!(out, "{}\n", layout.style.bold(&clean(&summary(facts))))?;
    for circle in &facts.deadlocks {
        deadlock(out, facts, circle, layout)?;
    }
    tasks::deadlocks(out, &facts.asynchronous, layout)?;
    tasks::overview(out, facts, layout)?;
    let frames = if layout.full_names { usize::MAX } else { MOST_FRAMES };
    for thread in facts.threads.iter().take(layout.limit) {
        one(out, facts, graph, thread, frames, detail, layout)?;
    }
    let more = facts.threads.len().saturating_sub(layout.limit);
    if more > 0 {
        writeln!(out, "… and {more} threads more (-n {} shows all)\n", facts.threads.len())?;
    }
    tasks::write(out, &facts.asynchronous, layout)
}

fn quoted(thread: &ThreadFacts) -> String {
    format!("{:?}", thread.name)
}

/// The name of a thread, in quotes.
pub(super) fn name_of(facts: &Facts, thread_id: u64) -> String {
    let thread = facts.threads.iter().find(|thread| thread.thread_id == thread_id);
    thread.map_or_else(|| format!("thread {thread_id}"), quoted)
}

/// Who could end a wait, as the end of a sentence.
pub(super) fn holder(facts: &Facts, wait: &WaitFacts) -> String {
    let is_lock = matches!(wait.kind.as_str(), "lock" | "rlock");
    let is_there = |id: u64| facts.threads.iter().any(|thread| thread.thread_id == id);
    match wait.held_by {
        Some(id) if is_there(id) => format!(", held by {}", name_of(facts, id)),
        Some(_) if is_lock => ", held by a thread that is gone".to_owned(),
        None if is_lock && facts.threads.len() == 1 => {
            "; no thread is left that could release it (one that held it is gone: ended, or not \
             forked)"
                .to_owned()
        }
        None if is_lock => ", whose holder is unknown".to_owned(),
        _ => String::new(),
    }
}

/// A circle of threads, each line one that waits for the next.
fn deadlock(out: &mut dyn Write, facts: &Facts, circle: &[u64], layout: &Layout) -> io::Result<()> {
    writeln!(out, "{}", layout.style.bold("DEADLOCK"))?;
    for id in circle {
        let Some(thread) = facts.threads.iter().find(|thread| thread.thread_id == *id) else {
            continue;
        };
        let Some(wait) = &thread.waiting_for else { continue };
        let holder = wait.held_by.map(|id| name_of(facts, id)).unwrap_or_default();
        let at = thread.frames.iter().find(|frame| is_own(frame)).or(thread.frames.first());
        let at = at.map(place).unwrap_or_default();
        writeln!(
            out,
            "  {} waits for {}, which {holder} {}{at}",
            quoted(thread),
            clean(&wait.description),
            if wait.kind == "join" { "is" } else { "holds" },
        )?;
    }
    writeln!(out)
}

/// The last part of a file's path.
pub(super) fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Whether a frame is of code that is not the standard library's locking.
pub(super) fn is_own(frame: &FrameFacts) -> bool {
    let file = file_name(&frame.file);
    !matches!(file, "threading.py" | "queue.py" | "_base.py")
        && !frame.file.starts_with('<')
        && !frame.file.contains("/asyncio/")
}

fn place(frame: &FrameFacts) -> String {
    let line = frame.line.map(|line| format!(":{line}")).unwrap_or_default();
    clean(&format!("  at {}{line} in {}", frame.file, frame.function))
}

fn clean(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

/// One thread: its state in a line, then its frames.
fn one(
    out: &mut dyn Write,
    facts: &Facts,
    graph: &HeapGraph,
    thread: &ThreadFacts,
    most: usize,
    detail: Detail<'_>,
    layout: &Layout,
) -> io::Result<()> {
    let gil = if thread.holds_gil { ", holds the GIL" } else { "" };
    let title = format!("{}  thread {}", quoted(thread), thread.os_thread_id);
    let interpreter = match thread.interpreter {
        0 => String::new(),
        id => format!("  interpreter {id}"),
    };
    let kernel = match (&thread.wchan, thread.state.as_str()) {
        (Some(wchan), "uninterruptible") => format!(" in {wchan}"),
        _ => String::new(),
    };
    let title = layout.style.bold(&title);
    writeln!(out, "{title}{interpreter}  {}{kernel}{gil}", thread.state)?;
    if let Some(wait) = &thread.waiting_for {
        let at = wait.object.as_ref().map(|at| format!(" at {at}")).unwrap_or_default();
        let holder = if wait.kind == "join" { String::new() } else { holder(facts, wait) };
        writeln!(out, "  waits for {}{at}{holder}", clean(&wait.description))?;
    }
    // Of one that waits it is always the same: the entry to the kernel.
    let is_told = thread.state == "running" || thread.holds_gil;
    if let Some(native) = thread.native.as_ref().filter(|_| is_told) {
        writeln!(out, "    {}", clean(&self::native(native)))?;
    }
    for frame in thread.frames.iter().take(most) {
        let line = frame.line.map_or_else(|| "?".to_owned(), |line| line.to_string());
        writeln!(out, "    {}", clean(&format!("{}  {}:{line}", frame.function, frame.file)))?;
        if let Detail::Locals(dominators) = detail {
            locals(out, graph, dominators, frame)?;
        }
    }
    let more = thread.frames.len().saturating_sub(most) as u64 + thread.omitted_frames;
    if more > 0 {
        writeln!(out, "    … {more} frames more")?;
    }
    if thread.frames.is_empty() {
        writeln!(out, "    no Python frame")?;
    }
    writeln!(out)
}

/// `C code: sre_ucs1_match in python3.11`.
fn native(native: &NativeFacts) -> String {
    let symbol = native.symbol.as_deref().unwrap_or("a function without a name");
    format!("C code: {symbol} in {}", file_name(&native.library))
}

/// The local variables of a frame: what they are, and their contents where these were asked for.
fn locals(
    out: &mut dyn Write,
    graph: &HeapGraph,
    dominators: &Dominators,
    frame: &FrameFacts,
) -> io::Result<()> {
    for local in &frame.locals {
        let Ok(object) = lookup::find_object(graph, &local.address) else { continue };
        let name = short_type(graph.type_name_of(object));
        let value = graph.values.get(&object).map(|&text| graph.strings.text(text));
        let value = value.map(|value| format!(" = {value}")).unwrap_or_default();
        let retained = units::bytes(dominators.retained_bytes(object));
        let text = format!("{}: {name}, retains {retained}{value}", local.name);
        writeln!(out, "      {}", clean(&text))?;
    }
    Ok(())
}
