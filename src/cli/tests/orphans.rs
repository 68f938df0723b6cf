//! `orphans` of heaps made by hand, and the blocks in `diff`.

use super::*;
use crate::facts::SizeClassFacts;

/// Two texts that C code holds or has leaked, and blocks of 64 bytes, so many of them unexplained.
pub(super) fn leaky(unexplained: u64) -> Snapshot {
    let mut b = GraphBuilder::new();
    let lost = b.object(0x100, "builtins.str", 60);
    let held = b.object(0x200, "builtins.str", 70);
    b.root(RootKind::C, "2 references", lost);
    b.root(RootKind::C, "data of _app.so", held);
    b.refcount(lost, 2);
    b.refcount(held, 1);
    let mut snapshot = Snapshot { graph: b.build(), ..heap(7, 0) };
    let allocator = &mut snapshot.facts.allocator;
    allocator.name = "pymalloc".to_owned();
    allocator.size_classes = vec![SizeClassFacts {
        block_bytes: 64,
        pools: 10,
        free_blocks: 1000,
        object_blocks: 2,
        buffer_blocks: 3,
        kept_blocks: 5,
        unexplained_blocks: unexplained,
    }];
    snapshot
}

#[test]
fn what_is_lost_is_told_apart_from_what_a_binary_holds() {
    let (out, _, code) = pyheap("orphans leaky.parquet");
    assert_eq!(code, 0);
    for line in [
        "1 live objects (60 B) that nothing known refers to",
        "1 more are held by C code:",
        "990 of 1,000 blocks of Python's allocator are unexplained (61.9 KiB):",
    ] {
        assert!(out.contains(line), "{out}");
    }
    assert!(out.lines().all(|line| line.chars().count() <= 100), "{out}");
    let (out, ..) = pyheap("orphans old.parquet");
    assert!(out.contains("No object is alive without anything"), "{out}");
    assert!(out.contains("The file does not say"), "{out}");
}

#[test]
fn orphans_and_blocks_are_in_json_and_csv() {
    let (out, ..) = pyheap("orphans leaky.parquet --json");
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&document["objects"], &document["lost"]), (&2.into(), &1.into()));
    let row = &document["types"][0];
    assert_eq!((&row["type"], &row["unexplained_refs"]), (&"builtins.str".into(), &3.into()));
    assert_eq!(row["held_by"][0]["place"], "data of _app.so");
    let blocks = &document["blocks"][0];
    assert_eq!((&blocks["used"], &blocks["unexplained_bytes"]), (&1000.into(), &63_360.into()));
    assert_eq!(blocks["fragmentation"], 0.5);
    let (out, ..) = pyheap("orphans leaky.parquet --csv");
    insta::assert_snapshot!(out, @r"
    kind,name,count,bytes,lost,lost_bytes,held_by
    type,builtins.str,2,130,1,60,data of _app.so=1
    block,64,1000,64000,990,63360,
    ");
}

#[test]
fn diff_says_where_unexplained_blocks_grow() {
    let (out, ..) = pyheap("diff leaky.parquet leakier.parquet");
    assert!(out.contains("+1,010 unexplained blocks of 64 bytes, +63.1 KiB"), "{out}");
    let (out, ..) = pyheap("diff leakier.parquet leaky.parquet");
    assert!(!out.contains("unexplained"), "{out}");
    let (out, ..) = pyheap("diff leaky.parquet leakier.parquet --json");
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    let row = &document["blocks"][0];
    let numbers = ["size_class", "unexplained_before", "unexplained_after"].map(|name| &row[name]);
    assert_eq!(numbers, [64, 990, 2000]);
}
