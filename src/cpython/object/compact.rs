//! What a container would be without the room that it has to spare: the size of a copy.

use super::dict::usable_fraction;
use super::{DecodeError, DictKeysView, Native, Objects, TypeInfo};
use crate::addr::Addr;
use crate::cpython::layout::features::DictKeys;
use crate::target::memory::Memory;

/// `PyDict_MINSIZE`, `PySet_MINSIZE`.
const FEWEST_SLOTS: u64 = 8;
/// The size of a `setentry`.
const SET_ENTRY: u64 = 16;

impl<M: Memory> Objects<'_, M> {
    /// How many bytes of a list, dictionary or set a copy would not have: room for more items, what
    /// was left behind by those that were removed. Nothing for anything else, and for dictionaries that
    /// share their keys.
    ///
    /// # Errors
    /// It cannot be read or cannot be right.
    pub fn spare_bytes(&self, object: Addr, ty: &TypeInfo) -> Result<Option<u64>, DecodeError> {
        match ty.native {
            Native::List => self.list_spare_bytes(object).map(Some),
            Native::Dict | Native::DefaultDict => self.dict_spare_bytes(object),
            Native::Set => self.set_spare_bytes(object).map(Some),
            _ => Ok(None),
        }
    }

    /// `list[:]` has room for its items only (`list_slice`, `Objects/listobject.c`).
    fn list_spare_bytes(&self, object: Addr) -> Result<u64, DecodeError> {
        let allocated = self.memory.i64(object + self.layout.at.list.allocated)?;
        // A list that is being sorted says -1.
        Ok(u64::try_from(allocated.saturating_sub(self.ob_size(object)?))
            .unwrap_or(0)
            .saturating_mul(8))
    }

    /// A dictionary into which the same entries are put anew has the smallest table that they fit in,
    /// and one for texts if all keys are texts.
    fn dict_spare_bytes(&self, object: Addr) -> Result<Option<u64>, DecodeError> {
        let at = &self.layout.at.dict;
        if !self.memory.addr(object + at.ma_values)?.is_null() {
            return Ok(None);
        }
        let keys = self.dict_keys(self.memory.addr(object + at.ma_keys)?)?;
        if keys.refcnt != 1 {
            return Ok(None);
        }
        let used = self.memory.u64(object + at.ma_used)?;
        let mut slots = FEWEST_SLOTS;
        while usable_fraction(slots) < used && slots < keys.size {
            slots <<= 1;
        }
        let bytes = match used {
            // All empty dictionaries share one table.
            0 => 0,
            _ => self.keys_bytes(slots, keys.general && self.has_other_keys(&keys)?),
        };
        Ok(Some(keys.bytes.saturating_sub(bytes)))
    }

    /// Whether a key of a table is no `str`, or of a class derived from it.
    fn has_other_keys(&self, keys: &DictKeysView) -> Result<bool, DecodeError> {
        if self.layout.has.dict_keys == DictKeys::Sized {
            return Ok(true);
        }
        let mut text_type = None;
        for nth in 0..keys.nentries {
            let Some(key) = keys.key_at(self.memory, nth)?.non_null() else { continue };
            let ty = self.type_at(key)?;
            // Types are compared before they are looked at: they are nearly always the same.
            if text_type != Some(ty) && !self.is_exact_str(key) {
                return Ok(true);
            }
            text_type = Some(ty);
        }
        Ok(false)
    }

    /// The size of a table of keys with so many slots.
    fn keys_bytes(&self, slots: u64, general: bool) -> u64 {
        let index = match slots {
            0..=0xFF => 1,
            0x100..=0xFFFF => 2,
            0x1_0000..=0xFFFF_FFFF => 4,
            _ => 8,
        };
        let entry = match self.layout.has.dict_keys {
            DictKeys::Log2 if !general => 16,
            _ => 24,
        };
        self.layout.at.dict_keys.dk_indices + slots * index + entry * usable_fraction(slots)
    }

    /// `set(other)` (`set_merge`, `Objects/setobject.c`): five items and more get a table twice as
    /// large, rounded up.
    fn set_spare_bytes(&self, object: Addr) -> Result<u64, DecodeError> {
        /// The most items that fit into the object itself.
        const INLINE: u64 = 4;
        let at = &self.layout.at.set;
        if self.memory.addr(object + at.table)? == object + at.smalltable {
            return Ok(0);
        }
        let used = self.memory.u64(object + at.used)?;
        let slots = self.memory.u64(object + at.mask)?.wrapping_add(1);
        let mut copied = FEWEST_SLOTS;
        while copied <= used.saturating_mul(2) && copied < slots {
            copied <<= 1;
        }
        let copied = if used <= INLINE { 0 } else { copied };
        Ok(slots.saturating_sub(copied).saturating_mul(SET_ENTRY))
    }
}
