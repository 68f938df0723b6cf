//! What all threads and tasks have in common, in one sentence: the first that one reads of a hang.

use crate::facts::{Facts, FrameFacts, ThreadFacts, WaitFacts};
use crate::report::units;

/// All in one line: what stands in the way, then how many threads there are and who has the GIL.
#[must_use]
pub fn summary(facts: &Facts) -> String {
    let mut parts = obstacles(facts);
    parts.push(threads(facts));
    parts.join("; ")
}

/// The same, if the process hangs for a reason that can be seen: for reports on other things.
#[must_use]
pub fn hang(facts: &Facts) -> Option<String> {
    let holds_up = |thread: &ThreadFacts| {
        thread.holds_gil && thread.waiting_for.as_ref().is_some_and(|wait| wait.kind != "gil")
    };
    let many = facts.threads.len();
    let is_hang = !obstacles(facts).is_empty()
        || common(facts).is_some_and(|(_, waiting)| many > 1 && waiting * 2 > many)
        || many > 1 && facts.threads.iter().any(holds_up);
    is_hang.then(|| summary(facts))
}

/// What is known to stand in the way.
fn obstacles(facts: &Facts) -> Vec<String> {
    let parts = [
        stopped(facts),
        deadlock(facts),
        task_deadlock(facts),
        stuck_pool(facts),
        blocked_loop(facts),
    ];
    parts.into_iter().flatten().collect()
}

/// `4 threads`.
fn all(facts: &Facts) -> String {
    match facts.threads.len() {
        1 => "1 thread".to_owned(),
        threads => format!("{threads} threads"),
    }
}

/// A process that a signal or a debugger has stopped.
fn stopped(facts: &Facts) -> Option<String> {
    let is_stopped = |thread: &ThreadFacts| thread.state == "stopped";
    (!facts.threads.is_empty() && facts.threads.iter().all(is_stopped)).then(|| {
        match facts.tracer {
            Some(tracer) => format!("the process is STOPPED by process {tracer}, which traces it"),
            None => "the process is STOPPED (SIGSTOP; kill -CONT lets it go on)".to_owned(),
        }
    })
}

/// Threads that wait for each other.
fn deadlock(facts: &Facts) -> Option<String> {
    let locked: usize = facts.deadlocks.iter().map(Vec::len).sum();
    let behind = facts.threads.iter().filter(|thread| {
        let holder = thread.waiting_for.as_ref().and_then(|wait| wait.held_by);
        let is_in = |id: u64| facts.deadlocks.iter().any(|circle| circle.contains(&id));
        !is_in(thread.thread_id) && holder.is_some_and(is_in)
    });
    let all = all(facts);
    match (locked, behind.count()) {
        (0, _) => None,
        (1, _) => Some(format!("{all}: DEADLOCK, one waits for itself")),
        (locked, 0) => Some(format!("{all}: DEADLOCK, {locked} wait for each other")),
        (locked, behind) => {
            Some(format!("{all}: DEADLOCK, {locked} wait for each other, {behind} for these"))
        }
    }
}

/// Tasks that wait for each other.
fn task_deadlock(facts: &Facts) -> Option<String> {
    let locked: usize = facts.asynchronous.task_deadlocks.iter().map(Vec::len).sum();
    let tasks = units::count(facts.asynchronous.tasks.len() as u64);
    match locked {
        0 => None,
        1 => Some(format!("{tasks} tasks: DEADLOCK, one waits for itself")),
        locked => Some(format!("{tasks} tasks: DEADLOCK, {locked} wait for each other")),
    }
}

/// A pool of threads all of which wait for work that waits for a thread of it.
fn stuck_pool(facts: &Facts) -> Option<String> {
    let waits = |id: &u64| {
        let thread = facts.threads.iter().find(|thread| thread.thread_id == *id);
        let wait = thread.and_then(|thread| thread.waiting_for.as_ref());
        wait.is_some_and(|wait| wait.kind == "future")
    };
    let stuck = facts.asynchronous.pools.iter().find(|pool| {
        pool.queued > 0 && pool.busy.len() as u64 >= pool.max_workers && pool.busy.iter().all(waits)
    })?;
    Some(format!(
        "DEADLOCK of thread pool {}: all {} threads wait for the result of a Future, and {} wait for \
         a thread",
        stuck.name,
        stuck.busy.len(),
        units::count(stuck.queued)
    ))
}

