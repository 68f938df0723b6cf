//! Types: what an object of each is made of, resolved once and used for every object.

use std::sync::Arc;

use super::member::{MEMBER_SIZE, OBJECT_TYPES};
use super::native::Native;
use super::{CMethod, DecodeError, Objects};
use crate::addr::Addr;
use crate::cpython::layout::OB_TYPE;
use crate::cpython::layout::features::{
    HAVE_GC, HEAPTYPE, MANAGED_DICT, MANAGED_WEAKREF, TYPE_SUBCLASS,
};
use crate::target::memory::Memory;

/// A slot of `__slots__`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Slot {
    /// Where it is in the object.
    pub offset: u64,
    /// The C string of its name.
    pub name: Addr,
}

/// What is known of a type.
#[derive(Debug, Clone)]
pub struct TypeInfo {
    /// The type object.
    pub addr: Addr,
    /// `module.qualname`.
    pub name: String,
    /// `tp_name`, as C code wrote it.
    pub tp_name: String,
    /// The type of the type.
    pub metatype: Addr,
    /// The base class.
    pub base: Option<Arc<TypeInfo>>,
    /// Bytes of an object without items.
    pub tp_basicsize: u64,
    /// Bytes of an item.
    pub tp_itemsize: u64,
    /// Feature bits.
    pub tp_flags: u64,
    /// Where an object keeps its dictionary, unless that is managed.
    pub tp_dictoffset: i64,
    /// Where an object keeps its list of weak references.
    pub tp_weaklistoffset: i64,
    /// Whether C code can visit the references of its objects.
    pub has_traverse: bool,
    /// The `tp_traverse` of it, or of its nearest base that is no Python class; null if it has none.
    pub native_traverse: Addr,
    /// Whether what finalizes its objects (`tp_finalize`) is C code: no class in Python defines
    /// `__del__`.
    pub finalizes_in_c: bool,
    /// Whether it has a `tp_del`: no collection frees its objects.
    pub has_del: bool,
    /// The `tp_finalize` of it, or of its nearest base that is no Python class.
    native_finalize: Addr,
    /// Its `__sizeof__` in C: what that, or that of its nearest base that is no Python class, calls.
    pub native_sizeof: Option<CMethod>,
    /// Whether a `class` statement or `type()` made it, so that `subtype_traverse` serves it.
    pub is_python_class: bool,
    /// The slots of it and of its bases.
    pub slots: Vec<Slot>,
    /// The members that C code of an unknown type gives a name, those of its bases too.
    pub members: Vec<Slot>,
    /// The keys that its objects share, for those that keep values without a dictionary.
    pub shared_keys: Arc<[Addr]>,
    /// How many values such an object has room for.
    pub shared_capacity: u64,
    /// How C code keeps references.
    pub native: Native,
    /// The nearest base that is no Python class, or the type itself.
    pub native_name: Arc<str>,
    /// The dictionary offset of that base: only what a Python class added is visited by it.
    pub native_dictoffset: i64,
    /// Whether that base is on the heap.
    pub native_is_heap: bool,
    /// Whether a class of Python code defines `__sizeof__`.
    pub sizeof_in_python: bool,
}

impl TypeInfo {
    /// Whether a flag of `tp_flags` is set.
    #[must_use]
    pub const fn has(&self, flag: u64) -> bool {
        self.tp_flags & flag != 0
    }

    /// Whether the type is allocated on the heap.
    #[must_use]
    pub const fn is_heap(&self) -> bool {
        self.has(HEAPTYPE)
    }

    /// Whether its objects are types.
    #[must_use]
    pub const fn is_metatype(&self) -> bool {
        self.has(TYPE_SUBCLASS)
    }

    /// Whether its objects are scanned for references.
    #[must_use]
    pub fn is_scanned(&self) -> bool {
        matches!(self.native, Native::Scan | Native::Module | Native::ForeignType)
    }
}

/// The fields of a type object that say what its objects look like.
pub(super) struct RawType {
    pub(super) name_at: Addr,
    pub(super) basicsize: u64,
    pub(super) itemsize: u64,
    pub(super) flags: u64,
    pub(super) traverse: Addr,
    pub(super) base: Addr,
    pub(super) dictoffset: i64,
    pub(super) weaklistoffset: i64,
    pub(super) finalize: Addr,
    pub(super) del: Addr,
    pub(super) metatype: Addr,
}

/// The largest `tp_basicsize` that is believed, in bytes. CPython has none; the largest seen in
/// public extensions is some hundred kilobytes.
const MAX_BASICSIZE: u64 = 1 << 26;

