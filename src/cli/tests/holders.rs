//! `why`, `retained`, `garbage`, `cycles` and `check` of heaps made by hand.

use super::*;

#[test]
fn garbage_and_its_cycle_are_told_with_their_bytes() {
    let (out, _, code) = pyheap("garbage lost.parquet");
    assert_eq!(code, 0);
    insta::assert_snapshot!(body(&out), @r"
    400 B in 2 objects wait for the collector: 2 in cycles, 0 that hang on them
        1 cycle keeps 400 B: dict[*] → dict[*] → dict

    count  shallow  buffers  type
        2    400 B        -  dict
    ");
    let (out, ..) = pyheap("cycles lost.parquet");
    insta::assert_snapshot!(body(&out), @r"
    garbage  1 cycle of 2 objects, 400 B
        dict[*] → dict[*] → dict
    ");
    let (out, ..) = pyheap("garbage lost.parquet --json");
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(document["objects"], 2);
    assert_eq!(document["types"][0]["type"], "builtins.dict");
    let (out, ..) = pyheap("cycles lost.parquet --json");
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(document["cycles"][0]["state"], "garbage");
    assert_eq!(document["cycles"][0]["shape"][1]["label"], "[*]");
    let (out, ..) = pyheap("garbage old.parquet");
    assert!(out.contains("no garbage: a collection would free nothing"), "{out}");
}

#[test]
fn why_names_the_way_to_all_objects_of_a_type_or_to_one() {
    let (out, _, code) = pyheap("why old.parquet Session");
    assert_eq!(code, 0);
    insta::assert_snapshot!(body(&out), @r"
    2 app.Session, 96 B
      100.0 %          2  module app.cache → list[*] → Session
    ");
    let (out, ..) = pyheap("why old.parquet 0x1020");
    insta::assert_snapshot!(body(&out), @r"
    1 app.Session, 48 B
      100.0 %          1  module app.cache → list[1] → Session
    ");
    let (out, ..) = pyheap("why old.parquet 0x1020 --raw --json");
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(document["paths"][0]["root"]["name"], "app");
    assert_eq!(document["paths"][0]["steps"][1]["label"], ".__dict__");
    assert_eq!(pyheap("why old.parquet").2, 2);
    assert_eq!(pyheap("why old.parquet 0x99").2, 2);
}

#[test]
fn retained_bytes_are_told_as_a_tree_and_by_type() {
    let (out, _, code) = pyheap("retained old.parquet");
    assert_eq!(code, 0);
    insta::assert_snapshot!(body(&out), @r"
    retained      %    own  address  object
       640 B  100.0   72 B  0x100    module app → module
       568 B   88.8  200 B  0x110      .__dict__ → dict
       368 B   57.5   72 B  0x120        .cache → list
       296 B   46.2   96 B  0x1000         [*] → 2 × app.Session

    retained: what would be freed with the object; pyheap retained SOURCE ADDRESS goes deeper
    ");
    let (out, ..) = pyheap("retained old.parquet --by type");
    insta::assert_snapshot!(body(&out), @r"
    count    own  retained      %  name
        1   72 B     640 B  100.0  module
        1  200 B     568 B   88.8  dict
        1   72 B     368 B   57.5  list
        2   96 B     296 B   46.2  app.Session
        2  200 B     200 B   31.2  str
    ");
    let (out, ..) = pyheap("retained old.parquet 0x120 --json");
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(document["nodes"][0]["retained_bytes"], 148);
    assert_eq!(document["nodes"][0]["label"], "[0]");
    assert_eq!(pyheap("retained old.parquet 0x120 --by type").2, 2);
}

#[test]
fn a_rule_that_does_not_hold_is_exit_code_3_with_the_reason() {
    let (out, _, code) =
        pyheap("check new.parquet old.parquet --max Session=200 --max-growth Session=10");
    assert_eq!(code, 3);
    insta::assert_snapshot!(out, @r"
    ok      --max Session=200: 102
    FAILED  --max-growth Session=10: 100, more than 10
            102 held by module app.cache → list[*] → Session
    ");
    let (out, _, code) = pyheap("check new.parquet --max Session=10 --json");
    assert_eq!(code, 3);
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(document["ok"], false);
    assert_eq!(document["failures"][0]["found"], 102);
    assert_eq!(document["failures"][0]["held_by"][0]["root"]["name"], "app");
    assert_eq!(pyheap("check new.parquet --max Session=102 --max-garbage 1M").2, 0);
    assert_eq!(pyheap("check lost.parquet --max-garbage 399").2, 3);
    assert_eq!(pyheap("check new.parquet --max-growth Session=1").2, 2);
    assert_eq!(pyheap("check new.parquet").2, 2);
}
