use proptest::prelude::*;

use super::*;
use crate::addr::Addr;
use crate::graph::GraphBuilder;

/// The path as one line: root, then `label:type` of each step.
fn line(path: &Path) -> String {
    let kind = path.root.origin.name();
    let mut line = format!("{kind} {}", path.root.name);
    for step in &path.steps {
        line.push_str(&format!(" > {}:{}", step.label, step.type_name));
    }
    line
}

/// `module app` with `cache`, a dict of sessions that each hold a list by their `__dict__`.
fn app() -> GraphBuilder {
    let mut b = GraphBuilder::new();
    let module = b.object(0x100, "builtins.module", 72);
    let names = b.object(0x110, "builtins.dict", 200);
    let cache = b.object(0x120, "builtins.dict", 300);
    b.flag(names, ObjectFlags::NAMESPACE);
    b.attribute(module, "__dict__", names);
    b.attribute(names, "cache", cache);
    for n in 0..3_u32 {
        let at = 0x1000 + u64::from(n) * 0x100;
        let key = b.object(at, "builtins.str", 50);
        let session = b.object(at + 0x10, "app.Session", 48);
        let fields = b.object(at + 0x20, "builtins.dict", 104);
        let rows = b.object(at + 0x30, "builtins.list", 88);
        b.entry(cache, n, key, session);
        b.flag(fields, ObjectFlags::NAMESPACE);
        b.attribute(session, "__dict__", fields);
        b.attribute(fields, "rows", rows);
    }
    b.root(RootKind::Module, "app", module);
    b
}

#[test]
fn a_path_names_its_attributes_and_folds_the_dictionaries() {
    let graph = app().build();
    let paths = Paths::new(&graph);
    let rows = graph.find(Addr(0x1130)).unwrap();
    assert_eq!(
        line(&paths.to(&graph, rows)),
        "module app > .cache:builtins.dict > [str #1]:app.Session > .rows:builtins.list"
    );
    let module = graph.find(Addr(0x100)).unwrap();
    assert_eq!(line(&paths.to(&graph, module)), "module app");
    let names = graph.find(Addr(0x110)).unwrap();
    assert_eq!(line(&paths.to(&graph, names)), "module app > .__dict__:builtins.dict");
}

/// A chain of objects of many types, which repeats itself nowhere near.
fn chain(links: u64) -> HeapGraph {
    let mut b = GraphBuilder::new();
    let at = |nth: u64| 0x1000 + nth * 0x40;
    for nth in 0..links {
        b.object(at(nth), &format!("app.T{}", nth % 17), 64);
        if nth > 0 {
            b.attribute(Addr(at(nth - 1)), "next", Addr(at(nth)));
        }
    }
    b.root(RootKind::Module, "app", Addr(at(0)));
    b.build()
}

#[test]
fn a_chain_of_many_types_is_as_deep_as_the_heap_and_told_all_the_same() {
    let links = 200_000;
    let graph = chain(links);
    let paths = Paths::new(&graph);
    let groups = paths.group(&graph, graph.ids());
    assert!(groups.len() < 300, "{}", groups.len());
    assert_eq!(groups.iter().map(|held| held.objects).sum::<u64>(), links);
    assert!(groups.iter().all(|held| held.path.steps.len() < 300));
    let deep = &groups[0];
    assert_eq!(deep.path.steps.last().unwrap().label, "…");
    assert_eq!(deep.path.root.name, "app");
    let last = graph.ids().last().unwrap();
    let path = paths.to(&graph, last);
    assert!(path.steps.len() < 400);
    assert_eq!(path.steps.last().unwrap().label, ".next");
    assert_eq!(path.steps.iter().filter(|step| step.label == "…").count(), 1);
}

