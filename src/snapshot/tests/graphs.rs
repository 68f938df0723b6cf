//! Graphs to save: random ones, and the comparison of two by every fact and label.

use crate::addr::Addr;
use crate::facts::{Facts, GenerationFacts, InterpreterFacts, ProcessFacts};
use crate::graph::{
    Csr, EdgeLabel, Finalizer, HeapGraph, LabelRun, ObjectFlags, ObjectId, Root, RootKind, ShapeId,
    TypeId, TypeRow,
};
use crate::snapshot::Snapshot;

/// A small generator (xorshift): the seed is the graph.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 11).unwrap() % end.max(1)
    }

    fn below_u32(&mut self, end: usize) -> u32 {
        u32::try_from(self.below(end)).unwrap()
    }
}

/// A snapshot with all kinds of everything.
pub(super) fn random_snapshot(seed: u64, objects: usize, roots: usize) -> Snapshot {
    let mut random = Random(seed | 1);
    let mut graph = HeapGraph::default();
    let names =
        ["x", "", "naïve \"quoted\"", "a.b\\c", "__dict__", "pyheap.footer_xxh3\u{18}\u{10}"];
    for name in ["builtins.dict", "builtins.str", "app.Ω", "app.Twice", "app.Twice"] {
        let addr = Addr(random.next());
        let name = graph.strings.intern(name);
        let (estimated, inferred) = (random.below(2) == 0, random.below(2) == 0);
        graph.types.push(TypeRow { addr, name, estimated, inferred });
    }
    let names: Vec<_> = names.iter().map(|name| graph.strings.intern(name)).collect();
    let mut shapes = vec![ShapeId::default()];
    for _ in 0..8 {
        let runs: Vec<LabelRun> = (0..random.below(5)).map(|_| run(&mut random, &names)).collect();
        shapes.push(graph.shapes.intern(&runs));
    }
    graph.referents = Csr::with_capacity(objects, 0);
    let mut at = 0x5555_0000_0000_u64;
    for object in 0..objects {
        at += 16 + random.next() % 4096;
        if object + 1 == objects {
            at = u64::MAX - 15;
        }
        let id = ObjectId::from_index(object);
        graph.addrs.push(Addr(at));
        graph.object_types.push(TypeId(random.below_u32(graph.types.len())));
        graph.shallow_bytes.push(random.next() >> random.below(64));
        graph.refcounts.push(u32::try_from(random.next() >> 32).unwrap() >> random.below(32));
        graph.flags.push(ObjectFlags(u8::try_from(random.below(64)).unwrap()));
        for (edges, of) in [
            (&mut graph.referents, &mut graph.shapes_of),
            (&mut graph.hidden_referents, &mut graph.hidden_shapes_of),
        ] {
            let wide = if random.below(50) == 0 { 2000 } else { 6 };
            let count = random.below(wide);
            edges.push((0..count).map(|_| ObjectId::from_index(random.below(objects))));
            of.push(shapes[random.below(shapes.len())]);
        }
        if random.below(4) == 0 {
            graph.buffer_bytes.insert(id, 1 + (random.next() >> 1));
            graph.payload_bytes.insert(id, 1 + random.next() % 100);
            graph.values.insert(id, names[random.below(names.len())]);
            graph.names.insert(id, names[random.below(names.len())]);
        }
        if random.below(3) == 0 {
            let lines: Vec<_> = (0..1 + random.below(3))
                .map(|_| (names[random.below(names.len())], random.below_u32(9)))
                .collect();
            let site = graph.allocations.intern(&lines).unwrap();
            graph.allocations.push_at(id, site);
        }
        if random.below(3) == 0 {
            graph.content_hashes.push_at(id, random.next() >> random.below(64));
            graph.spare_bytes.push_at(id, random.next() >> random.below(64));
            graph.finalizers.push_at(id, Finalizer::ALL[random.below(Finalizer::ALL.len())]);
            graph.weak_referents.push_at(id, ObjectId::from_index(random.below(objects)));
        }
    }
    let kinds = [RootKind::Module, RootKind::Frame, RootKind::C, RootKind::StaticType];
    for _ in 0..if objects == 0 { 0 } else { roots } {
        graph.roots.push(Root {
            kind: kinds[random.below(kinds.len())],
            name: names[random.below(names.len())],
            object: ObjectId::from_index(random.below(objects)),
            thread: (random.below(2) == 0).then(|| random.next()),
        });
    }
    for kind in 0..random.below(3) {
        let examples = [Addr(random.next()), Addr(0)];
        graph.anomalies.add(&format!("anomaly {kind}"), random.next(), &examples);
    }
    Snapshot { facts: facts(&mut random), graph }
}

