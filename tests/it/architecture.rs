//! The direction of dependencies, which cargo does not check inside a crate; and the size of files.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

/// A file longer than this wants to be two.
const MAX_LINES: usize = 600;

/// Who may import whom: a module, and the modules whose items it may name. The longest module that a file is part of
/// counts. A module may always name itself and what is inside it.
const LAYERS: &[(&str, &[&str])] = &[
    ("addr", &[]),
    ("limits", &[]),
    ("new_file", &[]),
    ("facts", &["addr"]),
    ("target", &["addr", "limits", "facts"]),
    ("cpython::version", &["addr", "cpython::layout"]),
    ("cpython::layout", &["addr", "cpython::version"]),
    (
        "cpython::discovery",
        &["addr", "limits", "target", "cpython::version", "cpython::layout", "cpython::object"],
    ),
    ("cpython::emulate", &["addr", "target"]),
    (
        "cpython::tracemalloc",
        &["addr", "limits", "target", "cpython::discovery", "cpython::layout", "cpython::object"],
    ),
    ("cpython::object", &["addr", "limits", "target", "cpython::emulate", "cpython::layout"]),
    (
        "cpython::pymalloc",
        &[
            "addr",
            "limits",
            "target",
            "cpython::version",
            "cpython::emulate",
            "cpython::layout",
            "cpython::object",
        ],
    ),
    ("cpython", &["addr", "limits", "target", "facts"]),
    ("malloc", &["addr", "target"]),
    ("graph", &["addr"]),
    ("heap", &["addr", "limits", "target", "cpython", "malloc", "graph", "facts"]),
    ("footprint", &["addr", "target", "cpython", "malloc", "graph", "facts"]),
    ("analysis", &["addr", "graph", "facts"]),
    ("snapshot", &["addr", "limits", "new_file", "graph", "facts"]),
    ("recording", &["facts", "new_file"]),
    ("report", &["addr", "graph", "analysis", "facts", "recording"]),
    ("take", &["addr", "limits", "target", "cpython", "graph", "heap", "footprint", "facts"]),
    ("processes", &["addr", "limits", "target", "cpython", "facts", "take"]),
    (
        "watch",
        &[
            "addr",
            "limits",
            "target",
            "cpython",
            "heap",
            "facts",
            "analysis",
            "snapshot",
            "take",
            "recording",
        ],
    ),
    (
        "record",
        &[
            "addr",
            "limits",
            "target",
            "cpython",
            "malloc",
            "graph",
            "heap",
            "facts",
            "analysis",
            "snapshot",
            "take",
            "processes",
            "recording",
            "watch",
        ],
    ),
    (
        "top",
        &[
            "target",
            "facts",
            "analysis",
            "snapshot",
            "take",
            "recording",
            "watch",
            "report",
            "error",
        ],
    ),
    ("error", &["target", "cpython", "analysis", "snapshot", "take", "record", "recording"]),
    (
        "source",
        &[
            "addr",
            "limits",
            "new_file",
            "target",
            "graph",
            "facts",
            "snapshot",
            "take",
            "processes",
            "error",
            "record",
            "recording",
            "top",
        ],
    ),
];

/// Modules that may import everything.
const TOP: &[&str] = &["cli", "main", "lib"];

/// Where version numbers of CPython may stand.
const VERSIONED: &[&str] = &["cpython::version", "cpython::layout", "cpython::discovery"];

/// A source file: the module it is, and its text.
struct Source {
    module: String,
    text: String,
}

#[test]
fn imports_go_one_way_and_files_stay_small() -> Result<()> {
    let sources = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))?;
    ensure!(sources.len() > 5, "the scan found only {} files", sources.len());
    let violations: Vec<String> = sources.iter().flat_map(violations).collect();
    ensure!(violations.is_empty(), "{}", violations.join("\n"));
    Ok(())
}

