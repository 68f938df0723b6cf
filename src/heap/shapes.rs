//! Lists of labels while objects are decoded: names are still addresses, each list is kept once a
//! worker, and becomes text when all workers are done.

use rustc_hash::FxHashMap;

use crate::addr::Addr;
use crate::cpython::object::{Label, Name, Objects, Run};
use crate::graph::{EdgeLabel, Interner, LabelRun, ShapeId, Shapes, StringId};
use crate::target::memory::Memory;

/// One or more edges, with names as addresses.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum RawRun {
    /// One edge with a label of its own.
    One(Label),
    /// Consecutive edges of one kind.
    Run(Run, u32, u32),
}

/// The label list of the object that is being decoded.
#[derive(Debug, Default)]
pub(super) struct ShapeBuilder {
    runs: Vec<RawRun>,
}

impl ShapeBuilder {
    /// Adds a label.
    pub(super) fn push(&mut self, label: Label) {
        self.runs.push(RawRun::One(label));
    }

    /// Adds an edge of a run. `ValueKeys` has two edges a number.
    pub(super) fn push_run(&mut self, run: Run, nth: u32) {
        if let Some(RawRun::Run(kind, first, edges)) = self.runs.last_mut()
            && *kind == run
        {
            let per_number = if run == Run::ValueKeys { 2 } else { 1 };
            if first.wrapping_add(*edges / per_number) == nth {
                *edges = edges.saturating_add(1);
                return;
            }
        }
        self.runs.push(RawRun::Run(run, nth, 1));
    }

    /// Hands over the list and begins a new one.
    pub(super) fn finish(&mut self, shapes: &mut RawShapes) -> u32 {
        let id = shapes.intern(&self.runs);
        self.runs.clear();
        id
    }
}

/// The label lists of one worker.
#[derive(Debug, Default)]
pub(super) struct RawShapes {
    pub(super) shapes: Vec<Box<[RawRun]>>,
    by_runs: FxHashMap<Box<[RawRun]>, u32>,
}

impl RawShapes {
    fn intern(&mut self, runs: &[RawRun]) -> u32 {
        if let Some(&id) = self.by_runs.get(runs) {
            return id;
        }
        let id = u32::try_from(self.shapes.len()).unwrap_or(u32::MAX);
        self.shapes.push(runs.into());
        self.by_runs.insert(runs.into(), id);
        id
    }
}

/// Turns raw label lists into those of a graph.
pub(super) struct ShapeResolver<'a, 'o, M> {
    objects: &'a Objects<'o, M>,
    names: FxHashMap<Name, Option<StringId>>,
    by_raw: FxHashMap<Box<[RawRun]>, ShapeId>,
}

impl<'a, 'o, M: Memory> ShapeResolver<'a, 'o, M> {
    pub(super) fn new(objects: &'a Objects<'o, M>) -> Self {
        Self { objects, names: FxHashMap::default(), by_raw: FxHashMap::default() }
    }

    /// The graph's number of a raw label list.
    pub(super) fn resolve(
        &mut self,
        raw: &[RawRun],
        shapes: &mut Shapes,
        strings: &mut Interner,
    ) -> ShapeId {
        if let Some(&id) = self.by_raw.get(raw) {
            return id;
        }
        let mut runs: Vec<LabelRun> = Vec::with_capacity(raw.len());
        for &run in raw {
            match run {
                RawRun::One(label) => runs.push(LabelRun::One(self.label(label, strings))),
                RawRun::Run(run, first, edges) => push_run(&mut runs, run, first, edges),
            }
        }
        let id = shapes.intern(&runs);
        self.by_raw.insert(raw.into(), id);
        id
    }

    fn label(&mut self, label: Label, strings: &mut Interner) -> EdgeLabel {
        match label {
            Label::Attribute(name) => EdgeLabel::Attribute(self.name(name, strings)),
            Label::Namespace(name) => EdgeLabel::Attribute(strings.intern(name)),
            Label::Entry(key, nth) => match self.identifier(key, strings) {
                Some(name) => EdgeLabel::Attribute(name),
                None => EdgeLabel::Value(nth),
            },
            Label::Field(name) => EdgeLabel::Field(strings.intern(name)),
            Label::Local(name) | Label::Keywords(name) => {
                EdgeLabel::Local(self.name(name, strings))
            }
            Label::Cell(name) => EdgeLabel::Cell(self.name(name, strings)),
            Label::Stack(word) => EdgeLabel::Stack(word),
            Label::Inferred(offset) => EdgeLabel::Inferred(offset),
        }
    }

    /// The text of a name that comes from code.
    fn name(&mut self, name: Name, strings: &mut Interner) -> StringId {
        self.read(name, strings).unwrap_or_else(|| strings.intern("?"))
    }

    /// The text of a dictionary's key, if it can be a name: other keys are data.
    fn identifier(&mut self, key: Addr, strings: &mut Interner) -> Option<StringId> {
        self.read(Name::Str(key), strings).filter(|&id| is_identifier(strings.text(id)))
    }

    fn read(&mut self, name: Name, strings: &mut Interner) -> Option<StringId> {
        if let Some(&id) = self.names.get(&name) {
            return id;
        }
        let text = match name {
            Name::Str(at) => match self.objects.is_exact_str(at) {
                true => self.objects.text(at).ok(),
                false => None,
            },
            Name::CStr(at) => self.objects.c_text(at).ok(),
            Name::Known(name) => Some(name.to_owned()),
        };
        // What is no identifier is data and must not be kept, not even unused.
        let id = text.filter(|text| is_identifier(text)).map(|text| strings.intern(&text));
        self.names.insert(name, id);
        id
    }
}

/// Adds edges of a run in the graph's form.
fn push_run(runs: &mut Vec<LabelRun>, run: Run, first: u32, edges: u32) {
    let run = match run {
        Run::Items => LabelRun::Items { first, len: edges },
        Run::Values => LabelRun::Values { first, len: edges },
        Run::Keys => LabelRun::Keys { first, len: edges },
        Run::Members => LabelRun::Members { first, len: edges },
        Run::ValueKeys => {
            if edges >= 2 {
                runs.push(LabelRun::ValueKeys { first, len: edges / 2 });
            }
            if edges.is_multiple_of(2) {
                return;
            }
            LabelRun::One(EdgeLabel::Value(first.wrapping_add(edges / 2)))
        }
    };
    runs.push(run);
}

/// Whether a text can be a name in Python code (dots included: comprehension scopes have them).
fn is_identifier(text: &str) -> bool {
    let mut chars = text.chars();
    let first = chars.next().is_some_and(|c| c.is_alphabetic() || c == '_' || c == '.');
    first && chars.all(|c| c.is_alphanumeric() || c == '_')
}
