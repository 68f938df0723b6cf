//! Which objects of a heap a filter means.

use std::cell::OnceCell;

use super::column::{NumberColumn, TextColumn, YesNoColumn};
use super::{Condition, Filter, Glob};
use crate::analysis::collection::Collection;
use crate::analysis::diff::bytes_of;
use crate::analysis::dominators::Dominators;
use crate::analysis::grouping::{GroupBy, GroupError, Groups, Known, module_of};
use crate::analysis::paths::{Beginnings, Origin, Paths};
use crate::graph::{HeapGraph, ObjectFlags, ObjectId, TypeId};

/// The objects that are meant, or all of them.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// A bit an object.
    chosen: Option<Vec<u64>>,
}

impl Selection {
    /// All objects.
    #[must_use]
    pub const fn all() -> Self {
        Self { chosen: None }
    }

    /// The objects for which something holds.
    #[must_use]
    pub fn of(graph: &HeapGraph, holds: impl Fn(ObjectId) -> bool) -> Self {
        let mut words = vec![0_u64; graph.len().div_ceil(64)];
        for object in graph.ids().filter(|&object| holds(object)) {
            if let Some(word) = words.get_mut(object.index() / 64) {
                *word |= 1 << (object.index() % 64);
            }
        }
        Self { chosen: Some(words) }
    }

    /// Whether nothing is left out.
    #[must_use]
    pub const fn is_all(&self) -> bool {
        self.chosen.is_none()
    }

    /// Whether an object is meant.
    #[must_use]
    pub fn has(&self, object: ObjectId) -> bool {
        let Some(words) = &self.chosen else { return true };
        let (word, bit) = (object.index() / 64, object.index() % 64);
        words.get(word).is_some_and(|word| word >> bit & 1 == 1)
    }
}

impl Filter {
    /// The objects for which the filter holds. What it needs to know of the whole heap is found out
    /// once, and only where it asks for it.
    ///
    /// # Errors
    /// It asks for lines, and none are known.
    pub fn select(&self, graph: &HeapGraph, known: Known<'_>) -> Result<Selection, GroupError> {
        let heap = Heap {
            graph,
            paths: OnceCell::new(),
            dominators: OnceCell::new(),
            collection: OnceCell::new(),
        };
        let test = Test::new(&self.condition, &heap, known)?;
        Ok(Selection::of(graph, |object| test.holds(&heap, object)))
    }
}

/// A heap, and what was found out of it so far.
struct Heap<'g> {
    graph: &'g HeapGraph,
    paths: OnceCell<(Paths, Beginnings)>,
    dominators: OnceCell<Dominators>,
    collection: OnceCell<Collection>,
}

impl Heap<'_> {
    fn paths(&self) -> &(Paths, Beginnings) {
        self.paths.get_or_init(|| {
            let paths = Paths::new(self.graph);
            let beginnings = Beginnings::new(&paths, self.graph);
            (paths, beginnings)
        })
    }

    fn number(&self, column: NumberColumn, object: ObjectId) -> Option<u64> {
        let graph = self.graph;
        let flags = graph.flags_of(object);
        match column {
            NumberColumn::Shallow => Some(graph.shallow_bytes_of(object)),
            NumberColumn::Buffers => Some(graph.buffers_of(object)),
            NumberColumn::Bytes => Some(bytes_of(graph, object)),
            NumberColumn::Retained => {
                let dominators = self.dominators.get_or_init(|| Dominators::new(graph));
                Some(dominators.retained_bytes(object))
            }
            NumberColumn::Refcount if flags.has(ObjectFlags::IMMORTAL) => None,
            NumberColumn::Refcount => graph.refcounts.get(object.index()).copied().map(u64::from),
            NumberColumn::Generation => {
                flags.has(ObjectFlags::GC_TRACKED).then(|| u64::from(flags.generation()))
            }
            NumberColumn::Address => Some(graph.addr(object).0),
        }
    }

    fn is(&self, column: YesNoColumn, object: ObjectId) -> bool {
        let flags = self.graph.flags_of(object);
        match column {
            YesNoColumn::Tracked => flags.has(ObjectFlags::GC_TRACKED),
            YesNoColumn::Frozen => flags.has(ObjectFlags::GC_FROZEN),
            YesNoColumn::Immortal => flags.has(ObjectFlags::IMMORTAL),
            YesNoColumn::Garbage => {
                self.collection.get_or_init(|| Collection::new(self.graph)).is_freed(object)
            }
        }
    }

    fn label(&self, object: ObjectId) -> String {
        let (paths, _) = self.paths();
        match paths.label(self.graph, object) {
            Some((owner, label)) => self.graph.label_text(owner, Some(label)),
            None => String::new(),
        }
    }

    /// What the path to an object begins with, and the name of that.
    fn root(&self, object: ObjectId) -> (Origin, String) {
        let (paths, beginnings) = self.paths();
        let root = paths.root(self.graph, beginnings.of(object));
        (root.origin, root.name)
    }
}

