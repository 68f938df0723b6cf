//! Whole screens, as a terminal shows them.

use std::sync::Arc;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::{Color, Modifier};

use super::count::Count;
use super::draw::{Palette, draw};
use super::event::Event;
use super::picture::Picture;
use super::scene::{begun, count, press, reading, s, watching, ways};
use super::state::State;
use crate::watch::End;

fn terminal(state: &State, is_colored: bool) -> Terminal<TestBackend> {
    let size = state.size;
    let mut terminal = Terminal::new(TestBackend::new(size.width, size.height)).unwrap();
    let picture = Picture::of(state);
    terminal.draw(|frame| draw(frame, &picture, Palette { is_colored })).unwrap();
    terminal
}

/// The screen as text, without the spaces at the ends of lines.
fn screen(state: &State) -> String {
    let terminal = terminal(state, false);
    let buffer = terminal.backend().buffer();
    let line = |y| {
        let cells = (0..buffer.area.width).filter_map(|x| Some(buffer.cell((x, y))?.symbol()));
        cells.collect::<String>().trim_end().to_owned()
    };
    (0..buffer.area.height).map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_types_at_every_size() {
    for (width, height) in [(80, 24), (120, 40), (40, 10), (20, 5)] {
        insta::assert_snapshot!(
            format!("types_{width}x{height}"),
            screen(&watching(width, height))
        );
    }
}

#[test]
fn before_the_first_count_it_says_so() {
    let mut state = begun(80, 24);
    insta::assert_snapshot!("nothing_yet", screen(&state));
    state.take(s(0), reading(0));
    state.take(s(3), reading(3));
    insta::assert_snapshot!("counting", screen(&state));
}

#[test]
fn holders_and_one_path() {
    for (width, height) in [(80, 24), (40, 10)] {
        let mut state = watching(width, height);
        press(&mut state, "/sess\n\n");
        if height == 24 {
            insta::assert_snapshot!("holders_not_known", screen(&state));
        }
        state.take(s(125), ways("app.sessions.Session", 120));
        insta::assert_snapshot!(format!("holders_{width}x{height}"), screen(&state));
        press(&mut state, "\n");
        insta::assert_snapshot!(format!("path_{width}x{height}"), screen(&state));
    }
}

#[test]
fn threads_and_help() {
    let mut state = watching(80, 24);
    press(&mut state, "t");
    insta::assert_snapshot!("threads", screen(&state));
    press(&mut state, "?");
    insta::assert_snapshot!("help", screen(&state));
    let mut state = watching(20, 5);
    press(&mut state, "?");
    insta::assert_snapshot!("help_20x5", screen(&state));
}

#[test]
fn what_is_wrong_is_said_in_every_terminal() {
    let mut state = watching(80, 24);
    let why = "not permitted to stop process 4242".to_owned();
    let hint = Some("its memory can be read all the same".to_owned());
    state.take(s(126), Event::Missed { why, hint, stopped: s(0) });
    insta::assert_snapshot!("missed", screen(&state));
    press(&mut state, " /ses");
    insta::assert_snapshot!("held_and_typing", screen(&state));
    let mut state = watching(20, 5);
    state.take(s(126), Event::End(End::Ended));
    insta::assert_snapshot!("ended_20x5", screen(&state));
    let mut state = watching(80, 24);
    state.take(s(126), Event::End(End::Replaced));
    state.take(s(136), Event::Size(state.size));
    insta::assert_snapshot!("replaced", screen(&state));
}

#[test]
fn without_a_pause_it_is_said_what_is_torn() {
    let mut state = begun(80, 24);
    state.take(s(0), reading(0));
    let torn = Count {
        mode: "none".into(),
        torn_share: Some(0.001),
        anomalies: 3,
        gc_enabled: Some(false),
        ..count(0)
    };
    state.take(s(1), Event::Counted(Arc::new(torn)));
    let screen = screen(&state);
    assert!(screen.contains("not paused  0.100 % of it torn  3 anomalies"), "{screen}");
    assert!(screen.contains("OFF (gc.disable())"), "{screen}");
}

#[test]
fn colours_are_of_the_sixteen_that_every_terminal_has_and_can_be_left_out() {
    let colors = |is_colored| {
        let terminal = terminal(&watching(80, 24), is_colored);
        let cells = terminal.backend().buffer().content().iter();
        let mut colors: Vec<Color> = cells.flat_map(|cell| [cell.fg, cell.bg]).collect();
        colors.sort_by_key(|color| format!("{color}"));
        colors.dedup();
        colors
    };
    assert_eq!(colors(true), [Color::Cyan, Color::Red, Color::Reset]);
    assert_eq!(colors(false), [Color::Reset]);
    // Then the selected row is still to be seen.
    let terminal = terminal(&watching(80, 24), false);
    let buffer = terminal.backend().buffer();
    assert!(buffer.cell((4, 9)).unwrap().modifier.contains(Modifier::REVERSED));
}
