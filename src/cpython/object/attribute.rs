//! One attribute of an instance, by name: wherever the version keeps it.

use super::{DecodeError, EdgeSink, Label, Name, Objects, Run, Sight, TypeInfo};
use crate::addr::Addr;
use crate::target::memory::Memory;

impl<M: Memory> Objects<'_, M> {
    /// The value of an attribute of an instance: in its values, its dictionary or a slot. Those of
    /// its class are not looked at.
    ///
    /// # Errors
    /// The object cannot be read.
    pub fn attribute(
        &self,
        object: Addr,
        ty: &TypeInfo,
        name: &str,
    ) -> Result<Option<Addr>, DecodeError> {
        let is_it = |found: &str, _| found == name;
        let mut wanted = Wanted { objects: self, is_it, found: None, dict: None };
        self.instance_referents(object, ty, &mut wanted)?;
        match (wanted.found, wanted.dict) {
            (Some((_, found)), _) => Ok(Some(found)),
            (None, Some(dict)) => self.dict_get(dict, name),
            (None, None) => Ok(None),
        }
    }

    /// The name under which an instance keeps a value.
    ///
    /// # Errors
    /// The object cannot be read.
    pub fn attribute_name(
        &self,
        object: Addr,
        ty: &TypeInfo,
        value: Addr,
    ) -> Result<Option<String>, DecodeError> {
        let is_it = |_: &str, found| found == value;
        let mut wanted = Wanted { objects: self, is_it, found: None, dict: None };
        self.instance_referents(object, ty, &mut wanted)?;
        if let Some((name, _)) = wanted.found {
            return Ok(Some(name));
        }
        let Some(dict) = wanted.dict else { return Ok(None) };
        let mut key = None;
        self.dict_entries(dict, |entry| {
            if entry.value == value {
                key.get_or_insert(entry.key);
            }
        })?;
        key.map(|key| self.text(key)).transpose()
    }
}

/// Keeps one of the references that an instance has.
struct Wanted<'w, 'o, M, F> {
    objects: &'w Objects<'o, M>,
    is_it: F,
    found: Option<(String, Addr)>,
    dict: Option<Addr>,
}

impl<M: Memory, F: Fn(&str, Addr) -> bool> EdgeSink for Wanted<'_, '_, M, F> {
    fn edge(&mut self, _: Sight, target: Addr, label: Label) {
        let text = match label {
            Label::Attribute(Name::Str(at)) | Label::Entry(at, _) => self.objects.text(at),
            Label::Attribute(Name::CStr(at)) => self.objects.c_text(at),
            Label::Namespace("__dict__") => {
                self.dict = Some(target);
                return;
            }
            _ => return,
        };
        if let Ok(text) = text
            && (self.is_it)(&text, target)
        {
            self.found = Some((text, target));
        }
    }

    fn in_run(&mut self, _: Sight, _: Addr, _: Run, _: u32) {}
}
