//! By what objects are counted together: their type, the module that defines it, what holds them.

use rustc_hash::FxHashMap;

use super::paths::{Beginnings, Origin, Paths};
use crate::graph::{HeapGraph, ObjectId, RootKind};

/// A way to group objects.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GroupBy {
    /// The full name of the type.
    Type,
    /// The module that defines the type.
    Module,
    /// The line that allocated the object.
    Line,
    /// What its shortest path begins with.
    Root,
    /// The thread whose frames or state its shortest path begins with.
    Thread,
}

impl GroupBy {
    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Type => "type",
            Self::Module => "module",
            Self::Line => "line",
            Self::Root => "root",
            Self::Thread => "thread",
        }
    }
}

/// Why objects cannot be grouped so.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum GroupError {
    /// It is not known where objects were allocated.
    #[error(
        "it is not known which lines allocated the objects: tracemalloc was not running in the target"
    )]
    NoLines,
}

/// What is known besides the heap.
#[derive(Clone, Copy, Default)]
pub struct Known<'a> {
    /// The line that allocated an object, such as `app.py:12`; nothing if none of them is known.
    pub lines: Option<&'a dyn Fn(ObjectId) -> Option<String>>,
    /// The name of a thread, by its `threading.get_ident()`.
    pub threads: Option<&'a dyn Fn(u64) -> Option<String>>,
}

/// The group of each object.
#[derive(Clone, Debug)]
pub struct Groups {
    of: Of,
    names: Vec<String>,
}

#[derive(Clone, Debug)]
enum Of {
    /// By the number of the type.
    Type(Vec<u32>),
    /// By the number of the object.
    Object(Vec<u32>),
}

/// Names with numbers.
#[derive(Default)]
struct Names {
    names: Vec<String>,
    numbers: FxHashMap<String, u32>,
}

impl Names {
    fn number(&mut self, name: &str) -> u32 {
        if let Some(&number) = self.numbers.get(name) {
            return number;
        }
        let next = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.names.push(name.to_owned());
        self.numbers.insert(name.to_owned(), next);
        next
    }
}

impl Groups {
    /// Groups the objects of a heap by the full names of their types.
    #[must_use]
    pub fn by_type(graph: &HeapGraph) -> Self {
        Self::of_names(graph, |name| name)
    }

    /// Groups the objects of a heap by something that follows from the names of their types.
    fn of_names(graph: &HeapGraph, key: impl Fn(&str) -> &str) -> Self {
        let mut names = Names::default();
        let types = graph.types.iter().map(|row| graph.strings.text(row.name));
        let of = types.map(|name| names.number(key(name))).collect();
        Self { of: Of::Type(of), names: names.names }
    }

    /// Groups the objects of a heap.
    ///
    /// # Errors
    /// What they are to be grouped by is not known.
    pub fn new(graph: &HeapGraph, by: GroupBy, known: Known<'_>) -> Result<Self, GroupError> {
        let mut names = Names::default();
        let of = match by {
            GroupBy::Type => return Ok(Self::by_type(graph)),
            GroupBy::Module => return Ok(Self::of_names(graph, module_of)),
            GroupBy::Line => {
                let lines = known.lines.ok_or(GroupError::NoLines)?;
                let line = |object| lines(object).unwrap_or_else(|| "unknown".to_owned());
                Of::Object(graph.ids().map(|object| names.number(&line(object))).collect())
            }
            GroupBy::Root | GroupBy::Thread => {
                let paths = Paths::new(graph);
                let beginnings = Beginnings::new(&paths, graph);
                let mut of_first: FxHashMap<ObjectId, u32> = FxHashMap::default();
                let of = graph.ids().map(|object| {
                    let first = beginnings.of(object);
                    *of_first.entry(first).or_insert_with(|| match by {
                        GroupBy::Root => names.number(&root_name(graph, &paths, first)),
                        _ => names.number(&thread_name(paths.root_thread(graph, first), known)),
                    })
                });
                Of::Object(of.collect())
            }
        };
        Ok(Self { of, names: names.names })
    }

    /// How many groups there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The number of the group of an object.
    #[must_use]
    pub fn of(&self, graph: &HeapGraph, object: ObjectId) -> usize {
        let number = match &self.of {
            Of::Type(of) => of.get(graph.type_of(object).index()),
            Of::Object(of) => of.get(object.index()),
        };
        number.map_or(usize::MAX, |&number| number as usize)
    }

    /// The name of a group.
    #[must_use]
    pub fn name(&self, number: usize) -> &str {
        self.names.get(number).map_or("?", String::as_str)
    }

    /// The names of all groups, in the order of their numbers.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

/// What a path begins with, without what is different for each object: the local of a frame, the
/// number of references from C code.
fn root_name(graph: &HeapGraph, paths: &Paths, first: ObjectId) -> String {
    let root = paths.root(graph, first);
    match root.origin {
        Origin::Root(RootKind::C) => "C code".to_owned(),
        Origin::Root(RootKind::Frame) => {
            let place = root.name.find(')').and_then(|end| root.name.get(..=end));
            format!("frame {}", place.unwrap_or(&root.name))
        }
        Origin::Root(kind @ (RootKind::StaticType | RootKind::Runtime)) => {
            kind.name().replace('_', " ")
        }
        Origin::Root(kind) => format!("{} {}", kind.name(), root.name),
        Origin::Garbage | Origin::Uncollectable => root.origin.name().to_owned(),
    }
}

fn thread_name(thread: Option<u64>, known: Known<'_>) -> String {
    let Some(thread) = thread else { return "no thread".to_owned() };
    let name = known.threads.and_then(|name| name(thread));
    name.unwrap_or_else(|| format!("thread {thread}"))
}

/// The module of a class, by the full name of it.
#[must_use]
pub fn module_of(type_name: &str) -> &str {
    // What a function or a class defines is of its module, too: `app.make.<locals>.Row`.
    let outer = type_name.split(".<locals>").next().unwrap_or(type_name);
    outer.rsplit_once('.').map_or("builtins", |(module, _)| module)
}
