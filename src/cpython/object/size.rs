//! `sys.getsizeof` of any object, and what it does not count.

use super::ctypes::StgBuffers;
use super::{CMethod, DecodeError, Native, Objects, TypeInfo};
use crate::addr::Addr;
use crate::cpython::layout::features::{
    HAVE_GC, LongLength, MANAGED_DICT, MANAGED_WEAKREF, PreHeader,
};
use crate::cpython::layout::structures::StgDict;
use crate::cpython::layout::{OB_SIZE, OBJECT_SIZE};
use crate::target::memory::Memory;

/// The sizes of one object, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Size {
    /// What `sys.getsizeof` returns.
    pub shallow: u64,
    /// The part of it that lies in a block of its own.
    pub payload: u64,
    /// Memory that the object owns and that `sys.getsizeof` does not count.
    pub buffer: u64,
    /// The type has a `__sizeof__` that we do not know.
    pub estimated: bool,
}

/// The size of a word, in bytes.
pub(super) const POINTER: u64 = 8;
/// The size of a digit of an `int`.
const DIGIT: u64 = 4;
/// The size of a bytes object without its contents, as `sys.getsizeof(b'')` says.
pub(super) const EMPTY_BYTES: u64 = 33;
/// The size of an entry of `formatcode` in `Modules/_struct.c`.
const FORMAT_CODE: u64 = 32;