fn facts(random: &mut Random) -> Facts {
    Facts {
        process: ProcessFacts {
            pid: 4242,
            executable: "/usr/bin/python3.11".into(),
            rss_bytes: random.next(),
            ..ProcessFacts::default()
        },
        interpreter: InterpreterFacts {
            version: "3.11.7".into(),
            build: "default".into(),
            interpreters: 1,
        },
        generations: vec![GenerationFacts { generation: 2, count: -1, ..Default::default() }],
        // A time has more digits than a careless JSON reader keeps.
        taken_at: f64::from_bits(0x41D9_0000_0000_0000 + (random.next() >> 24)),
        ..Facts::default()
    }
}

fn run(random: &mut Random, names: &[crate::graph::StringId]) -> LabelRun {
    let name = names[random.below(names.len())];
    let number = random.below_u32(300);
    let (first, len) = (random.below_u32(3), random.below_u32(1000));
    match random.below(16) {
        0 => LabelRun::One(EdgeLabel::Attribute(name)),
        1 => LabelRun::One(EdgeLabel::Field(name)),
        2 => LabelRun::One(EdgeLabel::Local(name)),
        3 => LabelRun::One(EdgeLabel::Cell(name)),
        4 => LabelRun::One(EdgeLabel::Index(number)),
        5 => LabelRun::One(EdgeLabel::Value(number)),
        6 => LabelRun::One(EdgeLabel::Key(number)),
        7 => LabelRun::One(EdgeLabel::Member(number)),
        8 => LabelRun::One(EdgeLabel::Stack(number)),
        9 => LabelRun::One(EdgeLabel::Inferred(u32::MAX - number)),
        14 => LabelRun::One(EdgeLabel::Native(number)),
        10 => LabelRun::Items { first, len: u32::MAX - len },
        11 => LabelRun::Values { first, len },
        12 => LabelRun::Keys { first, len },
        13 => LabelRun::ValueKeys { first, len },
        _ => LabelRun::Members { first, len },
    }
}

/// Asserts that two snapshots tell the same: every fact of every object, every label, every root.
/// Numbers of texts and shapes may differ, since only those in use are saved.
pub(super) fn assert_same(left: &Snapshot, right: &Snapshot) {
    assert_eq!(left.facts, right.facts);
    let (a, b) = (&left.graph, &right.graph);
    assert_eq!(a.addrs, b.addrs);
    assert_eq!(a.object_types, b.object_types);
    assert_eq!(a.shallow_bytes, b.shallow_bytes);
    assert_eq!(a.refcounts, b.refcounts);
    assert_eq!(a.flags, b.flags);
    assert_eq!(a.referents, b.referents);
    assert_eq!(a.hidden_referents, b.hidden_referents);
    assert_eq!(a.buffer_bytes, b.buffer_bytes);
    assert_eq!(a.payload_bytes, b.payload_bytes);
    assert_eq!(a.anomalies, b.anomalies);
    let types = |graph: &HeapGraph| -> Vec<_> {
        let rows = graph.types.iter();
        rows.map(|row| {
            let name = graph.strings.text(row.name).to_owned();
            (row.addr, name, row.estimated, row.inferred)
        })
        .collect()
    };
    assert_eq!(types(a), types(b));
    let roots = |graph: &HeapGraph| -> Vec<_> {
        let roots = graph.roots.iter();
        roots
            .map(|root| {
                (root.kind, graph.strings.text(root.name).to_owned(), root.object, root.thread)
            })
            .collect()
    };
    assert_eq!(roots(a), roots(b));
    let values = |graph: &HeapGraph| -> std::collections::BTreeMap<_, _> {
        let values = graph.values.iter();
        values.map(|(&object, &text)| (object, graph.strings.text(text).to_owned())).collect()
    };
    assert_eq!(values(a), values(b));
    let names = |graph: &HeapGraph| -> std::collections::BTreeMap<_, _> {
        let names = graph.names.iter();
        names.map(|(&object, &text)| (object, graph.strings.text(text).to_owned())).collect()
    };
    assert_eq!(names(a), names(b));
    for object in a.ids() {
        let lines = |graph: &HeapGraph| -> Vec<_> {
            let lines = graph.allocations.site_of(object).into_iter();
            let lines = lines.flat_map(|site| graph.allocations.lines(site));
            lines.map(|&(file, line)| (graph.strings.text(file).to_owned(), line)).collect()
        };
        assert_eq!(lines(a), lines(b));
        assert_eq!(a.spare_bytes.get(object), b.spare_bytes.get(object));
        assert_eq!(a.finalizers.get(object), b.finalizers.get(object));
        assert_eq!(a.weak_referents.get(object), b.weak_referents.get(object));
        assert_eq!(a.content_hashes.get(object), b.content_hashes.get(object));
        // One beyond the end: what has no label must have none again.
        for nth in 0..=a.referents.of(object).len() {
            assert_eq!(a.referent_label(object, nth), b.referent_label(object, nth));
        }
        for nth in 0..=a.hidden_referents.of(object).len() {
            assert_eq!(a.hidden_label(object, nth), b.hidden_label(object, nth));
        }
    }
}
