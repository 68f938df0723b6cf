//! `top`: which process, and how it is read.

use super::*;

#[test]
fn a_process_is_shown_as_it_was_asked_for() {
    let shown = |words: &str| {
        let (_, err, code) = pyheap(words);
        assert_eq!(code, 8, "{words}: {err}");
        err
    };
    let view = shown("top -p 7");
    for part in
        ["pid: 7", "interval: 10s", "mode: Stop", "max_pause: Some(500ms)", "is_colored: false"]
    {
        assert!(view.contains(part), "{part}: {view}");
    }
    let view = shown("top -p 0x7 --interval 1m --nonblocking --max-pause 20ms --values");
    for part in ["pid: 7", "interval: 60s", "mode: None", "max_pause: Some(20ms)", "values: true"] {
        assert!(view.contains(part), "{part}: {view}");
    }
}

#[test]
fn what_is_no_process_is_not_shown() {
    for (words, says) in [
        ("top", "pyheap ps lists"),
        ("top 7", "-p 7 reads the process"),
        ("top old.parquet", "-p PID names it"),
        ("top -p 7 8", "-p 8 reads the process"),
        ("top -p 7 --interval 10ms", "at least 1s"),
        ("top -c core", "unexpected argument"),
    ] {
        let (_, err, code) = pyheap(words);
        assert!(code == 2 && err.contains(says), "{words}: {err}");
    }
}
