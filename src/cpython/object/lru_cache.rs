//! `functools.lru_cache`: a ring of elements (`Modules/_functoolsmodule.c`).

use super::{DecodeError, EdgeSink, Label, Objects, Run, Sight};
use crate::addr::Addr;
use crate::target::memory::Memory;

/// The most elements of a ring. A cache of more entries than this has been seen by nobody.
const MAX_ELEMENTS: u32 = 1 << 30;

impl<M: Memory> Objects<'_, M> {
    /// `lru_cache_tp_traverse`: keys and results of the elements, and from 3.10 on, where elements
    /// are objects of a heap type, that type once for each.
    pub(super) fn lru_cache_referents(
        &self,
        object: Addr,
        sink: &mut impl EdgeSink,
    ) -> Result<(), DecodeError> {
        let at = &self.layout.at.lru_cache_element;
        let root = object + self.layout.at.lru_cache.root;
        let mut element = self.memory.addr(root + at.next)?;
        let mut nth = 0;
        while !element.is_null() && element != root {
            if nth == MAX_ELEMENTS {
                let what = "the ring of an lru_cache";
                return Err(DecodeError::Implausible { what, addr: object, value: nth.into() });
            }
            if let Some(result) = self.reference(element + at.result)? {
                sink.in_run(Sight::Visited, result, Run::ValueKeys, nth);
            }
            if let Some(key) = self.reference(element + at.key)? {
                sink.in_run(Sight::Visited, key, Run::ValueKeys, nth);
            }
            if self.layout.has.lru_elements_are_objects {
                let ty = self.type_at(element)?;
                sink.edge(Sight::Visited, ty, Label::Field("lru_list_elem_type"));
            }
            nth += 1;
            element = self.memory.addr(element + at.next)?;
        }
        Ok(())
    }
}
