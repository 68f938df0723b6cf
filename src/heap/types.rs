//! The types of a heap, each resolved once and shared by all workers.

use std::collections::hash_map::Entry;
use std::sync::{Arc, RwLock};

use rustc_hash::FxHashMap;

use crate::addr::Addr;
use crate::cpython::object::{DecodeError, Objects, TypeInfo};
use crate::target::memory::Memory;

/// What is known of an address that objects name as their type.
type Resolved = Result<Arc<TypeInfo>, DecodeError>;

/// All types that were met.
#[derive(Debug, Default)]
pub(super) struct Types {
    by_addr: RwLock<FxHashMap<Addr, Resolved>>,
}

impl Types {
    /// The type at an address, read at the first call.
    pub(super) fn resolve(&self, objects: &Objects<'_, impl Memory>, addr: Addr) -> Resolved {
        self.resolve_within(objects, addr, objects.limits.type_depth)
    }

    fn resolve_within(
        &self,
        objects: &Objects<'_, impl Memory>,
        addr: Addr,
        depth: usize,
    ) -> Resolved {
        if let Ok(types) = self.by_addr.read()
            && let Some(resolved) = types.get(&addr)
        {
            return resolved.clone();
        }
        let too_deep =
            DecodeError::Implausible { what: "a chain of base types", addr, value: depth as u64 };
        let depth = depth.checked_sub(1).ok_or(too_deep)?;
        let resolved =
            objects.read_type(addr, |base| self.resolve_within(objects, base, depth)).map(Arc::new);
        match self.by_addr.write() {
            // Another worker may have been faster: all use the same value.
            Ok(mut types) => match types.entry(addr) {
                Entry::Occupied(entry) => entry.get().clone(),
                Entry::Vacant(entry) => entry.insert(resolved).clone(),
            },
            Err(_) => resolved,
        }
    }
}

/// A worker's own view of the types, without locks.
pub(super) struct TypeCache<'t> {
    types: &'t Types,
    by_addr: FxHashMap<Addr, Resolved>,
}

impl<'t> TypeCache<'t> {
    pub(super) fn new(types: &'t Types) -> Self {
        Self { types, by_addr: FxHashMap::default() }
    }

    /// The type of an object.
    pub(super) fn of(
        &mut self,
        objects: &Objects<'_, impl Memory>,
        object: Addr,
    ) -> Result<&Arc<TypeInfo>, DecodeError> {
        let addr = objects.type_at(object)?;
        let resolved =
            self.by_addr.entry(addr).or_insert_with(|| self.types.resolve(objects, addr));
        resolved.as_ref().map_err(|error| *error)
    }
}
