//! `numpy.ndarray` (`numpy/ndarraytypes.h`, the same in numpy 1 and 2). It has no `tp_traverse`,
//! so everything that it owns is hidden from the collector.

use super::{DecodeError, EdgeSink, Label, Name, Objects, Run, Sight, TypeInfo};
use crate::addr::Addr;
use crate::target::memory::Memory;

/// Offsets in `PyArrayObject_fields`.
const DATA: u64 = 16;
const ND: u64 = 24;
const DIMENSIONS: u64 = 32;
const BASE: u64 = 48;
const DESCR: u64 = 56;
const FLAGS: u64 = 64;
const MEM_HANDLER: u64 = 88;
/// Offsets in `PyArray_Descr`. `elsize` became a 64-bit number at 40 in numpy 2.
const DESCR_TYPE_NUM: u64 = 28;
const DESCR_ELSIZE_1: u64 = 32;
const DESCR_ELSIZE_2: u64 = 40;
/// `NPY_OBJECT` and `NPY_VOID`.
const OBJECT_TYPE: i32 = 17;
const VOID_TYPE: i32 = 20;
/// `NPY_ARRAY_OWNDATA`.
const OWNDATA: u32 = 4;
/// `NPY_MAXDIMS` is 32 in numpy 1 and 64 in numpy 2.
const MAX_DIMENSIONS: u32 = 64;

/// The array as far as its size and items are concerned.
pub(super) struct ArrayView {
    pub(super) dimensions: u64,
    pub(super) items: u64,
    pub(super) item_bytes: u64,
    pub(super) owns_data: bool,
    /// Its items may hold references: it is of objects, or of structures.
    has_references: bool,
    data: Addr,
}

impl<M: Memory> Objects<'_, M> {
    /// Reads the header of an array.
    pub(super) fn array_view(&self, object: Addr) -> Result<ArrayView, DecodeError> {
        let what = "the header of an ndarray";
        let implausible = |value| DecodeError::Implausible { what, addr: object, value };
        let nd = self.memory.u32(object + ND)?;
        if nd > MAX_DIMENSIONS {
            return Err(implausible(nd.into()));
        }
        let mut items = 1_u64;
        let dimensions = self.memory.addr(object + DIMENSIONS)?;
        for nth in 0..u64::from(nd) {
            let length = self.memory.u64(dimensions + nth * 8)?;
            items = items.checked_mul(length).ok_or_else(|| implausible(length))?;
        }
        let descr = self.memory.addr(object + DESCR)?;
        let item_bytes = self.item_bytes(descr)?;
        if item_bytes > 1 << 40 {
            return Err(implausible(item_bytes));
        }
        items.checked_mul(item_bytes.max(1)).ok_or_else(|| implausible(items))?;
        let flags = self.memory.u32(object + FLAGS)?;
        Ok(ArrayView {
            dimensions: nd.into(),
            items,
            item_bytes,
            owns_data: flags & OWNDATA != 0,
            has_references: matches!(
                self.memory.i32(descr + DESCR_TYPE_NUM)?,
                OBJECT_TYPE | VOID_TYPE
            ),
            data: self.memory.addr(object + DATA)?,
        })
    }

    /// The size of an item, in bytes.
    pub(super) fn item_bytes(&self, descr: Addr) -> Result<u64, DecodeError> {
        // numpy 1 has flags and a type number before a 32-bit size; in numpy 2 that word is the
        // upper half of other fields and the size follows.
        Ok(match self.is_new_descr(descr)? {
            true => self.memory.u64(descr + DESCR_ELSIZE_2)?,
            false => self.memory.u32(descr + DESCR_ELSIZE_1)?.into(),
        })
    }

    /// Whether a dtype has the layout of numpy 2: there a 64-bit flags field stands at 32, whose
    /// upper half is zero, and the 64-bit size at 40; in numpy 1 the word at 32 is the size and the
    /// alignment, which is never zero, and at 40 stands a pointer or null.
    pub(super) fn is_new_descr(&self, descr: Addr) -> Result<bool, DecodeError> {
        let alignment_or_flags = self.memory.u32(descr + DESCR_ELSIZE_1 + 4)?;
        Ok(alignment_or_flags == 0)
    }

    /// What an array owns.
    pub(super) fn ndarray_referents(
        &self,
        object: Addr,
        ty: &TypeInfo,
        sink: &mut impl EdgeSink,
    ) -> Result<(), DecodeError> {
        let attribute = |name| Label::Attribute(Name::Known(name));
        let hide = Sight::Hidden;
        self.field(object + BASE, hide, attribute("base"), sink)?;
        self.field(object + DESCR, hide, attribute("dtype"), sink)?;
        let view = self.array_view(object)?;
        // numpy below 1.22 has no such field: there the object ends before it.
        if view.owns_data && self.native_base(ty).tp_basicsize > MEM_HANDLER {
            self.field(object + MEM_HANDLER, hide, Label::Field("mem_handler"), sink)?;
        }
        // A view's items are those of its base, which owns them. What is owned is without gaps, in
        // whichever order.
        if !view.has_references || !view.owns_data {
            return Ok(());
        }
        let what = "the items of an ndarray";
        let descr = self.memory.addr(object + DESCR)?;
        let offsets = self.item_references(descr)?;
        if offsets == [0] && view.item_bytes == 8 {
            return self.words(view.data, view.items, what, |nth, item| {
                sink.in_run(hide, item, Run::Items, nth);
            });
        }
        if offsets.is_empty() {
            return Ok(());
        }
        let count = u32::try_from(view.items).map_err(|_| DecodeError::Implausible {
            what,
            addr: object,
            value: view.items,
        })?;
        if let (Some(last), Some(&offset)) = (view.items.checked_sub(1), offsets.last()) {
            // The last item that the header claims must be there.
            self.memory.u64(view.data + last * view.item_bytes + offset)?;
        }
        for nth in 0..count {
            let item = view.data + u64::from(nth) * view.item_bytes;
            for &offset in &offsets {
                if let Some(target) = self.reference(item + offset)? {
                    sink.in_run(hide, target, Run::Items, nth);
                }
            }
        }
        Ok(())
    }
}
