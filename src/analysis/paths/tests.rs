use proptest::prelude::*;

use super::*;
use crate::addr::Addr;
use crate::graph::GraphBuilder;

/// The path as one line: root, then `label:type` of each step.
fn line(path: &Path) -> String {
    let kind = path.root.kind.map_or("-", RootKind::name);
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
    b.root(RootKind::Collector, "", Addr(0x1030));
    let graph = b.build();
    let rows = graph.find(Addr(0x1030)).unwrap();
    assert_eq!(Paths::new(&graph).to(&graph, rows).root.kind, Some(RootKind::Module));
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
fn what_no_root_reaches_has_a_path_without_root() {
    let mut b = GraphBuilder::new();
    b.object(0x10, "app.Lost", 16);
    let graph = b.build();
    let paths = Paths::new(&graph);
    assert!(!paths.reaches(ObjectId(0)));
    assert_eq!(line(&paths.to(&graph, ObjectId(0))), "-  > :app.Lost");
}

#[test]
fn the_names_of_a_module_win_over_the_globals_of_a_frame() {
    let mut b = app();
    b.root(RootKind::Frame, "<module> (app.py:1) f_globals", Addr(0x110));
    let graph = b.build();
    let rows = graph.find(Addr(0x1130)).unwrap();
    assert_eq!(Paths::new(&graph).to(&graph, rows).root.kind, Some(RootKind::Module));
}

/// Cycles of a frame and its accessor, each of which the collector knows, with a big array.
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
            b.root(RootKind::Collector, "", known);
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
    assert_eq!(line(&group.path), "collector  > :pandas.DataFrame > .data:numpy.ndarray");
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
    b.root(RootKind::Collector, "", payload);
    b.root(RootKind::Collector, "", list);
    let graph = b.build();
    let paths = Paths::new(&graph);
    let list = graph.find(list).unwrap();
    assert!(line(&paths.to(&graph, list)).starts_with("collector  > :pandas.DataFrame"));
    assert_eq!(paths.cycle(&graph, list).len(), 3);
}

proptest! {
    #[test]
    fn all_that_the_collector_knows_is_reached_and_cycles_are_cycles(
        edges in proptest::collection::vec((0_u64..12, 0_u64..12), 0..40),
        known in proptest::collection::vec(0_u64..12, 1..12),
    ) {
        let mut b = GraphBuilder::new();
        for n in 0..12 {
            b.object(0x1000 + n * 16, "app.T", 16);
        }
        for &(from, to) in &edges {
            b.item(Addr(0x1000 + from * 16), u32::try_from(to).unwrap(), Addr(0x1000 + to * 16));
        }
        for &n in &known {
            b.root(RootKind::Collector, "", Addr(0x1000 + n * 16));
        }
        let graph = b.build();
        let paths = Paths::new(&graph);
        for root in &graph.roots {
            prop_assert!(paths.reaches(root.object));
        }
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
            prop_assert_eq!(!paths.cycle(&graph, id).is_empty(), leads[first.index()][first.index()]);
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
            prop_assert_eq!(paths.reaches(id), distance[id.index()].is_some());
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
