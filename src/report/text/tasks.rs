//! The tasks of asyncio as a tree of who waits for whom, event loops, and pools of threads.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::io::{self, Write};

use crate::facts::{AsyncFacts, Facts, FrameFacts, LoopFacts, PoolFacts, TaskFacts};
use crate::report::{Layout, units};

/// The most frames of a task that people read, unless they ask for more.
const MOST_FRAMES: usize = 6;
/// How far the tree is indented: deeper ones stay below each other.
const DEEPEST: usize = 8;

/// Pools of threads, the number of tasks, and their event loops: a line each.
///
/// # Errors
/// Those of the writer.
pub fn overview(out: &mut dyn Write, facts: &Facts, layout: &Layout) -> io::Result<()> {
    let told = &facts.asynchronous;
    if told.pools.is_empty() && told.tasks.is_empty() {
        return Ok(());
    }
    for pool in told.pools.iter().take(layout.limit) {
        writeln!(out, "{}", clean(&self::pool(pool)))?;
    }
    if !told.tasks.is_empty() {
        writeln!(out, "{}", count(told))?;
    }
    for event_loop in told.loops.iter().take(layout.limit) {
        writeln!(out, "{}", clean(&self::event_loop(facts, event_loop)))?;
    }
    writeln!(out)
}

/// The tree of tasks, and the exceptions that nobody has retrieved.
///
/// # Errors
/// Those of the writer.
pub fn write(out: &mut dyn Write, told: &AsyncFacts, layout: &Layout) -> io::Result<()> {
    if told.tasks.is_empty() {
        return Ok(());
    }
    let lost = || told.tasks.iter().filter(|task| is_lost(task));
    for task in lost().take(layout.limit) {
        writeln!(out, "{}", layout.style.red(&clean(&self::lost(task))))?;
    }
    if lost().next().is_some() {
        writeln!(out)?;
    }
    tree(out, told, layout)
}

/// `asyncio: 3 tasks, 1 running, 2 waiting; 10 are done`.
fn count(told: &AsyncFacts) -> String {
    let pending = told.tasks.iter().filter(|task| !is_lost(task)).count() as u64;
    let mut text = format!("asyncio: {}", tasks(pending + told.omitted_tasks));
    for state in ["running", "ready", "waiting"] {
        let many = told.tasks.iter().filter(|task| task.state == state).count() as u64;
        if many > 0 {
            let _ = write!(text, ", {} {state}", units::count(many));
        }
    }
    if told.omitted_tasks > 0 {
        let _ = write!(text, "; {} are left out", units::count(told.omitted_tasks));
    }
    if told.done_tasks > 0 {
        let _ = write!(text, "; {} done", units::count(told.done_tasks));
    }
    text
}

/// `1 task`, `1,234 tasks`.
fn tasks(many: u64) -> String {
    let s = if many == 1 { "" } else { "s" };
    format!("{} task{s}", units::count(many))
}

fn event_loop(facts: &Facts, event_loop: &LoopFacts) -> String {
    let thread = event_loop.thread_id.map(|id| super::stacks::name_of(facts, id));
    let place = match thread {
        Some(thread) => format!("in {thread}"),
        None => "in no thread".to_owned(),
    };
    let mut text = format!("event loop {} {place}: {}", event_loop.address, event_loop.state);
    if let Some(ready) = event_loop.ready.filter(|&ready| ready > 0) {
        let _ = write!(text, ", callbacks that wait for their turn: {}", units::count(ready));
    }
    if let Some(timers) = event_loop.scheduled.filter(|&timers| timers > 0) {
        let _ = write!(text, ", timers: {}", units::count(timers));
    }
    text
}

fn pool(pool: &PoolFacts) -> String {
    let started = pool.busy.len() + pool.idle.len();
    let name = if pool.name.is_empty() { &pool.address } else { &pool.name };
    let mut text = format!(
        "thread pool {name}: {} of {} threads busy, {} waiting for one",
        pool.busy.len(),
        pool.max_workers.max(started as u64),
        match pool.queued {
            0 => "nothing".to_owned(),
            queued => units::count(queued),
        }
    );
    if pool.is_shut_down {
        text.push_str(" (shut down)");
    }
    text
}

/// Whether a task is told for its exception alone.
fn is_lost(task: &TaskFacts) -> bool {
    task.exception.as_ref().is_some_and(|exception| !exception.retrieved)
}

fn lost(task: &TaskFacts) -> String {
    let exception = task.exception.clone().unwrap_or_default();
    let place = exception.raised_at.as_ref().map(|at| format!(", raised at {}", place(at)));
    format!(
        "{} failed with {} that nobody has retrieved{}",
        title(task),
        exception.type_name,
        place.unwrap_or_default()
    )
}

/// `Task-3 fetch`.
fn title(task: &TaskFacts) -> String {
    match &task.coroutine {
        Some(coroutine) => format!("{} {coroutine}", task.name),
        None => task.name.clone(),
    }
}

fn place(frame: &FrameFacts) -> String {
    let line = frame.line.map_or_else(|| "?".to_owned(), |line| line.to_string());
    format!("{}:{line} in {}", super::stacks::file_name(&frame.file), frame.function)
}

/// A row of the tree: tasks that do the same, below one that waits for them.
struct Row {
    depth: usize,
    tasks: Vec<usize>,
}

