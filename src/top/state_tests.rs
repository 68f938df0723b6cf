use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::*;
use crate::recording::{Census, TypeCount};
use crate::top::draw::{self, Palette};
use crate::top::picture::Picture;
use crate::top::scene::{begun, count, press, reading, s, watching, ways};

fn selected_name(state: &State) -> String {
    let rows = state.rows();
    rows.get(state.selected(&rows)).map_or_else(String::new, |row| row.name.to_string())
}

#[test]
fn the_heap_is_read_at_once_and_then_each_interval_but_never_twice_at_a_time() {
    let mut state = begun(80, 24);
    let mut asked = Vec::new();
    for now in 0..35 {
        let order = state.take(s(now), reading(now));
        if order == Some(Order::Count) {
            asked.push(now);
        }
        // The first one takes until the 12th second.
        if now == 12 || (now > 12 && order.is_some()) {
            state.take(s(now), Event::Counted(Arc::new(count(now))));
        }
    }
    assert_eq!(asked, [0, 14, 24, 34]);
}

#[test]
fn a_process_that_was_paused_for_long_is_left_alone_for_long() {
    let mut state = begun(80, 24);
    let mut slow = count(0);
    slow.census.pause_seconds = 0.4;
    assert_eq!(state.take(s(0), reading(0)), Some(Order::Count));
    state.take(s(1), Event::Counted(Arc::new(slow)));
    assert_eq!(state.due_in(), s(40));
    // One who asks for more waits all the same, and is told so.
    press(&mut state, "u");
    assert!(state.note().unwrap().contains("40 s"), "{:?}", state.note());
    assert_eq!(state.take(s(40), reading(40)), None);
    assert_eq!(state.take(s(41), reading(41)), Some(Order::Count));
}

#[test]
fn a_count_that_takes_us_long_is_rare_even_if_it_pauses_nothing() {
    let mut state = begun(80, 24);
    state.take(s(0), reading(0));
    let slow = Count { took: s(10), mode: "none".into(), ..Count::default() };
    state.take(s(10), Event::Counted(Arc::new(slow)));
    assert_eq!(state.due_in(), s(50));
}

#[test]
fn who_asks_for_a_count_has_it_as_soon_as_the_process_can_bear_it() {
    let mut state = watching(80, 24);
    assert!(state.due_in() > s(1), "{:?}", state.due_in());
    press(&mut state, "u");
    assert_eq!(state.take(s(126), reading(126)), Some(Order::Count));
}

#[test]
fn a_count_that_failed_is_tried_again_ever_more_rarely() {
    let mut state = begun(80, 24);
    let missed = || Event::Missed { why: "too long".into(), hint: None, stopped: s(0) };
    let mut asked = Vec::new();
    for now in 0..100 {
        if state.take(s(now), reading(now)).is_some() {
            asked.push(now);
            state.take(s(now), missed());
            assert_eq!(state.missed, Some(("too long".to_owned(), None)));
        }
    }
    assert_eq!(asked, [0, 20, 60]);
    state.take(s(100), Event::Counted(Arc::new(count(100))));
    assert_eq!(state.missed, None);
}

#[test]
fn a_try_that_paused_the_process_for_nothing_is_not_tried_soon() {
    let mut state = begun(80, 24);
    state.take(s(0), reading(0));
    let stopped = Duration::from_millis(500);
    state.take(s(1), Event::Missed { why: "too long".into(), hint: None, stopped });
    assert_eq!((state.due_in(), state.data().stopped), (s(50), stopped));
}

#[test]
fn the_selection_stays_with_its_type_when_the_order_changes() {
    let mut state = watching(80, 24);
    assert_eq!(selected_name(&state), "builtins.dict");
    press(&mut state, "↓↓");
    assert_eq!(selected_name(&state), "numpy.ndarray");
    // By growth: those that grew are above it.
    press(&mut state, "s");
    assert_eq!(state.sort, Sort::Start);
    assert_eq!(selected_name(&state), "numpy.ndarray");
    press(&mut state, "⇱");
    assert_eq!(selected_name(&state), "builtins.dict");
    press(&mut state, "↓");
    assert_eq!(selected_name(&state), "app.sessions.Session");
    press(&mut state, "r⇲");
    assert_eq!(selected_name(&state), "builtins.dict");
}

