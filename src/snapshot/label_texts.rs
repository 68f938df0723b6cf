//! The labels that people query: one text an edge, from a bounded vocabulary.

use parquet::data_type::ByteArray;
use rustc_hash::FxHashMap;

use crate::graph::{EdgeLabel, HeapGraph, LabelRun, ObjectId, ShapeId, TypeId};

/// Positions (of items, entries, members, stack words) above this have no text of their own: their
/// label is null. So the vocabulary stays small and a list of a million items costs nothing.
pub(super) const LAST_POSITION: u32 = 255;

/// A list column under construction, in Parquet's terms.
#[derive(Default)]
pub(super) struct ListColumn<T> {
    pub(super) values: Vec<T>,
    pub(super) definitions: Vec<i16>,
    pub(super) repetitions: Vec<i16>,
}

impl<T> ListColumn<T> {
    /// Adds a row without elements.
    pub(super) fn push_empty(&mut self) {
        self.definitions.push(0);
        self.repetitions.push(0);
    }

    /// Adds the next element of a row, or a null.
    pub(super) fn push(&mut self, is_first: bool, value: Option<T>, present: i16) {
        self.repetitions.push(i16::from(!is_first));
        match value {
            Some(value) => {
                self.definitions.push(present);
                self.values.push(value);
            }
            None => self.definitions.push(present - 1),
        }
    }
}

/// The texts of labels, each made once.
pub(super) struct LabelTexts<'g> {
    graph: &'g HeapGraph,
    unknown: ByteArray,
    /// By label, and for entries of dictionaries by the type of the key, which the text names.
    known: FxHashMap<(EdgeLabel, TypeId), ByteArray>,
}

impl<'g> LabelTexts<'g> {
    pub(super) fn new(graph: &'g HeapGraph) -> Self {
        Self { graph, unknown: "?".into(), known: FxHashMap::default() }
    }

    /// Adds the row of an object: a label for each of its edges.
    pub(super) fn push_row(
        &mut self,
        column: &mut ListColumn<ByteArray>,
        object: ObjectId,
        edges: &[ObjectId],
        shape: ShapeId,
    ) {
        if edges.is_empty() {
            column.push_empty();
            return;
        }
        let graph = self.graph;
        let mut nth = 0_usize;
        for &run in graph.shapes.runs(shape) {
            let left = edges.len() - nth;
            let len = usize::try_from(run.edges()).unwrap_or(usize::MAX).min(left);
            for in_run in 0..len {
                let label = run.label(u32::try_from(in_run).unwrap_or(u32::MAX));
                let key = key_object(run, label, edges.get(nth..).unwrap_or(&[]));
                column.push(nth == 0, self.text(object, label, key), 2);
                nth += 1;
            }
        }
        for nth in nth..edges.len() {
            column.push(nth == 0, Some(self.unknown.clone()), 2);
        }
    }

    fn text(
        &mut self,
        owner: ObjectId,
        label: EdgeLabel,
        key: Option<ObjectId>,
    ) -> Option<ByteArray> {
        let label = match label {
            // Sizes would be words of a vocabulary without bounds.
            EdgeLabel::Native(_) => label.without_position(),
            label => label,
        };
        if position(label).is_some_and(|position| position > LAST_POSITION) {
            return None;
        }
        let graph = self.graph;
        let fresh = || ByteArray::from(graph.label_text(owner, Some(label)).into_bytes());
        let key_type = match (label, key) {
            (EdgeLabel::Value(_) | EdgeLabel::Key(_), Some(key)) if graph.values.is_empty() => {
                graph.type_of(key)
            }
            (EdgeLabel::Value(_) | EdgeLabel::Key(_), _) => return Some(fresh()),
            _ => TypeId::default(),
        };
        Some(self.known.entry((label, key_type)).or_insert_with(fresh).clone())
    }
}

/// The key of the dictionary entry that a label names, where the run itself says which it is.
fn key_object(run: LabelRun, label: EdgeLabel, rest: &[ObjectId]) -> Option<ObjectId> {
    match (run, label) {
        (LabelRun::ValueKeys { .. }, EdgeLabel::Value(_)) => rest.get(1).copied(),
        (LabelRun::ValueKeys { .. } | LabelRun::Keys { .. }, EdgeLabel::Key(_)) => {
            rest.first().copied()
        }
        _ => None,
    }
}

/// The number in a label that counts something.
const fn position(label: EdgeLabel) -> Option<u32> {
    match label {
        EdgeLabel::Index(position)
        | EdgeLabel::Value(position)
        | EdgeLabel::Key(position)
        | EdgeLabel::Member(position)
        | EdgeLabel::Stack(position) => Some(position),
        EdgeLabel::Inferred(offset) => Some(offset / 8),
        EdgeLabel::Attribute(_)
        | EdgeLabel::Field(_)
        | EdgeLabel::Local(_)
        | EdgeLabel::Cell(_)
        | EdgeLabel::Native(_) => None,
    }
}
