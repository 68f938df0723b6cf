//! Texts of the live view.

use std::time::Duration;

use super::rows::Change;
use crate::report::units;

/// `now`, `12 s`, `3 min`, `2 h 5 min`: times that change while one looks have no fractions.
pub(super) fn age(time: Duration) -> String {
    match time.as_secs() {
        0 => "now".to_owned(),
        seconds @ 1..60 => format!("{seconds} s"),
        _ => units::seconds(time.as_secs_f64()),
    }
}

/// The same in the past: `now`, `12 s ago`.
pub(super) fn ago(time: Duration) -> String {
    match time.as_secs() {
        0 => "now".to_owned(),
        _ => format!("{} ago", age(time)),
    }
}

/// How many bytes more, or `-` for none.
pub(super) fn bytes_change(change: Option<Change>) -> String {
    match change.map_or(0, |change| change.bytes) {
        0 => "-".to_owned(),
        bytes => units::signed_bytes(bytes),
    }
}

/// How many objects more, or `-` for none.
pub(super) fn count_change(change: Option<Change>) -> String {
    match change.map_or(0, |change| change.objects) {
        0 => "-".to_owned(),
        objects => units::signed_count(objects),
    }
}

/// The beginning of a text.
pub(super) fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}

/// What a terminal may be shown: texts from a target may hold anything.
pub(super) fn clean(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_run_have_whole_seconds() {
        let text = |millis| age(Duration::from_millis(millis));
        assert_eq!([text(900), text(1999), text(75_000)], ["now", "1 s", "1 min"]);
        assert_eq!(
            (ago(Duration::ZERO).as_str(), ago(Duration::from_secs(3)).as_str()),
            ("now", "3 s ago")
        );
    }
}
