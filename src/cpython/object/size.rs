//! `sys.getsizeof` of any object, and what it does not count.

use super::ctypes::StgBuffers;
use super::{CMethod, DecodeError, Native, Objects, TypeInfo};
use crate::addr::Addr;
use crate::cpython::layout::features::{
    HAVE_GC, LongLength, MANAGED_DICT, MANAGED_WEAKREF, PreHeader,
};
use crate::cpython::layout::structures::{StgDict, StgInfo};
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

/// The size of a digit of an `int`.
const DIGIT: u64 = 4;
/// The size of a bytes object without its contents, as `sys.getsizeof(b'')` says.
const EMPTY_BYTES: u64 = 33;
/// The size of an entry of `formatcode` in `Modules/_struct.c`.
const FORMAT_CODE: u64 = 32;
/// The size of an `_odictnode`.
const POINTER: u64 = 8;

impl<M: Memory> Objects<'_, M> {
    /// The sizes of an object.
    ///
    /// # Errors
    /// A part of it cannot be read or cannot be right.
    pub fn size(&self, object: Addr, ty: &TypeInfo) -> Result<Size, DecodeError> {
        let mut size = match ty.native_name.as_ref() {
            "int" | "bool" => self.int_size(object, ty)?,
            "str" => self.str_size(object, ty)?,
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
    fn generic_size(&self, object: Addr, ty: &TypeInfo) -> Result<Size, DecodeError> {
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

    /// `str.__sizeof__` (`unicode_sizeof`, `Objects/unicodeobject.c`).
    fn str_size(&self, object: Addr, _ty: &TypeInfo) -> Result<Size, DecodeError> {
        let at = &self.layout.at;
        let state = self.str_state(object)?;
        let length = self.memory.u64(object + at.ascii.length)?;
        let text = length.saturating_add(1).saturating_mul(state.kind);
        let is_compact_ascii = state.compact && state.ascii;
        let data = match (state.compact, state.ready) {
            (false, false) => Addr::NULL,
            _ => self.str_data(object, state)?,
        };
        let mut shallow = match (state.compact, state.ascii) {
            (true, true) => at.ascii.sizeof.saturating_add(length).saturating_add(1),
            (true, false) => at.compact_unicode.sizeof.saturating_add(text),
            (false, _) if data.is_null() => at.unicode.sizeof,
            (false, _) => at.unicode.sizeof.saturating_add(text),
        };
        if let (Some(wstr), Some(wstr_length)) = (at.ascii.wstr, at.compact_unicode.wstr_length) {
            let wide = self.memory.addr(object + wstr)?;
            if !wide.is_null() && (!state.ready || wide != data) {
                let length = match is_compact_ascii {
                    true => length,
                    false => self.memory.u64(object + wstr_length)?,
                };
                shallow = shallow.saturating_add(length.saturating_add(1).saturating_mul(4));
            }
        }
        if !is_compact_ascii {
            let utf8 = self.memory.addr(object + at.compact_unicode.utf8)?;
            if !utf8.is_null() && utf8 != data {
                let length = self.memory.u64(object + at.compact_unicode.utf8_length)?;
                shallow = shallow.saturating_add(length).saturating_add(1);
            }
        }
        Ok(Size { shallow, ..Size::default() })
    }

    /// `_PyDict_SizeOf` (`Objects/dictobject.c`).
    fn dict_size(&self, object: Addr, basic: u64) -> Result<u64, DecodeError> {
        let at = &self.layout.at.dict;
        let keys = self.dict_keys(self.memory.addr(object + at.ma_keys)?)?;
        let mut size = basic;
        if !self.memory.addr(object + at.ma_values)?.is_null() {
            size += self.split_capacity(&keys) * POINTER;
        }
        if keys.refcnt == 1 {
            size += keys.bytes;
        }
        Ok(size)
    }

    /// How many values a split table has room for.
    fn split_capacity(&self, keys: &super::DictKeysView) -> u64 {
        use crate::cpython::layout::features::DictKeys;
        match self.layout.has.dict_keys {
            DictKeys::Sized => (keys.size << 1) / 3,
            DictKeys::Log2 => keys.usable + keys.nentries,
        }
    }

    /// `type.__sizeof__` (`type___sizeof___impl`, `Objects/typeobject.c`).
    fn type_size(&self, object: Addr) -> Result<u64, DecodeError> {
        let at = &self.layout.at;
        if !self.is_heap_type(object) {
            return Ok(at.ty.sizeof);
        }
        let keys = self.reference(object + at.heap_type.ht_cached_keys)?;
        let keys = match keys {
            Some(keys) => self.dict_keys(keys)?.bytes,
            None => 0,
        };
        Ok(at.heap_type.sizeof + keys)
    }

    /// A type of `ctypes`: from 3.13 on the metatype has a `__sizeof__` of its own.
    fn ctypes_type_size(&self, object: Addr, ty: &TypeInfo) -> Result<u64, DecodeError> {
        let StgInfo { format, ndim, ffi_type_pointer, length, .. } = self.layout.at.stg_info;
        let buffers = StgBuffers { format, ndim, ffi_type_pointer, length };
        match self.stg_info(object, ty) {
            Some(info) => Ok(ty.tp_basicsize + self.stg_extra_bytes(info, &buffers)?),
            None => self.type_size(object),
        }
    }

    /// `code.__sizeof__` (`Objects/codeobject.c`).
    fn code_size(&self, object: Addr, ty: &TypeInfo) -> Result<u64, DecodeError> {
        let at = &self.layout.at.code;
        let mut size = self.generic_size(object, ty)?.shallow;
        if ty.tp_itemsize > 0 {
            size = size.saturating_add(7) & !7;
        }
        if let (Some(cell2arg), Some(cellvars)) = (at.co_cell2arg, at.co_cellvars)
            && !self.memory.addr(object + cell2arg)?.is_null()
            && let Some(cellvars) = self.reference(object + cellvars)?
        {
            size += self.item_count(cellvars, "the cells of a code object")?.min(1 << 20) * POINTER;
        }
        if let (Some(map), Some(code)) = (at.co_opcache_map, at.co_code)
            && !self.memory.addr(object + map)?.is_null()
            && let Some(code) = self.reference(object + code)?
        {
            size += self.item_count(code, "the length of a code object")?.min(1 << 32) / 2;
        }
        if let (Some(opcache), Some(count)) = (at.co_opcache, at.co_opcache_size)
            && !self.memory.addr(object + opcache)?.is_null()
        {
            /// `sizeof(_PyOpcache)`.
            const OPCACHE: u64 = 32;
            size += u64::from(self.memory.u8(object + count)?) * OPCACHE;
        }
        if let Some(extra) = self.reference(object + at.co_extra)? {
            let len = self.memory.u64(extra)?.min(256);
            size += 2 * POINTER + len.saturating_sub(1) * POINTER;
        }
        Ok(size)
    }

    /// `frame.__sizeof__` (`Objects/frameobject.c`).
    fn frame_size(&self, object: Addr) -> Result<u64, DecodeError> {
        let at = &self.layout.at;
        match (at.frame_object.f_frame, at.interpreter_frame.localsplus) {
            (Some(f_frame), Some(localsplus)) => {
                let frame = self.memory.addr(object + f_frame)?;
                let code = self.frame(frame)?.code;
                let slots = self.frame_slots(code)?;
                Ok(self.frame_object_base() + localsplus + slots * POINTER)
            }
            _ => {
                let code = self.memory.addr(object + at.frame_object.f_code.unwrap_or(0))?;
                let slots = self.frame_slots(code)?;
                Ok((at.frame_object.sizeof + slots * POINTER).saturating_sub(POINTER))
            }
        }
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

    /// `element.__sizeof__` (`Modules/_elementtree.c`).
    fn element_size(&self, object: Addr, basic: u64) -> Result<u64, DecodeError> {
        let at = &self.layout.at.element_extra;
        let Some(extra) = self.reference(object + self.layout.at.element.extra)? else {
            return Ok(basic);
        };
        let children = self.memory.addr(extra + at.children)?;
        let allocated = match children == extra + at.inline_children {
            true => 0,
            false => self.memory.u64(extra + at.allocated)?,
        };
        Ok(basic.saturating_add(at.sizeof).saturating_add(allocated.saturating_mul(POINTER)))
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

    /// `_pickle.Pickler.__sizeof__`: the memo's table and the buffer.
    fn pickler_bytes(&self, object: Addr) -> Result<u64, DecodeError> {
        /// `sizeof(PyMemoTable)`, the offset of `mt_allocated` in it, `sizeof(PyMemoEntry)`.
        const TABLE: u64 = 32;
        const ALLOCATED: u64 = 16;
        const ENTRY: u64 = 16;
        let at = &self.layout.at.pickler;
        let mut bytes = 0_u64;
        if let Some(memo) = self.reference(object + at.memo)? {
            bytes = TABLE + self.memory.u64(memo + ALLOCATED)?.saturating_mul(ENTRY);
        }
        if let Some(buffer) = self.reference(object + at.output_buffer)? {
            let len = u64::try_from(self.ob_size(buffer)?).unwrap_or(0);
            bytes = bytes.saturating_add(len).saturating_add(EMPTY_BYTES);
        }
        Ok(bytes)
    }

    /// `_pickle.Unpickler.__sizeof__`: memo, marks and three C strings.
    fn unpickler_bytes(&self, object: Addr) -> Result<u64, DecodeError> {
        let at = &self.layout.at.unpickler;
        let mut bytes = 0_u64;
        if !self.memory.addr(object + at.memo)?.is_null() {
            let size = self.memory.u64(object + at.memo_size)?;
            bytes = bytes.saturating_add(size.saturating_mul(POINTER));
        }
        if !self.memory.addr(object + at.marks)?.is_null() {
            let size = self.memory.u64(object + at.marks_size)?;
            bytes = bytes.saturating_add(size.saturating_mul(POINTER));
        }
        for text in [at.input_line, at.encoding, at.errors] {
            if let Some(text) = self.reference(object + text)? {
                bytes = bytes.saturating_add(self.c_text(text)?.len() as u64 + 1);
            }
        }
        Ok(bytes)
    }
}

/// A type's objects are never smaller than a header.
const _: () = assert!(OBJECT_SIZE == 16);
