//! `cargo xtask layouts`: the table of layouts against what a C compiler makes of CPython's own headers.
//!
//! One C program asks for the offset of every field of the table; lines that do not compile (structures of `.c` files,
//! fields that a version does not have) are dropped by the numbers in the compiler's messages, and what is left is run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use pyheap::cpython::layout::Offsets;
use pyheap::cpython::version::Version;

use crate::support::pythons::{self, Python};

/// What to compare, and where the evidence goes.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// One interpreter, as `cargo xtask truth` names it; all that have headers if not given.
    #[arg(long)]
    python: Option<String>,
    /// Write the evidence to `tests/data/offsets/VERSION.json`, which the tests compare with the table everywhere.
    #[arg(long)]
    record: bool,
}

/// The internal headers that hold structures of the table, where a version has them.
const HEADERS: [&str; 22] = [
    "pycore_runtime.h",
    "pycore_interp.h",
    "pycore_interp_structs.h",
    "pycore_runtime_structs.h",
    "pycore_pystate.h",
    "pycore_tstate.h",
    "pycore_gc.h",
    "pycore_dict.h",
    "pycore_frame.h",
    "pycore_interpframe.h",
    "pycore_interpframe_structs.h",
    "pycore_code.h",
    "pycore_object.h",
    "pycore_moduleobject.h",
    "pycore_typeobject.h",
    "pycore_hamt.h",
    "pycore_context.h",
    "pycore_unionobject.h",
    "pycore_tuple.h",
    "pycore_list.h",
    "pycore_obmalloc.h",
    "pycore_debug_offsets.h",
];

/// Offsets by structure and field.
type Evidence = BTreeMap<String, BTreeMap<String, u32>>;

/// Compares, and says what differs.
///
/// # Errors
/// If anything differs, or no interpreter has headers.
pub(crate) fn run(workspace: &Path, arguments: &Arguments) -> Result<()> {
    let mut compared = 0;
    let mut differences = 0;
    for python in pythons::find(workspace)? {
        let label = python.label();
        if arguments
            .python
            .as_ref()
            .is_some_and(|wanted| *wanted != label && *wanted != python.minor())
        {
            continue;
        }
        let Some(includes) = include_folders(&python)? else {
            println!("{label}: no headers");
            continue;
        };
        let (major, minor, patch) = python.version;
        let byte = |number: u32| u8::try_from(number).context("a version out of range");
        let version = Version::new(byte(major)?, byte(minor)?, byte(patch)?);
        let table = Offsets::of(version, python.debug)?;
        let evidence =
            measure(&table, &includes, &defines(&python)?).with_context(|| label.clone())?;
        let fields: usize = evidence.values().map(BTreeMap::len).sum();
        let mut wrong = 0;
        for (structure, field, offset) in table.iter() {
            let found = evidence.get(structure).and_then(|fields| fields.get(field));
            if let Some(&found) = found.filter(|&&found| found != offset) {
                println!("{label}: {structure}.{field} is at {found}, the table says {offset}");
                wrong += 1;
            }
        }
        println!("{label}: {fields} offsets by the headers, {wrong} of them differ from the table");
        compared += 1;
        differences += wrong;
        if arguments.record {
            let folder = workspace.join("tests/data/offsets");
            std::fs::create_dir_all(&folder)?;
            let text = serde_json::to_string_pretty(&evidence)?;
            std::fs::write(folder.join(format!("{label}.json")), text + "\n")?;
        }
    }
    if compared == 0 {
        bail!("no interpreter with headers was found");
    }
    if differences > 0 {
        bail!("{differences} offsets differ");
    }
    Ok(())
}

/// The folders of an interpreter's headers.
fn include_folders(python: &Python) -> Result<Option<Vec<PathBuf>>> {
    let code = "import sysconfig; print(sysconfig.get_path('include')); print(sysconfig.get_path('platinclude'))";
    let output = python.command().args(["-c", code]).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let inside = |folder: &str| match &python.root {
        Some(root) => root.join(folder.trim_start_matches('/')),
        None => PathBuf::from(folder),
    };
    let mut folders: Vec<PathBuf> = text.lines().map(inside).collect();
    if let Some(root) = &python.root {
        folders.push(root.join("usr/include"));
        // Debian keeps pyconfig.h by architecture, and the headers of a debug build beside the others.
        folders.push(root.join("usr/include/x86_64-linux-gnu"));
    }
    if !folders.iter().any(|folder| folder.join("Python.h").exists()) {
        return Ok(None);
    }
    let internal: Vec<PathBuf> = folders.iter().map(|folder| folder.join("internal")).collect();
    folders.extend(internal);
    folders.retain(|folder| folder.exists());
    let mut seen = BTreeSet::new();
    folders.retain(|folder| seen.insert(folder.clone()));
    Ok(Some(folders))
}

