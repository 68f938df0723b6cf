//! The file as DuckDB and polars see it: the queries of the documentation, run outside of pyheap.

use std::process::Command;

use serde_json::{Value, json};

use super::place;
use crate::addr::Addr;
use crate::facts::{Facts, ProcessFacts};
use crate::graph::{
    EdgeLabel, HeapGraph, LabelRun, ObjectFlags, ObjectId, Root, RootKind, ShapeId, TypeId, TypeRow,
};
use crate::snapshot::{Snapshot, save};

/// A module's dictionary `{.cache: [a, b]}`: dict 0, list 1, strings 2 and 3, the key 4 of an entry
/// of dict 5 whose value is 2.
fn snapshot() -> Snapshot {
    let mut graph = HeapGraph::default();
    for name in ["builtins.dict", "builtins.list", "builtins.str"] {
        let name = graph.strings.intern(name);
        graph.types.push(TypeRow { addr: Addr(8), name, estimated: false, inferred: false });
    }
    let cache = graph.strings.intern("cache");
    let shapes = [
        graph.shapes.intern(&[LabelRun::One(EdgeLabel::Attribute(cache))]),
        graph.shapes.intern(&[LabelRun::Items { first: 0, len: 2 }]),
        graph.shapes.intern(&[LabelRun::ValueKeys { first: 0, len: 1 }]),
    ];
    let none = ShapeId::default();
    let rows: [(u32, u64, &[u32], ShapeId); 6] = [
        (0, 64, &[1], shapes[0]),
        (1, 72, &[2, 3], shapes[1]),
        (2, 50, &[], none),
        (2, 51, &[], none),
        (2, 52, &[], none),
        (0, 232, &[2, 4], shapes[2]),
    ];
    for (nth, (ty, bytes, edges, shape)) in (1_u64..).zip(rows) {
        graph.addrs.push(Addr(nth * 64));
        graph.object_types.push(TypeId(ty));
        graph.shallow_bytes.push(bytes);
        graph.refcounts.push(1);
        graph.flags.push(ObjectFlags::default());
        graph.referents.push(edges.iter().map(|&to| ObjectId(to)));
        graph.hidden_referents.push([]);
        graph.shapes_of.push(shape);
        graph.hidden_shapes_of.push(none);
    }
    let name = graph.strings.intern("app");
    graph.roots.push(Root { kind: RootKind::Module, name, object: ObjectId(0), thread: None });
    let process = ProcessFacts { pid: 4242, ..ProcessFacts::default() };
    Snapshot { facts: Facts { process, taken_at: 1.5e9, ..Facts::default() }, graph }
}

/// A Python with `duckdb` and `polars`, named by the environment.
const PYTHON: &str = "PYHEAP_QUERY_PYTHON";

#[test]
fn the_documented_queries_give_what_the_graph_says() {
    let Some(python) = std::env::var_os(PYTHON) else {
        eprintln!("skipped: {PYTHON} names no Python with duckdb and polars");
        return;
    };
    let (_directory, path) = place();
    save(&snapshot(), &path, false).unwrap();
    let root = env!("CARGO_MANIFEST_DIR");
    let output = Command::new(python)
        .arg(format!("{root}/tests/query_snapshot.py"))
        .arg(format!("{root}/docs/snapshot-format.md"))
        .arg(&path)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let results: Value = serde_json::from_slice(&output.stdout).unwrap();
    let types =
        json!([["builtins.dict", 2, 296], ["builtins.str", 3, 153], ["builtins.list", 1, 72]]);
    let expected = json!([
        types,
        [
            ["builtins.dict", "[str #0]", 1],
            ["builtins.dict", "key str #0", 1],
            ["builtins.list", "[0]", 1],
            ["builtins.list", "[1]", 1]
        ],
        [["module", "app", "builtins.dict"]],
        [[4242, 1.5e9]],
        types,
        [
            [0, 1, ".cache"],
            [1, 2, "[0]"],
            [1, 3, "[1]"],
            [5, 2, "[str #0]"],
            [5, 4, "key str #0"],
            [6, 0, null]
        ]
    ]);
    assert_eq!(results, expected);
}
