use super::*;
use crate::analysis::SortBy;
use crate::analysis::histogram::Histogram;
use crate::graph::{GraphBuilder, ObjectFlags, RootKind};

/// A module with a cache of `sessions`, each with a dictionary and a text that is far bigger; and a
/// list of `rows` integers directly in the module.
fn app(sessions: u64, rows: u64) -> HeapGraph {
    let mut b = GraphBuilder::new();
    let module = b.object(0x100, "builtins.module", 72);
    let names = b.object(0x110, "builtins.dict", 200);
    let cache = b.object(0x120, "builtins.list", 56 + 8 * sessions);
    let list = b.object(0x130, "builtins.list", 56);
    b.flag(names, ObjectFlags::NAMESPACE);
    b.attribute(module, "__dict__", names);
    b.attribute(names, "cache", cache);
    b.attribute(names, "rows", list);
    b.root(RootKind::Module, "app", module);
    for n in 0..sessions {
        let at = 0x1000 + n * 0x40;
        let session = b.object(at, "app.Session", 48);
        let fields = b.object(at + 0x10, "builtins.dict", 104);
        let text = b.object(at + 0x20, "builtins.str", 4000);
        b.item(cache, u32::try_from(n).unwrap(), session);
        b.flag(fields, ObjectFlags::NAMESPACE);
        b.attribute(session, "__dict__", fields);
        b.attribute(fields, "body", text);
    }
    for n in 0..rows {
        let row = b.object(0x10_0000 + n * 0x20, "builtins.int", 32);
        b.item(list, u32::try_from(n).unwrap(), row);
    }
    b.build()
}

fn ranked(before: &HeapGraph, after: &HeapGraph, identity: Identity) -> Vec<Suspect> {
    suspects(after, &Diff::new(before, after, identity), None)
}

#[test]
fn the_class_that_leaks_ranks_above_what_it_brings_along() {
    for identity in [Identity::SameProcess, Identity::OtherProcess] {
        let found = ranked(&app(10, 5), &app(110, 25), identity);
        let names: Vec<&str> = found.iter().map(|s| s.type_name.as_str()).collect();
        assert_eq!(names.first(), Some(&"app.Session"), "{names:?}");
        let first = found.first().unwrap();
        assert_eq!((first.objects_delta, first.bytes_delta), (100, 4800));
        let held = first.held_by.first().unwrap();
        assert_eq!(held.path.root.name, "app");
        let labels: Vec<&str> = held.path.steps.iter().map(|s| s.label.as_str()).collect();
        assert_eq!(labels, [".cache", "[*]"]);
    }
}

#[test]
fn the_new_objects_are_the_ones_that_are_told() {
    let found = ranked(&app(10, 0), &app(30, 0), Identity::SameProcess);
    let session = found.iter().find(|s| s.type_name == "app.Session").unwrap();
    assert_eq!(session.held_objects, 20);
    assert_eq!(session.owned_bytes, 20 * (48 + 104 + 4000));
}

#[test]
fn a_leak_of_plain_objects_is_not_hidden_by_a_few_new_instances() {
    let found = ranked(&app(10, 0), &app(11, 9000), Identity::SameProcess);
    assert_eq!(found.first().unwrap().type_name, "builtins.int");
}

#[test]
fn another_instance_at_the_address_of_one_that_is_gone_owns_its_dictionary() {
    // A list that keeps the last ten, and a leak of as many bytes as their dictionaries have.
    let app = |dicts_at: u64, rows: u64| {
        let mut b = GraphBuilder::new();
        let recent = b.object(0x100, "builtins.list", 136);
        let leaked = b.object(0x110, "builtins.list", 136);
        b.root(RootKind::Module, "app.recent", recent);
        b.root(RootKind::Module, "app.leaked", leaked);
        for n in 0..10 {
            let request = b.object(0x1000 + n * 0x40, "app.Request", 48);
            let fields = b.object(dicts_at + n * 0x80, "builtins.dict", 104);
            b.flag(fields, ObjectFlags::NAMESPACE);
            b.item(recent, u32::try_from(n).unwrap(), request);
            b.attribute(request, "__dict__", fields);
        }
        for n in 0..rows {
            let row = b.object(0x9000 + n * 0x80, "builtins.dict", 104);
            b.item(leaked, u32::try_from(n).unwrap(), row);
        }
        b.build()
    };
    let found = ranked(&app(0x2000, 0), &app(0x4000, 8), Identity::SameProcess);
    let first = found.first().unwrap();
    assert_eq!((first.type_name.as_str(), first.held_objects), ("builtins.dict", 8));
    assert_eq!(first.held_by.first().unwrap().path.root.name, "app.leaked");
}

#[test]
fn an_object_that_grows_in_place_is_a_suspect() {
    let grown = |bytes| {
        let mut b = GraphBuilder::new();
        let log = b.object(0x100, "builtins.bytearray", bytes);
        b.root(RootKind::Frame, "main (app.py:1) log", log);
        b.build()
    };
    let found = ranked(&grown(100), &grown(1_000_000), Identity::SameProcess);
    let first = found.first().unwrap();
    assert_eq!((first.objects_delta, first.bytes_delta), (0, 999_900));
    assert_eq!(first.held_by.first().unwrap().example, ObjectId(0));
    assert_eq!(first.held_by.first().unwrap().path.root.name, "main (app.py:1) log");
}

#[test]
fn what_counts_for_the_class_that_brought_it_is_no_steady_growth_of_its_own() {
    // A dictionary that filled at the first step, and a leak with a dictionary in each object.
    let heap = |index_bytes: u64, leaked: u64| {
        let mut b = GraphBuilder::new();
        let index = b.object(0x100, "builtins.dict", index_bytes);
        let list = b.object(0x110, "builtins.list", 56);
        b.root(RootKind::Module, "app.index", index);
        b.root(RootKind::Module, "app.leaked", list);
        for n in 0..leaked {
            let one = b.object(0x1000 + n * 0x100, "app.Leaked", 48);
            let fields = b.object(0x1080 + n * 0x100, "builtins.dict", 104);
            b.flag(fields, ObjectFlags::NAMESPACE);
            b.item(list, u32::try_from(n).unwrap(), one);
            b.attribute(one, "__dict__", fields);
        }
        b.build()
    };
    let heaps = [heap(64, 0), heap(18_456, 5), heap(18_456, 10), heap(18_456, 15)];
    let (mut growth, mut lineage) = (Growth::default(), Lineage::default());
    for heap in &heaps {
        growth.push(&Histogram::new(heap, SortBy::Bytes));
        lineage.push(heap, Identity::SameProcess);
    }
    let [first, .., last] = &heaps;
    let between = Between { growth: &growth, lineage: Some(&lineage) };
    let diff = Diff::new(first, last, Identity::SameProcess);
    let found = suspects(last, &diff, Some(between));
    let names: Vec<&str> = found.iter().map(|suspect| suspect.type_name.as_str()).collect();
    assert_eq!(names, ["app.Leaked", "builtins.dict"]);
    let rows: Vec<_> = found.iter().map(|it| (it.is_steady, it.steps.as_slice())).collect();
    assert_eq!(rows, [(true, &[760, 760, 760][..]), (false, &[18_392, 0, 0][..])]);
}

#[test]
fn nothing_is_suspect_when_nothing_grew() {
    assert!(ranked(&app(20, 5), &app(10, 5), Identity::SameProcess).is_empty());
    assert!(ranked(&app(10, 5), &app(10, 5), Identity::OtherProcess).is_empty());
}