/// What the core was compiled with and no header says: whether there is a JIT changes structures.
fn defines(python: &Python) -> Result<Vec<String>> {
    let code = "import sysconfig; print(sysconfig.get_config_var('PY_CORE_CFLAGS') or '')";
    let output = python.command().args(["-c", code]).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text
        .split_whitespace()
        .filter(|word| word.starts_with("-D_Py_"))
        .map(str::to_owned)
        .collect())
}

/// A line of the program: which field of which structure it asks for, and as which C type.
struct Question {
    structure: &'static str,
    field: &'static str,
    c_type: String,
}

/// Lets the compiler answer.
fn measure(table: &Offsets, includes: &[PathBuf], defines: &[String]) -> Result<Evidence> {
    let mut questions = Vec::new();
    for (structure, field, _) in table.iter() {
        let others = Offsets::other_names(structure);
        for name in std::iter::once(structure).chain(others) {
            questions.push(Question { structure, field, c_type: name.to_owned() });
            questions.push(Question { structure, field, c_type: format!("struct {name}") });
        }
    }
    let folder = tempfile::tempdir()?;
    let (source, program) = (folder.path().join("offsets.c"), folder.path().join("offsets"));
    // The first round drops what is unknown; a second may be needed where a dropped line hid another.
    for _ in 0..6 {
        let (text, first_line) = source_text(&questions, includes);
        std::fs::write(&source, text)?;
        let mut compiler = Command::new("cc");
        compiler.args(["-std=c11", "-w", "-fmax-errors=0", "-O0", "-o"]).arg(&program).arg(&source);
        compiler.args(defines);
        for include in includes {
            compiler.arg("-I").arg(include);
        }
        let output = compiler.output().context("cannot run cc")?;
        if output.status.success() {
            return read_answers(&program, &questions);
        }
        let messages = String::from_utf8_lossy(&output.stderr).into_owned();
        let wrong = wrong_lines(&messages, first_line);
        if wrong.is_empty() {
            bail!(
                "the headers do not compile:\n{}",
                messages.lines().take(12).collect::<Vec<_>>().join("\n")
            );
        }
        let mut line = 0;
        questions.retain(|_| {
            line += 1;
            !wrong.contains(&(line - 1))
        });
    }
    bail!("the compiler finds new errors without end")
}

/// The program, and the line at which its questions begin.
fn source_text(questions: &[Question], includes: &[PathBuf]) -> (String, usize) {
    let mut text =
        String::from("#define Py_BUILD_CORE 1\n#include <Python.h>\n#include <structmember.h>\n");
    text.push_str("#include <frameobject.h>\n#include <stddef.h>\n#include <stdio.h>\n");
    for header in HEADERS {
        if includes
            .iter()
            .any(|folder| folder.ends_with("internal") && folder.join(header).exists())
        {
            let _ = writeln!(text, "#include <{header}>");
        }
    }
    text.push_str("int main(void) {\n");
    let first_line = text.lines().count() + 1;
    for (number, question) in questions.iter().enumerate() {
        let Question { field, c_type, .. } = question;
        let value = match *field {
            "sizeof" => format!("sizeof({c_type})"),
            field => format!("offsetof({c_type}, {field})"),
        };
        let _ = writeln!(text, "printf(\"{number} %zu\\n\", (size_t) {value});");
    }
    text.push_str("return 0; }\n");
    (text, first_line)
}

/// The questions, by number, at which the compiler found errors.
fn wrong_lines(messages: &str, first_line: usize) -> BTreeSet<usize> {
    let line_of = |message: &str| {
        let rest = message.split("offsets.c:").nth(1)?;
        let (line, rest) = rest.split_once(':')?;
        rest.contains(" error: ").then(|| line.parse::<usize>().ok())?
    };
    messages.lines().filter_map(line_of).filter_map(|line| line.checked_sub(first_line)).collect()
}

/// Runs the program.
fn read_answers(program: &Path, questions: &[Question]) -> Result<Evidence> {
    let output = Command::new(program).output().context("cannot run the program")?;
    let mut evidence = Evidence::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let (number, offset) = line.split_once(' ').context("an answer that is none")?;
        let question = questions.get(number.parse::<usize>()?).context("an answer to nothing")?;
        let fields = evidence.entry(question.structure.to_owned()).or_default();
        // The structure's first name comes first; others may mean something else in a later version.
        fields.entry(question.field.to_owned()).or_insert(offset.parse()?);
    }
    Ok(evidence)
}