#[test]
fn objects_that_are_held_in_the_same_way_are_one_group() {
    let graph = app().build();
    let sessions = [0x1010, 0x1110, 0x1210].map(|at| graph.find(Addr(at)).unwrap());
    let groups = Paths::new(&graph).group(&graph, sessions);
    assert_eq!(groups.len(), 1);
    let group = groups.first().unwrap();
    assert_eq!((group.objects, group.bytes), (3, 144));
    assert_eq!(line(&group.path), "module app > .cache:builtins.dict > [*]:app.Session");
}

#[test]
fn a_module_is_preferred_to_a_nearer_root_of_the_interpreter() {
    let mut b = app();
    b.root(RootKind::Interpreter, "codec_cache", Addr(0x1010));
    b.root(RootKind::C, "1 reference", Addr(0x1030));
    let graph = b.build();
    let rows = graph.find(Addr(0x1030)).unwrap();
    assert_eq!(Paths::new(&graph).to(&graph, rows).root.origin, Origin::Root(RootKind::Module));
}

#[test]
fn a_linked_list_is_one_way_however_long_it_is() {
    let mut b = GraphBuilder::new();
    let first = b.object(0x1000, "app.Node", 48);
    b.root(RootKind::Frame, "main (app.py:3) head", first);
    let mut last = first;
    for n in 1..1000_u64 {
        let fields = b.object(0x1000 + n * 32, "builtins.dict", 104);
        let node = b.object(0x1010 + n * 32, "app.Node", 48);
        b.flag(fields, ObjectFlags::NAMESPACE);
        b.attribute(last, "__dict__", fields);
        b.attribute(fields, "next", node);
        last = node;
    }
    let graph = b.build();
    let nodes = graph.ids().filter(|&id| graph.type_name_of(id) == "app.Node");
    let groups = Paths::new(&graph).group(&graph, nodes);
    assert!(groups.len() <= 3, "{} groups", groups.len());
    assert_eq!(groups.iter().map(|group| group.objects).sum::<u64>(), 1000);
}

#[test]
fn a_cycle_without_root_is_garbage_only_if_a_collection_would_free_it() {
    for (refcount, flag, word) in [
        (1, ObjectFlags::GC_TRACKED, "garbage"),
        (2, ObjectFlags::GC_TRACKED, "uncollectable"),
        (1, ObjectFlags::GC_FROZEN, "uncollectable"),
    ] {
        let mut b = GraphBuilder::new();
        let lost = b.object(0x10, "app.Lost", 16);
        b.flag(lost, flag);
        b.refcount(lost, refcount);
        b.attribute(lost, "me", lost);
        if refcount > 1 {
            b.hidden_edge(lost, EdgeLabel::Index(0), lost);
        }
        let mut graph = b.build();
        graph.root_what_c_holds();
        let path = Paths::new(&graph).to(&graph, ObjectId(0));
        assert_eq!(line(&path), format!("{word}  > :app.Lost"));
    }
}

#[test]
fn what_c_code_holds_is_grouped_by_type_and_count_and_is_no_garbage() {
    let mut b = GraphBuilder::new();
    for at in (1..5).map(|n| n * 0x100) {
        let node = b.object(at, "app.Node", 48);
        let list = b.object(at + 0x10, "builtins.list", 64);
        for object in [node, list] {
            b.flag(object, ObjectFlags::GC_TRACKED);
        }
        b.refcount(node, if at == 0x400 { 4 } else { 2 });
        b.refcount(list, 1);
        b.attribute(node, "rows", list);
        b.item(list, 0, node);
    }
    let mut graph = b.build();
    graph.root_what_c_holds();
    let paths = Paths::new(&graph);
    let lists = graph.ids().filter(|&id| graph.type_name_of(id) == "builtins.list");
    let told: Vec<(u64, String)> =
        paths.group(&graph, lists).iter().map(|g| (g.objects, line(&g.path))).collect();
    assert_eq!(
        told,
        [
            (3, "c 1 reference > :app.Node > .rows:builtins.list".to_owned()),
            (1, "c 3 references > :app.Node > .rows:builtins.list".to_owned()),
        ]
    );
    assert!(paths.cycle(&graph, ObjectId(0)).is_empty());
}

