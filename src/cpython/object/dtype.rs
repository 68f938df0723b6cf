//! Where the items of an array keep references: the object fields of a dtype (`PyArray_Descr`,
//! `numpy/ndarraytypes.h`).

use std::collections::BTreeSet;

use super::{DecodeError, Objects};
use crate::addr::Addr;
use crate::cpython::layout::OB_SIZE;
use crate::cpython::layout::features::DICT_SUBCLASS;
use crate::target::memory::Memory;

/// Offsets in `PyArray_Descr`, the same in numpy 1 and 2.
const TYPE_NUM: u64 = 28;
/// Where numpy 1 and numpy 2 keep `subarray` and `fields`.
const SUBARRAY: [u64; 2] = [40, 88];
const FIELDS: [u64; 2] = [48, 96];
/// `NPY_OBJECT` and `NPY_VOID`.
const OBJECT_TYPE: i32 = 17;
const VOID_TYPE: i32 = 20;
/// The most fields, nested ones and items of sub-arrays counted, that one dtype may claim.
const MOST_FIELDS: usize = 1 << 12;

/// A part of an item that is still to be looked at.
struct Part {
    descr: Addr,
    offset: u64,
}

impl<M: Memory> Objects<'_, M> {
    /// Where in an item references are, ascending; one at 0 for an array of objects, none for plain
    /// data.
    ///
    /// # Errors
    /// The dtype cannot be read, or claims too much.
    pub(super) fn item_references(&self, descr: Addr) -> Result<Vec<u64>, DecodeError> {
        let implausible = |value| DecodeError::Implausible {
            what: "the fields of a numpy dtype",
            addr: descr,
            value,
        };
        let mut found = BTreeSet::new();
        let mut left = vec![Part { descr, offset: 0 }];
        let mut seen = 0;
        while let Some(part) = left.pop() {
            seen += 1;
            if seen > MOST_FIELDS {
                return Err(implausible(part.offset));
            }
            match self.memory.i32(part.descr + TYPE_NUM)? {
                OBJECT_TYPE => {
                    found.insert(part.offset);
                }
                VOID_TYPE => self.parts(&part, &mut left)?,
                _ => {}
            }
        }
        Ok(found.into_iter().collect())
    }

    /// The fields of a structure, or the items of a sub-array.
    fn parts(&self, part: &Part, left: &mut Vec<Part>) -> Result<(), DecodeError> {
        let kind = usize::from(self.is_new_descr(part.descr)?);
        let at = |offsets: [u64; 2]| part.descr + offsets.get(kind).copied().unwrap_or_default();
        if let Some(subarray) = self.reference(at(SUBARRAY))? {
            // PyArray_ArrayDescr: the type of the items, and a tuple of lengths.
            let base = self.memory.addr(subarray)?;
            let shape = self.memory.addr(subarray + 8)?;
            let item_bytes = self.item_bytes(base)?;
            let mut items = 1_u64;
            self.tuple_referents_of(shape, |length| {
                let length = self.int_value(length).and_then(|length| u64::try_from(length).ok());
                items = items.saturating_mul(length.unwrap_or(0));
            })?;
            for nth in 0..items.min(MOST_FIELDS as u64) {
                let offset = part.offset.saturating_add(nth.saturating_mul(item_bytes));
                left.push(Part { descr: base, offset });
            }
            return Ok(());
        }
        // A dictionary from names to tuples of a dtype and an offset; None for plain bytes.
        let Some(fields) = self.reference(at(FIELDS))? else { return Ok(()) };
        if !self.is_plain_dict(fields)? {
            return Ok(());
        }
        let mut tuples = Vec::new();
        self.dict_entries(fields, |entry| {
            if tuples.len() <= MOST_FIELDS {
                tuples.push(entry.value);
            }
        })?;
        for tuple in tuples {
            let mut items = Vec::new();
            self.tuple_referents_of(tuple, |item| items.push(item))?;
            if let [descr, offset, ..] = *items
                && let Some(offset) = self.int_value(offset)
            {
                let offset = part.offset.saturating_add(u64::try_from(offset).unwrap_or(0));
                left.push(Part { descr, offset });
            }
        }
        Ok(())
    }

    /// Whether there is a dictionary at an address.
    fn is_plain_dict(&self, object: Addr) -> Result<bool, DecodeError> {
        let ty = self.type_at(object)?;
        Ok(self.memory.u64(ty + self.layout.at.ty.tp_flags)? & DICT_SUBCLASS != 0)
    }

    /// The items of a short tuple.
    fn tuple_referents_of(
        &self,
        tuple: Addr,
        mut each: impl FnMut(Addr),
    ) -> Result<(), DecodeError> {
        let len = self.memory.u64(tuple + OB_SIZE)?.min(64);
        let items = tuple + self.layout.at.tuple.ob_item;
        self.words(items, len, "the length of a tuple", |_, item| each(item))
    }
}
