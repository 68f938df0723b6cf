//! `--where` and `--by`.

use super::*;

#[test]
fn a_filter_that_is_not_understood_is_wrong_usage_with_its_place() {
    for command in [
        "histogram 7",
        "objects 7",
        "why 7",
        "retained 7",
        "garbage 7",
        "cycles 7",
        "check 7 --max str=1",
        "strings 7",
        "diff 7 8",
    ] {
        let sources = command.replace(" 7", " old.parquet").replace(" 8", " new.parquet");
        let (out, err, code) = pyheap(&format!("{sources} --where size>>3"));
        assert_eq!((out.as_str(), code), ("", 2), "{command}");
        assert!(err.contains("not understood at character 5: `>>` is no operator"), "{err}");
    }
}

#[test]
fn only_what_is_meant_is_counted() {
    let document = json("histogram old.parquet --where type=Session --json");
    assert_eq!(document["totals"]["objects"], 2);
    assert_eq!(document["types"].as_array().unwrap().len(), 1);
    let (out, _, code) = pyheap("objects old.parquet --where shallow>=100 --json");
    // The head, a dictionary and two texts.
    assert_eq!((code, out.lines().count()), (0, 4), "{out}");
    let document = json("why old.parquet --where type=Session --json");
    assert_eq!(document["paths"][0]["objects"], 2);
    let document = json("retained old.parquet --where type=Session --json");
    assert_eq!(document["nodes"].as_array().unwrap().len(), 2);
    let document = json("garbage lost.parquet --where type=list --json");
    assert_eq!((&document["objects"], &document["unreachable"]), (&0.into(), &0.into()));
    let document = json("cycles lost.parquet --where type=list --json");
    assert_eq!(document["cycles"].as_array().unwrap().len(), 0);
    let document = json("histogram old.parquet --where thread=no* --json");
    assert_eq!(document["totals"], json("histogram old.parquet --json")["totals"]);
    let (_, err, code) = pyheap("objects old.parquet --where line=app.py:*");
    assert_eq!(code, 1);
    assert!(err.contains("tracemalloc was not running in the target"), "{err}");
    let document = json("diff old.parquet new.parquet --where type=Session --json");
    assert_eq!(document["types"].as_array().unwrap().len(), 1);
    assert_eq!(document["suspects"][0]["owned_bytes"], 4800);
}

#[test]
fn a_rule_is_of_what_is_meant_alone() {
    let check = "check new.parquet old.parquet --max Session=100 --max-growth Session=0";
    assert_eq!(pyheap(check).2, 3);
    let (out, err, code) = pyheap(&format!("{check} --where address<0x1040"));
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert_eq!(pyheap("check lost.parquet --max-garbage 0 --where type=list").2, 0);
}

#[test]
fn ways_and_cycles_are_told_for_each_group_apart() {
    let (out, err, code) = pyheap("why old.parquet --where shallow<=100 --by type");
    assert_eq!((code, err.as_str()), (0, ""));
    insta::assert_snapshot!(body(&out), @r"
    6 objects, 440 B

    str: 2 (33.3 %), 200 B
      100.0 %          2  module app.cache → list[*] → Session.user → str

    app.Session: 2 (33.3 %), 96 B
      100.0 %          2  module app.cache → list[*] → Session

    module: 1 (16.7 %), 72 B
      100.0 %          1  module app

    list: 1 (16.7 %), 72 B
      100.0 %          1  module app.cache → list
    ");
    let document = json("why old.parquet --where shallow<=100 --by module --json");
    assert_eq!(document["by"], "module");
    let groups = document["groups"].as_array().unwrap();
    let of = |name: &str| groups.iter().find(|group| group["name"] == name).unwrap();
    assert_eq!((&of("app")["objects"], &of("app")["bytes"]), (&2.into(), &96.into()));
    assert_eq!(of("app")["paths"][0]["steps"][1]["type"], "app.Session");
    let (all, ways) = (document["paths"].as_array().unwrap(), groups.iter());
    let ways: usize = ways.map(|group| group["paths"].as_array().unwrap().len()).sum();
    assert_eq!(all.len(), ways);
    let (out, ..) = pyheap("cycles lost.parquet --by root");
    insta::assert_snapshot!(body(&out), @r"
    garbage: 1 cycle, 2 objects, 400 B
    garbage  1 cycle of 2 objects, 400 B
        dict[*] → dict[*] → dict
    ");
    let document = json("cycles lost.parquet --by type --json");
    let group = &document["groups"][0];
    assert_eq!((&group["name"], &group["count"]), (&"builtins.dict".into(), &1.into()));
    assert_eq!(group["cycles"], json("cycles lost.parquet --json")["cycles"]);
    let (_, err, code) = pyheap("why old.parquet Session --by line");
    assert_eq!(code, 1);
    assert!(err.contains("tracemalloc was not running in the target"), "{err}");
}

#[test]
fn what_is_counted_together_can_be_chosen() {
    let document = json("histogram old.parquet --by module --json");
    let groups = document["groups"].as_array().unwrap();
    let names: Vec<&str> = groups.iter().filter_map(|group| group["name"].as_str()).collect();
    assert_eq!((document["by"].as_str(), names), (Some("module"), vec!["builtins", "app"]));
    let total: u64 = groups.iter().filter_map(|group| group["objects"].as_u64()).sum();
    assert_eq!(document["totals"]["objects"], total);
    for (command, key) in [
        ("objects old.parquet Session --by root --json", "module app"),
        ("diff old.parquet new.parquet --by root --json", "module app"),
        ("garbage lost.parquet --by thread --json", "no thread"),
        ("retained old.parquet --by root --json", "module app"),
    ] {
        assert_eq!(json(command)["groups"][0]["name"], key, "{command}");
    }
    let (_, err, code) = pyheap("histogram old.parquet --by line");
    assert_eq!(code, 1);
    assert!(err.contains("tracemalloc was not running in the target"), "{err}");
}
