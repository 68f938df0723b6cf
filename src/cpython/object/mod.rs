//! Decoders: the bytes of an object become its type, size and references.
//!
//! Knows layouts, never versions; trusts nothing that it reads. A length that the target claims is
//! proved by reading the last element before anything is allocated or looped over.

mod arrow;
mod attribute;
mod awaits;
mod block;
mod code;
mod compact;
mod content;
mod ctypes;
mod depth;
mod dict;
mod dtype;
mod edge;
mod element;
mod exception_table;
mod finalizer;
mod foreign;
mod frame;
mod function;
mod generator;
mod instance;
mod line;
mod lru_cache;
mod member;
mod name;
mod native;
mod ndarray;
mod pickle;
mod referents;
mod sequence;
mod size;
mod stack;
mod text;
mod thread;
mod traceback;
mod type_dict;
mod type_object;
mod value;

use crate::addr::Addr;
use crate::limits::Limits;
use crate::target::memory::{Memory, ReadError};

pub use arrow::ArrowClasses;
pub use content::Content;
pub use depth::Depths;
pub use dict::{DictEntry, DictKeysView};
pub use edge::{EdgeSink, Label, Name, Run, Sight};
pub use finalizer::Finalization;
pub use frame::{FrameView, LocalSlot};
pub use member::CMethod;
pub use native::Native;
pub use size::Size;
pub use stack::StackWords;
pub use type_object::{Slot, TypeInfo};

use super::emulate::Code;
use super::layout::features::RefCount;
use super::layout::{Layout, OB_SIZE, OB_TYPE};

/// Why an object could not be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Its bytes could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A field has a value that it cannot have.
    #[error("{what} at {addr} cannot be right: {value:#x}")]
    Implausible {
        /// Which field.
        what: &'static str,
        /// The object.
        addr: Addr,
        /// The value.
        value: u64,
    },
}

impl DecodeError {
    /// A short description without addresses, under which anomalies are counted.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Read(_) => "memory that an object refers to could not be read",
            Self::Implausible { what, .. } => what,
        }
    }
}

/// What is needed to decode objects of one interpreter.
#[derive(Debug)]
pub struct Objects<'a, M> {
    /// The target's memory.
    pub memory: &'a M,
    /// Where things are.
    pub layout: &'a Layout,
    /// Bounds on what the target may claim.
    pub limits: Limits,
    /// The addresses of single objects and functions that decoding needs.
    pub known: Known,
    /// The target's code, where it may be followed for what no rule knows.
    pub code: Option<&'a Code>,
}

impl<M> Clone for Objects<'_, M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M> Copy for Objects<'_, M> {}

/// Addresses of single objects and functions of the interpreter.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known {
    /// The type of types.
    pub type_type: Addr,
    /// What a set keeps where a member was removed (`_PySet_Dummy`).
    pub set_dummy: Addr,
    /// The look-up function of dictionaries with arbitrary keys (`lookdict`, up to 3.10).
    pub lookdict: Addr,
    /// The interpreter whose static types are meant.
    pub interpreter: Addr,
    /// `PyLong_FromSsize_t` and `PyLong_FromSize_t`.
    pub long_from: [Addr; 2],
    /// The C library's `strcmp`, as this process has it: there is one for each kind of processor.
    pub strcmp: Addr,
    /// `_Py_GetAllocatedBlocks` (up to 3.11), whose code names the allocator's variables.
    pub get_allocated_blocks: Addr,
}

/// A reference count as it stands in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Count {
    /// So many references.
    Of(u32),
    /// The object lives as long as the process.
    Immortal,
}

