//! The heap as data: one column per fact, one row per object, no I/O and no Python layouts.
//!
//! A heap that was walked and a snapshot that was loaded are the same [`HeapGraph`]; no analysis
//! can tell them apart. Rows are in ascending order of address, so the row number of an object is
//! the rank of its address.

mod allocation;
mod anomaly;
mod builder;
mod column;
mod csr;
mod finalizer;
mod held_by_c;
mod hidden;
mod ids;
mod interner;
mod references;
mod root;
mod row_set;
mod shape;
mod sparse;
mod unexplained;
mod wave;

use rustc_hash::FxHashMap;

pub use allocation::{Allocations, Line};
pub use anomaly::{Anomalies, Anomaly};
pub use builder::GraphBuilder;
pub use column::{ByteColumn, ShapeColumn};
pub use csr::Csr;
pub use finalizer::Finalizer;
pub use ids::{ObjectId, ShapeId, SiteId, StringId, TypeId};
pub use interner::Interner;
pub use root::{Root, RootKind};
pub use shape::{EdgeLabel, LabelRun, Shapes};
pub use sparse::SparseColumn;
pub use wave::{Reference, WAVE, Wave};

use crate::addr::Addr;

/// A type that has objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeRow {
    /// The address of the type object.
    pub addr: Addr,
    /// `module.qualname`, `builtins.` included.
    pub name: StringId,
    /// Whether the shallow sizes of its objects are estimates: its `__sizeof__` is Python code, or
    /// C code that we do not know.
    pub estimated: bool,
    /// Whether its objects' referents were found by scanning them.
    pub inferred: bool,
}

/// Small facts about one object, as bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub struct ObjectFlags(pub u8);

impl ObjectFlags {
    /// `gc.get_objects()` would return it.
    pub const GC_TRACKED: u8 = 1;
    /// It is in the permanent generation, which `gc.get_objects()` hides.
    pub const GC_FROZEN: u8 = 2;
    /// Its reference count is fixed: it lives as long as the process.
    pub const IMMORTAL: u8 = 4;
    /// It is the dictionary of a module, class or instance, so its keys are names from code.
    pub const NAMESPACE: u8 = 8;

    /// Where the generation (0-2) is kept in the bits.
    const GENERATION_SHIFT: u8 = 4;

    /// The same facts and one more (one of the constants).
    #[must_use]
    pub const fn with(self, flag: u8) -> Self {
        Self(self.0 | flag)
    }

    /// The same facts and the generation.
    #[must_use]
    pub const fn with_generation(self, generation: u8) -> Self {
        Self(self.0 | ((generation & 3) << Self::GENERATION_SHIFT))
    }

    /// Whether a fact (one of the constants) holds.
    #[must_use]
    pub const fn has(self, flag: u8) -> bool {
        self.0 & flag != 0
    }

    /// The generation of a tracked object.
    #[must_use]
    pub const fn generation(self) -> u8 {
        (self.0 >> Self::GENERATION_SHIFT) & 3
    }
}

