//! The table of instructions is what each interpreter says of its own.

use std::path::Path;

use anyhow::{Result, ensure};

use crate::support::pythons::{self, Python};

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The lines of a minor release in the table.
fn section(table: &str, minor: &str) -> Vec<String> {
    let begins = |line: &&str| line.split_whitespace().take(2).eq(["version", minor]);
    let from = table.lines().skip_while(|line| !begins(line));
    let next = |&(nth, line): &(usize, &str)| nth == 0 || !line.starts_with("version ");
    from.enumerate().take_while(next).map(|(_, line)| line.to_owned()).collect()
}

fn one(python: &Python, table: &str) -> Result<()> {
    let script = std::fs::read_to_string(workspace().join("xtask/opcodes.py"))?;
    let output = python.command().args(["-I", "-S", "-c", &script]).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: Vec<String> =
        String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
    let recorded = section(table, &python.minor());
    let differs = told.iter().filter(|line| !recorded.contains(line));
    let differs: Vec<_> =
        differs.chain(recorded.iter().filter(|line| !told.contains(line))).collect();
    ensure!(differs.is_empty() && told.len() > 100, "{differs:#?}");
    Ok(())
}

#[test]
fn the_table_of_instructions_is_what_each_interpreter_says() -> Result<()> {
    let table = std::fs::read_to_string(workspace().join("src/cpython/layout/opcodes.txt"))?;
    // Later ones say in memory how deep a stack is.
    let found = pythons::find(workspace())?.into_iter().filter(|python| python.version.1 < 14);
    pythons::each(found, |python| one(python, &table))
}
