//! Instances of Python classes: slots, dictionaries, values without a dictionary
//! (`subtype_traverse`, `Objects/typeobject.c`).

use super::dict::attribute;
use super::{DecodeError, EdgeSink, Label, Name, Objects, Sight, TypeInfo};
use crate::addr::Addr;
use crate::cpython::layout::OB_SIZE;
use crate::cpython::layout::features::{
    INLINE_VALUES, LONG_SUBCLASS, LongLength, MANAGED_DICT, ManagedDict,
};
use crate::target::memory::Memory;

/// The word before an object that holds its managed dictionary.
const MANAGED_DICT_WORD: u64 = 24;
/// The word before an object that holds its values, in 3.11.
const MANAGED_VALUES_WORD: u64 = 32;

impl<M: Memory> Objects<'_, M> {
    /// What a Python class, or the managed-dict flag of a C type, adds to the references of an
    /// object, and its class.
    pub(super) fn instance_referents(
        &self,
        object: Addr,
        ty: &TypeInfo,
        sink: &mut impl EdgeSink,
    ) -> Result<(), DecodeError> {
        self.attribute_referents(object, ty, sink)?;
        self.class_referent(ty, sink);
        Ok(())
    }

    /// The class of an object, if that is on the heap.
    pub(super) fn class_referent(&self, ty: &TypeInfo, sink: &mut impl EdgeSink) {
        if ty.is_heap() {
            let visited = ty.is_python_class || self.layout.has.heap_objects_visit_type;
            let sight = if visited { Sight::Visited } else { Sight::Hidden };
            sink.edge(sight, ty.addr, Label::Attribute(Name::Known("__class__")));
        }
    }

    /// Slots, dictionary, and values without a dictionary.
    pub(super) fn attribute_referents(
        &self,
        object: Addr,
        ty: &TypeInfo,
        sink: &mut impl EdgeSink,
    ) -> Result<(), DecodeError> {
        for slot in &ty.slots {
            let label = Label::Attribute(Name::CStr(slot.name));
            self.field(object + slot.offset, Sight::Visited, label, sink)?;
        }
        if ty.has(MANAGED_DICT) && self.layout.has.managed_dict != ManagedDict::None {
            self.managed_referents(object, ty, sink)?;
        } else if ty.is_python_class && ty.tp_dictoffset != ty.native_dictoffset {
            let at = self.dict_pointer(object, ty)?;
            if let Some(at) = at {
                self.field(at, Sight::Visited, Label::Namespace("__dict__"), sink)?;
            }
        }
        Ok(())
    }

    /// Where an object keeps the pointer to its dictionary (`_PyObject_ComputedDictPointer`).
    fn dict_pointer(&self, object: Addr, ty: &TypeInfo) -> Result<Option<Addr>, DecodeError> {
        if ty.tp_dictoffset >= 0 {
            return Ok(u64::try_from(ty.tp_dictoffset)
                .ok()
                .filter(|&at| at > 0)
                .map(|at| object + at));
        }
        // A negative offset counts from the end of a variable-sized object.
        let items = if ty.has(LONG_SUBCLASS) && self.layout.has.long_length == LongLength::Tag {
            self.memory.u64(object + OB_SIZE)? >> 3
        } else {
            self.memory.i64(object + OB_SIZE)?.unsigned_abs()
        };
        let size = ty.tp_basicsize.wrapping_add(items.wrapping_mul(ty.tp_itemsize));
        let size = size.wrapping_add(7) & !7;
        Ok(Some((object + size).offset(ty.tp_dictoffset)))
    }

    /// The managed dictionary of an object, or the values that stand for one.
    fn managed_referents(
        &self,
        object: Addr,
        ty: &TypeInfo,
        sink: &mut impl EdgeSink,
    ) -> Result<(), DecodeError> {
        let word = object - MANAGED_DICT_WORD;
        match self.layout.has.managed_dict {
            ManagedDict::None => {}
            ManagedDict::WordsBefore => {
                if let Some(values) = self.reference(object - MANAGED_VALUES_WORD)? {
                    self.values_referents(values, ty, sink)?;
                }
                self.field(word, Sight::Visited, Label::Namespace("__dict__"), sink)?;
            }
            ManagedDict::TaggedBefore => {
                let tagged = self.memory.addr(word)?;
                if tagged.0 & 1 != 0 {
                    self.values_referents(tagged + 1, ty, sink)?;
                } else if !tagged.is_null() {
                    sink.edge(Sight::Visited, tagged, Label::Namespace("__dict__"));
                }
            }
            ManagedDict::Inline => {
                let values = object + ty.tp_basicsize;
                let is_valid = match self.layout.at.dict_values.valid {
                    Some(valid) if ty.has(INLINE_VALUES) => self.memory.u8(values + valid)? != 0,
                    _ => false,
                };
                let dict = self.reference(word)?;
                let dict_visits = self.layout.has.dict_visits_inline_values;
                if is_valid && (dict.is_none() || !dict_visits) {
                    self.values_referents(values, ty, sink)?;
                }
                if let Some(dict) = dict {
                    let visited = !is_valid || dict_visits;
                    let sight = if visited { Sight::Visited } else { Sight::Hidden };
                    sink.edge(sight, dict, Label::Namespace("__dict__"));
                }
            }
        }
        Ok(())
    }

    /// Attribute values, in the order of the keys that the objects of the class share.
    fn values_referents(
        &self,
        values: Addr,
        ty: &TypeInfo,
        sink: &mut impl EdgeSink,
    ) -> Result<(), DecodeError> {
        let keys = &ty.shared_keys;
        let at = self.split_values(values);
        self.words(at, keys.len() as u64, "the values of an instance", |nth, value| {
            let key = usize::try_from(nth).ok().and_then(|nth| keys.get(nth)).copied();
            sink.edge(Sight::Visited, value, attribute(key.unwrap_or_default()));
        })
    }
}
