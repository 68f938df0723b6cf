//! The column of labels that people query.

use parquet::data_type::ByteArray;

use crate::addr::Addr;
use crate::graph::{
    EdgeLabel, HeapGraph, LabelRun, ObjectFlags, ObjectId, ShapeColumn, TypeId, TypeRow,
};
use crate::snapshot::Snapshot;
use crate::snapshot::label_texts::{LabelTexts, ListColumn};

/// A graph in which object 0 has these edges, and objects 1 and 2 are a `str` and an `app.Key`.
fn graph_with(runs: &[LabelRun], edges: &[u32]) -> HeapGraph {
    let mut graph = HeapGraph::default();
    for name in ["builtins.dict", "builtins.str", "app.Key"] {
        let name = graph.strings.intern(name);
        graph.types.push(TypeRow { addr: Addr(8), name, estimated: false, inferred: false });
    }
    for id in 0..3 {
        graph.addrs.push(Addr(16 + 16 * u64::from(id)));
        graph.object_types.push(TypeId(id));
        graph.shallow_bytes.push(64);
        graph.refcounts.push(1);
        graph.flags.push(ObjectFlags::default());
        graph.referents.push(if id == 0 { edges } else { &[] }.iter().map(|&to| ObjectId(to)));
        graph.hidden_referents.push([]);
    }
    let shape = graph.shapes.intern(runs);
    graph.shapes_of.extend([shape, Default::default(), Default::default()]);
    graph.hidden_shapes_of.extend([Default::default(); 3]);
    graph
}

/// The row of object 0 as a reader of the file sees it.
fn row(graph: &HeapGraph) -> Vec<Option<String>> {
    let mut column = ListColumn::default();
    let edges = graph.referents.of(ObjectId(0));
    LabelTexts::new(graph).push_row(
        &mut column,
        ObjectId(0),
        edges,
        graph.shapes_of.get(0).copied().unwrap(),
    );
    assert_eq!(column.repetitions.first(), Some(&0));
    assert!(column.repetitions.iter().skip(1).all(|&repeated| repeated == 1));
    let mut values = column.values.iter().map(|value: &ByteArray| value.as_utf8().unwrap());
    let defined = column.definitions.iter();
    let row = defined.filter(|&&defined| defined > 0);
    row.map(|&defined| if defined == 2 { values.next().map(str::to_owned) } else { None }).collect()
}

#[test]
fn entries_of_a_dictionary_are_named_by_the_type_of_their_key() {
    let runs = [LabelRun::ValueKeys { first: 0, len: 2 }, LabelRun::One(EdgeLabel::Index(7))];
    let mut graph = graph_with(&runs, &[0, 1, 0, 2, 0, 1]);
    let expected = ["[str #0]", "key str #0", "[app.Key #1]", "key app.Key #1", "[7]", "?"];
    assert_eq!(row(&graph), expected.map(|text| Some(text.to_owned())));
    // With values, the key is what it says.
    let text = graph.strings.intern("'secret'");
    graph.values.insert(ObjectId(1), text);
    assert_eq!(row(&graph)[0].as_deref(), Some("['secret']"));
}

#[test]
fn labels_agree_with_those_of_the_graph() {
    let mut graph = graph_with(&[], &[0; 9]);
    let name = graph.strings.intern("x");
    let labels = [
        EdgeLabel::Attribute(name),
        EdgeLabel::Field(name),
        EdgeLabel::Local(name),
        EdgeLabel::Cell(name),
        EdgeLabel::Member(255),
        EdgeLabel::Stack(3),
        EdgeLabel::Inferred(16),
        EdgeLabel::Native(0),
        EdgeLabel::Value(1),
    ];
    let shape = graph.shapes.intern(&labels.map(LabelRun::One));
    graph.shapes_of = ShapeColumn::default();
    graph.shapes_of.extend([shape, Default::default(), Default::default()]);
    let expected: Vec<_> = (0..9).map(|nth| Some(graph.referent_label(ObjectId(0), nth))).collect();
    assert_eq!(row(&graph), expected);
}

#[test]
fn positions_beyond_the_last_have_no_text() {
    let runs = [LabelRun::Items { first: 254, len: 1_000_000 }];
    let graph = graph_with(&runs, &[1; 4]);
    let expected = [Some("[254]".to_owned()), Some("[255]".to_owned()), None, None];
    assert_eq!(row(&graph), expected);
}

#[test]
fn a_list_of_a_million_items_is_a_small_file() {
    let runs = [LabelRun::Items { first: 0, len: 1_000_000 }];
    let graph = graph_with(&runs, &vec![1; 1_000_000]);
    let snapshot = Snapshot { graph, ..Snapshot::default() };
    let len = super::file_of(&snapshot).len();
    assert!(len < 40_000, "{len} bytes");
}
