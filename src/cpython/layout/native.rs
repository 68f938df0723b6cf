//! The types of C code whose references are fields: read from a table.

use rustc_hash::FxHashMap;

use super::table::{MissingField, Offsets};
use crate::cpython::version::Version;

/// The table itself.
const NATIVES: &str = include_str!("natives.txt");

/// What a field is to the collector.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FieldRole {
    /// `tp_traverse` visits it.
    Visited,
    /// It is owned, but not visited.
    Hidden,
}

/// A field that holds a reference.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NativeField {
    /// Its name in the C structure.
    pub name: &'static str,
    /// The Python attribute that shows it.
    pub attribute: Option<&'static str>,
    /// Where it is in the object.
    pub offset: u64,
    /// What it is to the collector.
    pub role: FieldRole,
    /// Whether it is the dictionary of an instance.
    pub is_dict: bool,
}

/// A type of C code.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NativeType {
    /// The size of its structure, against which `tp_basicsize` is checked.
    pub size: u64,
    /// Its references.
    pub fields: Vec<NativeField>,
}

/// All such types of one interpreter, by `tp_name`.
#[derive(Debug, Clone, Default)]
pub struct Natives {
    by_name: FxHashMap<&'static str, NativeType>,
}

impl Natives {
    /// Fills in the offsets of one interpreter. Types whose structure it does not have are left
    /// out.
    ///
    /// # Errors
    /// A field is in no version's structure: the tables do not fit each other.
    pub fn resolve(offsets: &Offsets, version: Version) -> Result<Self, MissingField> {
        let mut by_name = FxHashMap::default();
        for line in NATIVES.lines() {
            let line = line.split('#').next().unwrap_or("");
            let mut words = line.split_whitespace();
            let (Some(tp_name), Some(structure)) = (words.next(), words.next()) else { continue };
            let Some(size) = offsets.size(structure) else { continue };
            let fields =
                words.filter_map(|word| field(offsets, structure, word, version)).collect();
            by_name.insert(tp_name, NativeType { size: size.into(), fields });
        }
        Ok(Self { by_name })
    }

    /// The type of a name, if its structure fits into the size that the target says.
    #[must_use]
    pub fn find(&self, tp_name: &str, basicsize: u64) -> Option<&NativeType> {
        self.by_name.get(tp_name).filter(|native| native.size <= basicsize)
    }
}

/// A field of the table's line, if this interpreter has it.
fn field(
    offsets: &Offsets,
    structure: &'static str,
    word: &'static str,
    version: Version,
) -> Option<NativeField> {
    let (word, role) = match word.strip_prefix('-') {
        Some(word) => (word, FieldRole::Hidden),
        None => (word, FieldRole::Visited),
    };
    let (word, role) = match word.split_once('@') {
        Some((word, since)) if version < since.parse().ok()? => (word, FieldRole::Hidden),
        Some((word, _)) => (word, role),
        None => (word, role),
    };
    let word = match word.split_once('^') {
        Some((_, since)) if version < since.parse().ok()? => return None,
        Some((word, _)) => word,
        None => word,
    };
    let (word, is_dict) = match word.strip_prefix('{').and_then(|word| word.strip_suffix('}')) {
        Some(word) => (word, true),
        None => (word, false),
    };
    let (name, attribute) = match word.split_once('=') {
        Some((name, attribute)) => (name, Some(attribute)),
        None => (word, None),
    };
    let offset = offsets.find(structure, name)?.into();
    Some(NativeField { name, attribute, offset, role, is_dict })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_names_a_structure_and_fields_that_some_version_has() {
        let versions = (6..=15).map(|minor| {
            Offsets::of(Version::new(3, minor, if minor == 14 { 10 } else { 20 }), false).unwrap()
        });
        let versions: Vec<_> = versions.collect();
        for line in NATIVES.lines() {
            let line = line.split('#').next().unwrap_or("");
            let mut words = line.split_whitespace();
            let (Some(tp_name), Some(structure)) = (words.next(), words.next()) else { continue };
            assert!(
                versions.iter().any(|offsets| offsets.size(structure).is_some()),
                "{tp_name}: no version has a struct {structure}"
            );
            for word in words {
                assert!(
                    versions.iter().any(|offsets| field(
                        offsets,
                        structure,
                        word,
                        Version::new(3, 99, 0)
                    )
                    .is_some()),
                    "{tp_name}: no version has {structure}.{word}"
                );
            }
        }
    }

    #[test]
    fn a_type_that_is_too_small_is_another_type() {
        let offsets = Offsets::of(Version::new(3, 11, 7), false).unwrap();
        let natives = Natives::resolve(&offsets, Version::new(3, 11, 7)).unwrap();
        let size = offsets.size("chainobject").unwrap().into();
        assert!(natives.find("itertools.chain", size).is_some());
        assert!(natives.find("itertools.chain", size - 8).is_none());
        assert!(natives.find("nothing.Known", size).is_none());
    }
}
