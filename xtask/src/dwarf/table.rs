//! The names in the table of structures: what evidence is wanted for.

use std::collections::BTreeMap;

/// The table itself.
const STRUCTS: &str = include_str!("../../../src/cpython/layout/structs.txt");

/// One structure of the table.
#[derive(Debug)]
pub(crate) struct Structure {
    /// Its name in the table.
    pub(crate) name: &'static str,
    /// The fields that some version has, without `sizeof`.
    pub(crate) fields: Vec<&'static str>,
}

/// All names of the table.
#[derive(Debug)]
pub(crate) struct Table {
    /// In the order of the table.
    pub(crate) structures: Vec<Structure>,
    /// From every name that C code has for a structure to its place in `structures`.
    pub(crate) by_name: BTreeMap<&'static str, usize>,
}

impl Table {
    /// Reads the names. What a line says of offsets is left to the library's own reader.
    pub(crate) fn read() -> Self {
        let mut table = Self { structures: Vec::new(), by_name: BTreeMap::new() };
        for line in STRUCTS.lines() {
            let (text, comment) = line.split_once('#').unwrap_or((line, ""));
            let mut words = text.split_whitespace();
            match (words.next(), words.next()) {
                (Some("struct"), Some(name)) => {
                    let place = table.structures.len();
                    table.structures.push(Structure { name, fields: Vec::new() });
                    table.by_name.insert(name, place);
                    for other in comment.split_whitespace() {
                        table.by_name.entry(other).or_insert(place);
                    }
                }
                (Some(field), Some(_)) if field != "sizeof" => {
                    if let Some(structure) = table.structures.last_mut() {
                        structure.fields.push(field);
                    }
                }
                _ => {}
            }
        }
        table
    }
}
