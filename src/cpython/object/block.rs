//! The block of memory that an object is in, and those that it owns besides.

use super::{DecodeError, Native, Objects, TypeInfo};
use crate::addr::Addr;
use crate::cpython::layout::features::{INLINE_VALUES, MANAGED_DICT, ManagedDict};
use crate::target::memory::Memory;

/// The words before an object that hold its managed dictionary, and in 3.11 its values.
const MANAGED_DICT_WORD: u64 = 24;
const MANAGED_VALUES_WORD: u64 = 32;
/// Larger objects are searched no further: they are buffers, not structures.
const MAX_SEARCH: u64 = 1 << 16;
/// The most blocks of one deque.
const MAX_DEQUE_BLOCKS: u64 = 1 << 32;

impl<M: Memory> Objects<'_, M> {
    /// The bytes that an object itself takes, from its address on. What it has in front
    /// ([`Objects::bytes_before`]) and what lies in blocks of its own is not counted.
    ///
    /// # Errors
    /// Its header cannot be read.
    pub fn own_bytes(&self, object: Addr, ty: &TypeInfo) -> Result<u64, DecodeError> {
        match ty.native_name.as_ref() {
            "int" | "bool" => Ok(self.int_bytes(object, ty)?.max(ty.tp_basicsize)),
            "str" if !ty.is_python_class => self.str_bytes(object),
            _ => {
                let items = match ty.tp_itemsize {
                    0 => 0,
                    size => self.ob_size(object)?.unsigned_abs().saturating_mul(size),
                };
                let values = match ty.has(INLINE_VALUES) {
                    true => ty.shared_capacity.saturating_mul(8),
                    false => 0,
                };
                Ok(ty.tp_basicsize.saturating_add(items).saturating_add(values))
            }
        }
    }

    /// The size of a `str` without what lies elsewhere.
    fn str_bytes(&self, object: Addr) -> Result<u64, DecodeError> {
        let at = &self.layout.at;
        let state = self.str_state(object)?;
        let length = self.memory.u64(object + at.ascii.length)?.saturating_add(1);
        Ok(match (state.compact, state.ascii) {
            (true, true) => at.ascii.sizeof.saturating_add(length),
            (true, false) => {
                at.compact_unicode.sizeof.saturating_add(length.saturating_mul(state.kind))
            }
            (false, _) => at.unicode.sizeof,
        })
    }

    /// Whether a text or bytes end with the zero that C code puts behind them; what is neither does.
    #[must_use]
    pub fn is_terminated(&self, object: Addr, ty: &TypeInfo) -> bool {
        /// `offsetof(PyBytesObject, ob_sval)`.
        const OB_SVAL: u64 = 32;
        let memory = self.memory;
        let ascii = self.layout.at.ascii;
        match ty.native_name.as_ref() {
            "str" => {
                let Ok(state) = self.str_state(object) else { return false };
                let data = self.str_data(object, state);
                let (Ok(data), Ok(length)) = (data, memory.u64(object + ascii.length)) else {
                    return false;
                };
                // Up to 3.11 a text that was made of `wchar_t` is not ready at first.
                if data.is_null() || length > MAX_SEARCH {
                    return true;
                }
                let end = data + length.saturating_mul(state.kind);
                let width = usize::try_from(state.kind).unwrap_or(1).min(4);
                memory.bytes(end, width).is_ok_and(|end| end.iter().all(|&byte| byte == 0))
            }
            "bytes" => {
                let length = self.ob_size(object).map(i64::unsigned_abs);
                let last =
                    length.and_then(|length| Ok(memory.bytes(object + OB_SVAL + length, 1)?));
                last.is_ok_and(|last| last.first() == Some(&0))
            }
            _ => true,
        }
    }

    /// Gives `each` the blocks that an object owns where a rule knows what its type owns, and says
    /// whether there is none: then any word of the object may lead to one
    /// ([`Objects::own_words`]).
    ///
    /// # Errors
    /// A part of the object cannot be read.
    pub fn owned_blocks(
        &self,
        object: Addr,
        ty: &TypeInfo,
        mut each: impl FnMut(Addr),
    ) -> Result<bool, DecodeError> {
        let memory = self.memory;
        let at = &self.layout.at;
        if ty.has(MANAGED_DICT) {
            match self.layout.has.managed_dict {
                ManagedDict::WordsBefore => {
                    each(memory.addr(object - MANAGED_VALUES_WORD)?);
                }
                ManagedDict::TaggedBefore => {
                    let tagged = memory.addr(object - MANAGED_DICT_WORD)?;
                    if tagged.0 & 1 != 0 {
                        each(tagged + 1);
                    }
                }
                ManagedDict::None | ManagedDict::Inline => {}
            }
        }
        match &ty.native {
            Native::List => each(memory.addr(object + at.list.ob_item)?),
            Native::Set => each(memory.addr(object + at.set.table)?),
            Native::Dict | Native::DefaultDict => {
                each(memory.addr(object + at.dict.ma_keys)?);
                each(memory.addr(object + at.dict.ma_values)?);
            }
            Native::Deque => self.deque_blocks(object, &mut each)?,
            Native::Cell
            | Native::Tuple
            | Native::WeakReference
            | Native::HamtArray
            | Native::HamtBitmap
            | Native::StructSequence
            // Their frames have words out of use, which lead into blocks that are used anew.
            | Native::Frame
            | Native::Generator
            | Native::Coroutine
            | Native::AsyncGenerator => {}
            _ => match ty.native_name.as_ref() {
                "int" | "bool" | "float" | "complex" | "bytes" | "object" => {}
                "str" => {
                    let compact = at.compact_unicode;
                    let state = self.str_state(object)?;
                    if !(state.compact && state.ascii) {
                        each(memory.addr(object + compact.utf8)?);
                    }
                    if !state.compact {
                        each(memory.addr(object + at.unicode.data)?);
                    }
                    if let Some(wstr) = at.ascii.wstr {
                        each(memory.addr(object + wstr)?);
                    }
                }
                _ => return Ok(true),
            },
        }
        Ok(false)
    }

    /// The words of an object, for those of which no rule says what they own.
    ///
    /// # Errors
    /// A part of the object cannot be read.
    pub fn own_words(
        &self,
        object: Addr,
        ty: &TypeInfo,
        mut each: impl FnMut(Addr),
    ) -> Result<(), DecodeError> {
        let len = self.own_bytes(object, ty)?.min(MAX_SEARCH);
        self.words(object, len / 8, "an object", |_, word| each(word))
    }

    /// The blocks of a deque, in order.
    fn deque_blocks(&self, object: Addr, mut each: impl FnMut(Addr)) -> Result<(), DecodeError> {
        let at = &self.layout.at;
        let last = self.memory.addr(object + at.deque.rightblock)?;
        let mut block = self.memory.addr(object + at.deque.leftblock)?;
        for _ in 0..MAX_DEQUE_BLOCKS {
            if block.is_null() {
                break;
            }
            each(block);
            if block == last {
                break;
            }
            block = self.memory.addr(block + at.deque_block.rightlink)?;
        }
        Ok(())
    }
}
