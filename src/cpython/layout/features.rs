//! What changed in meaning, not only in place. Decoders ask for the feature, never for a version.

use crate::cpython::version::Version;

/// How a reference count is stored in the first word of an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RefCount {
    /// A signed word (up to 3.11).
    Word,
    /// The low 32 bits; negative as a signed number: immortal (3.12 and 3.13, PEP 683).
    Low32,
    /// The low 32 bits, with overflow and flags in the upper half; the top bit set: immortal
    /// (3.14, gh-125174).
    Low32AndFlags,
}

/// Where an instance's dictionary or attribute values are, if its type has the managed-dict flag.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ManagedDict {
    /// There is no such flag (up to 3.10).
    None,
    /// Two words before the object: values, then dictionary (3.11).
    WordsBefore,
    /// One word before the object: the dictionary, or the values with bit 0 set (3.12).
    TaggedBefore,
    /// One word before the object: the dictionary; the values inside the object (from 3.13 on).
    Inline,
}

/// How the keys of a dictionary are laid out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DictKeys {
    /// `dk_size`, a pointer to the look-up function, and entries of three words (up to 3.10).
    Sized,
    /// `dk_log2_size` and `dk_kind`; entries of two words where all keys are strings (3.11).
    Log2,
}

/// How an `int` counts its digits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LongLength {
    /// `ob_size`, negative for negative numbers; zero has no digit (up to 3.10).
    SignedSize,
    /// The same, but zero has one digit (3.11, bpo-46361).
    SignedSizeOfOne,
    /// `lv_tag`: the count in bits 3 and up (3.12, gh-101291).
    Tag,
}

/// Where the frames of running functions are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Frames {
    /// Frame objects, with a pointer to the top of their stack (up to 3.9).
    ObjectsWithTop,
    /// Frame objects, with the depth of their stack (3.10).
    ObjectsWithDepth,
    /// `_PyInterpreterFrame`s that plain pointers fill (3.11 to 3.13).
    Interpreter,
    /// `_PyInterpreterFrame`s that tagged references fill (from 3.14 on).
    InterpreterTagged,
}

/// How a code object tells the line of an instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LineTable {
    /// `co_lnotab`: increments of bytes and lines (up to 3.9).
    Increments,
    /// `co_linetable`: lengths of ranges and increments of lines (3.10, PEP 626).
    Ranges,
    /// `co_linetable`: entries of variable length with columns (3.11, PEP 657).
    Locations,
}

/// How a generator says in which state its frame is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrameStates {
    /// The lowest number that means that the frame is cleared or done.
    pub cleared: i8,
    /// The number that means that it is running.
    pub executing: i8,
    /// The number that means that it has not begun.
    pub created: i8,
}

/// How a generator says that it is in an `await` or `yield from` (`_PyGen_yf`, `Objects/genobject.c`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum YieldFrom {
    /// The instruction that it goes on with is this one: `YIELD_FROM` (up to 3.10).
    NextOpcode(u8),
    /// The instruction that it goes on with is one of these, which are forms of `RESUME`, and its
    /// argument says which kind (3.11 and 3.12).
    NextResume(&'static [u8]),
    /// Its frame is in one of these states (from 3.13 on).
    States(&'static [i8]),
    /// The same, and above what it awaits is a word more (3.15).
    StatesBelowNull(&'static [i8]),
}

/// The bytes that `sys.getsizeof` adds to `__sizeof__` (`_PySys_GetSizeOf`, `Python/sysmodule.c`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PreHeader {
    /// The collector's header, for objects that have one (up to 3.10).
    GcHead,
    /// That for every object whose type has the GC flag, static types too, and two words for a
    /// managed dictionary (3.11) or for one or a managed weak reference list (3.12).
    GcFlagAndManaged,
    /// The header for objects that have one, and two words for managed ones (from 3.13 on).
    GcHeadAndManaged,
}

/// Where the dictionary of a type is that is not on the heap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StaticTypeDict {
    /// In the type.
    InType,
    /// In the interpreter's state, for built-in types (3.12, gh-94673).
    InInterpreter,
}

/// Where pymalloc keeps its arenas.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AllocatorState {
    /// In variables of the binary that are no symbols in a stripped one (up to 3.11).
    Static,
    /// In the state of each interpreter that has its own (3.12, gh-101659).
    InInterpreter,
    /// Behind a pointer in the state of each interpreter (from 3.13 on, gh-113055).
    BehindInterpreter,
}