#[test]
fn a_type_that_is_gone_says_how_much_less_there_is() {
    let mut state = watching(80, 24);
    press(&mut state, "/warm\n");
    let rows = state.rows();
    let change = rows[0].since_start.unwrap();
    assert_eq!((rows.len(), &*rows[0].name, rows[0].bytes), (1, "app.Warmup", 0));
    assert_eq!((change.objects, change.bytes), (-50, -4000));
    // It was gone at the count before, too.
    assert_eq!(rows[0].since_last.unwrap().bytes, 0);
}

#[test]
fn from_a_mark_on_changes_are_since_then() {
    let mut state = watching(80, 24);
    let grown = |state: &State| {
        let rows = state.rows();
        let row = rows.iter().find(|row| &*row.name == "app.sessions.Session").unwrap().clone();
        (row.since_start.map(|change| change.objects), row.since_last.unwrap().objects)
    };
    assert_eq!(grown(&state), (Some(1200), 100));
    press(&mut state, "m");
    assert_eq!(grown(&state), (None, 100));
    state.take(s(130), Event::Counted(Arc::new(count(130))));
    assert_eq!(grown(&state), (Some(100), 100));
}

#[test]
fn a_filter_is_kept_or_dropped_and_keys_are_text_meanwhile() {
    let mut state = watching(80, 24);
    assert_eq!(press(&mut state, "/quest←"), []);
    assert!(state.is_typing && state.filter == "quest" && state.rows().is_empty());
    press(&mut state, "\x08\x08\x08\x08\x08SESSION\n");
    assert_eq!((state.is_typing, state.rows().len()), (false, 1));
    press(&mut state, "\x1b");
    assert!(state.filter.is_empty() && state.rows().len() > 1);
    press(&mut state, "/dict\x1b");
    assert!(!state.is_typing && state.filter.is_empty());
    press(&mut state, &format!("/{}", "x".repeat(1000)));
    assert_eq!(state.filter.len(), FILTER);
    let now = state.now();
    state.take(now, Event::Key(Key::Clear));
    assert!(state.is_typing && state.filter.is_empty());
    assert_eq!(state.take(now, Event::Key(Key::Interrupt)), Some(Order::Leave));
}

#[test]
fn a_type_leads_to_its_holders_and_these_to_their_paths_and_back() {
    let mut state = watching(80, 24);
    let name: Arc<str> = "app.sessions.Session".into();
    assert_eq!(press(&mut state, "/sess\n\n"), [Order::Ways(Arc::clone(&name))]);
    // The answer to another question.
    state.take(s(125), ways("builtins.dict", 120));
    assert!(state.ways.is_none());
    // Nothing to open yet.
    press(&mut state, "\n");
    assert!(matches!(state.view, View::Ways { opened: None, .. }));
    state.take(s(125), ways(&name, 120));
    press(&mut state, "↓↓↓");
    assert!(matches!(state.view, View::Ways { selected: 1, opened: None, .. }));
    press(&mut state, "→");
    assert!(matches!(state.view, View::Ways { selected: 1, opened: Some(0), .. }));
    // What is newly counted is newly asked.
    let order = state.take(s(130), Event::Counted(Arc::new(count(130))));
    assert_eq!(order, Some(Order::Ways(Arc::clone(&name))));
    // There are no such ways any more.
    state.take(s(130), Event::Ways(Arc::new(Ways { name, ..Ways::default() })));
    assert!(matches!(state.view, View::Ways { selected: 0, opened: None, .. }));
    press(&mut state, "←");
    assert_eq!(
        (&state.view, selected_name(&state).as_str()),
        (&View::Types, "app.sessions.Session")
    );
}

#[test]
fn a_view_that_is_held_changes_nothing_and_asks_for_nothing() {
    let mut state = watching(80, 24);
    assert_eq!(press(&mut state, " "), []);
    let rows = state.rows();
    for now in 126..200 {
        assert_eq!(state.take(s(now), reading(now)), None, "{now}");
    }
    // One that was under way.
    state.take(s(200), Event::Counted(Arc::new(count(200))));
    assert_eq!((state.rows(), state.data().now), (rows.clone(), s(125)));
    press(&mut state, "\n");
    assert_eq!(press(&mut state, " "), [Order::Ways("builtins.dict".into())]);
    assert_ne!(state.rows(), rows);
    assert_eq!(state.take(s(230), reading(230)), Some(Order::Count));
}

#[test]
fn of_a_process_that_has_ended_the_last_is_shown_until_somebody_quits() {
    let mut state = watching(80, 24);
    let rows = state.rows();
    assert_eq!(state.take(s(126), Event::End(End::Ended)), None);
    for now in 127..300 {
        assert_eq!(state.take(s(now), reading(now)), None);
    }
    assert_eq!((press(&mut state, "u"), state.rows()), (Vec::new(), rows));
    assert_eq!(press(&mut state, "q"), [Order::Leave]);
}

