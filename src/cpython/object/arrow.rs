//! `pyarrow`: Python objects before C++ objects, which share the buffers that hold the data.
//!
//! Nothing here depends on where a release of Arrow keeps what. Each C++ object that is shared is
//! referred to by two words: its address, and its control block. Both begin with the address of a table
//! that leads to the name of the class (the run-time type information of the Itanium C++ ABI). So
//! shared pointers are told from other words, and buffers of Arrow's memory pool from such as belong
//! to others. Only `arrow::Buffer` is laid out as the headers say (`cpp/src/arrow/buffer.h`).

use std::sync::RwLock;

use rustc_hash::{FxHashMap, FxHashSet};

use super::{Objects, TypeInfo};
use crate::addr::Addr;
use crate::target::memory::Memory;

/// `capacity_` and `size_` of an `arrow::Buffer`, behind the table, two flags and the data.
const BUFFER_SIZE: u64 = 24;
const BUFFER_CAPACITY: u64 = 32;
/// Where the object is behind the header of a control block that holds it itself.
const INLINE: u64 = 16;
/// The most C++ objects that are followed from one Python object.
const MOST_OBJECTS: usize = 1 << 16;
/// The most items of a vector that are followed: columns and chunks of a table.
const MOST_ITEMS: u64 = 1 << 20;
/// The largest C++ object that is looked through, in bytes; and one whose size is not known.
const LARGEST: u64 = 4096;
const UNKNOWN: u64 = 128;
/// No buffer is larger, in bytes.
const LARGEST_BUFFER: u64 = 1 << 46;

/// What a C++ object is, by the name of its class.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// A buffer with memory of Arrow's pool.
    PoolBuffer,
    /// An object that leads to buffers, or the control block of one.
    Node,
    /// Something else.
    Other,
}

/// The classes that were met, by the addresses of their tables.
#[derive(Debug, Default)]
pub struct ArrowClasses {
    kinds: RwLock<FxHashMap<Addr, Kind>>,
}

impl ArrowClasses {
    fn kind<M: Memory>(&self, objects: &Objects<'_, M>, table: Addr) -> Kind {
        if let Ok(kinds) = self.kinds.read()
            && let Some(&known) = kinds.get(&table)
        {
            return known;
        }
        let kind = class_name(objects, table).map_or(Kind::Other, |name| kind_of(&name));
        if let Ok(mut kinds) = self.kinds.write() {
            kinds.insert(table, kind);
        }
        kind
    }
}

/// The mangled name of a class: the word before the table leads to the type information, whose second
/// word is the name.
fn class_name<M: Memory>(objects: &Objects<'_, M>, table: Addr) -> Option<String> {
    let info = objects.memory.addr(table - 8).ok()?;
    let name = objects.memory.addr(info + 8).ok()?;
    objects.c_text(name).ok()
}

fn kind_of(name: &str) -> Kind {
    const NODES: [&str; 6] = ["Array", "Table", "RecordBatch", "Chunked", "Scalar", "Buffer"];
    let is_class = name.starts_with("N5arrow");
    let is_control =
        name.starts_with("St") && name.contains("Sp_counted") && name.contains("N5arrow");
    match () {
        () if is_class && name.contains("PoolBuffer") => Kind::PoolBuffer,
        () if (is_class || is_control) && NODES.iter().any(|node| name.contains(node)) => {
            Kind::Node
        }
        () => Kind::Other,
    }
}

impl<M: Memory> Objects<'_, M> {
    /// The buffers of Arrow's memory pool that an object of `pyarrow` keeps, and their sizes in bytes.
    /// Others may keep the same.
    #[must_use]
    pub fn arrow_buffers(
        &self,
        object: Addr,
        ty: &TypeInfo,
        classes: &ArrowClasses,
    ) -> Vec<(Addr, u64)> {
        if !ty.name.starts_with("pyarrow.") {
            return Vec::new();
        }
        let mut walk =
            Walk { objects: self, classes, seen: FxHashSet::default(), left: Vec::new() };
        walk.look_through(object, ty.tp_basicsize.min(LARGEST));
        let mut buffers = Vec::new();
        while let Some((at, bytes)) = walk.left.pop() {
            let table = self.memory.addr(at).unwrap_or_default();
            if classes.kind(self, table) == Kind::PoolBuffer {
                let read = |offset| self.memory.u64(at + offset).unwrap_or(u64::MAX);
                let (size, capacity) = (read(BUFFER_SIZE), read(BUFFER_CAPACITY));
                if size <= capacity && capacity <= LARGEST_BUFFER {
                    buffers.push((at, capacity));
                }
            } else {
                walk.look_through(at, bytes);
            }
        }
        buffers
    }
}

