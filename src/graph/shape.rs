//! What the edges of an object are called.
//!
//! Objects of one type mostly have the same edges under the same names, so a list of labels (a
//! *shape*) is kept once and objects refer to it. Positions (items of a list, entries of a dict)
//! are runs, so that a list of a million items costs one run and not a million labels.

use rustc_hash::FxHashMap;

use super::ids::{ShapeId, StringId};

/// What one edge is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum EdgeLabel {
    /// An attribute, by name: instance, class or module dictionary, slot, `__dict__` itself.
    Attribute(StringId),
    /// A field of the C structure that is no Python attribute, by its name in CPython's source.
    Field(StringId),
    /// An item of a sequence.
    Index(u32),
    /// The value of the n-th entry of a dictionary whose keys are data.
    Value(u32),
    /// The key of the n-th entry of a dictionary.
    Key(u32),
    /// The n-th member of a set.
    Member(u32),
    /// A local variable of a frame, by name.
    Local(StringId),
    /// The n-th word of a frame's evaluation stack.
    Stack(u32),
    /// A closure cell, by the name of its variable.
    Cell(StringId),
    /// Found by scanning the instance of an unknown C type, at this offset: inferred.
    Inferred(u32),
    /// Inferred too: it stands in a block of native memory, of so many bytes, to which the object leads,
    /// at once or over other blocks, and the count of what it leads to has a reference that nothing else
    /// explains. 0 in the place of a size means a block of any size.
    Native(u32),
}

impl EdgeLabel {
    /// The same without its position: equal for all items of a list.
    #[must_use]
    pub const fn without_position(self) -> Self {
        match self {
            Self::Index(_) => Self::Index(0),
            Self::Value(_) => Self::Value(0),
            Self::Key(_) => Self::Key(0),
            Self::Member(_) => Self::Member(0),
            Self::Stack(_) => Self::Stack(0),
            Self::Native(_) => Self::Native(0),
            named => named,
        }
    }
}

/// One or more consecutive edges of an object.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LabelRun {
    /// One edge.
    One(EdgeLabel),
    /// Items `0..len` of a sequence (empty slots counted in `first` of the next run).
    Items {
        /// The index of the first item.
        first: u32,
        /// How many items follow each other.
        len: u32,
    },
    /// Values of the dictionary entries `first..first + len`.
    Values {
        /// The number of the first entry.
        first: u32,
        /// How many entries follow each other.
        len: u32,
    },
    /// Keys of the dictionary entries `first..first + len`.
    Keys {
        /// The number of the first entry.
        first: u32,
        /// How many entries follow each other.
        len: u32,
    },
    /// Value and key in turn of the dictionary entries `first..first + len` (two edges each).
    ValueKeys {
        /// The number of the first entry.
        first: u32,
        /// How many entries follow each other.
        len: u32,
    },
    /// Members of a set.
    Members {
        /// The number of the first member.
        first: u32,
        /// How many members follow each other.
        len: u32,
    },
}

impl LabelRun {
    /// How many edges the run names.
    #[must_use]
    pub const fn edges(self) -> u64 {
        match self {
            Self::One(_) => 1,
            Self::Items { len, .. }
            | Self::Values { len, .. }
            | Self::Keys { len, .. }
            | Self::Members { len, .. } => len as u64,
            Self::ValueKeys { len, .. } => 2 * len as u64,
        }
    }

    /// The label of the n-th edge of the run.
    #[must_use]
    pub const fn label(self, nth: u32) -> EdgeLabel {
        match self {
            Self::One(label) => label,
            Self::Items { first, .. } => EdgeLabel::Index(first.wrapping_add(nth)),
            Self::Values { first, .. } => EdgeLabel::Value(first.wrapping_add(nth)),
            Self::Keys { first, .. } => EdgeLabel::Key(first.wrapping_add(nth)),
            Self::Members { first, .. } => EdgeLabel::Member(first.wrapping_add(nth)),
            Self::ValueKeys { first, .. } if nth.is_multiple_of(2) => {
                EdgeLabel::Value(first.wrapping_add(nth / 2))
            }
            Self::ValueKeys { first, .. } => EdgeLabel::Key(first.wrapping_add(nth / 2)),
        }
    }
}

/// The label lists of a graph, each once. [`ShapeId`] 0 is the empty one.
#[derive(Debug, Clone)]
pub struct Shapes {
    shapes: Vec<Box<[LabelRun]>>,
    by_runs: FxHashMap<Box<[LabelRun]>, ShapeId>,
}

impl Default for Shapes {
    fn default() -> Self {
        let mut shapes = Self { shapes: Vec::new(), by_runs: FxHashMap::default() };
        shapes.intern(&[]);
        shapes
    }
}

impl Shapes {
    /// The number of a label list, which is added if it is new.
    pub fn intern(&mut self, runs: &[LabelRun]) -> ShapeId {
        if let Some(&id) = self.by_runs.get(runs) {
            return id;
        }
        let id = ShapeId::from_index(self.shapes.len());
        self.shapes.push(runs.into());
        self.by_runs.insert(runs.into(), id);
        id
    }

    /// The label list of a number; empty for one that was never given.
    #[must_use]
    pub fn runs(&self, id: ShapeId) -> &[LabelRun] {
        self.shapes.get(id.index()).map_or(&[], AsRef::as_ref)
    }

    /// The label of the n-th edge, if the shape has so many.
    #[must_use]
    pub fn label(&self, id: ShapeId, nth: usize) -> Option<EdgeLabel> {
        let mut nth = nth as u64;
        for run in self.runs(id) {
            if nth < run.edges() {
                return Some(run.label(u32::try_from(nth).unwrap_or(u32::MAX)));
            }
            nth -= run.edges();
        }
        None
    }

    /// Which edge of a shape has a key's label, found by runs and not edge by edge.
    #[must_use]
    pub fn position(&self, id: ShapeId, wanted: EdgeLabel) -> Option<usize> {
        let EdgeLabel::Key(entry) = wanted else {
            return self.labels(id).position(|label| label == wanted);
        };
        let mut before = 0_u64;
        for &run in self.runs(id) {
            let (first, len, stride, shift) = match run {
                LabelRun::Keys { first, len } => (first, len, 1, 0),
                LabelRun::ValueKeys { first, len } => (first, len, 2, 1),
                LabelRun::One(EdgeLabel::Key(key)) => (key, 1, 1, 0),
                _ => (0, 0, 0, 0),
            };
            if let Some(nth) = entry.checked_sub(first).filter(|&nth| nth < len) {
                return usize::try_from(before + u64::from(nth) * stride + shift).ok();
            }
            before += run.edges();
        }
        None
    }

    /// The labels of all edges, in their order.
    pub fn labels(&self, id: ShapeId) -> impl Iterator<Item = EdgeLabel> {
        self.runs(id).iter().flat_map(|run| {
            let edges = u32::try_from(run.edges()).unwrap_or(u32::MAX);
            (0..edges).map(|nth| run.label(nth))
        })
    }

    /// How many shapes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shapes.len()
    }

    /// Whether there is no shape; never, since the empty one is always there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shapes.is_empty()
    }

    /// The label lists in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &[LabelRun]> {
        self.shapes.iter().map(AsRef::as_ref)
    }
}
