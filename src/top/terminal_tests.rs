use std::fs::File;
use std::io::Read;
use std::process::{Command, ExitStatus, Stdio};

use nix::pty::{OpenptyResult, openpty};
use nix::sys::termios::{Termios, tcgetattr};

use super::*;

/// Says which test is to be run inside a terminal.
const INSIDE: &str = "PYHEAP_TEST_INSIDE_A_TERMINAL";

fn modes(termios: &Termios) -> String {
    format!("{termios:?}")
}

/// Runs a test again, with a terminal; gives what was written there, which must be as it was.
fn inside(test: &str) -> (String, ExitStatus) {
    let OpenptyResult { master, slave } = openpty(None, None).unwrap();
    let before = modes(&tcgetattr(&slave).unwrap());
    let stdio = || Stdio::from(slave.try_clone().unwrap());
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("top::terminal::tests::{test}"), "--nocapture"])
        .env(INSIDE, test)
        .stdin(stdio())
        .stdout(stdio())
        .stderr(stdio())
        .spawn()
        .unwrap();
    let status = child.wait().unwrap();
    assert_eq!(modes(&tcgetattr(&slave).unwrap()), before);
    drop(slave);
    let mut text = Vec::new();
    // Ends with an error when nobody has the terminal any more.
    let _ = File::from(master).read_to_end(&mut text);
    (String::from_utf8_lossy(&text).into_owned(), status)
}

fn is_inside(test: &str) -> bool {
    std::env::var(INSIDE).is_ok_and(|inside| inside == test)
}

/// Where some words are that must be there, and after each other.
fn in_order(text: &str, words: &[&str]) {
    let mut rest = text;
    for word in words {
        let at = rest.find(word).unwrap_or_else(|| panic!("{word:?} is not there, in {text:?}"));
        rest = rest.get(at + word.len()..).unwrap_or_default();
    }
}

const ENTER: &str = "\x1b[?1049h";
const LEAVE: &str = "\x1b[?1049l";
const SHOW: &str = "\x1b[?25h";

#[test]
fn a_panic_is_told_on_the_terminal_as_it_was() {
    let name = "a_panic_is_told_on_the_terminal_as_it_was";
    if is_inside(name) {
        let _screen = Screen::take().unwrap();
        let mut output = Output::default();
        output.write_all(b"A SCREEN").unwrap();
        output.flush().unwrap();
        panic!("something is wrong");
    }
    let (text, status) = inside(name);
    assert!(!status.success());
    in_order(&text, &[ENTER, "A SCREEN", LEAVE, SHOW, "something is wrong"]);
    assert_eq!(text.matches(LEAVE).count(), 1, "{text:?}");
}

#[test]
fn a_panic_of_another_thread_is_told_when_the_screen_is_gone() {
    let name = "a_panic_of_another_thread_is_told_when_the_screen_is_gone";
    if is_inside(name) {
        let screen = Screen::take().unwrap();
        let panicked = thread::spawn(|| panic!("something else is wrong")).join();
        assert!(panicked.is_err());
        let mut output = Output::default();
        output.write_all(b"A SCREEN").unwrap();
        output.flush().unwrap();
        drop(screen);
        return;
    }
    let (text, status) = inside(name);
    assert!(status.success(), "{text}");
    in_order(&text, &[ENTER, "A SCREEN", LEAVE, SHOW, "something else is wrong"]);
}

#[test]
fn what_is_drawn_when_the_terminal_is_given_back_is_lost() {
    let name = "what_is_drawn_when_the_terminal_is_given_back_is_lost";
    if is_inside(name) {
        let screen = Screen::take().unwrap();
        thread::spawn(give_back).join().unwrap();
        let mut output = Output::default();
        output.write_all(b"A SCREEN").unwrap();
        output.flush().unwrap();
        drop(screen);
        return;
    }
    let (text, status) = inside(name);
    assert!(status.success(), "{text}");
    in_order(&text, &[ENTER, LEAVE, SHOW]);
    assert!(!text.contains("A SCREEN") && text.matches(LEAVE).count() == 1, "{text:?}");
}