#[test]
fn the_view_is_not_suspended() {
    let mut state = watching(80, 24);
    let now = state.now();
    assert_eq!(state.take(now, Event::Key(Key::Suspend)), None);
    assert!(state.note().unwrap().starts_with("not suspended"));
    assert_eq!(state.take(now + s(10), reading(135)), Some(Order::Count));
    assert_eq!(state.note(), None);
}

/// What may happen, in any order.
fn any_event() -> impl Strategy<Value = Event> {
    let char = prop::sample::select("qsSr/ mut?kjq\u{301}界x".chars().collect::<Vec<_>>());
    let key = prop_oneof![
        4 => char.prop_map(Key::Char),
        4 => prop::sample::select(vec![
            Key::Up, Key::Down, Key::PageUp, Key::PageDown, Key::Home, Key::End, Key::Enter, Key::Back,
            Key::Left, Key::Right, Key::Backspace, Key::Clear, Key::Suspend, Key::Interrupt,
        ]),
    ];
    let row = ("[a-c\u{1b}界]{0,6}", any::<u64>(), any::<u64>(), any::<u64>()).prop_map(
        |(name, objects, shallow_bytes, buffer_bytes)| TypeCount {
            name: name.as_str().into(),
            objects,
            shallow_bytes,
            buffer_bytes,
        },
    );
    let census = (prop::collection::vec(row, 0..40), any::<f64>(), any::<u64>(), any::<f64>());
    let counted = census.prop_map(|(types, pause_seconds, objects, torn)| {
        let census = Census { types, pause_seconds, objects, ..Census::default() };
        let torn_share = Some(torn);
        Event::Counted(Arc::new(Count { torn_share, ..count(0) }.with(census)))
    });
    let sample = (any::<f64>(), any::<u64>(), any::<u64>(), any::<f64>());
    let read = sample.prop_map(|(seconds, rss_bytes, rss_max_bytes, cpu_seconds)| {
        let sample = Sample { seconds, rss_bytes, rss_max_bytes, cpu_seconds, ..Sample::default() };
        Event::Reading(Reading { sample, generations: Vec::new() })
    });
    prop_oneof![
        12 => key.prop_map(Event::Key),
        3 => (0..130_u16, 0..50_u16).prop_map(|(width, height)| Event::Size(Size { width, height })),
        3 => read,
        2 => counted,
        1 => ("[a-c]{0,3}", any::<u64>()).prop_map(|(name, at)| ways(&name, at % 1000)),
        1 => any::<u32>().prop_map(|millis| Event::Missed {
            why: "\u{1b}[2Jno".into(),
            hint: Some("hint".into()),
            stopped: Duration::from_millis(millis.into()),
        }),
        1 => Just(End::Replaced).prop_map(Event::End),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_in_whatever_terminal_the_view_stands(
        events in prop::collection::vec((0_u64..5000, any_event()), 0..120),
        drawn in (0..130_u16, 0..50_u16),
    ) {
        let mut state = begun(80, 24);
        let mut now = Duration::ZERO;
        // Its size may have changed since the picture was made.
        let mut other = Terminal::new(TestBackend::new(drawn.0, drawn.1)).unwrap();
        for (millis, event) in events {
            now += Duration::from_millis(millis);
            let (was_counting, had_ended) = (state.counting.is_some(), state.end.is_some());
            let order = state.take(now, event);
            if order == Some(Order::Count) {
                prop_assert!(!had_ended && !was_counting && !state.is_held());
            }
            let rows = state.rows();
            prop_assert!(state.selected(&rows) < rows.len().max(1));
            prop_assert!(state.filter.chars().count() <= FILTER);
            let picture = Picture::of(&state);
            let body = &picture.body;
            prop_assert!(body.rows.len() <= state.size.rows().into());
            prop_assert!(body.selected.is_none_or(|selected| selected < body.rows.len().max(1)));
            let size = state.size;
            let mut terminal = Terminal::new(TestBackend::new(size.width, size.height)).unwrap();
            let palette = Palette { is_colored: true };
            terminal.draw(|frame| draw::draw(frame, &picture, palette)).unwrap();
            let cells = terminal.backend().buffer().content();
            prop_assert!(cells.iter().all(|cell| !cell.symbol().contains(char::is_control)));
            other.draw(|frame| draw::draw(frame, &picture, palette)).unwrap();
        }
    }
}
