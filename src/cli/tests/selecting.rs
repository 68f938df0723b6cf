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