fn read(folder: &Path) -> Result<Vec<Source>> {
    let mut todo: Vec<PathBuf> = vec![folder.to_path_buf()];
    let mut sources = Vec::new();
    while let Some(path) = todo.pop() {
        if path.is_dir() {
            for entry in std::fs::read_dir(&path)? {
                todo.push(entry?.path());
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let module = module_of(path.strip_prefix(folder)?);
            sources.push(Source { module, text: std::fs::read_to_string(&path)? });
        }
    }
    Ok(sources)
}

/// `cpython/layout/mod.rs` is `cpython::layout`.
fn module_of(path: &Path) -> String {
    let path = path.with_extension("").to_string_lossy().replace('/', "::");
    path.strip_suffix("::mod").unwrap_or(&path).to_owned()
}

/// Whether a module is another one, or inside it.
fn is_in(module: &str, outer: &str) -> bool {
    module.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn violations(source: &Source) -> Vec<String> {
    let module = &source.module;
    let mut found = Vec::new();
    let lines = source.text.lines().count();
    if lines > MAX_LINES {
        found.push(format!("{module}: {lines} lines"));
    }
    let code = without_comments(&source.text);
    for loophole in ["crate::{", "super::super", "crate::*", "use crate;", "use crate as"] {
        if code.contains(loophole) {
            found.push(format!("{module}: `{loophole}` hides what is imported"));
        }
    }
    if !VERSIONED.iter().any(|allowed| is_in(module, allowed)) {
        for number in ["V3_", "Minor(", "Version::new("] {
            if code.contains(number) {
                found.push(format!(
                    "{module}: asks for a version (`{number}`) instead of a feature"
                ));
            }
        }
    }
    if TOP.iter().any(|top| is_in(module, top)) {
        return found;
    }
    let layer =
        LAYERS.iter().filter(|(name, _)| is_in(module, name)).max_by_key(|(name, _)| name.len());
    let Some((layer, allowed)) = layer else {
        found.push(format!("{module}: is in no layer"));
        return found;
    };
    for import in imports(&code) {
        if !is_in(&import, layer) && !allowed.iter().any(|name| is_in(&import, name)) {
            found.push(format!("{module}: imports {import}, which {layer} may not"));
        }
    }
    found
}

/// The code without comments, so that examples in documentation do not count.
fn without_comments(text: &str) -> String {
    let code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    code.collect::<Vec<_>>().join("\n")
}

/// The paths behind every `crate::`.
fn imports(code: &str) -> Vec<String> {
    let path = |rest: &str| {
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
        end.map_or(rest, |end| &rest[..end]).trim_end_matches(':').to_owned()
    };
    code.split("crate::").skip(1).map(path).filter(|path| !path.is_empty()).collect()
}

#[test]
fn a_fabricated_tree_with_violations_is_caught() {
    let source =
        |module: &str, text: &str| Source { module: module.to_owned(), text: text.to_owned() };
    let cases = [
        (source("graph::csr", "use crate::heap::Walk;"), "graph::csr: imports heap::Walk"),
        (source("cpython::object::dict", "fn f() { crate::graph::x() }"), "imports graph::x"),
        (
            source("cpython::object::dict", "use crate::cpython::discovery::Found;"),
            "cpython::discovery",
        ),
        (source("analysis", "use crate::{heap, graph};"), "hides"),
        (source("heap::walk", "if version >= V3_12 {}"), "asks for a version"),
        (source("heap", &"\n".repeat(MAX_LINES + 1)), "601 lines"),
        (source("drawer", ""), "in no layer"),
        (source("report", "use crate::cli::Args;"), "imports cli::Args"),
    ];
    for (case, expected) in cases {
        let found = violations(&case);
        assert!(found.iter().any(|text| text.contains(expected)), "{expected}: {found:?}");
    }
    let allowed = [
        source("heap", "use crate::graph::HeapGraph; // crate::cli"),
        source("cpython::layout::dict", "use crate::cpython::version::V3_12;"),
        source("cli::args", "use crate::heap::Walk;"),
        source("graph::csr", "use crate::graph::ids::ObjectId;"),
    ];
    for case in allowed {
        assert!(violations(&case).is_empty(), "{}: {:?}", case.module, violations(&case));
    }
}