/// An event loop whose thread is held up by something that waits by itself.
fn blocked_loop(facts: &Facts) -> Option<String> {
    let told = &facts.asynchronous;
    let blocked = told.loops.iter().find(|found| found.state == "blocked")?;
    let thread = facts.threads.iter().find(|thread| Some(thread.thread_id) == blocked.thread_id)?;
    let own = thread.frames.iter().find(|frame| super::stacks::is_own(frame));
    let at = own.or(thread.frames.first()).map(place).unwrap_or_default();
    let what = match &thread.waiting_for {
        Some(wait) => format!(" waits for {}", wait.description),
        None => " waits".to_owned(),
    };
    let behind = told.tasks.iter().filter(|task| {
        task.event_loop.as_ref() == Some(&blocked.address)
            && matches!(task.state.as_str(), "ready" | "waiting")
    });
    let behind = match behind.count() {
        0 => String::new(),
        1 => ", and 1 other task cannot run".to_owned(),
        behind => format!(", and {} other tasks cannot run", units::count(behind as u64)),
    };
    Some(format!("the event loop in {:?} is BLOCKED: {at}{what}{behind}", thread.name))
}

/// How many threads wait and for what, and who has the GIL.
fn threads(facts: &Facts) -> String {
    let gil = gil(facts);
    if !facts.deadlocks.is_empty() {
        return gil;
    }
    let all = all(facts);
    if let Some((common, _)) = common(facts) {
        return format!("{all}, {common}; {gil}");
    }
    let waits = facts.threads.iter().filter_map(|thread| thread.waiting_for.as_ref());
    let for_gil = waits.clone().filter(|wait| wait.kind == "gil").count();
    let waiting = waits.count();
    match (waiting, for_gil) {
        (0, _) => format!("{all}, none waits; {gil}"),
        (1, 0) if facts.threads.len() == 1 => format!("{all}, waiting; {gil}"),
        (waiting, 0) if waiting == facts.threads.len() => format!("{all}, all waiting; {gil}"),
        (waiting, 0) => format!("{all}, {waiting} waiting; {gil}"),
        (waiting, for_gil) => {
            format!("{all}, {waiting} waiting, {for_gil} of them for the GIL; {gil}")
        }
    }
}

/// The one object that most threads wait for, and how many do.
fn common(facts: &Facts) -> Option<(String, usize)> {
    let waits = || facts.threads.iter().filter_map(|thread| thread.waiting_for.as_ref());
    let same = |a: &WaitFacts| waits().filter(|b| b.object == a.object && b.kind == a.kind).count();
    let objects = waits().filter(|wait| wait.object.is_some());
    let most = objects.max_by_key(|wait| same(wait))?;
    let many = same(most);
    if many < 2 && facts.threads.len() > 1 || most.kind == "queue" {
        return None;
    }
    let who = match many {
        1 => "waiting".to_owned(),
        many if many == facts.threads.len() => "all waiting".to_owned(),
        many => format!("{many} of them wait"),
    };
    let object = most.object.as_deref().unwrap_or_default();
    let holder = match most.held_by {
        Some(_) if most.kind == "join" => String::new(),
        _ => super::stacks::holder(facts, most),
    };
    Some((format!("{who} for {} at {object}{holder}", most.description), many))
}

/// Who has the interpreter lock, and what that one does with it.
fn gil(facts: &Facts) -> String {
    let Some(holder) = facts.threads.iter().find(|thread| thread.holds_gil) else {
        return "the GIL is free".to_owned();
    };
    let name = format!("{:?}", holder.name);
    let at = holder.frames.first().map(place).unwrap_or_default();
    match (&holder.waiting_for, holder.state.as_str()) {
        (Some(wait), _) => {
            format!("{name} holds the GIL and waits for {} in {at}", wait.description)
        }
        (None, "running") if !at.is_empty() => {
            // The interpreter's own loop says nothing more.
            let symbol = holder.native.as_ref().and_then(|native| native.symbol.as_deref());
            let symbol = symbol.filter(|symbol| !symbol.starts_with("_PyEval_EvalFrame"));
            let symbol = symbol.map(|symbol| format!(", C function {symbol}")).unwrap_or_default();
            format!("{name} holds the GIL and computes in {at}{symbol}")
        }
        _ => format!("{name} holds the GIL"),
    }
}

/// `slow (app.py:12)`.
fn place(frame: &FrameFacts) -> String {
    let line = frame.line.map(|line| format!(":{line}")).unwrap_or_default();
    format!("{} ({}{line})", frame.function, super::stacks::file_name(&frame.file))
}