/// Where the collector's statistics are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GcStats {
    /// An array in the state.
    Array,
    /// Behind a pointer, as ring buffers (3.15).
    Rings,
}

/// How the tables of `tracemalloc` keep what belongs to a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TraceTables {
    /// In the entry, behind the key (`Modules/hashtable.h`).
    Inline,
    /// Behind a pointer in the entry (3.9, bpo-40609).
    Pointers,
}

/// All features of one interpreter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Features {
    /// How reference counts are stored.
    pub ref_count: RefCount,
    /// Where managed attributes are.
    pub managed_dict: ManagedDict,
    /// The flags (`tp_flags`) of types whose objects have two words before the GC header.
    pub pre_header_flags: u64,
    /// How dictionary keys are laid out.
    pub dict_keys: DictKeys,
    /// How an `int` counts its digits.
    pub long_length: LongLength,
    /// Where frames are.
    pub frames: Frames,
    /// How a code object tells lines.
    pub line_table: LineTable,
    /// The states of a generator's frame.
    pub frame_states: FrameStates,
    /// How a generator says that it delegates.
    pub yield_from: YieldFrom,
    /// The opcode of `PUSH_EXC_INFO`, with which a handler of an exception begins (from 3.11 on).
    pub push_exc_info: u8,
    /// How many bytes behind its state a future says whether its exception was retrieved: an `int`
    /// (up to 3.12), a bit behind the state (3.13) or behind two bytes more (3.14).
    pub log_traceback_behind_state: u64,
    /// What `sys.getsizeof` adds.
    pub pre_header: PreHeader,
    /// Where static types have their dictionary.
    pub static_type_dict: StaticTypeDict,
    /// Where the collector's statistics are.
    pub gc_stats: GcStats,
    /// How `tracemalloc` keeps its traces.
    pub trace_tables: TraceTables,
    /// Whether the objects of heap types that C code made visit their type (3.9, bpo-40217).
    pub heap_objects_visit_type: bool,
    /// Whether a generator whose frame is cleared visits its code object (3.14).
    pub cleared_generator_visits_code: bool,
    /// Whether an object with a materialised `__dict__` leaves the visit of its inline values to that
    /// (3.13.13, gh-130327); before, it visits the values and not the dictionary.
    pub dict_visits_inline_values: bool,
    /// Whether the collector's state is the runtime's (up to 3.8) and not the interpreter's.
    pub gc_in_runtime: bool,
    /// Whether the objects of a free list keep a valid type and a refcount that looks alive (3.14).
    pub free_lists_look_alive: bool,
    /// Whether an `lru_cache` element is an object of its own (3.10).
    pub lru_elements_are_objects: bool,
    /// Whether a `bytearray` keeps its contents in a bytes object (3.15).
    pub byte_array_owns_bytes: bool,
    /// Where the allocator keeps its state.
    pub allocator_state: AllocatorState,
    /// The size of a pymalloc pool, in bytes.
    pub pool_size: u64,
    /// The size of a pymalloc arena, in bytes.
    pub arena_size: u64,
}

/// `Py_TPFLAGS_INLINE_VALUES`.
pub const INLINE_VALUES: u64 = 1 << 2;
/// `Py_TPFLAGS_MANAGED_WEAKREF`.
pub const MANAGED_WEAKREF: u64 = 1 << 3;
/// `Py_TPFLAGS_MANAGED_DICT`.
pub const MANAGED_DICT: u64 = 1 << 4;
/// `Py_TPFLAGS_HEAPTYPE`.
pub const HEAPTYPE: u64 = 1 << 9;
/// `Py_TPFLAGS_HAVE_GC`.
pub const HAVE_GC: u64 = 1 << 14;
/// `Py_TPFLAGS_LONG_SUBCLASS`.
pub const LONG_SUBCLASS: u64 = 1 << 24;
/// `Py_TPFLAGS_BYTES_SUBCLASS`.
pub const BYTES_SUBCLASS: u64 = 1 << 27;
/// `Py_TPFLAGS_UNICODE_SUBCLASS`.
pub const UNICODE_SUBCLASS: u64 = 1 << 28;
/// `Py_TPFLAGS_DICT_SUBCLASS`.
pub const DICT_SUBCLASS: u64 = 1 << 29;
/// `Py_TPFLAGS_BASE_EXC_SUBCLASS`.
pub const BASE_EXC_SUBCLASS: u64 = 1 << 30;
/// `Py_TPFLAGS_TYPE_SUBCLASS`.
pub const TYPE_SUBCLASS: u64 = 1 << 31;

