//! One view from its beginning to its end: the threads that read, the keys, the signals, and the screen.

use std::io;
use std::process;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use crossterm::event::{self, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};
use signal_hook::iterator::Signals;

use super::Plan;
use super::draw::{self, Palette};
use super::event::{Event, Key, Order, Reading};
use super::picture::Picture;
use super::size::Size;
use super::state::State;
use super::terminal::{self, Output, Screen};
use super::who::Who;
use super::worker::{Ask, Worker};
use crate::error::Error;
use crate::recording::Sample;
use crate::target::held;
use crate::watch::{Counters, End};

/// How often what is cheap is read.
const READINGS: Duration = Duration::from_millis(500);
/// How often the screen is drawn anew though nothing happens: the ages on it go on.
const REDRAWS: Duration = Duration::from_secs(1);
/// For how long the process may take to run again when the view ends.
const LET_GO: Duration = Duration::from_secs(1);
/// A view that has not ended so long after a signal is ended all the same.
const PATIENCE: Duration = Duration::from_secs(3);

/// What the threads tell the one that draws.
#[derive(Debug)]
pub(super) enum Message {
    Event(Event),
    /// Draw again: the terminal has another size.
    Resized,
    Signal(i32),
    /// There will never be anything to show.
    Failed(Error),
    /// No key will come any more.
    NoKeys(io::Error),
}

/// Lets the process run again when the view ends, even in the middle of a count.
struct LetGo;

impl Drop for LetGo {
    fn drop(&mut self) {
        held::let_all_go(LET_GO);
    }
}

/// Shows a process until somebody quits.
pub(super) fn run(plan: &Plan) -> Result<(), Error> {
    let counters = Counters::open(plan.pid, plan.options.limits)?;
    let target = counters.process();
    let who = Who::new(
        &counters.process_facts(),
        &counters.interpreter_facts(),
        &target.command_line(),
        target.uptime_seconds(),
    );
    let worker = Worker::new(target.clone(), plan.options, Instant::now());
    let (messages, received) = mpsc::channel();
    let (ask, asked) = mpsc::channel();
    watch_signals(messages.clone())?;
    // Before the process is stopped for the first time: a shell may stop us here, if we are in the background.
    let screen = Screen::take()?;
    let let_go = LetGo;
    let began = Instant::now();
    let answers = messages.clone();
    spawn("heap", move || worker.run(&asked, &answers))?;
    let readings = messages.clone();
    spawn("counters", move || read(&counters, &readings, began))?;
    spawn("keys", move || keys(&messages))?;
    let state = State::new(who, plan.interval, Size::default());
    let shown = show(state, &received, &ask, began, plan);
    drop(let_go);
    drop(screen);
    shown
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}

/// Draws what happens until the view ends.
fn show(
    mut state: State,
    received: &Receiver<Message>,
    ask: &Sender<Ask>,
    began: Instant,
    plan: &Plan,
) -> Result<(), Error> {
    let palette = Palette { is_colored: plan.is_colored };
    if plan.is_colored {
        // The command line has looked at the environment, and at --color.
        crossterm::style::force_color_output(true);
    }
    let mut terminal = Terminal::new(CrosstermBackend::new(Output::default()))?;
    loop {
        let size = terminal.size()?;
        let size = Size { width: size.width, height: size.height };
        state.take(began.elapsed(), Event::Size(size));
        let picture = Picture::of(&state);
        terminal.draw(|frame| draw::draw(frame, &picture, palette))?;
        let mut next = match received.recv_timeout(REDRAWS) {
            Ok(message) => Some(message),
            Err(RecvTimeoutError::Timeout) => None,
            // The threads of keys and readings are gone: nothing will ever end this.
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        };
        while let Some(message) = next {
            let event = match message {
                Message::Event(event) => event,
                Message::Resized => Event::Size(state.size),
                Message::Signal(signal) => return Err(Error::Signal(signal)),
                Message::Failed(error) => return Err(error),
                Message::NoKeys(error) => return Err(error.into()),
            };
            match state.take(began.elapsed(), event) {
                Some(Order::Leave) => return ended(&state, plan.is_strict),
                // If the thread is gone, its last words have been told.
                Some(Order::Count) => drop(ask.send(Ask::Count)),
                Some(Order::Ways(name)) => drop(ask.send(Ask::Ways(name))),
                None => {}
            }
            next = received.try_recv().ok();
        }
    }
}