impl<M: Memory> Objects<'_, M> {
    /// Reads a type object and all that follows from it for its objects. `resolve` gives the
    /// information of the base class.
    ///
    /// # Errors
    /// It is no type, or cannot be read.
    pub fn read_type(
        &self,
        addr: Addr,
        resolve: impl FnOnce(Addr) -> Result<Arc<TypeInfo>, DecodeError>,
    ) -> Result<TypeInfo, DecodeError> {
        let raw = self.read_raw_type(addr)?;
        let base = match raw.base.non_null() {
            Some(base) => Some(resolve(base)?),
            None => None,
        };
        let tp_name = self.c_text(raw.name_at)?;
        let is_heap = raw.flags & HEAPTYPE != 0;
        let ht_name = if is_heap {
            self.memory.addr(addr + self.layout.at.heap_type.ht_name)?
        } else {
            Addr::NULL
        };
        // A class statement points tp_name into the text of ht_name; C code has its own copy. A
        // class whose name is not ASCII has the text cached as UTF-8, which is what is pointed to.
        let is_python_class = is_heap
            && base.is_some()
            && self.is_str(ht_name)?
            && self.utf8_at(ht_name)? == raw.name_at;
        let mut slots = base.as_ref().map(|base| base.slots.clone()).unwrap_or_default();
        if is_python_class {
            self.read_slots(addr, raw.metatype, &mut slots)?;
        }
        let native = match &base {
            Some(base) if is_python_class => base.native.clone(),
            _ => self.native_of(&tp_name, &raw, base.as_deref()),
        };
        let mut members = base.as_ref().map(|base| base.members.clone()).unwrap_or_default();
        if native == Native::Scan && !is_python_class {
            self.read_members(addr, &mut members)?;
        }
        let (native_name, native_dictoffset, native_is_heap) = match &base {
            Some(base) if is_python_class => {
                (Arc::clone(&base.native_name), base.native_dictoffset, base.native_is_heap)
            }
            _ => (Arc::from(tp_name.as_str()), raw.dictoffset, is_heap),
        };
        let (shared_keys, shared_capacity) = self.read_shared_keys(addr, &raw)?;
        let own_sizeof = is_python_class && self.defines(addr, &raw, "__sizeof__")?;
        let sizeof_in_python =
            own_sizeof || base.as_ref().is_some_and(|base| base.sizeof_in_python);
        let native_sizeof = match &base {
            Some(base) if is_python_class => base.native_sizeof,
            Some(base) => self.c_method(addr, raw.flags, "__sizeof__")?.or(base.native_sizeof),
            None => None,
        };
        let native_traverse = match &base {
            Some(base) if is_python_class => base.native_traverse,
            _ => raw.traverse,
        };
        let native_finalize = match &base {
            Some(base) if is_python_class => base.native_finalize,
            _ => raw.finalize,
        };
        Ok(TypeInfo {
            addr,
            finalizes_in_c: !raw.finalize.is_null() && raw.finalize == native_finalize,
            has_del: !raw.del.is_null(),
            native_finalize,
            name: self.type_name(addr, &raw, &tp_name, is_heap)?,
            tp_name,
            metatype: raw.metatype,
            base,
            tp_basicsize: raw.basicsize,
            tp_itemsize: raw.itemsize,
            tp_flags: raw.flags,
            tp_dictoffset: raw.dictoffset,
            tp_weaklistoffset: raw.weaklistoffset,
            has_traverse: !raw.traverse.is_null(),
            native_traverse,
            native_sizeof,
            is_python_class,
            slots,
            members,
            shared_keys,
            shared_capacity,
            native,
            native_name,
            native_dictoffset,
            native_is_heap,
            sizeof_in_python,
        })
    }

    /// Reads the plain fields and rejects what cannot be a type.
    pub(super) fn read_raw_type(&self, addr: Addr) -> Result<RawType, DecodeError> {
        let at = &self.layout.at.ty;
        let implausible = |what, value| DecodeError::Implausible { what, addr, value };
        if !addr.is_aligned(8) {
            return Err(implausible("an address of a type", addr.0));
        }
        let metatype = self.memory.addr(addr + OB_TYPE)?;
        let meta_flags = self.memory.u64(metatype + at.tp_flags)?;
        let metatype_of_metatype = self.memory.addr(metatype + OB_TYPE)?;
        let meta_meta_flags = self.memory.u64(metatype_of_metatype + at.tp_flags)?;
        if meta_flags & TYPE_SUBCLASS == 0 || meta_meta_flags & TYPE_SUBCLASS == 0 {
            return Err(implausible("the type of an object is no type", metatype.0));
        }
        let raw = RawType {
            name_at: self.memory.addr(addr + at.tp_name)?,
            basicsize: self.memory.u64(addr + at.tp_basicsize)?,
            itemsize: self.memory.u64(addr + at.tp_itemsize)?,
            flags: self.memory.u64(addr + at.tp_flags)?,
            traverse: self.memory.addr(addr + at.tp_traverse)?,
            base: self.memory.addr(addr + at.tp_base)?,
            dictoffset: self.memory.i64(addr + at.tp_dictoffset)?,
            weaklistoffset: self.memory.i64(addr + at.tp_weaklistoffset)?,
            finalize: self.memory.addr(addr + at.tp_finalize)?,
            del: self.memory.addr(addr + at.tp_del)?,
            metatype,
        };
        if raw.basicsize < 16 || raw.basicsize > MAX_BASICSIZE {
            return Err(implausible("the size of a type's objects", raw.basicsize));
        }
        if raw.itemsize > MAX_BASICSIZE {
            return Err(implausible("the size of a type's items", raw.itemsize));
        }
        Ok(raw)
    }

    /// Whether there is a `str` at an address.
    pub fn is_str(&self, object: Addr) -> Result<bool, DecodeError> {
        use crate::cpython::layout::features::UNICODE_SUBCLASS;
        if object.is_null() || !object.is_aligned(8) {
            return Ok(false);
        }
        let ty = self.type_at(object)?;
        Ok(self.memory.u64(ty + self.layout.at.ty.tp_flags)? & UNICODE_SUBCLASS != 0)
    }

    /// The slots that a class itself defines: `PyMemberDef`s behind the type object
    /// (`traverse_slots`, `Objects/typeobject.c`).
    fn read_slots(
        &self,
        ty: Addr,
        metatype: Addr,
        slots: &mut Vec<Slot>,
    ) -> Result<(), DecodeError> {
        let count = self.ob_size(ty)?;
        let count = u64::try_from(count).unwrap_or(0);
        if count > self.limits.members {
            let what = "the number of a type's slots";
            return Err(DecodeError::Implausible { what, addr: ty, value: count });
        }
        let members = ty + self.memory.u64(metatype + self.layout.at.ty.tp_basicsize)?;
        for member in 0..count {
            let member = members + member * MEMBER_SIZE;
            if OBJECT_TYPES.contains(&self.memory.i32(member + 8)?) {
                slots.push(Slot {
                    offset: self.memory.u64(member + 16)?,
                    name: self.memory.addr(member)?,
                });
            }
        }
        Ok(())
    }

    /// The keys that objects of a type share (`ht_cached_keys`), and the room for values.
    fn read_shared_keys(&self, ty: Addr, raw: &RawType) -> Result<(Arc<[Addr]>, u64), DecodeError> {
        let none = || (Arc::from(Vec::new()), 0);
        if raw.flags & HEAPTYPE == 0 || raw.flags & MANAGED_DICT == 0 {
            return Ok(none());
        }
        let keys = self.memory.addr(ty + self.layout.at.heap_type.ht_cached_keys)?;
        if keys.is_null() {
            return Ok(none());
        }
        let view = self.dict_keys(keys)?;
        let mut shared = Vec::new();
        for entry in 0..view.nentries {
            shared.push(view.key_at(self.memory, entry)?);
        }
        Ok((Arc::from(shared), view.usable + view.nentries))
    }

    /// `module.qualname` of a type (`type_module` and `type_qualname`, `Objects/typeobject.c`).
    pub(super) fn type_name(
        &self,
        addr: Addr,
        raw: &RawType,
        tp_name: &str,
        is_heap: bool,
    ) -> Result<String, DecodeError> {
        if !is_heap {
            return Ok(match tp_name.contains('.') {
                true => tp_name.to_owned(),
                false => format!("builtins.{tp_name}"),
            });
        }
        let qualname = self.memory.addr(addr + self.layout.at.heap_type.ht_qualname)?;
        let last = tp_name.rsplit('.').next().unwrap_or(tp_name);
        let qualname = match self.is_str(qualname)? {
            true => self.text(qualname)?,
            false => last.to_owned(),
        };
        // A type that is being torn down has lost its dictionary.
        let module = match self.type_dict(addr, raw.flags)? {
            Some(dict) => self.dict_get(dict, "__module__")?,
            None => None,
        };
        Ok(match module {
            Some(module) if self.is_str(module)? => format!("{}.{qualname}", self.text(module)?),
            _ => format!("builtins.{qualname}"),
        })
    }

    /// Whether the collector knows an object (`PyObject_IS_GC`): types that are not on the heap
    /// are the only objects of a type with the flag that it does not.
    #[must_use]
    pub fn is_gc(&self, object: Addr, ty: &TypeInfo) -> bool {
        ty.has(HAVE_GC) && (!ty.is_metatype() || self.is_heap_type(object))
    }

    /// Whether a type object is on the heap.
    pub(super) fn is_heap_type(&self, ty: Addr) -> bool {
        self.memory.u64(ty + self.layout.at.ty.tp_flags).is_ok_and(|flags| flags & HEAPTYPE != 0)
    }

    /// The bytes between the start of an object's block and the object (its pre-header and the
    /// collector's header), in bytes.
    #[must_use]
    pub fn bytes_before(&self, object: Addr, ty: &TypeInfo) -> u64 {
        let head = if self.is_gc(object, ty) { self.layout.gc_head_size } else { 0 };
        let managed = ty.has(self.layout.has.pre_header_flags & (MANAGED_DICT | MANAGED_WEAKREF));
        head + if managed { 16 } else { 0 }
    }

    /// `type.__sizeof__` (`type___sizeof___impl`, `Objects/typeobject.c`).
    pub(super) fn type_size(&self, object: Addr) -> Result<u64, DecodeError> {
        let at = &self.layout.at;
        if !self.is_heap_type(object) {
            return Ok(at.ty.sizeof);
        }
        let keys = self.reference(object + at.heap_type.ht_cached_keys)?;
        let keys = match keys {
            Some(keys) => self.dict_keys(keys)?.bytes,
            None => 0,
        };
        Ok(at.heap_type.sizeof + keys)
    }
}
