//! `xml.etree.ElementTree.Element` (`Modules/_elementtree.c`).

use super::size::POINTER;
use super::{DecodeError, EdgeSink, Label, Name, Objects, Run, Sight};
use crate::addr::Addr;
use crate::target::memory::Memory;

impl<M: Memory> Objects<'_, M> {
    /// `element_gc_traverse`. The text and tail may carry a flag in bit 0.
    pub(super) fn element_referents(
        &self,
        object: Addr,
        sink: &mut impl EdgeSink,
    ) -> Result<(), DecodeError> {
        /// `tag`, `text` and `tail` follow the header.
        const FIELDS: [(u64, &str); 3] = [(16, "tag"), (24, "text"), (32, "tail")];
        for (offset, name) in FIELDS {
            let word = self.memory.addr(object + offset)?.without_tag(1);
            if let Some(target) = word.non_null() {
                sink.edge(Sight::Visited, target, Label::Attribute(Name::Known(name)));
            }
        }
        let Some(extra) = self.reference(object + self.layout.at.element.extra)? else {
            return Ok(());
        };
        let at = &self.layout.at.element_extra;
        let attributes = Label::Attribute(Name::Known("attrib"));
        self.field(extra + at.attrib, Sight::Visited, attributes, sink)?;
        let len = self.memory.u64(extra + at.length)?;
        let children = self.memory.addr(extra + at.children)?;
        self.words(children, len, "the children of an Element", |nth, child| {
            sink.in_run(Sight::Visited, child, Run::Items, nth);
        })
    }

    /// `element.__sizeof__` (`Modules/_elementtree.c`).
    pub(super) fn element_size(&self, object: Addr, basic: u64) -> Result<u64, DecodeError> {
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
}
