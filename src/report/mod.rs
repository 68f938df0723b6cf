//! Results as text for people, as JSON, CSV and JUnit XML. Everything goes to a given `Write`.

pub mod csv;
pub mod dot;
pub mod flame;
pub mod folded;
pub mod heapsnapshot;
pub mod html;
pub mod json;
pub mod junit;
pub mod plot;
pub mod pprof;
pub mod profile;
pub mod style;
pub mod table;
pub mod text;
pub mod units;

/// How a text report is laid out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    /// Whether colour is used.
    pub style: style::Style,
    /// The columns of the terminal; nothing elsewhere, and then no name is shortened.
    pub width: Option<usize>,
    /// How many rows are shown.
    pub limit: usize,
    /// Whether names are never shortened.
    pub full_names: bool,
}

impl Layout {
    /// The width to which names are shortened, if they are.
    #[must_use]
    pub fn name_width(&self) -> Option<usize> {
        self.width.filter(|_| !self.full_names)
    }
}

/// A type name as tables show it: without `builtins.`.
#[must_use]
pub fn short_type(name: &str) -> &str {
    name.strip_prefix("builtins.").unwrap_or(name)
}
