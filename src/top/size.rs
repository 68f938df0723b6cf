//! How the lines of a terminal are shared out. It may be as small as it likes.

/// The size of a terminal, in columns and lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) width: u16,
    pub(super) height: u16,
}

/// How much is told of the process above the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Header {
    /// One line: which process, and its memory.
    Line,
    /// And what the table is of.
    Short,
    /// The curve of memory in a line of its own.
    Medium,
    /// All.
    Full,
}

impl Size {
    pub(super) const fn header(self) -> Header {
        match self.height {
            0..7 => Header::Line,
            7..12 => Header::Short,
            12..20 => Header::Medium,
            _ => Header::Full,
        }
    }

    /// The lines of the header.
    pub(super) const fn header_lines(self) -> u16 {
        match self.header() {
            Header::Line => 1,
            Header::Short => 2,
            Header::Medium => 5,
            Header::Full => 8,
        }
    }

    /// Whether the table has headings, and a line for messages below it.
    pub(super) const fn has_headings(self) -> bool {
        self.height >= 7
    }

    /// Whether the keys are shown.
    pub(super) const fn has_keys(self) -> bool {
        self.height >= 3
    }

    /// The lines for the rows of a table.
    pub(super) const fn rows(self) -> u16 {
        let around = if self.has_headings() { 2 } else { 0 } + if self.has_keys() { 1 } else { 0 };
        self.height.saturating_sub(self.header_lines() + around)
    }
}

impl Default for Size {
    fn default() -> Self {
        Self { width: 80, height: 24 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_a_terminal_has_one_use() {
        for height in 0..60 {
            let size = Size { width: 80, height };
            let headings = if size.has_headings() { 2 } else { 0 };
            let used = size.header_lines() + headings + u16::from(size.has_keys()) + size.rows();
            assert_eq!(used, height.max(1), "{height}");
        }
        let rows = |height| Size { width: 80, height }.rows();
        assert_eq!([rows(24), rows(40), rows(10), rows(5)], [13, 29, 5, 3]);
    }
}
