use super::*;
use crate::graph::{GraphBuilder, ObjectFlags};

/// The nodes, each with its place in the tree.
fn told(graph: &HeapGraph, selection: &Selection) -> Vec<String> {
    let tree = HeldTree::new(graph, selection);
    let mut names: Vec<String> = Vec::new();
    for node in tree.nodes() {
        let above = node.parent.map(|parent| names[parent as usize].clone());
        let name = match tree.held(node) {
            Held::Root(root) => format!("{} {}", root.origin.name(), root.name),
            Held::Step(step) => format!("{}:{}", step.label, step.type_name),
            Held::Deeper => "…".to_owned(),
        };
        names.push(above.map(|above| format!("{above}/")).unwrap_or_default() + &name);
    }
    let weighed = names.iter().zip(tree.nodes());
    weighed.map(|(name, node)| format!("{name} {}×{}", node.objects, node.bytes)).collect()
}

#[test]
fn dictionaries_of_names_and_cells_are_beside_what_they_hold() {
    let mut b = GraphBuilder::new();
    let module = b.object(0x100, "builtins.module", 10);
    let names = b.object(0x110, "builtins.dict", 20);
    let function = b.object(0x120, "builtins.function", 30);
    let code = b.object(0x130, "builtins.code", 40);
    let cells = b.object(0x140, "builtins.tuple", 50);
    let cell = b.object(0x150, "builtins.cell", 60);
    let held = b.object(0x160, "app.Held", 70);
    b.flag(names, ObjectFlags::NAMESPACE);
    b.name(code, "run (app.py:1) [payload]");
    b.attribute(module, "__dict__", names);
    b.attribute(names, "run", function);
    b.attribute(function, "__code__", code);
    b.attribute(function, "__closure__", cells);
    b.item(cells, 0, cell);
    b.attribute(cell, "cell_contents", held);
    b.root(RootKind::Module, "app", module);
    insta::assert_snapshot!(told(&b.build(), &Selection::all()).join("\n"), @r"
    module app 1×10
    module app/.__dict__:builtins.dict 1×20
    module app/.run:builtins.function 1×30
    module app/.run:builtins.function/.__code__:builtins.code 1×40
    module app/.run:builtins.function/.__closure__:builtins.tuple 1×50
    module app/.run:builtins.function/.__closure__:builtins.tuple/[0]:builtins.cell 1×60
    module app/.run:builtins.function/closure payload:app.Held 1×70
    ");
}

#[test]
fn a_chain_is_no_deeper_than_the_bound_and_loses_nothing() {
    let mut b = GraphBuilder::new();
    let types = ["app.A", "app.B", "app.C"];
    let chain: Vec<_> =
        (0..3000_u64).map(|nth| b.object(0x100 + nth * 16, types[nth as usize % 3], 1)).collect();
    for pair in chain.windows(2) {
        b.attribute(pair[0], "next", pair[1]);
    }
    b.root(RootKind::Module, "app", chain[0]);
    let graph = b.build();
    let tree = HeldTree::new(&graph, &Selection::all());
    let objects: u64 = tree.nodes().iter().map(|node| node.objects).sum();
    assert_eq!((tree.nodes().len(), objects), (MOST_DEPTH as usize + 1, 3000));
    assert_eq!(tree.held(tree.nodes().last().unwrap()), Held::Deeper);
}

#[test]
fn only_what_is_meant_is_weighed() {
    let mut b = GraphBuilder::new();
    let list = b.object(0x100, "builtins.list", 10);
    for nth in 0..3_u32 {
        let item = b.object(0x200 + u64::from(nth) * 16, "app.Item", 5);
        b.item(list, nth, item);
    }
    b.root(RootKind::C, "2 references", list);
    let graph = b.build();
    let selection = Selection::of(&graph, |object| graph.type_name_of(object) == "app.Item");
    let told = told(&graph, &selection);
    assert_eq!(
        told,
        [
            "c 2 references 0×0",
            "c 2 references/:builtins.list 0×0",
            "c 2 references/:builtins.list/[*]:app.Item 3×15"
        ]
    );
}
