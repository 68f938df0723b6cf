//! A view of a process that leaks sessions, for tests.

use std::sync::Arc;
use std::time::Duration;

use super::count::{Count, ThreadLine, Way, Ways};
use super::event::{Event, Key, Order, Reading};
use super::size::Size;
use super::state::State;
use super::who::Who;
use crate::facts::GenerationFacts;
use crate::recording::{Census, Sample, TypeCount};

pub(super) const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A view that has just begun, with a count every 10 s.
pub(super) fn begun(width: u16, height: u16) -> State {
    let who = Who {
        pid: 4242,
        command: "python app.py --port 8000".into(),
        python: "Python 3.11.7".into(),
        uptime: Some(s(11_520)),
    };
    State::new(who, s(10), Size { width, height })
}

/// What is read at a moment: memory grows by 100 KiB a second.
pub(super) fn reading(seconds: u64) -> Event {
    let bytes = (50 << 20) + seconds * (100 << 10);
    let generation = |generation: u32, count, threshold, collections| GenerationFacts {
        generation,
        count,
        threshold,
        collections,
    };
    Event::Reading(Reading {
        sample: Sample {
            #[allow(clippy::cast_precision_loss)]
            seconds: seconds as f64,
            rss_bytes: bytes,
            rss_min_bytes: bytes,
            rss_max_bytes: bytes,
            #[allow(clippy::cast_precision_loss)]
            cpu_seconds: seconds as f64 / 2.0,
            threads: 12,
            ..Sample::default()
        },
        generations: vec![
            generation(0, 340, 700, 1203),
            generation(1, 3, 10, 40),
            generation(2, 1, 10, 3),
        ],
    })
}

/// A heap that was read at a moment: ten more sessions a second.
pub(super) fn count(seconds: u64) -> Count {
    let row = |name: &str, objects: u64, shallow_bytes: u64| TypeCount {
        name: name.into(),
        objects,
        shallow_bytes,
        buffer_bytes: 0,
    };
    let sessions = 1000 + 10 * seconds;
    let mut types = vec![
        row("builtins.dict", 100_500 + sessions, 23_500_000 + 232 * sessions),
        row("builtins.str", 300_200, 18_000_000),
        row("app.sessions.Session", sessions, 48 * sessions),
        row("builtins.function", 20_000, 2_720_000),
        row("numpy.ndarray", 12, 8_000_960),
        row("a.very.deeply.nested.package.module.ClassWithAVeryLongName", 7, 336),
        row("evil\x1b[2J.Name", 1, 48),
    ];
    // A type that comes, and one that goes.
    match seconds {
        0 => types.push(row("app.Warmup", 50, 4000)),
        _ => types.push(row("app.Job", 5, 240)),
    }
    types.sort_by_key(|row| std::cmp::Reverse(row.bytes()));
    let sum = |of: fn(&TypeCount) -> u64| types.iter().map(of).sum();
    let census = Census {
        pause_seconds: 0.0123,
        objects: sum(|row| row.objects),
        shallow_bytes: sum(|row| row.shallow_bytes),
        types: types.clone(),
        ..Census::default()
    };
    let thread = |name: &str, state: &str, holds_gil, doing: &str| ThreadLine {
        name: name.into(),
        state: state.into(),
        holds_gil,
        doing: doing.into(),
    };
    Count {
        at: s(seconds),
        took: Duration::from_millis(250),
        mode: "stop".into(),
        garbage: (5000, 1_258_291),
        gc_enabled: Some(true),
        threads: vec![
            thread("MainThread", "running", true, "render (views.py:31)"),
            thread("worker-1", "waiting", false, "waits for a queue, in get (queue.py:171)"),
        ],
        ..Count::default()
    }
    .with(census)
}

/// Who holds a type.
pub(super) fn ways(name: &str, at: u64) -> Event {
    let way = |objects: u64, line: &str, steps: &[&str]| Way {
        objects,
        bytes: 48 * objects,
        line: line.into(),
        steps: steps.iter().map(|step| (*step).to_owned()).collect(),
        example: "0x7f0123456780".into(),
        allocated: None,
    };
    let ways = vec![
        way(
            2150,
            "module app.sessions → SessionCache.rows → list[*] → Session",
            &[
                "module app.sessions",
                ".cache app.SessionCache",
                ".rows list",
                "[*] app.sessions.Session",
            ],
        ),
        way(
            50,
            "frame handle (server.py:58) local session → Session",
            &["frame handle (/srv/app/server.py:58)", "local session app.sessions.Session"],
        ),
    ];
    Event::Ways(Arc::new(Ways {
        name: name.into(),
        at: s(at),
        objects: 2200,
        bytes: 48 * 2200,
        ways,
        more: 0,
    }))
}

/// A view that has been there for two minutes, and has counted each time that it wanted to.
pub(super) fn watching(width: u16, height: u16) -> State {
    let mut state = begun(width, height);
    for seconds in 0..=125 {
        if let Some(Order::Count) = state.take(s(seconds), reading(seconds)) {
            state.take(s(seconds), Event::Counted(Arc::new(count(seconds))));
        }
    }
    state
}

/// Presses keys, one for each character: `\n` is Enter, `\x1b` Escape.
pub(super) fn press(state: &mut State, keys: &str) -> Vec<Order> {
    let now = state.now();
    let key = |char| match char {
        '\n' => Key::Enter,
        '\x1b' => Key::Back,
        '\x08' => Key::Backspace,
        '↓' => Key::Down,
        '↑' => Key::Up,
        '↧' => Key::PageDown,
        '↥' => Key::PageUp,
        '⇱' => Key::Home,
        '⇲' => Key::End,
        '←' => Key::Left,
        '→' => Key::Right,
        char => Key::Char(char),
    };
    keys.chars().filter_map(|char| state.take(now, Event::Key(key(char)))).collect()
}