/// A number as people read it: `4,096`.
fn grouped(number: u32) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (nth, digit) in digits.chars().enumerate() {
        if nth > 0 && (digits.len() - nth).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// In [`HeapGraph::content_hashes`]: a text or bytes whose contents were not read.
pub const UNREAD_CONTENT: u64 = 0;

/// All objects of a heap, what they are, and who refers to whom.
#[derive(Debug, Clone, Default)]
pub struct HeapGraph {
    /// The address of each object, ascending.
    pub addrs: Vec<Addr>,
    /// The type of each object.
    pub object_types: Vec<TypeId>,
    /// What `sys.getsizeof` returns for each object, in bytes.
    pub shallow_bytes: ByteColumn,
    /// The reference count of each object as it stands in memory; meaningless for immortal ones.
    pub refcounts: Vec<u32>,
    /// Small facts about each object.
    pub flags: Vec<ObjectFlags>,
    /// The referents of each object that its `tp_traverse` visits.
    pub referents: Csr,
    /// What each object keeps alive though its `tp_traverse` does not say so.
    pub hidden_referents: Csr,
    /// The labels of the referents.
    pub shapes_of: ShapeColumn,
    /// The labels of the hidden referents.
    pub hidden_shapes_of: ShapeColumn,
    /// Memory outside an object that it owns and `getsizeof` does not count, in bytes, where there
    /// is any.
    pub buffer_bytes: FxHashMap<ObjectId, u64>,
    /// The part of the shallow bytes that lies in a block of its own, in bytes, where there is any.
    pub payload_bytes: FxHashMap<ObjectId, u64>,
    /// The contents of objects that are plain data (texts, numbers), where they were asked for.
    pub values: FxHashMap<ObjectId, StringId>,
    /// A keyed hash of the contents of each text and each bytes object, where that was asked for: those
    /// of one class are equal if and only if their numbers are, or else [`UNREAD_CONTENT`].
    pub content_hashes: SparseColumn<u64>,
    /// What code calls an object: of code objects `function (file:line)`, and behind it in brackets
    /// the variables of enclosing functions that it uses; of classes the full name.
    pub names: FxHashMap<ObjectId, StringId>,
    /// By how many bytes a list, dictionary or set is larger than a copy of it would be, where that is
    /// known.
    pub spare_bytes: SparseColumn<u64>,
    /// What C code does at the end of objects that have something left to do.
    pub finalizers: SparseColumn<Finalizer>,
    /// What each weak reference leads to, if that is alive.
    pub weak_referents: SparseColumn<ObjectId>,
    /// Where objects were allocated, if the target ran with `tracemalloc`.
    pub allocations: Allocations,
    /// The types that have objects.
    pub types: Vec<TypeRow>,
    /// References from outside the heap.
    pub roots: Vec<Root>,
    /// Each label list once.
    pub shapes: Shapes,
    /// Each text once.
    pub strings: Interner,
    /// What made no sense.
    pub anomalies: Anomalies,
}

impl HeapGraph {
    /// How many objects there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.addrs.len()
    }

    /// Whether there is no object.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.addrs.is_empty()
    }

    /// All objects, in the order of their addresses.
    pub fn ids(&self) -> impl Iterator<Item = ObjectId> + use<> {
        (0..self.len()).map(ObjectId::from_index)
    }

    /// The object at an address.
    #[must_use]
    pub fn find(&self, addr: Addr) -> Option<ObjectId> {
        self.addrs.binary_search(&addr).ok().map(ObjectId::from_index)
    }

    /// The address of an object, `id(obj)` in the target.
    #[must_use]
    pub fn addr(&self, object: ObjectId) -> Addr {
        self.addrs.get(object.index()).copied().unwrap_or_default()
    }

    /// The type of an object.
    #[must_use]
    pub fn type_of(&self, object: ObjectId) -> TypeId {
        self.object_types.get(object.index()).copied().unwrap_or_default()
    }

    /// The full name of a type.
    #[must_use]
    pub fn type_name(&self, ty: TypeId) -> &str {
        self.types.get(ty.index()).map_or("?", |row| self.strings.text(row.name))
    }

    /// The full name of the type of an object.
    #[must_use]
    pub fn type_name_of(&self, object: ObjectId) -> &str {
        self.type_name(self.type_of(object))
    }

    /// `sys.getsizeof(obj)`, in bytes.
    #[must_use]
    pub fn shallow_bytes_of(&self, object: ObjectId) -> u64 {
        self.shallow_bytes.get(object.index()).unwrap_or_default()
    }

    /// What the histogram shows as buffers: payload and buffer bytes together.
    #[must_use]
    pub fn buffers_of(&self, object: ObjectId) -> u64 {
        let buffer = self.buffer_bytes.get(&object).copied().unwrap_or_default();
        buffer + self.payload_bytes.get(&object).copied().unwrap_or_default()
    }

    /// The small facts about an object.
    #[must_use]
    pub fn flags_of(&self, object: ObjectId) -> ObjectFlags {
        self.flags.get(object.index()).copied().unwrap_or_default()
    }

    /// The label of the n-th referent of an object, as people read it.
    #[must_use]
    pub fn referent_label(&self, object: ObjectId, nth: usize) -> String {
        let shape = self.shapes_of.get(object.index()).copied().unwrap_or_default();
        self.label_text(object, self.shapes.label(shape, nth))
    }

    /// The label of the n-th hidden referent of an object, as people read it.
    #[must_use]
    pub fn hidden_label(&self, object: ObjectId, nth: usize) -> String {
        let shape = self.hidden_shapes_of.get(object.index()).copied().unwrap_or_default();
        self.label_text(object, self.shapes.label(shape, nth))
    }

    /// A label as people read it: `.name`, `[3]`, `[str #3]`, `local x`, `cell x`.
    #[must_use]
    pub fn label_text(&self, owner: ObjectId, label: Option<EdgeLabel>) -> String {
        match label {
            None => "?".to_owned(),
            Some(EdgeLabel::Attribute(name)) => format!(".{}", self.strings.text(name)),
            Some(EdgeLabel::Field(name)) => format!("<{}>", self.strings.text(name)),
            Some(EdgeLabel::Index(index)) => format!("[{index}]"),
            Some(EdgeLabel::Value(entry)) => format!("[{}]", self.key_text(owner, entry)),
            Some(EdgeLabel::Key(entry)) => format!("key {}", self.key_text(owner, entry)),
            Some(EdgeLabel::Member(member)) => format!("{{#{member}}}"),
            Some(EdgeLabel::Local(name)) => format!("local {}", self.strings.text(name)),
            Some(EdgeLabel::Stack(word)) => format!("stack[{word}]"),
            Some(EdgeLabel::Cell(name)) => format!("cell {}", self.strings.text(name)),
            Some(EdgeLabel::Inferred(offset)) => format!("+{offset}"),
            Some(EdgeLabel::Native(0)) => "native block".to_owned(),
            Some(EdgeLabel::Native(bytes)) => format!("native block of {} bytes", grouped(bytes)),
        }
    }

    /// A dictionary key without its contents: its type and the number of its entry; or its
    /// contents, where the snapshot has them.
    fn key_text(&self, dict: ObjectId, entry: u32) -> String {
        let Some(key) = self.key_of_entry(dict, entry) else { return format!("#{entry}") };
        if let Some(&value) = self.values.get(&key) {
            return self.strings.text(value).to_owned();
        }
        let name = self.type_name_of(key);
        format!("{} #{entry}", name.strip_prefix("builtins.").unwrap_or(name))
    }

    /// The contents of the key of a dictionary's n-th entry, where the graph has them.
    #[must_use]
    pub fn value_of_key(&self, dict: ObjectId, entry: u32) -> Option<StringId> {
        if self.values.is_empty() {
            return None;
        }
        self.values.get(&self.key_of_entry(dict, entry)?).copied()
    }

    /// The key object of a dictionary's n-th entry.
    fn key_of_entry(&self, dict: ObjectId, entry: u32) -> Option<ObjectId> {
        let wanted = EdgeLabel::Key(entry);
        let columns =
            [(&self.shapes_of, &self.referents), (&self.hidden_shapes_of, &self.hidden_referents)];
        for (shapes_of, edges) in columns {
            let shape = shapes_of.get(dict.index()).copied().unwrap_or_default();
            if let Some(nth) = self.shapes.position(shape, wanted) {
                return edges.of(dict).get(nth).copied();
            }
        }
        None
    }
}
