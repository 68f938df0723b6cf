//! Each text once.

use rustc_hash::FxHashMap;

use super::ids::StringId;

/// Texts (names of types, attributes, functions, files) kept once and named by number.
#[derive(Debug, Clone, Default)]
pub struct Interner {
    texts: Vec<Box<str>>,
    by_text: FxHashMap<Box<str>, StringId>,
}

impl Interner {
    /// The number of a text, which is added if it is new.
    pub fn intern(&mut self, text: &str) -> StringId {
        if let Some(&id) = self.by_text.get(text) {
            return id;
        }
        let id = StringId::from_index(self.texts.len());
        self.texts.push(text.into());
        self.by_text.insert(text.into(), id);
        id
    }

    /// The number of a text that is there already.
    #[must_use]
    pub fn find(&self, text: &str) -> Option<StringId> {
        self.by_text.get(text).copied()
    }

    /// The text of a number; empty for one that this interner never gave.
    #[must_use]
    pub fn text(&self, id: StringId) -> &str {
        self.texts.get(id.index()).map_or("", AsRef::as_ref)
    }

    /// How many texts there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Whether there is no text.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// The texts in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().map(AsRef::as_ref)
    }
}
