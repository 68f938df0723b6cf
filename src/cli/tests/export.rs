//! `export` of heaps made by hand.

use super::*;

#[test]
fn folded_stacks_are_the_paths_that_keep_objects() {
    let (out, err, code) = pyheap("export old.parquet --format folded");
    assert_eq!((code, err.as_str()), (0, ""));
    insta::assert_snapshot!(out, @r"
    module app 72
    module app;.__dict__ dict 200
    module app;.cache list 72
    module app;.cache list;[*] app.Session 96
    module app;.cache list;[*] app.Session;.user str 200
    ");
    let (out, _, _) = pyheap("export lost.parquet --format folded -o -");
    insta::assert_snapshot!(out, @r"
    garbage;dict 200
    garbage;dict;[*] dict 200
    ");
    let (out, _, _) = pyheap("export old.parquet --format folded --where type=str");
    insta::assert_snapshot!(out, @r"
    module app;.cache list;[*] app.Session;.user str 200
    ");
}

#[test]
fn a_picture_has_the_biggest_holders_and_says_who_holds_them() {
    let (out, _, _) = pyheap("export new.parquet --format dot");
    insta::assert_snapshot!(out, @r#"
    digraph heap {
      rankdir=LR;
      node [shape=box, style=filled, fontname="sans-serif", fontsize=11];
      edge [fontname="sans-serif", fontsize=9];
      n1 [label="module\nretains 15.9 KiB (100.0 %), own 72 B\nat 0x100", fillcolor="0.05 1.000 1.0"];
      r1 [label="module app", style=solid, shape=plaintext];
      r1 -> n1 [style=dashed];
      n2 [label="dict\nretains 15.8 KiB (99.6 %), own 200 B\nat 0x110", fillcolor="0.05 0.996 1.0"];
      n1 -> n2 [label=".__dict__"];
      n3 [label="list\nretains 15.6 KiB (98.3 %), own 872 B\nat 0x120", fillcolor="0.05 0.983 1.0"];
      n2 -> n3 [label=".cache"];
      n4 [label="102 × app.Session\nretains 14.7 KiB (93.0 %), own 4.8 KiB\ntogether", fillcolor="0.05 0.930 1.0"];
      n3 -> n4 [label="[*]"];
      n5 [label="102 × str\nretains 10.0 KiB (62.8 %), own 10.0 KiB\ntogether", fillcolor="0.05 0.628 1.0"];
      n4 -> n5 [label=".user"];
    }
    "#);
    let (out, _, _) = pyheap("export new.parquet --format dot -n 2");
    assert_eq!(out.matches("fillcolor").count(), 2, "{out}");
    let (out, _, _) = pyheap("export old.parquet --format dot --where address=0x1000");
    insta::assert_snapshot!(out, @r#"
    digraph heap {
      rankdir=LR;
      node [shape=box, style=filled, fontname="sans-serif", fontsize=11];
      edge [fontname="sans-serif", fontsize=9];
      n1 [label="app.Session\nretains 148 B (23.1 %), own 48 B\nat 0x1000", fillcolor="0.05 0.231 1.0"];
      r1 [label="module app.cache → list[0]", style=solid, shape=plaintext];
      r1 -> n1 [style=dashed];
      n2 [label="str\nretains 100 B (15.6 %), own 100 B\nat 0x1010", fillcolor="0.05 0.156 1.0"];
      n1 -> n2 [label=".user"];
    }
    "#);
}

#[test]
fn rows_of_objects_are_those_of_objects() {
    let (rows, _, _) = pyheap("export old.parquet --format jsonl");
    let (objects, _, _) = pyheap("objects old.parquet --json");
    assert_eq!(rows.replace("\"export\"", "\"objects\""), objects);
    let (out, _, _) = pyheap("export old.parquet --format csv --where type=Session");
    insta::assert_snapshot!(out, @r#"
    address,type,gc_tracked,gc_frozen,generation,immortal,refcount,unexplained_refs,shallow_bytes,payload_bytes,buffer_bytes,referents,labels,hidden_referents,hidden_labels,value,spare_bytes,allocated_at
    0x1000,app.Session,true,false,0,false,1,0,48,0,0,"[""0x1010""]","["".user""]",[],[],,,
    0x1020,app.Session,true,false,0,false,1,0,48,0,0,"[""0x1030""]","["".user""]",[],[],,,
    "#);
}

#[test]
fn no_value_is_written_that_was_not_asked_for() {
    for format in ["heapsnapshot", "folded", "dot", "csv", "jsonl", "flamegraph"] {
        let (out, err, code) = pyheap(&format!("export texts.parquet --format {format}"));
        assert_eq!(code, 0, "{format}: {err}");
        assert!(!out.contains("text 5"), "{format}: {out}");
    }
    for format in ["heapsnapshot", "csv", "jsonl"] {
        let (out, _, _) = pyheap(&format!("export texts.parquet --format {format} --values"));
        assert!(out.contains("text 5"), "{format}: {out}");
    }
}

#[test]
fn each_process_of_a_tree_has_a_file_of_its_own() {
    let (_, err, code) = pyheap("export -p 7 -s --format folded");
    assert_eq!((code, err.contains("-o NAME.ENDING writes NAME.<pid>.ENDING")), (2, true), "{err}");
    // There is no disk here: the first file that is to be made is the answer.
    let (_, err, code) = pyheap("export -p 7 -s -o held.pb.gz");
    assert_eq!((code, err.contains("held.7.pb.gz")), (1, true), "{err}");
    assert_eq!(pyheap("export old.parquet -s --format folded").2, 2);
}

#[test]
fn a_recording_has_stacks_and_nothing_else() {
    let (out, err, code) = pyheap("export recording.parquet --format folded");
    assert_eq!(code, 0, "{err}");
    insta::assert_snapshot!(out, @r"
    load (app.py:7) 52428800
    ");
    let (out, _, _) = pyheap("export recording.parquet --format flamegraph --peak");
    assert!(out.contains("<svg") && out.contains("Growth when memory was highest"), "{out}");
    let (_, err, code) = pyheap("export recording.parquet --format csv");
    assert_eq!((code, err.contains("no objects for csv")), (2, true), "{err}");
}

#[test]
fn what_cannot_be_exported_is_wrong_usage() {
    for (words, says) in [
        ("export old.parquet", "which format"),
        ("export old.parquet -o heap.parquet", "which format"),
        ("export old.parquet --format pprof", "-o FILE.pb.gz"),
        ("export old.parquet --format heapsnapshot --where type=str", "whole heap"),
        ("export old.parquet --format flamegraph --where type=Missing", "nothing to draw"),
        ("export old.parquet --format csv --peak", "recordings"),
        ("export recording.parquet --format folded --where type=str", "no objects"),
        ("export 4242 --format csv", "-p 4242"),
    ] {
        let (_, err, code) = pyheap(words);
        assert_eq!((code, err.contains(says)), (2, true), "{words}: {err}");
    }
    for ending in ["heapsnapshot", "pb.gz", "svg", "folded", "dot", "csv", "jsonl"] {
        let (_, err, code) = pyheap(&format!("export old.parquet -o heap.{ending}"));
        assert_eq!((code, err.contains("exists")), (1, true), "{ending}: {err}");
    }
    let (_, err, code) = pyheap("export -p 9 --format csv --strict");
    assert_eq!(code, 1, "{err}");
}
