//! From what a person typed to types and objects.

use crate::addr::Addr;
use crate::graph::{HeapGraph, ObjectId, TypeId};

/// Why a text names no type or object of a heap.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// No type has the name.
    #[error("no type is called {wanted}")]
    NoType {
        /// What was asked for.
        wanted: String,
        /// Names that look like it.
        similar: Vec<String>,
    },
    /// Several types have the name.
    #[error("{wanted} is the name of {} types: {}", .found.len(), .found.join(", "))]
    Ambiguous {
        /// What was asked for.
        wanted: String,
        /// The full names, sorted.
        found: Vec<String>,
    },
    /// It is not an address.
    #[error("{0} is not an address (they start with 0x)")]
    NotAnAddress(String),
    /// No object is at the address.
    #[error("no object is at {0}")]
    NoObject(Addr),
}

/// The types of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeMatch {
    /// The full name.
    pub name: String,
    /// Its types: several when a class was defined more than once.
    pub types: Vec<TypeId>,
}

impl TypeMatch {
    /// The objects of these types, by address.
    pub fn objects<'g>(&'g self, graph: &'g HeapGraph) -> impl Iterator<Item = ObjectId> + 'g {
        graph.ids().filter(|&object| self.types.contains(&graph.type_of(object)))
    }
}

/// How many similar names are proposed.
const SIMILAR: usize = 5;

/// The types with a name: the full one (`builtins.` may be left out), or else its last components.
///
/// # Errors
/// No type, or types of several names, match.
pub fn find_type(graph: &HeapGraph, wanted: &str) -> Result<TypeMatch, LookupError> {
    let mut names: Vec<&str> = graph.types.iter().map(|row| graph.strings.text(row.name)).collect();
    names.sort_unstable();
    names.dedup();
    let exact = |name: &&str| *name == wanted || name.strip_prefix("builtins.") == Some(wanted);
    let found = match names.iter().copied().find(|name| *name == wanted) {
        Some(name) => vec![name],
        None => match names.iter().copied().find(exact) {
            Some(name) => vec![name],
            None => names.iter().copied().filter(|name| ends_with(name, wanted)).collect(),
        },
    };
    match found.as_slice() {
        [name] => {
            let of_name = |(index, row): (usize, &crate::graph::TypeRow)| {
                (graph.strings.text(row.name) == *name).then(|| TypeId::from_index(index))
            };
            let types = graph.types.iter().enumerate().filter_map(of_name).collect();
            Ok(TypeMatch { name: (*name).to_owned(), types })
        }
        [] => {
            let lower = wanted.to_lowercase();
            let last = lower.rsplit('.').next().unwrap_or(&lower);
            let like = |name: &&str| !last.is_empty() && name.to_lowercase().contains(last);
            let similar = names.into_iter().filter(like).take(SIMILAR).map(str::to_owned).collect();
            Err(LookupError::NoType { wanted: wanted.to_owned(), similar })
        }
        several => Err(LookupError::Ambiguous {
            wanted: wanted.to_owned(),
            found: several.iter().map(|&name| name.to_owned()).collect(),
        }),
    }
}

/// Whether `wanted` is the last components of a dotted name.
fn ends_with(name: &str, wanted: &str) -> bool {
    !wanted.is_empty() && name.strip_suffix(wanted).is_some_and(|rest| rest.ends_with('.'))
}

/// Reads an address that starts with `0x`.
///
/// # Errors
/// The text is none.
pub fn parse_address(text: &str) -> Result<Addr, LookupError> {
    text.strip_prefix("0x")
        .or_else(|| text.strip_prefix("0X"))
        .and_then(|digits| u64::from_str_radix(digits, 16).ok())
        .map(Addr)
        .ok_or_else(|| LookupError::NotAnAddress(text.to_owned()))
}

/// The object at an address that a person typed.
///
/// # Errors
/// The text is no address, or no object is there.
pub fn find_object(graph: &HeapGraph, text: &str) -> Result<ObjectId, LookupError> {
    let addr = parse_address(text)?;
    graph.find(addr).ok_or(LookupError::NoObject(addr))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::GraphBuilder;

    fn graph() -> HeapGraph {
        let mut builder = GraphBuilder::new();
        for (at, name) in ["builtins.dict", "app.dict", "app.Session", "web.Session", "app.Cache"]
            .iter()
            .enumerate()
        {
            builder.object(0x1000 + 16 * at as u64, name, 16);
        }
        builder.build()
    }

    #[test]
    fn the_last_components_of_a_name_are_enough() {
        assert_eq!(find_type(&graph(), "Cache").unwrap().name, "app.Cache");
        assert_eq!(find_type(&graph(), "app.Session").unwrap().name, "app.Session");
        assert!(matches!(find_type(&graph(), "ache"), Err(LookupError::NoType { .. })));
    }

    #[test]
    fn builtins_may_be_left_out_and_win_over_classes_of_the_same_name() {
        assert_eq!(find_type(&graph(), "dict").unwrap().name, "builtins.dict");
    }

    #[test]
    fn several_hits_are_all_named() {
        let error = find_type(&graph(), "Session").unwrap_err();
        assert_eq!(error.to_string(), "Session is the name of 2 types: app.Session, web.Session");
    }

    #[test]
    fn an_unknown_name_proposes_similar_ones() {
        let Err(LookupError::NoType { similar, .. }) = find_type(&graph(), "sess") else {
            panic!("found a type");
        };
        assert_eq!(similar, ["app.Session", "web.Session"]);
    }

    #[test]
    fn an_address_must_be_hexadecimal_and_have_an_object() {
        assert_eq!(find_object(&graph(), "0x1010").unwrap(), ObjectId(1));
        assert_eq!(find_object(&graph(), "1010"), Err(LookupError::NotAnAddress("1010".into())));
        assert_eq!(find_object(&graph(), "0x1011"), Err(LookupError::NoObject(Addr(0x1011))));
    }
}