/// `Py_RTFLAGS_USE_MAIN_OBMALLOC`, a flag of an interpreter: it allocates from the main one's arenas.
pub const USE_MAIN_OBMALLOC: u64 = 1 << 5;

impl Features {
    /// The features of a version.
    #[must_use]
    #[allow(clippy::too_many_lines, reason = "a table: a row for each feature")]
    pub fn of(version: Version) -> Self {
        let since = |minor| version.at_least(3, minor);
        Self {
            ref_count: match () {
                () if since(14) => RefCount::Low32AndFlags,
                () if since(12) => RefCount::Low32,
                () => RefCount::Word,
            },
            managed_dict: match () {
                () if since(13) => ManagedDict::Inline,
                () if since(12) => ManagedDict::TaggedBefore,
                () if since(11) => ManagedDict::WordsBefore,
                () => ManagedDict::None,
            },
            pre_header_flags: match () {
                () if since(12) => MANAGED_DICT | MANAGED_WEAKREF,
                () if since(11) => MANAGED_DICT,
                () => 0,
            },
            dict_keys: if since(11) { DictKeys::Log2 } else { DictKeys::Sized },
            long_length: match () {
                () if since(12) => LongLength::Tag,
                () if since(11) => LongLength::SignedSizeOfOne,
                () => LongLength::SignedSize,
            },
            frames: match () {
                () if since(14) => Frames::InterpreterTagged,
                () if since(11) => Frames::Interpreter,
                () if since(10) => Frames::ObjectsWithDepth,
                () => Frames::ObjectsWithTop,
            },
            line_table: match () {
                () if since(11) => LineTable::Locations,
                () if since(10) => LineTable::Ranges,
                () => LineTable::Increments,
            },
            frame_states: match () {
                () if since(15) => FrameStates { cleared: 5, executing: 4, created: 0 },
                () if since(13) => FrameStates { cleared: 4, executing: 0, created: -3 },
                () => FrameStates { cleared: 4, executing: 0, created: -2 },
            },
            push_exc_info: match () {
                () if since(15) => 30,
                () if since(14) => 32,
                () if since(13) => 33,
                () => 35,
            },
            yield_from: match () {
                () if since(15) => YieldFrom::StatesBelowNull(&[2, 3]),
                () if since(13) => YieldFrom::States(&[-1]),
                () if since(12) => YieldFrom::NextResume(&[151, 240]),
                () if since(11) => YieldFrom::NextResume(&[151, 150]),
                () => YieldFrom::NextOpcode(72),
            },
            log_traceback_behind_state: if since(14) { 6 } else { 4 },
            pre_header: match () {
                () if since(13) => PreHeader::GcHeadAndManaged,
                () if since(11) => PreHeader::GcFlagAndManaged,
                () => PreHeader::GcHead,
            },
            static_type_dict: if since(12) {
                StaticTypeDict::InInterpreter
            } else {
                StaticTypeDict::InType
            },
            gc_stats: if since(15) { GcStats::Rings } else { GcStats::Array },
            trace_tables: if since(9) { TraceTables::Pointers } else { TraceTables::Inline },
            heap_objects_visit_type: since(9),
            cleared_generator_visits_code: since(14),
            dict_visits_inline_values: version >= Version::new(3, 13, 13),
            gc_in_runtime: !since(9),
            free_lists_look_alive: since(14),
            lru_elements_are_objects: since(10),
            byte_array_owns_bytes: since(15),
            allocator_state: match () {
                () if since(13) => AllocatorState::BehindInterpreter,
                () if since(12) => AllocatorState::InInterpreter,
                () => AllocatorState::Static,
            },
            pool_size: if since(10) { 16 << 10 } else { 4 << 10 },
            arena_size: if since(10) { 1 << 20 } else { 256 << 10 },
        }
    }
}