/// What is said to a script when a person has quit.
fn ended(state: &State, is_strict: bool) -> Result<(), Error> {
    let anomalies = state.data().counts.latest.as_ref().map_or(0, |count| count.anomalies);
    match state.end {
        None if is_strict && anomalies > 0 => Err(Error::Anomalies(anomalies)),
        None => Ok(()),
        Some((End::Ended, _)) => Err(Error::Gone(state.who.pid)),
        Some((End::Replaced, _)) => Err(Error::Replaced(state.who.pid)),
    }
}

/// Reads what is cheap until the process ends.
fn read(counters: &Counters, readings: &Sender<Message>, began: Instant) {
    loop {
        let (event, is_last) = match reading(counters, began) {
            Ok(reading) => (Event::Reading(reading), false),
            Err(end) => (Event::End(end), true),
        };
        if readings.send(Message::Event(event)).is_err() || is_last {
            return;
        }
        thread::sleep(READINGS);
    }
}

fn reading(counters: &Counters, began: Instant) -> Result<Reading, End> {
    let resident = counters.resident()?;
    let usage = counters.usage()?;
    let generations = counters.collectors().into_iter().next();
    // Asked behind the numbers: they are of this process and its program.
    counters.check()?;
    let sample = Sample {
        seconds: began.elapsed().as_secs_f64(),
        rss_bytes: resident.rss_bytes,
        rss_min_bytes: resident.rss_bytes,
        rss_max_bytes: resident.rss_bytes,
        private_bytes: resident.anonymous_bytes.saturating_add(usage.swap_bytes),
        swap_bytes: usage.swap_bytes,
        pss_bytes: None,
        minor_faults: usage.minor_faults,
        major_faults: usage.major_faults,
        cpu_seconds: usage.cpu_seconds,
        threads: usage.threads,
    };
    let generations = generations.map(|(_, generations)| generations).unwrap_or_default();
    Ok(Reading { sample, generations })
}

/// Passes keys on.
fn keys(messages: &Sender<Message>) {
    loop {
        let message = match event::read() {
            Ok(event::Event::Key(key)) if key.kind != KeyEventKind::Release => match meaning(key) {
                Some(key) => Message::Event(Event::Key(key)),
                None => continue,
            },
            Ok(event::Event::Resize(..)) => Message::Resized,
            Ok(_) => continue,
            Err(error) => Message::NoKeys(error),
        };
        let is_last = matches!(message, Message::NoKeys(_));
        if messages.send(message).is_err() || is_last {
            return;
        }
    }
}

fn meaning(key: KeyEvent) -> Option<Key> {
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return match key.code {
            KeyCode::Char('c') => Some(Key::Interrupt),
            KeyCode::Char('z') => Some(Key::Suspend),
            KeyCode::Char('u') => Some(Key::Clear),
            KeyCode::Char('h') => Some(Key::Backspace),
            _ => None,
        };
    }
    Some(match key.code {
        KeyCode::Char(char) => Key::Char(char),
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Back,
        KeyCode::Left => Key::Left,
        KeyCode::Right => Key::Right,
        KeyCode::Backspace => Key::Backspace,
        _ => return None,
    })
}

/// Ends the view when a signal says so: as a key would, and where that cannot be, at once.
fn watch_signals(messages: Sender<Message>) -> io::Result<()> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP])?;
    spawn("signals", move || {
        let mut is_second = false;
        for signal in signals.forever() {
            if signal == SIGTSTP {
                // We must not stand still while the process does because of us.
                let _ = messages.send(Message::Event(Event::Key(Key::Suspend)));
                continue;
            }
            let is_heard = messages.send(Message::Signal(signal)).is_ok();
            if is_second || !is_heard {
                end_at_once(signal);
            }
            is_second = true;
            // It may wait for a terminal that takes nothing more.
            let watch = move || {
                thread::sleep(PATIENCE);
                end_at_once(signal);
            };
            if spawn("patience", watch).is_err() {
                end_at_once(signal);
            }
        }
    })
}

fn end_at_once(signal: i32) -> ! {
    held::let_all_go(LET_GO);
    terminal::give_back();
    process::exit(128 + signal)
}