#[test]
fn the_names_of_a_module_win_over_the_globals_of_a_frame() {
    let mut b = app();
    b.root(RootKind::Frame, "<module> (app.py:1) f_globals", Addr(0x110));
    let graph = b.build();
    let rows = graph.find(Addr(0x1130)).unwrap();
    assert_eq!(Paths::new(&graph).to(&graph, rows).root.origin, Origin::Root(RootKind::Module));
}

/// Cycles of a frame and its accessor, which the collector knows, with a big array.
fn garbage(cycles: u64) -> GraphBuilder {
    let mut b = GraphBuilder::new();
    for at in (0..cycles).map(|n| 0x1000 + n * 0x100) {
        let accessor = b.object(at, "woodwork.Accessor", 48);
        let names = b.object(at + 0x10, "builtins.dict", 104);
        let frame = b.object(at + 0x20, "pandas.DataFrame", 64);
        let fields = b.object(at + 0x30, "builtins.dict", 104);
        let array = b.object(at + 0x40, "numpy.ndarray", 4000);
        b.flag(names, ObjectFlags::NAMESPACE);
        b.flag(fields, ObjectFlags::NAMESPACE);
        b.attribute(frame, "__dict__", names);
        b.attribute(names, "ww", accessor);
        b.attribute(accessor, "__dict__", fields);
        b.attribute(fields, "_dataframe", frame);
        let data = b.intern("data");
        b.hidden_edge(frame, EdgeLabel::Attribute(data), array);
        for known in [accessor, names, frame, fields] {
            b.flag(known, ObjectFlags::GC_TRACKED);
            b.refcount(known, 1);
        }
    }
    b
}

#[test]
fn one_object_speaks_for_a_cycle_and_the_cycle_is_shown_through_it() {
    let graph = garbage(3).build();
    let paths = Paths::new(&graph);
    let arrays = graph.ids().filter(|&id| graph.type_name_of(id) == "numpy.ndarray");
    let groups = paths.group(&graph, arrays);
    assert_eq!(groups.len(), 1);
    let group = groups.first().unwrap();
    assert_eq!(line(&group.path), "garbage  > :pandas.DataFrame > .data:numpy.ndarray");
    let cycle = paths.cycle(&graph, group.example);
    let steps: Vec<String> =
        cycle.iter().map(|step| format!("{}:{}", step.label, step.type_name)).collect();
    assert_eq!(
        steps,
        [":pandas.DataFrame", ".ww:woodwork.Accessor", "._dataframe:pandas.DataFrame"]
    );
}

#[test]
fn what_a_cycle_holds_begins_at_the_cycle_and_not_at_itself() {
    let mut b = garbage(1);
    let payload = b.object(0x9000, "app.Payload", 64);
    let list = b.object(0x9010, "builtins.list", 64);
    b.attribute(Addr(0x1000), "payload", payload);
    b.attribute(payload, "rows", list);
    for known in [payload, list] {
        b.flag(known, ObjectFlags::GC_TRACKED);
        b.refcount(known, 1);
    }
    let graph = b.build();
    let paths = Paths::new(&graph);
    let list = graph.find(list).unwrap();
    assert!(line(&paths.to(&graph, list)).starts_with("garbage  > :pandas.DataFrame"));
    assert_eq!(paths.cycle(&graph, list).len(), 3);
}

