//! `docs/types.md` must not go stale: what pyheap infers is what the document says.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::support::claims::run;
use crate::support::fixture::Fixture;
use crate::support::pythons;

/// The cells of a version's column, by the type's name.
fn column(document: &str, version: &str) -> Result<HashMap<String, String>> {
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let mut lines = document.lines().skip_while(|line| !line.starts_with("| type |"));
    let head = cells(lines.next().context("docs/types.md has no table of types")?);
    let index = head.iter().position(|cell| cell == version).with_context(|| {
        format!("docs/types.md has no column {version}; run `cargo xtask types`")
    })?;
    let rows = lines.skip(1).take_while(|line| line.starts_with('|')).map(cells);
    Ok(rows
        .filter_map(|row| {
            Some((row.first()?.trim_matches('`').to_owned(), row.get(index)?.clone()))
        })
        .collect())
}

#[test]
fn the_document_lists_what_is_inferred() -> Result<()> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found = pythons::find(workspace)?;
    let python = found.iter().rfind(|python| !python.debug).context("no default build")?;
    let document = std::fs::read_to_string(workspace.join("docs/types.md"))?;
    let column = column(&document, &python.minor())?;

    let fixture = Fixture::start(python, &workspace.join("python-fixtures"), "stdlib", &[])?;
    let pid = fixture.pid().to_string();
    let pyheap = Path::new(env!("CARGO_BIN_EXE_pyheap"));
    let snapshot: serde_json::Value =
        serde_json::from_str(&run(pyheap, &["snapshot", "-p", &pid, "--json"])?)?;
    let inferred = snapshot.get("inferred_types").and_then(serde_json::Value::as_array);
    let inferred = inferred.context("no inferred_types")?.iter().filter_map(|name| name.as_str());
    let stale: Vec<&str> = inferred
        .filter(|name| !name.starts_with("__main__.") && !name.starts_with("_truth."))
        .filter(|name| !column.get(*name).is_some_and(|cell| cell.starts_with("inferred")))
        .collect();
    ensure!(
        stale.is_empty(),
        "docs/types.md does not say that {stale:?} are inferred on {}; run `cargo xtask types`",
        python.label()
    );
    Ok(())
}

#[test]
fn a_column_is_read_as_it_is_written() -> Result<()> {
    let document = "text\n\n| type | 3.14 | 3.15 |\n|---|---|---|\n| `m.T` | exact | inferred 98 % |\n\n| `m.U` | a | b |\n";
    let cells = column(document, "3.15")?;
    ensure!(cells == HashMap::from([("m.T".to_owned(), "inferred 98 %".to_owned())]), "{cells:?}");
    ensure!(column(document, "3.16").is_err(), "3.16 is not there");
    Ok(())
}
