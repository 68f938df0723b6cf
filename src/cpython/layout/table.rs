//! The table of offsets, and how the rows for one interpreter are picked from it.

use rustc_hash::FxHashMap;

use crate::cpython::version::Version;

/// The table itself.
const STRUCTS: &str = include_str!("structs.txt");

/// The offsets that hold for one interpreter.
#[derive(Debug, Clone)]
pub struct Offsets {
    fields: FxHashMap<(&'static str, &'static str), u32>,
}

/// A line of the table that cannot be read. Only a broken build has one; a test reads every line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the table of structures cannot be read: {text:?}")]
pub struct BadRow {
    /// The line's number, from 1.
    pub line: usize,
    /// The line.
    pub text: String,
}

/// A field that the table does not have for this interpreter, though a decoder needs it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no offset is known for {structure}.{field}")]
pub struct MissingField {
    /// The C structure.
    pub structure: &'static str,
    /// Its field.
    pub field: &'static str,
}

impl Offsets {
    /// Picks the rows for one version and build.
    ///
    /// # Errors
    /// The table has a line that cannot be read.
    pub fn of(version: Version, debug: bool) -> Result<Self, BadRow> {
        let mut fields = FxHashMap::default();
        let mut structure = "";
        for (index, text) in STRUCTS.lines().enumerate() {
            let bad = || BadRow { line: index + 1, text: text.to_owned() };
            let line = text.split('#').next().unwrap_or("").trim_end();
            if line.is_empty() {
                continue;
            }
            if let Some(name) = line.strip_prefix("struct ") {
                structure = name.trim();
                continue;
            }
            let mut words = line.split_whitespace();
            let field = words.next().ok_or_else(bad)?;
            if let Some(offset) = pick(words, version, debug).ok_or_else(bad)? {
                fields.insert((structure, field), offset);
            }
        }
        Ok(Self { fields })
    }

    /// The offset of a field, if this interpreter has it.
    #[must_use]
    pub fn find(&self, structure: &'static str, field: &'static str) -> Option<u32> {
        self.fields.get(&(structure, field)).copied()
    }

    /// The offset of a field that this interpreter must have.
    ///
    /// # Errors
    /// It does not.
    pub fn get(&self, structure: &'static str, field: &'static str) -> Result<u32, MissingField> {
        self.find(structure, field).ok_or(MissingField { structure, field })
    }

    /// All fields that this interpreter has: structure, field and offset.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &'static str, u32)> {
        self.fields.iter().map(|(&(structure, field), &offset)| (structure, field, offset))
    }

    /// The other names that a structure has had in CPython's headers, by the table's comments.
    #[must_use]
    pub fn other_names(structure: &str) -> Vec<&'static str> {
        let line = STRUCTS.lines().find_map(|line| {
            let rest = line.strip_prefix("struct ")?.strip_prefix(structure)?;
            rest.trim_start().strip_prefix('#')
        });
        line.map(|names| names.split_whitespace().collect()).unwrap_or_default()
    }

    /// The size of a structure.
    #[must_use]
    pub fn size(&self, structure: &'static str) -> Option<u32> {
        self.find(structure, "sizeof")
    }

    /// Replaces what the table says by what the target itself says.
    pub fn set(&mut self, structure: &'static str, field: &'static str, offset: u32) {
        self.fields.insert((structure, field), offset);
    }
}

/// The value of a row for one interpreter: nothing where there is no such field; `None` in the
/// outer place if the row cannot be read.
#[allow(clippy::option_option)]
fn pick<'a>(
    mut words: impl Iterator<Item = &'a str>,
    version: Version,
    debug: bool,
) -> Option<Option<u32>> {
    let offset = |word: &str| match word {
        "-" => Some(None),
        number => number.parse().ok().map(Some),
    };
    let mut best = (Version::default(), false);
    let mut value = offset(words.next()?)?;
    for word in words {
        let (since, number) = word.split_once('=')?;
        let number = offset(number)?;
        let (since, for_debug) = match since.strip_suffix('d') {
            Some(since) => (since, true),
            None => (since, false),
        };
        let mut since: Version = since.parse().ok()?;
        since.release = 0;
        let rank = (since, for_debug);
        if since <= version && (debug || !for_debug) && rank >= best {
            best = rank;
            value = number;
        }
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(text: &str, version: &str, debug: bool) -> Option<u32> {
        pick(text.split_whitespace(), version.parse().unwrap(), debug).unwrap()
    }

    #[test]
    fn the_greatest_version_not_above_the_targets_decides() {
        let text = "- 3.7=8 3.9=16 3.13.5=20 3.14=-";
        assert_eq!(row(text, "3.6.15", false), None);
        assert_eq!(row(text, "3.8.1", false), Some(8));
        assert_eq!(row(text, "3.9.0", false), Some(16));
        assert_eq!(row(text, "3.13.4", false), Some(16));
        assert_eq!(row(text, "3.13.18", false), Some(20));
        assert_eq!(row(text, "3.14.5", false), None);
    }

    #[test]
    fn a_debug_row_counts_for_debug_builds_only() {
        let text = "8 3.14=16 3.14d=24 3.15=32";
        assert_eq!(row(text, "3.14.5", false), Some(16));
        assert_eq!(row(text, "3.14.5", true), Some(24));
        assert_eq!(row(text, "3.15.1", true), Some(32));
    }

    #[test]
    fn a_word_that_is_no_row_is_refused() {
        for text in ["", "x", "8 3.9", "8 3.9=x", "8 three=9"] {
            assert_eq!(pick(text.split_whitespace(), Version::new(3, 12, 0), false), None);
        }
    }
}
