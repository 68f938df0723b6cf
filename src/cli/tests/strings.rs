//! `strings` of heaps made by hand.

use super::*;

#[test]
fn duplicates_are_told_with_their_holder_and_what_was_left_out() {
    let (out, _, code) = pyheap("strings texts.parquet");
    assert_eq!(code, 0);
    insta::assert_snapshot!(body(&out), @r"
    2 of 4 strings and bytes are duplicates: 3.9 KiB would be saved if each was there once

    count  distinct    bytes    saved  type
        4         2  5.9 KiB  3.9 KiB  str
    left out: 1 of 3.0 MiB that were not copied and not read in time

      3.9 KiB saved  3 × 2.0 KiB  str at 0x1000
      100.0 % held by module app.tags → list[*] → str

    containers (without those of instances and modules)

    count  bytes  empty  bytes  single  bytes  roomy  spare  type
        1   96 B      -      -       -      -      -      -  list
    roomy: larger than a copy would be, by so many bytes to spare
    ");
    let (out, ..) = pyheap("strings texts.parquet --values");
    assert!(out.contains("\"text 5\""), "{out}");
    let (out, ..) = pyheap("strings old.parquet");
    assert!(out.contains("which strings are equal is not known"), "{out}");
}

#[test]
fn contents_are_in_json_and_csv_for_those_only_who_ask() {
    let (out, ..) = pyheap("strings texts.parquet --json --addresses");
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    let group = &document["groups"][0];
    assert_eq!((&group["copies"], &group["saved_bytes"]), (&3.into(), &4000.into()));
    assert_eq!(
        (&group["root"]["name"], &group["steps"][0]["label"]),
        (&"app".into(), &".tags".into())
    );
    assert_eq!(group["addresses"].as_array().unwrap().len(), 3);
    assert_eq!(document["totals"]["left_out"]["objects"], 1);
    assert!(!out.contains("text 5"), "{out}");
    let (out, ..) = pyheap("strings texts.parquet --csv");
    insta::assert_snapshot!(out, @r"
    type,copies,bytes_each,shallow_bytes,saved_bytes,example,value
    builtins.str,3,2000,6000,4000,0x1000,
    ");
    let (out, ..) = pyheap("strings texts.parquet --csv --values");
    assert!(out.contains("text 5"), "{out}");
}