struct Walk<'a, 'o, M> {
    objects: &'a Objects<'o, M>,
    classes: &'a ArrowClasses,
    seen: FxHashSet<Addr>,
    /// Objects that are still to be looked at, and their sizes.
    left: Vec<(Addr, u64)>,
}

impl<M: Memory> Walk<'_, '_, M> {
    /// Follows the shared pointers in an object, and those in its vectors.
    fn look_through(&mut self, at: Addr, bytes: u64) {
        let words: Vec<Addr> =
            (0..bytes / 8).map_while(|nth| self.objects.memory.addr(at + nth * 8).ok()).collect();
        for pair in words.windows(2) {
            if let &[object, control] = pair {
                self.shared(object, control);
            }
        }
        for triple in words.windows(3) {
            if let &[first, end, room] = triple {
                self.vector(first, end, room);
            }
        }
    }

    /// Follows a shared pointer, if it is one.
    fn shared(&mut self, object: Addr, control: Addr) -> bool {
        let is_pointer = |word: Addr| !word.is_null() && word.is_aligned(8) && word.0 < 1 << 47;
        if !is_pointer(object) || !is_pointer(control) || object == control {
            return false;
        }
        let Ok(table) = self.objects.memory.addr(control) else { return false };
        if !is_pointer(table) || self.classes.kind(self.objects, table) != Kind::Node {
            return false;
        }
        if self.seen.len() < MOST_OBJECTS && self.seen.insert(object) {
            let inline = object == control + INLINE;
            // The block of malloc that it is in says how large it is.
            let block = if inline { control } else { object };
            let size = self.objects.memory.u64(block - 8).unwrap_or(0) & !7;
            let size = match size {
                32..=LARGEST => size - 8 - if inline { INLINE } else { 0 },
                _ => UNKNOWN,
            };
            self.left.push((object, size));
        }
        true
    }

    /// Follows the shared pointers of a vector, if these words are one of such.
    fn vector(&mut self, first: Addr, end: Addr, room: Addr) {
        const PAIR: u64 = 16;
        let bytes = end.0.wrapping_sub(first.0);
        let is_vector = !first.is_null()
            && first.is_aligned(8)
            && first < end
            && end <= room
            && bytes.is_multiple_of(PAIR)
            && bytes / PAIR <= MOST_ITEMS;
        if !is_vector {
            return;
        }
        let mut strangers = 0;
        for nth in 0..bytes / PAIR {
            let item = first + nth * PAIR;
            let pair = (self.objects.memory.addr(item), self.objects.memory.addr(item + 8));
            let (Ok(object), Ok(control)) = pair else { return };
            let is_null = object.is_null() && control.is_null();
            if !is_null && !self.shared(object, control) {
                strangers += 1;
            }
            if strangers > 2 {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_told_by_their_names() {
        for (name, kind) in [
            ("N5arrow10PoolBufferE", Kind::PoolBuffer),
            ("N5arrow2py8PyBufferE", Kind::Node),
            ("N5arrow12NumericArrayINS_9Int64TypeEEE", Kind::Node),
            (
                "St23_Sp_counted_ptr_inplaceIN5arrow9ArrayDataESaIvELN9__gnu_cxx12_Lock_policyE2EE",
                Kind::Node,
            ),
            (
                "St23_Sp_counted_ptr_inplaceIN5arrow9Int64TypeESaIvELN9__gnu_cxx12_Lock_policyE2EE",
                Kind::Other,
            ),
            ("N5arrow6SchemaE", Kind::Other),
            ("11SomeoneElse", Kind::Other),
        ] {
            assert_eq!(kind_of(name), kind, "{name}");
        }
    }
}
