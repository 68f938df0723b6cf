//! Lists, tuples, sets, deques and other containers of items.

use super::{DecodeError, EdgeSink, Label, Objects, Run, Sight};
use crate::addr::Addr;
use crate::target::memory::Memory;

impl<M: Memory> Objects<'_, M> {
    /// `list_traverse` (`Objects/listobject.c`).
    pub(super) fn list_referents(
        &self,
        object: Addr,
        sink: &mut impl EdgeSink,
    ) -> Result<(), DecodeError> {
        let len = self.item_count(object, "the length of a list")?;
        let items = self.memory.addr(object + self.layout.at.list.ob_item)?;
        self.words(items, len, "the length of a list", |nth, item| {
            sink.in_run(Sight::Visited, item, Run::Items, nth);
        })
    }

    /// `tupletraverse` (`Objects/tupleobject.c`).
    pub(super) fn tuple_referents(
        &self,
        object: Addr,
        sink: &mut impl EdgeSink,
    ) -> Result<(), DecodeError> {
        let len = self.item_count(object, "the length of a tuple")?;
        let items = object + self.layout.at.tuple.ob_item;
        self.words(items, len, "the length of a tuple", |nth, item| {
            sink.in_run(Sight::Visited, item, Run::Items, nth);
        })
    }

    /// `structseq_traverse` (`Objects/structseq.c`): the type's dictionary knows the real number of
    /// items, of which `ob_size` counts only those that are part of the tuple.
    pub(super) fn struct_sequence_referents(
        &self,
        object: Addr,
        ty: &super::TypeInfo,
        sink: &mut impl EdgeSink,
    ) -> Result<(), DecodeError> {
        let mut len = self.item_count(object, "the length of a tuple")?;
        let mut class = Some(ty);
        while let Some(info) = class {
            if let Some(dict) = self.type_dict(info.addr, info.tp_flags)?
                && let Some(fields) = self.dict_get(dict, "n_fields")?
            {
                len = len.max(self.small_int(fields)?.min(1024));
                break;
            }
            class = info.base.as_deref();
        }
        let items = object + self.layout.at.tuple.ob_item;
        self.words(items, len, "the length of a tuple", |nth, item| {
            sink.in_run(Sight::Visited, item, Run::Items, nth);
        })
    }

    /// The value of an `int` of one digit.
    fn small_int(&self, object: Addr) -> Result<u64, DecodeError> {
        /// `ob_digit` and `long_value.ob_digit` are at the same place in all versions.
        const OB_DIGIT: u64 = 24;
        Ok(self.memory.u32(object + OB_DIGIT)?.into())
    }

    /// `set_traverse` (`Objects/setobject.c`).
    pub(super) fn set_referents(
        &self,
        object: Addr,
        sink: &mut impl EdgeSink,
    ) -> Result<(), DecodeError> {
        let at = &self.layout.at.set;
        let mask = self.memory.u64(object + at.mask)?;
        let table = self.memory.addr(object + at.table)?;
        let what = "the table of a set";
        if mask > 1 << 40 || !(mask + 1).is_power_of_two() {
            return Err(DecodeError::Implausible { what, addr: object, value: mask });
        }
        let dummy = self.known.set_dummy;
        let mut member = 0;
        // Entries are a key and its hash; the words between are hashes.
        self.words(table, (mask + 1) * 2, what, |nth, key| {
            if nth.is_multiple_of(2) && key != dummy {
                sink.in_run(Sight::Visited, key, Run::Members, member);
                member += 1;
            }
        })
    }

    /// `deque_traverse` (`Modules/_collectionsmodule.c`).
    pub(super) fn deque_referents(
        &self,
        object: Addr,
        sink: &mut impl EdgeSink,
    ) -> Result<(), DecodeError> {
        /// `BLOCKLEN`.
        const BLOCK_LEN: u64 = 64;
        let at = &self.layout.at.deque;
        let what = "the blocks of a deque";
        let mut left = self.item_count(object, what)?;
        let mut block = self.memory.addr(object + at.leftblock)?;
        let mut index = self.memory.u64(object + at.leftindex)?;
        let mut nth = 0;
        while left > 0 {
            if index >= BLOCK_LEN {
                return Err(DecodeError::Implausible { what, addr: object, value: index });
            }
            let here = left.min(BLOCK_LEN - index);
            let data = block + self.layout.at.deque_block.data + index * 8;
            self.words(data, here, what, |offset, item| {
                sink.in_run(Sight::Visited, item, Run::Items, nth + offset);
            })?;
            nth += u32::try_from(here).unwrap_or(0);
            left -= here;
            index = 0;
            if left > 0 {
                block = self.memory.addr(block + self.layout.at.deque_block.rightlink)?;
            }
        }
        Ok(())
    }

    /// `teedataobject_traverse` (`Modules/itertoolsmodule.c`).
    pub(super) fn tee_data_referents(
        &self,
        object: Addr,
        sink: &mut impl EdgeSink,
    ) -> Result<(), DecodeError> {
        let at = &self.layout.at.tee_data;
        self.field(object + at.it, Sight::Visited, Label::Field("it"), sink)?;
        self.field(object + at.nextlink, Sight::Visited, Label::Field("nextlink"), sink)?;
        let read = self.memory.u32(object + at.numread)?;
        self.words(object + at.values, read.min(57).into(), "a tee", |nth, item| {
            sink.in_run(Sight::Visited, item, Run::Items, nth);
        })
    }

    /// `simplequeue_traverse` (`Modules/_queuemodule.c`).
    pub(super) fn simple_queue_referents(
        &self,
        object: Addr,
        sink: &mut impl EdgeSink,
    ) -> Result<(), DecodeError> {
        let at = &self.layout.at.simple_queue;
        self.optional_field(object, at.lst, Sight::Visited, Label::Field("lst"), sink)?;
        let (Some(items), Some(capacity), Some(get), Some(count)) =
            (at.items, at.items_cap, at.get_idx, at.num_items)
        else {
            return Ok(());
        };
        let what = "the ring of a queue";
        let items = self.memory.addr(object + items)?;
        let capacity = self.memory.u64(object + capacity)?;
        let first = self.memory.u64(object + get)?;
        let count = self.memory.u64(object + count)?;
        if count > capacity || first > capacity {
            return Err(DecodeError::Implausible { what, addr: object, value: count });
        }
        let until_end = count.min(capacity - first);
        self.words(items + first * 8, until_end, what, |nth, item| {
            sink.in_run(Sight::Visited, item, Run::Items, nth);
        })?;
        let base = u32::try_from(until_end).unwrap_or(0);
        self.words(items, count - until_end, what, |nth, item| {
            sink.in_run(Sight::Visited, item, Run::Items, base.wrapping_add(nth));
        })
    }

    /// The number of items of a variable-sized object, which is not negative.
    pub(super) fn item_count(&self, object: Addr, what: &'static str) -> Result<u64, DecodeError> {
        let len = self.ob_size(object)?;
        u64::try_from(len).map_err(|_| DecodeError::Implausible {
            what,
            addr: object,
            value: len.cast_unsigned(),
        })
    }
}
