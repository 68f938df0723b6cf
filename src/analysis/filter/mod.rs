//! Which objects are meant: a small language of conditions on what is known of an object, such as
//! `type=*.DataFrame and bytes>=1M`.
//!
//! [`Filter::parse`] makes sense of the text, [`Filter::select`] of a heap. A condition that needs a
//! walk over the heap (paths, dominators, the collection) makes it once, and only if it is used.

mod column;
mod glob;
mod parse;
mod select;

use column::{Comparison, NumberColumn, TextColumn, YesNoColumn};
use glob::Glob;

pub use column::COLUMNS;
pub use select::Selection;

/// A condition that was understood.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Filter {
    condition: Condition,
}

/// A condition on an object. It is no deeper than the parser allows, so recursion is bounded.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Condition {
    /// All of them hold.
    All(Vec<Condition>),
    /// At least one holds.
    Any(Vec<Condition>),
    /// It does not hold.
    Not(Box<Condition>),
    /// A text fits a pattern, or does not.
    Text { column: TextColumn, pattern: Glob, fits: bool },
    /// A number is in a relation to another one. Where an object has no such number, nothing holds.
    Number { column: NumberColumn, comparison: Comparison, number: u64 },
    /// It is so, or is not.
    YesNo { column: YesNoColumn, is: bool },
}

/// Why a text is no filter.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the filter is not understood at character {}: {message}\n  {text}\n  {:>width$}", .at + 1, '^', width = .at + 1)]
pub struct FilterError {
    /// The filter, without control characters.
    pub text: String,
    /// How many characters are before the place where it is not understood.
    pub at: usize,
    /// What is wrong there.
    pub message: String,
}

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// It is none; the error knows the place.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        Ok(Self { condition: parse::filter(text)? })
    }
}
