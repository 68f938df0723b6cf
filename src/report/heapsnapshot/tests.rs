use super::pieces::MOST_BYTES;
use super::*;
use crate::graph::GraphBuilder;

fn written(graph: &HeapGraph) -> String {
    let mut out = Vec::new();
    write(&mut out, graph).unwrap();
    String::from_utf8(out).unwrap()
}

/// A module with a list, of which an item has more memory than a node can say, and garbage.
fn heap() -> HeapGraph {
    let mut b = GraphBuilder::new();
    let module = b.object(0x100, "builtins.module", 72);
    let names = b.object(0x110, "builtins.dict", 200);
    let list = b.object(0x120, "builtins.list", 64);
    let array = b.object(0x130, "numpy.ndarray", (5 << 30) + 1);
    let key = b.object(0x140, "builtins.str", 50);
    b.attribute(module, "__dict__", names);
    b.attribute(names, "rows", list);
    b.item(list, 0, array);
    b.buffer(list, 7);
    b.entry(names, 1, key, array);
    b.value(key, "\"secret\"");
    b.root(RootKind::Module, "app", module);
    let lost = b.object(0x200, "app.Lost", 16);
    b.flag(lost, crate::graph::ObjectFlags::GC_TRACKED);
    b.refcount(lost, 1);
    b.hidden_edge(lost, EdgeLabel::Inferred(24), lost);
    b.build()
}

#[test]
fn a_heap_is_nodes_edges_and_texts() {
    let mut graph = heap();
    graph.values.clear();
    let text = written(&graph);
    let (head, body) = text.split_once("\n\"nodes\"").unwrap();
    let head: serde_json::Value =
        serde_json::from_str(&head.trim_end_matches(',')["{\"snapshot\":".len()..]).unwrap();
    assert_eq!((&head["node_count"], &head["edge_count"]), (&12.into(), &13.into()));
    insta::assert_snapshot!(body, @r#"
    :[9,0,2,0,2,0,0
    ,9,1,4,0,1,0,0
    ,9,2,6,0,1,0,0
    ,3,3,33,72,1,0,0
    ,3,4,35,200,3,0,0
    ,3,5,37,64,2,0,0
    ,3,6,39,2147483648,2,0,0
    ,3,7,41,50,0,0,0
    ,3,8,65,16,1,0,0
    ,8,9,36,7,0,0,0
    ,8,10,38,2147483648,0,0,0
    ,8,10,8,1073741825,0,0,0],
    "edges":[1,1,7
    ,1,2,14
    ,2,11,21
    ,1,0,56
    ,2,12,28
    ,2,13,35
    ,1,1,42
    ,3,14,49
    ,1,0,42
    ,3,15,63
    ,3,15,70
    ,3,15,77
    ,4,24,56],
    "trace_function_infos":[],
    "trace_tree":[],
    "samples":[],
    "locations":[],
    "strings":["",
    "(modules)",
    "(uncollectable)",
    "builtins.module",
    "builtins.dict",
    "builtins.list",
    "numpy.ndarray",
    "builtins.str",
    "app.Lost",
    "(memory of builtins.list)",
    "(memory of numpy.ndarray)",
    "app",
    "__dict__",
    "rows",
    "key",
    "memory"]}
    "#);
}

#[test]
fn texts_are_nodes_of_their_own_type_where_they_are_known() {
    let text = written(&heap());
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    let strings = document["strings"].as_array().unwrap();
    let secret = strings.iter().position(|text| text == "\"secret\"").unwrap();
    assert!(text.contains(&format!("\n,2,{secret},")), "{text}");
    // The entry of the dictionary has the name of its key.
    assert!(text.contains(&format!("\n,2,{secret},42")), "{text}");
}

#[test]
fn numbers_are_made_of_addresses_and_never_shared() {
    let graph = |addrs: &[u64]| {
        let mut b = GraphBuilder::new();
        for &addr in addrs {
            b.object(addr, "app.T", 16);
        }
        b.build()
    };
    let numbers = |addrs: &[u64]| {
        let graph = graph(addrs);
        let mut ids = Ids::new(&graph);
        let mut numbers: Vec<u32> = graph.ids().map(|object| ids.of_object(object)).collect();
        numbers.push(ids.fresh());
        numbers
    };
    let far = 32 << 30;
    assert_eq!(numbers(&[0x20, 0x7f00]), [5, 0xfe1, 2]);
    assert_eq!(numbers(&[0x10, 0x20, far + 0x20, far + 0x30]), [3, 5, 9, 7, 10]);
}

#[test]
fn memory_that_cannot_be_is_not_cut_into_nodes_without_end() {
    let mut b = GraphBuilder::new();
    let hostile = b.object(0x100, "builtins.bytearray", u64::MAX);
    let large = b.object(0x200, "builtins.bytearray", 100 << 40);
    b.buffer(hostile, u64::MAX);
    b.root(RootKind::C, "1 reference", hostile);
    b.root(RootKind::C, "1 reference", large);
    let text = written(&b.build());
    // The root and what holds, the two objects, 2 of the one and 100 TiB of the other.
    let nodes = 2 + 2 + 2 + (100 << 40) / MOST_BYTES - 1;
    assert!(text.contains(&format!("\"node_count\":{nodes},")), "{}", &text[..2000]);
}
