//! How C code of a type keeps references: which decoder serves its objects.

use super::type_object::RawType;
use super::{Objects, TypeInfo};
use crate::cpython::layout::NativeField;
use crate::cpython::layout::features::{DICT_SUBCLASS, HAVE_GC, LONG_SUBCLASS, TYPE_SUBCLASS};
use crate::target::memory::Memory;

/// How C code of the type, or of its nearest base that is not a Python class, keeps references.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Native {
    /// It has none: `object`, `int`, `float`, `str`, `bytes`, …
    None,
    /// References in the fields of a table.
    Fields(Vec<NativeField>),
    /// `cell`.
    Cell,
    /// `list`.
    List,
    /// `tuple`.
    Tuple,
    /// `dict`.
    Dict,
    /// `collections.defaultdict`.
    DefaultDict,
    /// `collections.OrderedDict`.
    OrderedDict,
    /// `set` and `frozenset`.
    Set,
    /// `type`.
    Type,
    /// The metatypes of `ctypes`, from 3.13 on.
    CTypesType,
    /// A metatype of C code that we do not know: what it adds to a type is scanned.
    ForeignType,
    /// The dictionary of a `ctypes` type, up to 3.12.
    StgDict,
    /// `code`.
    Code,
    /// `frame`.
    Frame,
    /// `generator`.
    Generator,
    /// `coroutine`.
    Coroutine,
    /// `async_generator`.
    AsyncGenerator,
    /// `module`.
    Module,
    /// A function of Python code.
    Function(Vec<NativeField>),
    /// `builtin_function_or_method`.
    CFunction,
    /// A weak reference or proxy.
    WeakReference,
    /// `memoryview`.
    MemoryView,
    /// `managedbuffer`.
    ManagedBuffer,
    /// `collections.deque`.
    Deque,
    /// `functools.lru_cache`.
    LruCache(Vec<NativeField>),
    /// The block that `itertools.tee` shares.
    TeeData,
    /// A node of a `contextvars` tree with 32 children.
    HamtArray,
    /// A node of a `contextvars` tree with keys and values.
    HamtBitmap,
    /// `_queue.SimpleQueue`.
    SimpleQueue,
    /// `xml.etree.ElementTree.Element`.
    Element(Vec<NativeField>),
    /// `numpy.ndarray`.
    NdArray,
    /// A named tuple of C code (`os.stat_result`): a tuple with hidden items behind its end.
    StructSequence,
    /// A type that we do not know: its objects are scanned.
    Scan,
}

impl<M: Memory> Objects<'_, M> {
    /// How C code of a type keeps references.
    pub(super) fn native_of(
        &self,
        tp_name: &str,
        raw: &RawType,
        base: Option<&TypeInfo>,
    ) -> Native {
        let natives = &self.layout.natives;
        let fields = || natives.find(tp_name, raw.basicsize).map(|native| native.fields.clone());
        match tp_name {
            "object" | "int" | "bool" | "float" | "complex" | "str" | "bytes" | "NoneType"
            | "bytearray" | "ellipsis" | "NotImplementedType" => Native::None,
            "list" => Native::List,
            "tuple" => Native::Tuple,
            "dict" | "frozendict" => Native::Dict,
            "set" | "frozenset" => Native::Set,
            "cell" => Native::Cell,
            "type" => Native::Type,
            "code" => Native::Code,
            "frame" => Native::Frame,
            "generator" => Native::Generator,
            "coroutine" => Native::Coroutine,
            "async_generator" => Native::AsyncGenerator,
            "module" => Native::Module,
            "function" => Native::Function(fields().unwrap_or_default()),
            "builtin_function_or_method" | "builtin_method" => Native::CFunction,
            "weakref"
            | "weakproxy"
            | "weakcallableproxy"
            | "weakref.ReferenceType"
            | "weakref.ProxyType"
            | "weakref.CallableProxyType" => Native::WeakReference,
            "memoryview" => Native::MemoryView,
            "managedbuffer" => Native::ManagedBuffer,
            "collections.defaultdict" => Native::DefaultDict,
            "collections.OrderedDict" => Native::OrderedDict,
            "collections.deque" => Native::Deque,
            "functools._lru_cache_wrapper" => Native::LruCache(fields().unwrap_or_default()),
            "itertools._tee_dataobject" => Native::TeeData,
            "hamt_array_node" => Native::HamtArray,
            "hamt_bitmap_node" | "hamt_collision_node" => Native::HamtBitmap,
            "_queue.SimpleQueue" => Native::SimpleQueue,
            "xml.etree.ElementTree.Element" => fields().map_or(Native::Scan, Native::Element),
            "StgDict" => Native::StgDict,
            "numpy.ndarray" => Native::NdArray,
            _ if raw.flags & TYPE_SUBCLASS != 0 && tp_name.starts_with("_ctypes.") => {
                Native::CTypesType
            }
            _ if raw.flags & TYPE_SUBCLASS != 0 => Native::ForeignType,
            _ if raw.flags & DICT_SUBCLASS != 0 || raw.flags & LONG_SUBCLASS != 0 => Native::Scan,
            _ => match fields() {
                Some(fields) => Native::Fields(fields),
                None if Self::is_struct_sequence(raw) => Native::StructSequence,
                None => inherited(raw, base).unwrap_or(Native::Scan),
            },
        }
    }

    /// Whether a type is a named tuple of C code: a tuple in all but the class statement.
    fn is_struct_sequence(raw: &RawType) -> bool {
        const TUPLE_SUBCLASS: u64 = 1 << 26;
        raw.flags & TUPLE_SUBCLASS != 0 && raw.flags & HAVE_GC != 0 && raw.itemsize == 8
    }
}

/// The rule of the base class, for a type that adds nothing to it. Example: `Exception` has the
/// structure and the `tp_traverse` of `BaseException` (`SimpleExtendsException`,
/// `Objects/exceptions.c`), as most exceptions do.
fn inherited(raw: &RawType, base: Option<&TypeInfo>) -> Option<Native> {
    let base = base?;
    let is_same = !raw.traverse.is_null()
        && raw.traverse == base.native_traverse
        && raw.basicsize == base.tp_basicsize
        && raw.itemsize == base.tp_itemsize
        && !base.is_python_class;
    (is_same && matches!(base.native, Native::Fields(_))).then(|| base.native.clone())
}
