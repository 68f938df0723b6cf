//! Live objects that nothing known refers to and that the collector does not track: a reference that
//! C code has leaked, or holds. Only the allocator knows of them.

use std::sync::Arc;

use rayon::prelude::*;

use super::{Blocks, Use};
use crate::addr::{Addr, AddrRange};
use crate::cpython::layout::features::{DICT_SUBCLASS, INLINE_VALUES};
use crate::cpython::object::{Objects, TypeInfo};
use crate::heap::discover::Discovery;
use crate::heap::types::TypeCache;
use crate::target::memory::Memory;

/// What is in a block, if it is an object at all.
enum Looks {
    /// A live object.
    Alive(Addr),
    /// An object that is on a free list.
    Freed,
    /// The table of interned strings, whose references are not counted.
    InternedTable,
}

impl Blocks<'_> {
    /// The live objects in blocks that nothing explains.
    pub(in crate::heap) fn find_orphans<M: Memory>(
        &self,
        discovery: &Discovery<'_, '_, M>,
    ) -> Vec<Addr> {
        self.look(discovery, false)
    }

    /// Marks the blocks of objects that wait on a free list as kept. Called when what objects own is
    /// claimed.
    pub(in crate::heap) fn claim_freed<M: Memory>(&self, discovery: &Discovery<'_, '_, M>) {
        self.look(discovery, true);
    }

    fn look<M: Memory>(&self, discovery: &Discovery<'_, '_, M>, freed: bool) -> Vec<Addr> {
        let found: Vec<Vec<Addr>> = self
            .arenas
            .par_iter()
            .map(|accounted| {
                let mut types = TypeCache::new(discovery.types);
                let mut found = Vec::new();
                for block in Self::unexplained(accounted) {
                    match self.looks(discovery, block, &mut types) {
                        Some(Looks::Alive(object)) => found.push(object),
                        Some(Looks::Freed) if freed => {
                            self.claim(block.start, Use::Kept);
                        }
                        Some(Looks::InternedTable) => {
                            self.claim(block.start, Use::Kept);
                        }
                        Some(Looks::Freed) | None => {}
                    }
                }
                found
            })
            .collect();
        found.into_iter().flatten().collect()
    }

    /// What a block looks like. What objects have in front depends on their type, so every place is
    /// tried against it.
    fn looks<M: Memory>(
        &self,
        discovery: &Discovery<'_, '_, M>,
        block: AddrRange,
        types: &mut TypeCache<'_>,
    ) -> Option<Looks> {
        /// What objects with managed attributes have in front of the collector's header.
        const PRE_HEADER: u64 = 16;
        let objects = discovery.objects;
        let head = objects.layout.gc_head_size;
        let inside = self.inside(block);
        for before in [0, head, PRE_HEADER, head + PRE_HEADER] {
            let object = inside.start + before;
            let Ok(at) = objects.type_at(object) else { continue };
            // The type must be one that is known; it is not enough that it looks like one.
            if !discovery.found.contains(at) {
                continue;
            }
            let Ok(ty) = types.of(objects, object) else { continue };
            let ty = Arc::clone(ty);
            if objects.bytes_before(object, &ty) != before || !fits(objects, object, &ty, inside) {
                continue;
            }
            if !objects.has_sane_ref_count(object) {
                return Some(Looks::Freed);
            }
            if is_interned_table(objects, object, &ty) {
                return Some(Looks::InternedTable);
            }
            if discovery.looks_alive(object, types) {
                return Some(Looks::Alive(object));
            }
        }
        None
    }
}

/// Whether an object fills the block that it is in: it is not larger, and a smaller size class would
/// not do for it.
fn fits(
    objects: &Objects<'_, impl Memory>,
    object: Addr,
    ty: &TypeInfo,
    inside: AddrRange,
) -> bool {
    /// What an object may have been allocated with in addition: the item that closes an array, the
    /// values of an instance.
    const MORE: u64 = 32;
    let Ok(own) = objects.own_bytes(object, ty) else { return false };
    let end = object + own;
    if end > inside.end || end < object {
        return false;
    }
    // A block that shrinks by less than a quarter stays where it is, and a number may be made with
    // more digits than it then has.
    let is_tight = inside.end.0 - end.0 < MORE + ty.tp_itemsize + inside.len() / 4;
    is_tight || ty.has(INLINE_VALUES) || matches!(ty.native_name.as_ref(), "int" | "bool")
}

/// Whether a dictionary is the interpreter's table of interned strings (up to 3.11): each key is its
/// own value, and there are many.
fn is_interned_table(objects: &Objects<'_, impl Memory>, object: Addr, ty: &TypeInfo) -> bool {
    const FEWEST: usize = 500;
    if !ty.has(DICT_SUBCLASS) || ty.is_python_class {
        return false;
    }
    let (mut entries, mut others) = (0, 0);
    let read = objects.dict_entries(object, |entry| {
        entries += 1;
        others += usize::from(entry.key != entry.value);
    });
    read.is_ok() && entries > FEWEST && others == 0
}