fn tree(out: &mut dyn Write, told: &AsyncFacts, layout: &Layout) -> io::Result<()> {
    let numbers: HashMap<&str, usize> =
        told.tasks.iter().enumerate().map(|(nth, task)| (task.address.as_str(), nth)).collect();
    let pending = |nth: &usize| told.tasks.get(*nth).is_some_and(|task| !is_lost(task));
    let all = || (0..told.tasks.len()).filter(pending);
    let is_top = |nth: &usize| told.tasks.get(*nth).is_some_and(|task| task.awaited_by.is_empty());
    let mut seen = HashSet::new();
    let mut shown = 0;
    let mut hidden = 0;
    // First what nobody waits for; what is left is waited for in circles.
    for start in [all().filter(is_top).collect::<Vec<_>>(), all().collect()] {
        let start: Vec<usize> = start.into_iter().filter(|nth| !seen.contains(nth)).collect();
        let mut todo: Vec<Row> = rows(told, start, 0);
        while let Some(row) = todo.pop() {
            let fresh: Vec<usize> =
                row.tasks.iter().copied().filter(|&nth| seen.insert(nth)).collect();
            let Some(task) = fresh.first().and_then(|&nth| told.tasks.get(nth)) else {
                let name = row.tasks.first().and_then(|&nth| told.tasks.get(nth)).map(title);
                if shown < layout.limit && row.depth > 0 {
                    let indent = "  ".repeat(row.depth.min(DEEPEST));
                    writeln!(out, "{indent}{} (see above)", clean(&name.unwrap_or_default()))?;
                }
                continue;
            };
            if shown < layout.limit {
                self::row(out, task, fresh.len(), row.depth, layout)?;
                shown += 1;
            } else {
                hidden += fresh.len();
            }
            let needed = task.waiting_for.iter().flat_map(|wait| &wait.tasks);
            let needed = needed.filter_map(|at| numbers.get(at.as_str()).copied()).collect();
            todo.extend(rows(told, needed, row.depth + 1));
        }
    }
    if hidden > 0 {
        let more = format!("… and {} more (-n shows more)", tasks(hidden as u64));
        writeln!(out, "{}", layout.style.dim(&more))?;
    }
    writeln!(out)
}

/// Tasks that do the same and wait for no other task are one row. In the order in which a stack gives
/// them: the last first.
fn rows(told: &AsyncFacts, tasks: Vec<usize>, depth: usize) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut by_place: HashMap<_, usize> = HashMap::new();
    for nth in tasks {
        let Some(task) = told.tasks.get(nth) else { continue };
        let needs = task.waiting_for.as_ref().is_some_and(|wait| !wait.tasks.is_empty());
        let lines: Vec<_> = task.frames.iter().map(|frame| (&frame.file, frame.line)).collect();
        let wait = task.waiting_for.as_ref().map(|wait| &wait.description);
        let key = (&task.coroutine, &task.state, wait, lines);
        match by_place.get(&key).filter(|_| !needs) {
            Some(&at) => {
                if let Some(row) = rows.get_mut(at) {
                    row.tasks.push(nth);
                }
            }
            None => {
                if !needs {
                    by_place.insert(key, rows.len());
                }
                rows.push(Row { depth, tasks: vec![nth] });
            }
        }
    }
    rows.reverse();
    rows
}

fn row(
    out: &mut dyn Write,
    task: &TaskFacts,
    many: usize,
    depth: usize,
    layout: &Layout,
) -> io::Result<()> {
    let indent = "  ".repeat(depth.min(DEEPEST));
    let mut text = title(task);
    if many > 1 {
        let _ = write!(text, " and {} that do the same", units::count(many as u64 - 1));
    }
    let what = match &task.waiting_for {
        Some(wait) => {
            let held = match (wait.kind.as_str(), wait.tasks.is_empty()) {
                ("lock" | "condition" | "semaphore", false) => ", held by the task below",
                _ => "",
            };
            format!("waits for {}{held}", wait.description)
        }
        None if task.state == "ready" => "waits for its turn".to_owned(),
        None => task.state.clone(),
    };
    let cancelling = if task.cancelling > 0 { ", being cancelled" } else { "" };
    let head = layout.style.bold(&clean(&text));
    writeln!(out, "{indent}{head}  {}{cancelling}", clean(&what))?;
    let most = if layout.full_names { usize::MAX } else { MOST_FRAMES };
    for frame in task.frames.iter().take(most) {
        let line = frame.line.map_or_else(|| "?".to_owned(), |line| line.to_string());
        let place = format!("{}  {}:{line}", frame.function, frame.file);
        writeln!(out, "{indent}    {}", clean(&place))?;
    }
    let more = task.frames.len().saturating_sub(most);
    if more > 0 {
        writeln!(out, "{indent}    … {more} frames more")?;
    }
    Ok(())
}

/// Circles of tasks, each line one that waits for the next.
///
/// # Errors
/// Those of the writer.
pub fn deadlocks(out: &mut dyn Write, told: &AsyncFacts, layout: &Layout) -> io::Result<()> {
    let find = |address: &String| told.tasks.iter().find(|task| task.address == *address);
    for circle in &told.task_deadlocks {
        writeln!(out, "{}", layout.style.bold("DEADLOCK OF TASKS"))?;
        let next = circle.iter().skip(1).chain(circle.first());
        for (task, next) in circle.iter().zip(next) {
            let (Some(task), Some(next)) = (find(task), find(next)) else { continue };
            let wait = task.waiting_for.clone().unwrap_or_default();
            let what = match wait.kind.as_str() {
                "task" => title(next),
                "lock" | "semaphore" | "condition" => {
                    format!("{}, which {} holds", wait.description, title(next))
                }
                _ => format!("{}, of which {} is one", wait.description, title(next)),
            };
            let own = task.frames.iter().find(|frame| super::stacks::is_own(frame));
            let at = own.or(task.frames.first()).map(|frame| format!("  at {}", place(frame)));
            let text = format!("  {} waits for {what}{}", title(task), at.unwrap_or_default());
            writeln!(out, "{}", clean(&text))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn clean(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}
