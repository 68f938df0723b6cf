use proptest::prelude::*;

use super::*;
use crate::analysis::{Histogram, SortBy};
use crate::graph::GraphBuilder;

const TYPES: [&str; 4] = ["app.A", "app.B", "builtins.dict", "builtins.str"];

/// A heap of objects at `slot`, of a type and size; later ones replace earlier ones.
fn heap(objects: &[(u64, usize, u64)]) -> HeapGraph {
    let mut builder = GraphBuilder::new();
    for &(slot, ty, bytes) in objects {
        let at = builder.object(0x1000 + slot * 16, TYPES[ty % TYPES.len()], bytes);
        builder.buffer(at, bytes % 7);
        builder.payload(at, bytes % 5);
    }
    builder.build()
}

fn objects() -> impl Strategy<Value = Vec<(u64, usize, u64)>> {
    proptest::collection::vec((0_u64..60, 0_usize..4, 0_u64..1000), 0..80)
}

proptest! {
    #[test]
    fn a_heap_does_not_differ_from_itself(objects in objects()) {
        let graph = heap(&objects);
        for identity in [Identity::SameProcess, Identity::OtherProcess] {
            let diff = Diff::new(&graph, &graph, identity);
            prop_assert!(diff.types.is_empty() && diff.new.is_empty() && diff.grown.is_empty());
        }
    }

    #[test]
    fn new_less_gone_is_the_growth_and_the_bytes_add_up(a in objects(), b in objects()) {
        let (before, after) = (heap(&a), heap(&b));
        let diff = Diff::new(&before, &after, Identity::SameProcess);
        for row in &diff.types {
            let (new, gone) = (row.new.unwrap(), row.gone.unwrap());
            prop_assert_eq!(new.cast_signed() - gone.cast_signed(), row.objects_delta());
            prop_assert_eq!(row.survived().unwrap(), row.objects_before - gone);
        }
        let delta: i64 = diff.types.iter().map(TypeDiff::bytes_delta).sum();
        let bytes = |graph| Histogram::new(graph, SortBy::Bytes).totals.bytes().cast_signed();
        prop_assert_eq!(delta, bytes(&after) - bytes(&before));
        // What is new is what is not in the first heap under the same address and type name.
        let brute: Vec<ObjectId> = after
            .ids()
            .filter(|&id| {
                before.find(after.addr(id)).is_none_or(|old| {
                    before.type_name_of(old) != after.type_name_of(id)
                })
            })
            .collect();
        prop_assert_eq!(diff.new, brute);
    }

    #[test]
    fn the_sums_of_a_histogram_are_its_totals(objects in objects()) {
        let graph = heap(&objects);
        for sort in [SortBy::Bytes, SortBy::Count] {
            let histogram = Histogram::new(&graph, sort);
            let mut sum = crate::analysis::histogram::Totals::default();
            for row in &histogram.types {
                sum.add(&row.totals);
            }
            prop_assert_eq!(sum, histogram.totals);
            prop_assert_eq!(sum.objects, graph.len() as u64);
            prop_assert_eq!(sum.shallow_bytes, graph.shallow_bytes.iter().sum::<u64>());
            prop_assert_eq!(sum.buffers(), graph.ids().map(|id| graph.buffers_of(id)).sum::<u64>());
        }
    }
}

#[test]
fn a_reused_address_with_another_type_is_one_gone_and_one_new() {
    let diff = Diff::new(&heap(&[(0, 0, 10)]), &heap(&[(0, 1, 10)]), Identity::SameProcess);
    let numbers: Vec<_> = diff.types.iter().map(|r| (r.name.as_str(), r.new, r.gone)).collect();
    assert_eq!(numbers, [("app.B", Some(1), Some(0)), ("app.A", Some(0), Some(1))]);
}

#[test]
fn between_two_processes_new_and_gone_are_unknown() {
    let diff =
        Diff::new(&heap(&[(0, 0, 10)]), &heap(&[(9, 0, 10), (8, 0, 10)]), Identity::OtherProcess);
    let row = diff.types.first().unwrap();
    assert_eq!((row.objects_delta(), row.new, row.gone, row.survived()), (1, None, None, None));
}

#[test]
fn types_of_one_name_are_one_type() {
    let mut before = heap(&[(0, 0, 10), (1, 1, 10)]);
    let after = heap(&[(0, 0, 10), (1, 0, 10)]);
    // The second row gets the first one's name, as when a class is defined twice.
    let name = before.types[0].name;
    before.types[1].name = name;
    assert!(Diff::new(&before, &after, Identity::SameProcess).types.is_empty());
}
