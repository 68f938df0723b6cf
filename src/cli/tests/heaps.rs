//! `snapshot`, `histogram`, `objects` and `show` of heaps made by hand.

use super::*;

#[test]
fn a_histogram_is_what_a_tired_engineer_wants() {
    let (out, err, code) = pyheap("hist -p 7");
    assert_eq!((code, err.as_str()), (0, "next: pyheap diff -p 7 --interval 30s\n"));
    insta::assert_snapshot!(out, @r"
    process 7  /usr/bin/python3.11  Python 3.11.7
    RSS 60.0 MiB, paused for 12.3 ms (stop), 250.0 ms in all

    count     %  shallow  buffers     %   cum%  type
        2  28.6    200 B    100 B  31.2   31.2  str
        1  14.3    200 B        -  31.2   62.5  dict
        2  28.6     96 B        -  15.0   77.5  app.Session
        1  14.3     72 B        -  11.2   88.8  list
        1  14.3     72 B        -  11.2  100.0  module

    7 objects (2 tracked by the collector, 0 frozen), 640 B shallow, 100 B in buffers
    ");
}

#[test]
fn a_histogram_says_in_one_line_what_waits_for_the_collector() {
    let line = "\n400 B in 2 objects wait for the collector: pyheap garbage names them\n";
    let (out, _, _) = pyheap("hist lost.parquet");
    assert!(out.contains(line), "{out}");
    let (out, _, _) = pyheap("hist old.parquet");
    assert!(!out.contains("wait for the collector"), "{out}");
}

#[test]
fn the_document_of_a_snapshot_has_the_fields_of_the_contract() {
    let document = json("snapshot -p 7 --json -n 1");
    assert_eq!(document["schema"], 1);
    assert_eq!(document["command"], "snapshot");
    assert_eq!(document["process"]["pid"], 7);
    assert_eq!(document["totals"]["objects"], 7);
    assert_eq!(document["totals"]["gc_tracked"], 2);
    // -n limits people, never --json.
    let types: Vec<&str> =
        document["types"].as_array().unwrap().iter().map(|t| t["type"].as_str().unwrap()).collect();
    let all = ["builtins.str", "builtins.dict", "app.Session", "builtins.list", "builtins.module"];
    assert_eq!(types, all);
}

#[test]
fn objects_are_json_lines_behind_a_line_of_their_own_kind() {
    let (out, _, code) = pyheap("objects -p 7 Session --json -n 1");
    assert_eq!(code, 0);
    let lines: Vec<serde_json::Value> =
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0], serde_json::json!({"schema": 1, "command": "objects"}));
    assert_eq!(lines[1]["address"], "0x1000");
    assert_eq!(lines[1]["referents"], serde_json::json!(["0x1010"]));
    assert_eq!(lines[1]["labels"], serde_json::json!([".user"]));
    assert_eq!(lines[1]["unexplained_refs"], 0);
}

#[test]
fn objects_and_show_for_people() {
    let (out, _, _) = pyheap("objects old.parquet Session");
    insta::assert_snapshot!(out, @r"
    address  refs  shallow  buffers  type         first referrer
    0x1000      1     48 B        -  app.Session  list[0] at 0x120
    0x1020      1     48 B        -  app.Session  list[1] at 0x120
    ");
    let (out, _, _) = pyheap("show old.parquet 0x1000");
    insta::assert_snapshot!(out, @r"
    app.Session at 0x1000
      size      48 B shallow, 0 B in buffers
      refcount  1, all found
      collector tracked, generation 0
      allocated unknown: no tracemalloc (-X tracemalloc=10, tracemalloc.start(10))

    refers to 1
      .user  str at 0x1010

    referred to by 1
      list[0] at 0x120
    ");
}

#[test]
fn a_tree_is_a_list_without_what_is_no_python() {
    let document = json("hist -p 7 -s --json");
    assert_eq!(document["processes"].as_array().unwrap().len(), 3);
    let (out, err, _) = pyheap("hist -p 8 -s --json");
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(document["processes"].as_array().unwrap().len(), 2);
    assert!(err.contains("process 10 is left out"));
}
