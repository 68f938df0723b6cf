//! What the keys do, and what the numbers mean.

/// The lines of the help, for a terminal of 80 columns.
pub(super) const LINES: &[&str] = &[
    "q, Ctrl-C  quit",
    "Enter, →   who holds the selected type; again: the whole path",
    "Esc, ←     back; in the table: all types again",
    "↑ ↓ k j    select; PgUp, PgDn, Home, End go further",
    "s  S       sort by the next column, or the one before; r: the other way round",
    "/          only types with a text in their names; Enter keeps it, Esc does not",
    "space      hold the view: the process runs on, and is not counted meanwhile",
    "u          count now, or as soon as the process can bear it",
    "m          mark: from now on, changes are since this count",
    "t          threads: what each does or waits for",
    "?          this page, and back",
    "",
    "bytes      shallow bytes and buffers, as in pyheap histogram",
    "+start     how much more than at the first count, or at the mark",
    "+last      how much more than at the count before",
    "gc         each generation: counter, threshold, and how often it was collected",
    "garbage    what gc.collect() would free now",
    "",
    "RSS, threads and gc are read twice a second, without a pause. Each count of",
    "the types pauses the process (see --pause), for 1 % of the time at most, and",
    "is left out where it would take longer than --max-pause.",
];

#[cfg(test)]
mod tests {
    use super::LINES;

    #[test]
    fn the_help_has_room_on_the_usual_terminal() {
        assert!(LINES.iter().all(|line| line.chars().count() <= 78), "{LINES:?}");
    }
}