impl<M: Memory> Objects<'_, M> {
    /// The sizes of an object.
    ///
    /// # Errors
    /// A part of it cannot be read or cannot be right.
    pub fn size(&self, object: Addr, ty: &TypeInfo) -> Result<Size, DecodeError> {
        let mut size = match ty.native_name.as_ref() {
            "int" | "bool" => self.int_size(object, ty)?,
            "str" => self.str_size(object)?,
            _ => self.native_size(object, ty)?,
        };
        size.shallow = size.shallow.saturating_add(self.pre_size(object, ty));
        size.estimated |= ty.sizeof_in_python;
        Ok(size)
    }

    /// `_PySys_GetSizeOf` (`Python/sysmodule.c`) adds this to `__sizeof__`.
    fn pre_size(&self, object: Addr, ty: &TypeInfo) -> u64 {
        let (is_gc, managed) = match self.layout.has.pre_header {
            PreHeader::GcHead => (self.is_gc(object, ty), false),
            PreHeader::GcFlagAndManaged => (
                ty.has(HAVE_GC),
                ty.has(self.layout.has.pre_header_flags & (MANAGED_DICT | MANAGED_WEAKREF)),
            ),
            PreHeader::GcHeadAndManaged => (
                self.is_gc(object, ty),
                ty.has(self.layout.has.pre_header_flags & (MANAGED_DICT | MANAGED_WEAKREF)),
            ),
        };
        let head = if is_gc { self.layout.gc_head_size } else { 0 };
        head + if managed { 2 * POINTER } else { 0 }
    }

    /// How far into its block an object of a type begins (`_PyType_PreHeaderSize`): behind the
    /// collector's header and the words of a managed dictionary, in bytes.
    #[must_use]
    pub fn block_offset(&self, ty: &TypeInfo) -> u64 {
        let head = if ty.has(HAVE_GC) { self.layout.gc_head_size } else { 0 };
        let managed = self.layout.has.pre_header_flags & (MANAGED_DICT | MANAGED_WEAKREF);
        head + if ty.has(managed) { 2 * POINTER } else { 0 }
    }

    /// `object.__sizeof__`: the structure and its items.
    pub(super) fn generic_size(&self, object: Addr, ty: &TypeInfo) -> Result<Size, DecodeError> {
        let items = match ty.tp_itemsize {
            0 => 0,
            size => {
                let count = u64::try_from(self.ob_size(object)?).unwrap_or(0);
                count.saturating_mul(size)
            }
        };
        Ok(Size { shallow: ty.tp_basicsize.saturating_add(items), ..Size::default() })
    }

    fn native_size(&self, object: Addr, ty: &TypeInfo) -> Result<Size, DecodeError> {
        let basic = ty.tp_basicsize;
        let plain = |shallow| Ok(Size { shallow, ..Size::default() });
        let with = |payload: u64| {
            Ok(Size { shallow: basic.saturating_add(payload), payload, ..Size::default() })
        };
        let at = &self.layout.at;
        match &ty.native {
            Native::List => {
                // A list that is being sorted says -1, and `sys.getsizeof` believes it.
                let allocated = self.memory.i64(object + at.list.allocated)?;
                plain(basic.saturating_add_signed(allocated.saturating_mul(8)))
            }
            Native::Dict | Native::DefaultDict => plain(self.dict_size(object, basic)?),
            Native::OrderedDict => {
                let nodes = self.ordered_dict_nodes(object, |_| {})?;
                let fast = self.memory.u64(object + at.ordered_dict.od_fast_nodes_size)?;
                let own = fast.saturating_mul(POINTER) + nodes * at.ordered_dict_node.sizeof;
                plain(self.dict_size(object, basic)?.saturating_add(own))
            }
            Native::StgDict => {
                let own = at.stg_dict.sizeof.unwrap_or(0).saturating_sub(at.dict.sizeof);
                let StgDict { format, ndim, ffi_type_pointer, length, .. } = at.stg_dict;
                let buffers = StgBuffers { format, ndim, ffi_type_pointer, length };
                let extra = self.stg_extra_bytes(object, &buffers)?;
                plain(self.dict_size(object, basic)? + own + extra)
            }
            Native::Set => {
                let table = self.memory.addr(object + at.set.table)?;
                let inline = table == object + at.set.smalltable;
                let slots = self.memory.u64(object + at.set.mask)?.wrapping_add(1);
                plain(basic.saturating_add(if inline { 0 } else { slots.saturating_mul(16) }))
            }
            Native::Type => plain(self.type_size(object)?),
            Native::ForeignType => {
                Ok(Size { shallow: self.type_size(object)?, estimated: true, ..Size::default() })
            }
            Native::CTypesType => plain(self.ctypes_type_size(object, ty)?),
            Native::Code => plain(self.code_size(object, ty)?),
            Native::Frame => plain(self.frame_size(object)?),
            Native::Generator | Native::Coroutine | Native::AsyncGenerator => {
                match (self.generator_code(object)?, at.generator.gi_iframe) {
                    (Some(code), Some(iframe)) => {
                        let slots = self.frame_slots(code)? * POINTER;
                        plain(iframe + at.interpreter_frame.localsplus.unwrap_or(0) + slots)
                    }
                    _ => self.generic_size(object, ty),
                }
            }
            Native::Deque => {
                let left = self.memory.u64(object + at.deque.leftindex)?;
                let len = u64::try_from(self.ob_size(object)?).unwrap_or(0);
                let blocks = left.saturating_add(len).div_ceil(64);
                plain(basic.saturating_add(blocks.saturating_mul(at.deque_block.sizeof)))
            }
            Native::NdArray => {
                let view = self.array_view(object)?;
                let shape = view.dimensions * 16;
                let payload =
                    if view.owns_data { view.items.saturating_mul(view.item_bytes) } else { 0 };
                Ok(Size {
                    shallow: basic.saturating_add(shape).saturating_add(payload),
                    payload,
                    ..Size::default()
                })
            }
            Native::Element(_) => plain(self.element_size(object, basic)?),
            Native::SimpleQueue => {
                let items = match at.simple_queue.items_cap {
                    Some(offset) => self.memory.u64(object + offset)?.saturating_mul(POINTER),
                    None => 0,
                };
                // The ring is counted only by the versions whose type defines __sizeof__.
                let counted = self.layout.has.byte_array_owns_bytes;
                if counted {
                    with(items)
                } else {
                    Ok(Size { shallow: basic, buffer: items, ..Size::default() })
                }
            }
            _ => self.size_by_name(object, ty),
        }
    }

    /// Types with a `__sizeof__` of their own whose references need no decoder of their own.
    fn size_by_name(&self, object: Addr, ty: &TypeInfo) -> Result<Size, DecodeError> {
        let basic = ty.tp_basicsize;
        let at = &self.layout.at;
        let with = |payload: u64| {
            Ok(Size { shallow: basic.saturating_add(payload), payload, ..Size::default() })
        };
        match ty.native_name.as_ref() {
            "bytearray" => with(self.byte_array_bytes(object)?),
            "array.array" => {
                let items = self.memory.addr(object + at.array.ob_item)?;
                if items.is_null() {
                    return with(0);
                }
                /// `itemsize` of `struct arraydescr`, behind the type code.
                const ITEM_SIZE: u64 = 4;
                let descr = self.memory.addr(object + at.array.ob_descr)?;
                let item = u64::from(self.memory.u32(descr + ITEM_SIZE)?);
                with(self.memory.u64(object + at.array.allocated)?.saturating_mul(item))
            }
            "_io.BytesIO" => {
                let Some(buf) = self.reference(object + at.bytes_io.buf)? else { return with(0) };
                // A buffer that others share is theirs.
                let shared = self.ref_count(buf)? != super::Count::Of(1);
                let len = u64::try_from(self.ob_size(buf)?).unwrap_or(0);
                let shallow = if shared { 0 } else { EMPTY_BYTES.saturating_add(len) };
                Ok(Size { shallow: basic.saturating_add(shallow), ..Size::default() })
            }
            "_io.BufferedReader" | "_io.BufferedWriter" | "_io.BufferedRandom" => {
                let buffer = self.memory.addr(object + at.buffered.buffer)?;
                let size = self.memory.u64(object + at.buffered.buffer_size)?;
                with(if buffer.is_null() { 0 } else { size })
            }
            "itertools.product" => {
                let pools = self.memory.addr(object + at.product.pools)?;
                with(self.item_count(pools, "the pools of a product")?.saturating_mul(POINTER))
            }
            "itertools.permutations" => {
                let pool = self.memory.addr(object + at.permutations.pool)?;
                let n = self.item_count(pool, "the pool of permutations")?;
                let r = self.memory.u64(object + at.permutations.r)?;
                with(n.saturating_add(r).saturating_mul(POINTER))
            }
            "itertools.combinations" | "itertools.combinations_with_replacement" => {
                with(self.memory.u64(object + at.combinations.r)?.saturating_mul(POINTER))
            }
            "decimal.Decimal" => {
                /// `flags`, `alloc` of an `mpd_t` in a `PyDecObject`; its flags of static data.
                const FLAGS: u64 = 24;
                const ALLOC: u64 = 56;
                const STATIC_DATA: u8 = 0xE0;
                let is_static = self.memory.u8(object + FLAGS)? & STATIC_DATA != 0;
                let alloc = self.memory.u64(object + ALLOC)?;
                with(if is_static { 0 } else { alloc.saturating_mul(POINTER) })
            }
            "Struct" | "_struct.Struct" => with(self.struct_codes(object)? * FORMAT_CODE),
            // Both grew within 3.13: a patch level that the table does not know shows by its size.
            "_pickle.Pickler" | "_pickle.Unpickler"
                if ![at.pickler.sizeof, at.unpickler.sizeof].contains(&basic) =>
            {
                Ok(Size { estimated: true, ..self.generic_size(object, ty)? })
            }
            "_pickle.Pickler" => with(self.pickler_bytes(object)?),
            "_pickle.Unpickler" => with(self.unpickler_bytes(object)?),
            _ => {
                let size = self.generic_size(object, ty)?;
                let Some(method) = ty.native_sizeof else { return Ok(size) };
                Ok(match self.size_by_code(object, ty, method) {
                    Some(shallow) => Size {
                        shallow,
                        payload: shallow.saturating_sub(size.shallow),
                        ..Size::default()
                    },
                    None => Size { estimated: ty.is_scanned(), ..size },
                })
            }
        }
    }

    /// What the `__sizeof__` of a C type returns, by its own code.
    fn size_by_code(&self, object: Addr, ty: &TypeInfo, method: CMethod) -> Option<u64> {
        /// `METH_NOARGS`, and `METH_METHOD | METH_FASTCALL | METH_KEYWORDS`, which gets its class.
        const NO_ARGUMENTS: u32 = 0x4;
        const WITH_CLASS: u32 = 0x282;
        /// No object is larger.
        const MAX_SIZE: u64 = 1 << 47;
        let class = match method.flags {
            NO_ARGUMENTS => 0,
            WITH_CLASS => method.class.0,
            _ => return None,
        };
        let code = self.code?;
        let size = code.number(self.memory, method.function, [object.0, class, 0, 0, 0]).ok()?;
        (size >= ty.tp_basicsize.min(16) && size < MAX_SIZE).then_some(size)
    }

    /// The bytes of an `int` with its digits.
    pub(super) fn int_bytes(&self, object: Addr, ty: &TypeInfo) -> Result<u64, DecodeError> {
        Ok(self.int_size(object, ty)?.shallow)
    }

    /// `int.__sizeof__` (`Objects/longobject.c`).
    fn int_size(&self, object: Addr, ty: &TypeInfo) -> Result<Size, DecodeError> {
        /// `offsetof(PyLongObject, ob_digit)`.
        const HEADER: u64 = 24;
        let (header, digits) = match self.layout.has.long_length {
            LongLength::SignedSize => (HEADER, self.ob_size(object)?.unsigned_abs()),
            LongLength::SignedSizeOfOne => (HEADER, self.ob_size(object)?.unsigned_abs().max(1)),
            LongLength::Tag => (ty.tp_basicsize, (self.memory.u64(object + OB_SIZE)? >> 3).max(1)),
        };
        let shallow = header.saturating_add(digits.saturating_mul(DIGIT));
        Ok(Size { shallow, ..Size::default() })
    }

    /// The contents of a `bytearray`, with room (`bytearray_sizeof`).
    fn byte_array_bytes(&self, object: Addr) -> Result<u64, DecodeError> {
        let at = &self.layout.at.byte_array;
        let alloc = self.memory.u64(object + at.ob_alloc)?;
        match at.ob_bytes_object {
            None => Ok(alloc),
            Some(_) if alloc == 0 => Ok(0),
            Some(offset) => {
                let bytes = self.memory.addr(object + offset)?;
                let len = u64::try_from(self.ob_size(bytes)?).unwrap_or(0);
                Ok(EMPTY_BYTES.saturating_add(len))
            }
        }
    }

    /// The number of format codes of a `struct.Struct`, the closing one included.
    fn struct_codes(&self, object: Addr) -> Result<u64, DecodeError> {
        let Some(codes) = self.reference(object + self.layout.at.struct_object.s_codes)? else {
            return Ok(1);
        };
        let mut count = 0;
        while count < self.limits.members
            && !self.memory.addr(codes + count * FORMAT_CODE)?.is_null()
        {
            count += 1;
        }
        Ok(count + 1)
    }
}

/// A type's objects are never smaller than a header.
const _: () = assert!(OBJECT_SIZE == 16);
