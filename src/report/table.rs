//! One kind of table: columns aligned, names shortened in their middle to fit a terminal.

use std::io::{self, Write};

use super::style::Style;

/// On which side the cells of a column meet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Align {
    /// Texts that are of use only as a whole, such as addresses.
    Left,
    /// Numbers.
    Right,
    /// Texts that may be shortened.
    Name,
}

/// The fewest characters to which a column is shortened.
const LEAST: usize = 12;

/// Rows of cells under headings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    #[must_use]
    pub fn new(columns: &[(&'static str, Align)]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        // A cell is a line of a terminal: names from a target may hold anything.
        let clean = |cell: String| cell.replace(char::is_control, "\u{fffd}");
        self.rows.push(cells.into_iter().map(clean).collect());
    }

    /// Writes it; the widest names are shortened until it is `width` characters wide.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&self, out: &mut dyn Write, style: Style, width: Option<usize>) -> io::Result<()> {
        let mut widths: Vec<usize> = self.columns.iter().map(|(name, _)| chars(name)).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(chars(cell));
            }
        }
        if let Some(total) = width {
            self.shorten(&mut widths, total);
        }
        let line = |cells: &mut dyn Iterator<Item = &str>| {
            let mut line = String::new();
            for (index, (cell, (&width, &(_, align)))) in
                cells.zip(widths.iter().zip(&self.columns)).enumerate()
            {
                if index > 0 {
                    line.push_str("  ");
                }
                let cell = middle(cell, width);
                match align {
                    Align::Right => line.push_str(&format!("{cell:>width$}")),
                    Align::Left | Align::Name => line.push_str(&format!("{cell:<width$}")),
                }
            }
            line.trim_end().to_owned()
        };
        let heading = line(&mut self.columns.iter().map(|&(name, _)| name));
        writeln!(out, "{}", style.bold(&heading))?;
        for row in &self.rows {
            writeln!(out, "{}", line(&mut row.iter().map(String::as_str)))?;
        }
        Ok(())
    }

    /// Takes from the widest column of names, until all fit or none can be narrower.
    fn shorten(&self, widths: &mut [usize], total: usize) {
        let gaps = 2 * widths.len().saturating_sub(1);
        let mut over = (widths.iter().sum::<usize>() + gaps).saturating_sub(total);
        while over > 0 {
            let names = widths.iter_mut().zip(&self.columns);
            let widest = names
                .filter(|(width, (_, align))| *align == Align::Name && **width > LEAST)
                .max_by_key(|(width, _)| **width);
            let Some((width, _)) = widest else { return };
            *width -= 1;
            over -= 1;
        }
    }
}

fn chars(text: &str) -> usize {
    text.chars().count()
}

/// A text of at most `width` characters, with `…` in its middle where something is left out.
#[must_use]
pub fn middle(text: &str, width: usize) -> String {
    let length = chars(text);
    if length <= width {
        return text.to_owned();
    }
    let kept = width.saturating_sub(1);
    let (head, tail) = (kept / 2, kept - kept / 2);
    let start: String = text.chars().take(head).collect();
    let end: String = text.chars().skip(length - tail).collect();
    format!("{start}…{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(width: Option<usize>) -> String {
        let mut table = Table::new(&[("count", Align::Right), ("type", Align::Name)]);
        table.row(["12".to_owned(), "package.module.deeply.nested.ClassName".to_owned()]);
        table.row(["1,234".to_owned(), "bad\x1b[2Jname".to_owned()]);
        let mut out = Vec::new();
        table.write(&mut out, Style::PLAIN, width).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_are_aligned_and_control_characters_are_shown_harmless() {
        insta::assert_snapshot!(text(None), @r"
        count  type
           12  package.module.deeply.nested.ClassName
        1,234  bad�[2Jname
        ");
    }

    #[test]
    fn on_a_terminal_long_names_lose_their_middle() {
        insta::assert_snapshot!(text(Some(27)), @r"
        count  type
           12  package.m….ClassName
        1,234  bad�[2Jname
        ");
        assert_eq!(middle("abcdef", 0), "…");
    }

    #[test]
    fn the_widest_names_give_way_and_addresses_stay_whole() {
        let columns = [("address", Align::Left), ("type", Align::Name), ("by", Align::Name)];
        let mut table = Table::new(&columns);
        let holder = "package.module.Class.attribute".to_owned();
        table.row(["0x7f0123456789".to_owned(), "package.module.Class".to_owned(), holder]);
        let mut out = Vec::new();
        table.write(&mut out, Style::PLAIN, Some(50)).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.lines().all(|line| chars(line) <= 50), "{text}");
        assert!(text.contains("0x7f0123456789"), "{text}");
    }
}
