//! Dictionaries and their keys (`Objects/dictobject.c`).

use super::size::POINTER;
use super::{DecodeError, EdgeSink, Label, Name, Objects, Run, Sight};
use crate::addr::Addr;
use crate::cpython::layout::features::DictKeys;
use crate::target::memory::Memory;

/// An entry that is in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DictEntry {
    /// Its number in the table.
    pub nth: u32,
    /// The key.
    pub key: Addr,
    /// The value.
    pub value: Addr,
}

/// The header of a keys object, checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DictKeysView {
    /// How many dictionaries share it.
    pub refcnt: i64,
    /// How many more entries fit.
    pub usable: u64,
    /// How many entries have been used.
    pub nentries: u64,
    /// The size of the hash table.
    pub size: u64,
    /// The bytes of the whole object.
    pub bytes: u64,
    /// Whether any key may be something else than a `str`, so that `tp_traverse` visits keys.
    pub general: bool,
    entries: Addr,
    stride: u64,
    key_offset: u64,
    value_offset: u64,
}

impl DictKeysView {
    /// The key of an entry; null where none was set.
    ///
    /// # Errors
    /// The entry cannot be read.
    pub fn key_at(&self, memory: &impl Memory, nth: u64) -> Result<Addr, DecodeError> {
        Ok(memory.addr(self.entries + nth * self.stride + self.key_offset)?)
    }
}

/// How many entries fit into a hash table (`USABLE_FRACTION`).
pub(super) const fn usable_fraction(size: u64) -> u64 {
    (size << 1) / 3
}