/// A condition, with what depends on the type or the root decided once for each.
enum Test<'f> {
    All(Vec<Test<'f>>),
    Any(Vec<Test<'f>>),
    Not(Box<Test<'f>>),
    /// By type.
    Type(Vec<bool>),
    /// By the group: of a thread, or of a line.
    Group(Groups, Vec<bool>),
    /// By the root, or the object at which a path without root begins.
    Text {
        column: TextColumn,
        pattern: &'f Glob,
        fits: bool,
    },
    /// Anything else.
    Other(&'f Condition),
}

impl<'f> Test<'f> {
    fn new(
        condition: &'f Condition,
        heap: &Heap<'_>,
        known: Known<'_>,
    ) -> Result<Self, GroupError> {
        let several = |parts: &'f [Condition]| {
            parts.iter().map(|part| Self::new(part, heap, known)).collect::<Result<_, _>>()
        };
        Ok(match condition {
            Condition::All(parts) => Self::All(several(parts)?),
            Condition::Any(parts) => Self::Any(several(parts)?),
            Condition::Not(inner) => Self::Not(Box::new(Self::new(inner, heap, known)?)),
            Condition::Text { column, pattern, fits } => {
                let by_type = |test: &dyn Fn(&str) -> bool| -> Vec<bool> {
                    let names = (0..heap.graph.types.len()).map(TypeId::from_index);
                    names.map(|ty| test(heap.graph.type_name(ty)) == *fits).collect()
                };
                let by_group = |by| {
                    let groups = Groups::new(heap.graph, by, known)?;
                    let fits = groups.names().iter().map(|name| pattern.fits(name) == *fits);
                    let fits = fits.collect();
                    Ok(Self::Group(groups, fits))
                };
                match column {
                    TextColumn::Thread => by_group(GroupBy::Thread)?,
                    TextColumn::Line => by_group(GroupBy::Line)?,
                    TextColumn::Type => Self::Type(by_type(&|name| pattern.fits_type(name))),
                    TextColumn::Module => {
                        Self::Type(by_type(&|name| pattern.fits(module_of(name))))
                    }
                    TextColumn::Label | TextColumn::Root | TextColumn::Holder => {
                        Self::Text { column: *column, pattern, fits: *fits }
                    }
                }
            }
            Condition::Number { .. } | Condition::YesNo { .. } => Self::Other(condition),
        })
    }

    fn holds(&self, heap: &Heap<'_>, object: ObjectId) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(heap, object)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(heap, object)),
            Self::Not(inner) => !inner.holds(heap, object),
            Self::Type(fits) => {
                fits.get(heap.graph.type_of(object).index()).copied().unwrap_or_default()
            }
            Self::Group(groups, fits) => {
                fits.get(groups.of(heap.graph, object)).copied().unwrap_or_default()
            }
            Self::Text { column, pattern, fits } => {
                let found = match column {
                    TextColumn::Label => pattern.fits(&heap.label(object)),
                    TextColumn::Root => pattern.fits(heap.root(object).0.name()),
                    _ => pattern.fits(&heap.root(object).1),
                };
                found == *fits
            }
            Self::Other(Condition::Number { column, comparison, number }) => {
                heap.number(*column, object).is_some_and(|found| comparison.holds(found, *number))
            }
            Self::Other(Condition::YesNo { column, is }) => heap.is(*column, object) == *is,
            Self::Other(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{GraphBuilder, RootKind};

    /// `module app` with `.cache`, a list of two sessions with a text each; and garbage.
    fn heap() -> HeapGraph {
        let mut b = GraphBuilder::new();
        let cache = b.object(0x100, "builtins.list", 72);
        b.root(RootKind::Module, "app.cache", cache);
        for nth in 0..2_u32 {
            let at = 0x1000 + u64::from(nth) * 0x100;
            let session = b.object(at, "app.web.Session", 48);
            b.flag(session, ObjectFlags::GC_TRACKED);
            b.refcount(session, nth + 1);
            b.item(cache, nth, session);
            let text = b.object(at + 0x10, "builtins.str", 1000);
            b.attribute(session, "body", text);
        }
        let lost = b.object(0x5000, "app.Lost", 100);
        b.flag(lost, ObjectFlags::GC_TRACKED);
        b.refcount(lost, 1);
        b.item(lost, 0, lost);
        b.buffer(lost, 5000);
        b.build()
    }

    fn chosen(filter: &str) -> Vec<u64> {
        let graph = heap();
        let line = |object: ObjectId| Some(format!("app.py:{}", object.0));
        let known = Known { lines: Some(&line), threads: Some(&|_| Some("worker".to_owned())) };
        let selection = Filter::parse(filter).unwrap().select(&graph, known).unwrap();
        graph.ids().filter(|&o| selection.has(o)).map(|o| graph.addr(o).0).collect()
    }

    #[test]
    fn the_thread_is_that_of_the_root_and_lines_must_be_known() {
        let mut graph = heap();
        for root in &mut graph.roots {
            root.thread = Some(7);
        }
        let name = |id: u64| (id == 7).then(|| "worker".to_owned());
        let known = Known { lines: None, threads: Some(&name) };
        let select = |filter: &str| Filter::parse(filter).unwrap().select(&graph, known);
        let chosen = select("thread=work*").unwrap();
        assert_eq!(graph.ids().filter(|&object| chosen.has(object)).count(), 5);
        assert_eq!(select("not line=x").unwrap_err(), GroupError::NoLines);
    }

    #[test]
    fn each_column_is_what_the_heap_says() {
        for (filter, expected) in [
            ("type=Session", vec![0x1000, 0x1100]),
            ("type=app.*", vec![0x1000, 0x1100, 0x5000]),
            ("type=list", vec![0x100]),
            ("module=app", vec![0x5000]),
            ("module=app.*", vec![0x1000, 0x1100]),
            ("module=builtins and shallow>=1000", vec![0x1010, 0x1110]),
            ("buffers>0", vec![0x5000]),
            ("bytes=5100", vec![0x5000]),
            ("retained=1048", vec![0x1000, 0x1100]),
            ("refcount>1", vec![0x1100]),
            ("generation=0", vec![0x1000, 0x1100, 0x5000]),
            ("address=0x1110", vec![0x1110]),
            ("label=.body", vec![0x1010, 0x1110]),
            ("label='[1]'", vec![0x1100]),
            ("root=garbage", vec![0x5000]),
            ("root=module and not type=str", vec![0x100, 0x1000, 0x1100]),
            ("holder=app.cache and tracked", vec![0x1000, 0x1100]),
            ("thread='no thread' and type=list", vec![0x100]),
            ("line=app.py:0 or line=*:5", vec![0x100, 0x5000]),
            ("garbage or type!=app.* and shallow<100", vec![0x100, 0x5000]),
            ("tracked=no and frozen=no and immortal!=yes", vec![0x100, 0x1010, 0x1110]),
        ] {
            assert_eq!(chosen(filter), expected, "{filter}");
        }
    }
}
