//! A line of the screen: pieces of text, of which those that matter less give way where there is no room.

use super::words::clean;

/// What a piece of text is, and so how it looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Role {
    #[default]
    Plain,
    /// A heading, or a number that one looks for.
    Strong,
    /// What matters less.
    Quiet,
    /// What is wrong, or grew.
    Bad,
}

/// A piece of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) text: String,
    pub(super) role: Role,
    /// The higher, the sooner it gives way; 0 never does.
    rank: u8,
}

/// A line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Line(pub(super) Vec<Piece>);

/// Between two pieces.
const GAP: usize = 2;

impl Line {
    /// The line with a piece more.
    pub(super) fn with(mut self, rank: u8, role: Role, text: impl Into<String>) -> Self {
        let text = clean(&text.into());
        if !text.is_empty() {
            self.0.push(Piece { text, role, rank });
        }
        self
    }

    /// How many columns it takes.
    pub(super) fn width(&self) -> usize {
        let texts: usize = self.0.iter().map(|piece| piece.text.chars().count()).sum();
        texts + GAP * self.0.len().saturating_sub(1)
    }

    /// The line without what has no room in so many columns.
    pub(super) fn fit(mut self, width: usize) -> Self {
        while self.width() > width {
            let pieces = self.0.iter().enumerate();
            // Of equal ones the last.
            let least =
                pieces.filter(|(_, piece)| piece.rank > 0).max_by_key(|(_, piece)| piece.rank);
            let Some((nth, _)) = least else { break };
            self.0.remove(nth);
        }
        self
    }

    /// Its text as it stands.
    #[cfg(test)]
    pub(super) fn text(&self) -> String {
        let texts: Vec<&str> = self.0.iter().map(|piece| piece.text.as_str()).collect();
        texts.join("  ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matters_least_gives_way_first() {
        let line = Line::default()
            .with(0, Role::Strong, "pid 7")
            .with(2, Role::Plain, "python app.py")
            .with(3, Role::Quiet, "Python 3.11.7")
            .with(1, Role::Plain, "")
            .with(1, Role::Plain, "up 3 min");
        let fit = |width| line.clone().fit(width).text();
        assert_eq!(fit(80), "pid 7  python app.py  Python 3.11.7  up 3 min");
        assert_eq!(fit(44), "pid 7  python app.py  up 3 min");
        assert_eq!((fit(20).as_str(), fit(0).as_str()), ("pid 7  up 3 min", "pid 7"));
    }
}