proptest! {
    #[test]
    fn all_that_no_root_reaches_hangs_on_cycles_and_cycles_are_cycles(
        edges in proptest::collection::vec((0_u64..12, 0_u64..12), 0..40),
        held in proptest::collection::vec(0_u64..12, 0..3),
    ) {
        let mut b = GraphBuilder::new();
        for n in 0..12 {
            let object = b.object(0x1000 + n * 16, "app.T", 16);
            b.flag(object, ObjectFlags::GC_TRACKED);
            let refcount = edges.iter().filter(|&&(_, to)| to == n).count()
                + held.iter().filter(|&&held| held == n).count();
            b.refcount(object, u32::try_from(refcount).unwrap());
        }
        for &(from, to) in &edges {
            b.item(Addr(0x1000 + from * 16), u32::try_from(to).unwrap(), Addr(0x1000 + to * 16));
        }
        let mut graph = b.build();
        graph.root_what_c_holds();
        let paths = Paths::new(&graph);
        let collection = Collection::new(&graph);
        // The transitive closure, which shares nothing with the search for components.
        let mut leads = [[false; 12]; 12];
        for &(from, to) in &edges {
            leads[usize::try_from(from).unwrap()][usize::try_from(to).unwrap()] = true;
        }
        for via in 0..12 {
            for from in 0..12 {
                for to in 0..12 {
                    leads[from][to] |= leads[from][via] && leads[via][to];
                }
            }
        }
        for id in graph.ids() {
            let first = paths.objects_to(id)[0];
            let origin = paths.to(&graph, id).root.origin;
            let is_held = held.iter().map(|&n| usize::try_from(n).unwrap())
                .any(|n| n == id.index() || leads[n][id.index()]);
            prop_assert_eq!(is_held, origin == Origin::Root(RootKind::C));
            prop_assert_eq!(collection.is_freed(id), origin == Origin::Garbage);
            let is_cyclic = leads[first.index()][first.index()] && origin.is_rootless();
            prop_assert_eq!(!paths.cycle(&graph, id).is_empty(), is_cyclic);
        }
    }
}

proptest! {
    #[test]
    fn every_path_follows_edges_from_a_root_and_is_shortest(
        objects in 1_u32..30,
        edges in proptest::collection::vec((0_u32..30, 0_u32..30, any::<bool>()), 0..90),
        roots in proptest::collection::vec(0_u32..30, 0..4),
    ) {
        let mut b = GraphBuilder::new();
        let at = |n: u32| Addr(0x1000 + u64::from(n) * 16);
        for n in 0..objects {
            b.object(at(n).0, "app.T", 16);
        }
        for &(from, to, hidden) in &edges {
            if hidden {
                b.hidden_edge(at(from), EdgeLabel::Index(to), at(to));
            } else {
                b.edge(at(from), EdgeLabel::Index(to), at(to));
            }
        }
        for &root in &roots {
            b.root(RootKind::Module, "m", at(root));
        }
        let graph = b.build();
        let paths = Paths::new(&graph);
        let held = |id: ObjectId| graph.roots.iter().any(|root| root.object == id);
        // Distances by relaxation until nothing changes: a different way to the same answer.
        let mut distance: Vec<Option<usize>> =
            graph.ids().map(|id| held(id).then_some(0)).collect();
        for _ in 0..graph.len() {
            for from in graph.ids() {
                let Some(here) = distance[from.index()] else { continue };
                let hidden = graph.hidden_referents.of(from);
                for to in graph.referents.of(from).iter().chain(hidden) {
                    let there = &mut distance[to.index()];
                    *there = Some(there.map_or(here + 1, |known| known.min(here + 1)));
                }
            }
        }
        for id in graph.ids() {
            let origin = paths.to(&graph, id).root.origin;
            prop_assert_eq!(!origin.is_rootless(), distance[id.index()].is_some());
            let path = paths.objects_to(id);
            if let Some(length) = distance[id.index()] {
                prop_assert_eq!(path.len(), length + 1);
                prop_assert!(held(path[0]));
            }
            for pair in path.windows(2) {
                let hidden = graph.hidden_referents.of(pair[0]);
                prop_assert!(graph.referents.of(pair[0]).iter().chain(hidden).any(|&to| to == pair[1]));
            }
        }
        prop_assert_eq!(
            paths.group(&graph, graph.ids()).iter().map(|group| group.objects).sum::<u64>(),
            u64::from(objects)
        );
    }
}