impl<M: Memory> Objects<'_, M> {
    /// Reads the header of a keys object and proves its length.
    ///
    /// # Errors
    /// It cannot be read or cannot be right.
    pub fn dict_keys(&self, keys: Addr) -> Result<DictKeysView, DecodeError> {
        let view = self.dict_keys_header(keys)?;
        if view.nentries > 0 {
            // The last entry that the header claims must be there.
            self.memory.u64(view.entries + (view.nentries - 1) * view.stride)?;
        }
        Ok(view)
    }

    /// Reads the header of a keys object.
    ///
    /// # Errors
    /// It cannot be read or cannot be right.
    pub fn dict_keys_header(&self, keys: Addr) -> Result<DictKeysView, DecodeError> {
        let at = &self.layout.at.dict_keys;
        let what = "the header of a dictionary's keys";
        let implausible = |value| DecodeError::Implausible { what, addr: keys, value };
        let refcnt = self.memory.i64(keys + at.dk_refcnt)?;
        let usable = self.memory.u64(keys + at.dk_usable)?;
        let nentries = self.memory.u64(keys + at.dk_nentries)?;
        let (size, index_bytes, general, stride, key_offset, value_offset) =
            match self.layout.has.dict_keys {
                DictKeys::Log2 => {
                    let byte = |offset: Option<u64>| match offset {
                        Some(offset) => Ok(self.memory.u8(keys + offset)?),
                        None => Err(implausible(0)),
                    };
                    let log2_size = byte(at.dk_log2_size)?;
                    let log2_index_bytes = byte(at.dk_log2_index_bytes)?;
                    let kind = byte(at.dk_kind)?;
                    if log2_size > 40 || log2_index_bytes > 44 || kind > 2 {
                        return Err(implausible(log2_size.into()));
                    }
                    // Kinds: 0 general, 1 str keys only, 2 shared by instances.
                    let general = kind == 0;
                    let (stride, key, value) = if general { (24, 8, 16) } else { (16, 0, 8) };
                    (1_u64 << log2_size, 1_u64 << log2_index_bytes, general, stride, key, value)
                }
                DictKeys::Sized => {
                    let (Some(dk_size), Some(dk_lookup)) = (at.dk_size, at.dk_lookup) else {
                        return Err(implausible(0));
                    };
                    let size = self.memory.u64(keys + dk_size)?;
                    let index = match size {
                        0..=0xFF => 1,
                        0x100..=0xFFFF => 2,
                        0x1_0000..=0xFFFF_FFFF => 4,
                        _ => 8,
                    };
                    if size > 1 << 40 || !size.is_power_of_two() {
                        return Err(implausible(size));
                    }
                    let lookup = self.memory.addr(keys + dk_lookup)?;
                    (size, size * index, lookup == self.known.lookdict, 24, 8, 16)
                }
            };
        let room = usable_fraction(size);
        if nentries > room || usable > room {
            return Err(implausible(nentries));
        }
        let entries = keys + at.dk_indices + index_bytes;
        Ok(DictKeysView {
            refcnt,
            usable,
            nentries,
            size,
            bytes: at.dk_indices + index_bytes + stride * room,
            general,
            entries,
            stride,
            key_offset,
            value_offset,
        })
    }

    /// Calls `each` for every entry in use, in the order of insertion.
    ///
    /// # Errors
    /// The dictionary cannot be read or cannot be right.
    pub fn dict_entries(
        &self,
        dict: Addr,
        mut each: impl FnMut(DictEntry),
    ) -> Result<(DictKeysView, Addr), DecodeError> {
        const CHUNK: u64 = 4096;
        let at = &self.layout.at.dict;
        let keys = self.memory.addr(dict + at.ma_keys)?;
        let values = self.memory.addr(dict + at.ma_values)?;
        let view = self.dict_keys(keys)?;
        let values_at = values.non_null().map(|at| self.split_values(at));
        let mut from = 0;
        while from < view.nentries {
            let count = (view.nentries - from).min(CHUNK);
            let (Ok(len), Ok(stride)) =
                (usize::try_from(count * view.stride), usize::try_from(view.stride))
            else {
                break;
            };
            let start = view.entries + from * view.stride;
            let owned;
            let bytes = match self.memory.slice(start, len) {
                Some(bytes) => bytes,
                None => {
                    owned = self.memory.bytes(start, len)?;
                    &owned
                }
            };
            for (nth, entry) in (from..).zip(bytes.chunks_exact(stride)) {
                let key = word(entry, view.key_offset);
                let value = match values_at {
                    Some(values) => self.memory.addr(values + nth * 8)?,
                    None => word(entry, view.value_offset),
                };
                if !value.is_null() && !key.is_null() {
                    each(DictEntry { nth: u32::try_from(nth).unwrap_or(u32::MAX), key, value });
                }
            }
            from += count;
        }
        Ok((view, values))
    }

    /// Where the values of a split table begin.
    pub(super) fn split_values(&self, values: Addr) -> Addr {
        values + self.layout.at.dict_values.values.unwrap_or(0)
    }

    /// The value of a key that is a `str` of this text.
    ///
    /// # Errors
    /// The dictionary cannot be read.
    pub fn dict_get(&self, dict: Addr, name: &str) -> Result<Option<Addr>, DecodeError> {
        let mut entries = Vec::new();
        self.dict_entries(dict, |entry| entries.push(entry))?;
        for entry in entries {
            if self.is_text(entry.key, name)? {
                return Ok(Some(entry.value));
            }
        }
        Ok(None)
    }

    /// Whether an object is a `str` of this ASCII text.
    fn is_text(&self, object: Addr, text: &str) -> Result<bool, DecodeError> {
        let at = &self.layout.at.ascii;
        if self.memory.u64(object + at.length)? != text.len() as u64 || !self.is_str(object)? {
            return Ok(false);
        }
        Ok(self.text(object)? == text)
    }

    /// The references of a `dict` (`dict_traverse`): values, and keys where they may be other than
    /// strings; the keys of all others are owned silently.
    pub(super) fn dict_referents(
        &self,
        dict: Addr,
        namespace: bool,
        sink: &mut impl EdgeSink,
    ) -> Result<(), DecodeError> {
        // Values inside the object that the dictionary belongs to are visited by one of the two.
        let embedded =
            self.has_embedded_values(dict)? && !self.layout.has.dict_visits_inline_values;
        let mut keys = Vec::new();
        // Whether keys are visited is known only from the header, which comes back at the end; it
        // is the same for all entries.
        let general = {
            let keys = self.memory.addr(dict + self.layout.at.dict.ma_keys)?;
            self.dict_keys(keys)?.general
        };
        self.dict_entries(dict, |DictEntry { nth, key, value }| {
            if embedded {
                // The object visits them.
            } else if namespace {
                sink.edge(Sight::Visited, value, Label::Entry(key, nth));
            } else if general {
                sink.in_run(Sight::Visited, value, Run::ValueKeys, nth);
                sink.in_run(Sight::Visited, key, Run::ValueKeys, nth);
            } else {
                sink.in_run(Sight::Visited, value, Run::Values, nth);
            }
            if embedded || !general || namespace {
                keys.push((key, nth));
            }
        })?;
        for (key, nth) in keys {
            let sight = if general { Sight::Visited } else { Sight::Hidden };
            sink.in_run(sight, key, Run::Keys, nth);
        }
        Ok(())
    }

    /// Whether the values of a dictionary lie inside the object that it belongs to (3.13 and
    /// later), which visits them itself.
    fn has_embedded_values(&self, dict: Addr) -> Result<bool, DecodeError> {
        let values = self.memory.addr(dict + self.layout.at.dict.ma_values)?;
        match (values.non_null(), self.layout.at.dict_values.embedded) {
            (Some(values), Some(embedded)) => Ok(self.memory.u8(values + embedded)? != 0),
            _ => Ok(false),
        }
    }

    /// The references of an `OrderedDict` besides those of its dictionary (`odict_traverse`).
    pub(super) fn ordered_dict_referents(
        &self,
        dict: Addr,
        sink: &mut impl EdgeSink,
    ) -> Result<(), DecodeError> {
        let at = &self.layout.at.ordered_dict;
        let label = Label::Namespace("__dict__");
        self.field(dict + at.od_inst_dict, Sight::Visited, label, sink)?;
        let mut nth = 0;
        let key = self.layout.at.ordered_dict_node.key;
        self.ordered_dict_nodes(dict, |node| {
            if let Ok(Some(key)) = self.reference(node + key) {
                sink.in_run(Sight::Visited, key, Run::Keys, nth);
            }
            nth += 1;
        })?;
        Ok(())
    }

    /// Follows the list of an `OrderedDict`'s nodes, which has no more of them than the dictionary
    /// has entries, and counts them.
    pub(super) fn ordered_dict_nodes(
        &self,
        dict: Addr,
        mut each: impl FnMut(Addr),
    ) -> Result<u64, DecodeError> {
        let at = &self.layout.at;
        let keys = self.dict_keys(self.memory.addr(dict + at.dict.ma_keys)?)?;
        let mut node = self.memory.addr(dict + at.ordered_dict.od_first)?;
        let mut count = 0;
        while !node.is_null() {
            if count > keys.size {
                let what = "the list of an OrderedDict";
                return Err(DecodeError::Implausible { what, addr: dict, value: count });
            }
            each(node);
            count += 1;
            node = self.memory.addr(node + at.ordered_dict_node.next)?;
        }
        Ok(count)
    }

    /// `_PyDict_SizeOf` (`Objects/dictobject.c`).
    pub(super) fn dict_size(&self, object: Addr, basic: u64) -> Result<u64, DecodeError> {
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
    fn split_capacity(&self, keys: &DictKeysView) -> u64 {
        match self.layout.has.dict_keys {
            DictKeys::Sized => (keys.size << 1) / 3,
            DictKeys::Log2 => keys.usable + keys.nentries,
        }
    }
}

/// A word of an entry that has been read.
fn word(entry: &[u8], offset: u64) -> Addr {
    let start = usize::try_from(offset).unwrap_or(usize::MAX);
    let bytes = entry.get(start..).and_then(|bytes| bytes.first_chunk::<8>());
    Addr(bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes)))
}

/// The label of an attribute whose name is a `str` object.
pub(super) const fn attribute(name: Addr) -> Label {
    Label::Attribute(Name::Str(name))
}