impl<M: Memory> Objects<'_, M> {
    /// The type of an object.
    ///
    /// # Errors
    /// The object's bytes cannot be read.
    pub fn type_at(&self, object: Addr) -> Result<Addr, DecodeError> {
        Ok(self.memory.addr(object + OB_TYPE)?)
    }

    /// The count of a variable-sized object (`Py_SIZE`).
    ///
    /// # Errors
    /// The object's bytes cannot be read.
    pub fn ob_size(&self, object: Addr) -> Result<i64, DecodeError> {
        Ok(self.memory.i64(object + OB_SIZE)?)
    }

    /// The reference count of an object.
    ///
    /// # Errors
    /// The object's bytes cannot be read.
    pub fn ref_count(&self, object: Addr) -> Result<Count, DecodeError> {
        let count = match self.layout.has.ref_count {
            RefCount::Word => {
                let word = self.memory.i64(object)?;
                // Up to 3.11 nothing is immortal, but numpy and others set counts as high as they
                // can for the same purpose.
                Count::Of(u32::try_from(word.max(0)).unwrap_or(u32::MAX))
            }
            RefCount::Low32 | RefCount::Low32AndFlags => match self.memory.u32(object)? {
                low if low >= 1 << 31 => Count::Immortal,
                low => Count::Of(low),
            },
        };
        Ok(count)
    }

    /// Whether the first word of what may be an object can be a reference count, and not the link
    /// that stands there in a block on a free list.
    #[must_use]
    pub fn has_sane_ref_count(&self, object: Addr) -> bool {
        /// No object is referred to more often without being immortal.
        const MOST_REFERENCES: u64 = 1 << 28;
        /// What the runtime's own objects start with in 3.11 (`_PyObject_IMMORTAL_REFCNT`), and how
        /// far it may have moved.
        const STATIC: u64 = 999_999_999;
        const MOST_CHANGES: u64 = 1 << 24;
        /// The highest bit of `ob_flags` that has a meaning, as a power of two.
        const FLAGS: u64 = 1 << 10;
        let Ok(word) = self.memory.u64(object) else { return false };
        let (low, high) = (word & 0xFFFF_FFFF, word >> 32);
        let is_immortal = low >= 1 << 31;
        let high_is_sane = match self.layout.has.ref_count {
            RefCount::Word => {
                return (1..=MOST_REFERENCES).contains(&word)
                    || (STATIC - MOST_CHANGES..=STATIC + MOST_CHANGES).contains(&word);
            }
            RefCount::Low32 => high == 0,
            RefCount::Low32AndFlags => high & 0xFFFF == 0 && high >> 16 < FLAGS,
        };
        high_is_sane && (is_immortal || (1..=MOST_REFERENCES).contains(&low))
    }

    /// A reference in a field, unless it is null.
    ///
    /// # Errors
    /// The field cannot be read.
    pub fn reference(&self, at: Addr) -> Result<Option<Addr>, DecodeError> {
        Ok(self.memory.addr(at)?.non_null())
    }

    /// Emits the reference in a field, unless it is null.
    ///
    /// # Errors
    /// The field cannot be read.
    pub fn field(
        &self,
        at: Addr,
        sight: Sight,
        label: Label,
        sink: &mut impl EdgeSink,
    ) -> Result<(), DecodeError> {
        if let Some(target) = self.reference(at)? {
            sink.edge(sight, target, label);
        }
        Ok(())
    }

    /// Emits the reference in a field that only some versions have.
    ///
    /// # Errors
    /// The field cannot be read.
    pub fn optional_field(
        &self,
        object: Addr,
        offset: Option<u64>,
        sight: Sight,
        label: Label,
        sink: &mut impl EdgeSink,
    ) -> Result<(), DecodeError> {
        match offset {
            Some(offset) => self.field(object + offset, sight, label, sink),
            None => Ok(()),
        }
    }

    /// Calls `each` with the number and value of every word of an array that is not null. The
    /// length is proved by reading the last word first.
    ///
    /// # Errors
    /// A part of the array cannot be read.
    pub fn words(
        &self,
        at: Addr,
        len: u64,
        what: &'static str,
        mut each: impl FnMut(u32, Addr),
    ) -> Result<(), DecodeError> {
        const CHUNK: usize = 8192;
        if len == 0 {
            return Ok(());
        }
        // No process maps 2^44 words, and no count of items passes 32 bits in a graph of 32-bit ids.
        if len > u64::from(u32::MAX) {
            return Err(DecodeError::Implausible { what, addr: at, value: len });
        }
        self.memory.u64(at + (len - 1) * 8)?;
        let mut nth = 0_u32;
        let mut left = usize::try_from(len).unwrap_or(usize::MAX);
        let mut from = at;
        while left > 0 {
            let words = left.min(CHUNK);
            let bytes = words * 8;
            let owned;
            let slice = match self.memory.slice(from, bytes) {
                Some(slice) => slice,
                None => {
                    owned = self.memory.bytes(from, bytes)?;
                    &owned
                }
            };
            for word in slice.as_chunks::<8>().0 {
                let target = Addr(u64::from_le_bytes(*word));
                if !target.is_null() {
                    each(nth, target);
                }
                nth += 1;
            }
            left -= words;
            from = from + bytes as u64;
        }
        Ok(())
    }
}
