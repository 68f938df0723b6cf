//! The documents of `--json`: their fields are a promise (`docs/json.md`).

use std::io::{self, Write};

use serde::Serialize;

pub mod check;
pub mod containers;
pub mod cycles;
pub mod diff;
mod finalizers;
pub mod garbage;
pub mod histogram;
pub mod memory;
pub mod native;
pub mod objects;
pub mod orphans;
pub mod processes;
pub mod record;
pub mod retained;
pub mod stacks;
pub mod strings;
pub mod why;

/// The number of the schema. Fields are added, never renamed, within one.
pub const SCHEMA: u32 = 1;

/// A document: the schema, the command, and the fields of the command.
#[derive(Debug, Serialize)]
pub struct Document<'a, T> {
    schema: u32,
    command: &'a str,
    #[serde(flatten)]
    fields: T,
}

/// Writes one document and the end of its line.
///
/// # Errors
/// Those of the writer.
pub fn write<T: Serialize>(out: &mut dyn Write, command: &str, fields: T) -> io::Result<()> {
    let document = Document { schema: SCHEMA, command, fields };
    serde_json::to_writer(&mut *out, &document).map_err(io::Error::from)?;
    writeln!(out)
}

/// A document of which a list is made, while the heap that it is of is given back.
///
/// # Errors
/// It cannot be written as JSON.
pub fn value<T: Serialize>(document: T) -> io::Result<serde_json::Value> {
    serde_json::to_value(document).map_err(io::Error::from)
}

/// One step of a path.
#[derive(Debug, Clone, Serialize)]
pub struct StepJson<'a> {
    /// The full name of the type of the object.
    #[serde(rename = "type")]
    pub type_name: &'a str,
    /// The label by which the one before holds it; empty at a root.
    pub label: &'a str,
    /// What code calls it, of functions, frames and classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
}

/// The root of a path.
#[derive(Debug, Clone, Serialize)]
pub struct RootJson<'a> {
    /// The kind; where no root reaches the object, `garbage` or `uncollectable`.
    pub kind: &'static str,
    /// The name.
    pub name: &'a str,
}

impl<'a> From<&'a crate::analysis::PathRoot> for RootJson<'a> {
    fn from(root: &'a crate::analysis::PathRoot) -> Self {
        Self { kind: root.origin.name(), name: &root.name }
    }
}

/// The steps of a path.
#[must_use]
pub fn steps(steps: &[crate::analysis::Step]) -> Vec<StepJson<'_>> {
    steps
        .iter()
        .map(|step| StepJson {
            type_name: &step.type_name,
            label: &step.label,
            name: step.name.as_deref(),
        })
        .collect()
}
