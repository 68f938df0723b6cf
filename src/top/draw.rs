//! A picture on a terminal: the only place that knows how things look.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line as TextLine, Span};
use ratatui::widgets::{Paragraph, Sparkline};

use super::line::{Line, Role};
use super::picture::{Curve, HEIGHT, Picture};
use super::table::{Cell, Table};

/// Whether there are colours. The sixteen of every terminal are enough; without them bold, dim and reversed text
/// tells the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Palette {
    pub(super) is_colored: bool,
}

impl Palette {
    fn style(self, role: Role) -> Style {
        let style = Style::new();
        let colored = |color| if self.is_colored { style.fg(color) } else { style };
        match role {
            Role::Plain => style,
            Role::Strong => style.add_modifier(Modifier::BOLD),
            Role::Quiet => style.add_modifier(Modifier::DIM),
            Role::Bad => colored(Color::Red).add_modifier(Modifier::BOLD),
        }
    }

    fn line(self, line: &Line) -> TextLine<'_> {
        let mut spans = Vec::new();
        for (nth, piece) in line.0.iter().enumerate() {
            if nth > 0 {
                spans.push(Span::raw("  "));
            }
            spans.push(Span::styled(piece.text.as_str(), self.style(piece.role)));
        }
        TextLine::from(spans)
    }

    fn row(self, cells: &[Cell], is_selected: bool) -> TextLine<'_> {
        let mark = if is_selected { "> " } else { "  " };
        let cells = cells.iter().map(|(text, role)| Span::styled(text.as_str(), self.style(*role)));
        let line = TextLine::from_iter(std::iter::once(Span::raw(mark)).chain(cells));
        if is_selected { line.style(Style::new().add_modifier(Modifier::REVERSED)) } else { line }
    }
}

/// Lines of the screen, given out from the top.
struct Lines {
    area: Rect,
}

impl Lines {
    /// The next so many, or as many as are left.
    fn next(&mut self, height: u16) -> Rect {
        let height = height.min(self.area.height);
        let next = Rect { height, ..self.area };
        self.area.y = self.area.y.saturating_add(height);
        self.area.height -= height;
        next
    }
}

/// Draws a picture. One that was made for another size is cut.
pub(super) fn draw(frame: &mut Frame<'_>, picture: &Picture, palette: Palette) {
    let mut lines = Lines { area: frame.area() };
    let keys = lines.area.height.saturating_sub(1);
    let header = lines.next(u16::try_from(picture.header.len()).unwrap_or(u16::MAX));
    let texts: Vec<TextLine<'_>> = picture.header.iter().map(|line| palette.line(line)).collect();
    frame.render_widget(Paragraph::new(texts), header);
    if let Some(curve) = &picture.curve {
        draw_curve(frame, curve, header, palette);
    }
    if picture.has_headings {
        let heading = Style::new().add_modifier(Modifier::BOLD);
        let text = TextLine::styled(format!("  {}", picture.body.heading), heading);
        frame.render_widget(text, lines.next(1));
    }
    let below = u16::from(picture.has_headings) + u16::from(picture.has_keys);
    let rows = lines.area.height.saturating_sub(below);
    frame.render_widget(Paragraph::new(table(&picture.body, palette)), lines.next(rows));
    if picture.has_headings {
        frame.render_widget(palette.line(&picture.message), lines.next(1));
    }
    if picture.has_keys && keys > 0 {
        frame.render_widget(palette.line(&picture.keys), lines.next(1));
    }
}

fn table(table: &Table, palette: Palette) -> Vec<TextLine<'_>> {
    let rows = table.rows.iter().enumerate();
    rows.map(|(nth, cells)| palette.row(cells, table.selected == Some(nth))).collect()
}

/// The curve, to the right of the lines below the title; what it spans stands below it.
fn draw_curve(frame: &mut Frame<'_>, curve: &Curve, header: Rect, palette: Palette) {
    let width = u16::try_from(curve.columns).unwrap_or(u16::MAX).min(header.width);
    let height = if header.height >= 8 { 3 } else { 1 };
    let area = Rect { x: header.right() - width, y: header.y + 1, width, height };
    let line = Sparkline::default().data(&curve.heights).max(HEIGHT);
    let line = if palette.is_colored { line.style(Style::new().fg(Color::Cyan)) } else { line };
    frame.render_widget(line, area.intersection(header));
    let label = TextLine::styled(curve.label.as_str(), palette.style(Role::Quiet)).right_aligned();
    let below = Rect { y: area.y + height, height: 1, ..area };
    frame.render_widget(label, below.intersection(header));
}
