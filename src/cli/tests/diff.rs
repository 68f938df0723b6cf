//! `diff` of heaps made by hand.

use super::*;

#[test]
fn a_diff_names_the_holder_of_what_grew() {
    let (out, _, code) = pyheap("diff old.parquet new.parquet");
    assert_eq!(code, 0);
    insta::assert_snapshot!(out, @r"
    process 7, 0.0 ms later: RSS 60.0 MiB → 60.0 MiB (0 B), objects +15.2 KiB

    +100 app.Session, +4.7 KiB (14.5 KiB with what they hold)
           100   14.5 KiB  held by module app.cache → list[*] → Session
           100    9.8 KiB  of it: Session.user → str
    … and 1 type that matters less, +800 B

    objects  new  gone     bytes       now  type
       +100  100     0  +9.8 KiB  10.0 KiB  str
       +100  100     0  +4.7 KiB   4.8 KiB  app.Session
          0    0     0    +800 B     872 B  list
    ");
}

#[test]
fn the_document_of_a_diff_has_suspects_with_paths() {
    let document = json("diff old.parquet new.parquet --json");
    let suspect = &document["suspects"][0];
    assert_eq!(suspect["type"], "app.Session");
    assert_eq!(suspect["objects_delta"], 100);
    assert_eq!(suspect["held_by"][0]["share"], 1.0);
    assert_eq!(suspect["held_by"][0]["root"]["name"], "app");
    assert_eq!(suspect["held_by"][0]["path"][0]["label"], ".cache");
    let session = document["types"].as_array().unwrap().iter().find(|t| t["type"] == "app.Session");
    assert_eq!(session.unwrap()["new"], 100);
    let other = json("diff -p 7 -p 8 --json");
    assert_eq!(other["same_process"], false);
    assert!(other["types"][0]["new"].is_null());
}

#[test]
fn three_heaps_say_what_grew_at_every_step() {
    let document = json("diff old.parquet mid.parquet new.parquet --json");
    let session = document["types"].as_array().unwrap().iter().find(|t| t["type"] == "app.Session");
    assert_eq!(session.unwrap()["grew_at_every_step"], true);
    assert_eq!(session.unwrap()["series"].as_array().unwrap().len(), 3);
}
