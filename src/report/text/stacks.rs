//! What every thread was doing: one screen that says who waits for whom.

use std::io::{self, Write};

use crate::analysis::lookup;
use crate::facts::{Facts, FrameFacts, ThreadFacts};
use crate::graph::HeapGraph;
use crate::report::{Layout, short_type};

/// The most frames of a thread that people read, unless they ask for more.
const MOST_FRAMES: usize = 12;

/// How much is told of each thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Detail {
    /// Frames.
    Frames,
    /// Frames and their local variables.
    Locals,
}

/// Writes the summary, the circles, and each thread.
///
/// # Errors
/// Those of the writer.
pub fn write(
    out: &mut dyn Write,
    facts: &Facts,
    graph: &HeapGraph,
    detail: Detail,
    layout: &Layout,
) -> io::Result<()> {
    super::histogram::header(out, facts, layout)?;
    writeln!(out, "{}\n", layout.style.bold(&summary(facts)))?;
    for circle in &facts.deadlocks {
        deadlock(out, facts, circle, layout)?;
    }
    let frames = if layout.full_names { usize::MAX } else { MOST_FRAMES };
    for thread in facts.threads.iter().take(layout.limit) {
        one(out, facts, graph, thread, frames, detail, layout)?;
    }
    let more = facts.threads.len().saturating_sub(layout.limit);
    if more > 0 {
        writeln!(out, "… and {more} threads more (-n {} shows all)", facts.threads.len())?;
    }
    Ok(())
}

/// All in one line: how many threads, and what they have in common.
#[must_use]
pub fn summary(facts: &Facts) -> String {
    let threads = facts.threads.len();
    let all = match threads {
        1 => "1 thread".to_owned(),
        _ => format!("{threads} threads"),
    };
    let locked: usize = facts.deadlocks.iter().map(Vec::len).sum();
    if locked > 0 {
        let behind = facts.threads.iter().filter(|thread| {
            let holder = thread.waiting_for.as_ref().and_then(|wait| wait.held_by);
            let is_in = |id: u64| facts.deadlocks.iter().any(|circle| circle.contains(&id));
            !is_in(thread.thread_id) && holder.is_some_and(is_in)
        });
        return match behind.count() {
            0 => format!("{all}: DEADLOCK, {locked} wait for each other"),
            behind => format!("{all}: DEADLOCK, {locked} wait for each other, {behind} for these"),
        };
    }
    let waits = facts.threads.iter().filter_map(|thread| thread.waiting_for.as_ref());
    let gil = waits.clone().filter(|wait| wait.kind == "gil").count();
    let waiting = waits.count();
    let holder = facts.threads.iter().find(|thread| thread.holds_gil);
    let gil_holder = match holder {
        Some(thread) => format!("{} holds the GIL", quoted(thread)),
        None => "the GIL is free".to_owned(),
    };
    match (waiting, gil) {
        (0, _) => format!("{all}, none waits; {gil_holder}"),
        (waiting, 0) if waiting == threads => format!("{all}, all waiting; {gil_holder}"),
        (waiting, 0) => format!("{all}, {waiting} waiting; {gil_holder}"),
        (waiting, gil) => {
            format!("{all}, {waiting} waiting, {gil} of them for the GIL; {gil_holder}")
        }
    }
}

fn quoted(thread: &ThreadFacts) -> String {
    format!("{:?}", thread.name)
}

fn name_of(facts: &Facts, thread_id: u64) -> String {
    let thread = facts.threads.iter().find(|thread| thread.thread_id == thread_id);
    thread.map_or_else(|| format!("thread {thread_id}"), quoted)
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

/// Whether a frame is of code that is not the standard library's locking.
fn is_own(frame: &FrameFacts) -> bool {
    let file = frame.file.rsplit('/').next().unwrap_or(&frame.file);
    !matches!(file, "threading.py" | "queue.py" | "_base.py") && !frame.file.starts_with('<')
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
    detail: Detail,
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
        let holder = match (wait.held_by, wait.kind.as_str()) {
            (Some(_), "join") => String::new(),
            (Some(id), _) => format!(", held by {}", name_of(facts, id)),
            (None, "lock") => ", holder unknown".to_owned(),
            (None, _) => String::new(),
        };
        writeln!(out, "  waits for {}{at}{holder}", clean(&wait.description))?;
    }
    for frame in thread.frames.iter().take(most) {
        let line = frame.line.map_or_else(|| "?".to_owned(), |line| line.to_string());
        writeln!(out, "    {}", clean(&format!("{}  {}:{line}", frame.function, frame.file)))?;
        if detail == Detail::Locals {
            locals(out, graph, frame)?;
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

/// The local variables of a frame: what they are, and their contents where these were asked for.
fn locals(out: &mut dyn Write, graph: &HeapGraph, frame: &FrameFacts) -> io::Result<()> {
    for local in &frame.locals {
        let Ok(object) = lookup::find_object(graph, &local.address) else { continue };
        let name = short_type(graph.type_name_of(object));
        let value = graph.values.get(&object).map(|&text| graph.strings.text(text));
        let value = value.map(|value| format!(" = {value}")).unwrap_or_default();
        writeln!(out, "      {}", clean(&format!("{}: {name}{value}", local.name)))?;
    }
    Ok(())
}
