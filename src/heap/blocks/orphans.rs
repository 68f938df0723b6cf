//! Live objects that nothing known refers to and that the collector does not track: a reference that
//! C code has leaked, or holds. Only the allocator knows of them.
//!
//! Here something has to be guessed, so they are listed apart. A block may also have an object in it
//! that a call in progress has just made and frees a moment later: it is alive now, but the process
//! cannot confirm it afterwards. So the graph, of which every object can be confirmed, has none.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rayon::prelude::*;
use rustc_hash::FxHashSet;

use super::{Blocks, ORPHAN, REFERRED, Use};
use crate::addr::{Addr, AddrRange};
use crate::cpython::layout::features::{DICT_SUBCLASS, INLINE_VALUES};
use crate::cpython::object::{Count, EdgeSink, Label, Objects, Run, Sight, TypeInfo};
use crate::heap::discover::Discovery;
use crate::heap::types::TypeCache;
use crate::target::memory::Memory;

/// A live object that only the allocator knows of, and that no other such object refers to.
#[derive(Debug, Clone)]
pub struct Orphan {
    /// Its address.
    pub addr: Addr,
    /// Its type.
    pub ty: Arc<TypeInfo>,
    /// `sys.getsizeof`, in bytes.
    pub shallow_bytes: u64,
    /// Memory that it owns beside that, in bytes.
    pub buffer_bytes: u64,
    /// Its reference count; 0 if it is immortal.
    pub references: u32,
    /// Its address stands in memory that an object, the interpreter or a binary leads to.
    pub is_referred: bool,
}

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
    /// The live objects in blocks that nothing explains, and claims these and what they own.
    pub(super) fn find_orphans<M: Memory>(&self, discovery: &Discovery<'_, '_, M>) -> Vec<Addr> {
        let objects = discovery.objects;
        let alive = self.look(discovery, false);
        for &object in &alive {
            if let Some(block) = self.at(object) {
                block.used.store(ORPHAN, Ordering::Relaxed);
            }
        }
        let mut types = TypeCache::new(discovery.types);
        for &object in &alive {
            self.claim_owned(objects, object, &mut types);
        }
        alive
    }

    /// Marks the blocks of objects that wait on a free list as kept. Called when what objects own is
    /// claimed.
    pub(super) fn claim_freed<M: Memory>(&self, discovery: &Discovery<'_, '_, M>) {
        self.look(discovery, true);
    }

    /// Says what those of the objects in `alive` are that no other of them refers to. Called when all
    /// blocks are claimed.
    pub(super) fn describe<M: Memory>(
        &self,
        discovery: &Discovery<'_, '_, M>,
        alive: Vec<Addr>,
    ) -> Vec<Orphan> {
        let objects = discovery.objects;
        let mut types = TypeCache::new(discovery.types);
        let mut targets = Targets::default();
        for &object in &alive {
            let Ok(ty) = types.of(objects, object) else { continue };
            // They could be read a moment ago, from memory that stands still.
            let _ = objects.referents(object, ty, false, &mut targets);
        }
        let is_orphan = |object: &Addr| !targets.seen.contains(object);
        let describe = |addr: Addr| {
            let ty = Arc::clone(types.of(objects, addr).ok()?);
            let size = objects.size(addr, &ty).ok()?;
            let references = match objects.ref_count(addr).ok()? {
                Count::Of(count) => count,
                Count::Immortal => 0,
            };
            let used = self.at(addr)?.used.load(Ordering::Relaxed);
            Some(Orphan {
                addr,
                ty,
                shallow_bytes: size.shallow,
                buffer_bytes: size.buffer,
                references,
                is_referred: used == REFERRED,
            })
        };
        alive.into_iter().filter(is_orphan).filter_map(describe).collect()
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
                // Not so a link: a block that is handed out has that of its former life in it, and
                // the type of the object that was there.
                let is_freed = objects.ref_count(object) == Ok(Count::Of(0));
                return is_freed.then_some(Looks::Freed);
            }
            if is_interned_table(objects, object, &ty) {
                return Some(Looks::InternedTable);
            }
            if objects.is_terminated(object, &ty) && discovery.looks_alive(object, types) {
                return Some(Looks::Alive(object));
            }
        }
        None
    }
}

/// The targets of references.
#[derive(Default)]
struct Targets {
    seen: FxHashSet<Addr>,
}

impl EdgeSink for Targets {
    fn edge(&mut self, _: Sight, target: Addr, _: Label) {
        self.seen.insert(target);
    }

    fn in_run(&mut self, _: Sight, target: Addr, _: Run, _: u32) {
        self.seen.insert(target);
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
