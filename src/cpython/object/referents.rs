//! All references of one object: what `gc.get_referents` returns, and what it does not.

use super::{DecodeError, EdgeSink, Label, Name, Native, Objects, Run, Sight, TypeInfo};
use crate::addr::Addr;
use crate::cpython::layout::OBJECT_SIZE;
use crate::target::memory::Memory;

/// Makes every edge a hidden one: for objects that the collector does not know, whose
/// `tp_traverse` it never calls.
struct Hiding<'a, S>(&'a mut S);

impl<S: EdgeSink> EdgeSink for Hiding<'_, S> {
    fn edge(&mut self, _: Sight, target: Addr, label: Label) {
        self.0.edge(Sight::Hidden, target, label);
    }

    fn in_run(&mut self, _: Sight, target: Addr, run: Run, nth: u32) {
        self.0.in_run(Sight::Hidden, target, run, nth);
    }

    fn guessed(&mut self) {
        self.0.guessed();
    }
}

impl<M: Memory> Objects<'_, M> {
    /// Emits the references of an object. `namespace` says that it is a dictionary whose keys are
    /// names from code.
    ///
    /// # Errors
    /// A part of it cannot be read or cannot be right; what was emitted before stands.
    pub fn referents(
        &self,
        object: Addr,
        ty: &TypeInfo,
        namespace: bool,
        sink: &mut impl EdgeSink,
    ) -> Result<(), DecodeError> {
        if self.is_gc(object, ty) && ty.has_traverse {
            self.all_referents(object, ty, namespace, sink)
        } else {
            self.all_referents(object, ty, namespace, &mut Hiding(sink))
        }
    }

    fn all_referents(
        &self,
        object: Addr,
        ty: &TypeInfo,
        namespace: bool,
        sink: &mut impl EdgeSink,
    ) -> Result<(), DecodeError> {
        if ty.is_scanned() {
            return self.foreign_referents(object, ty, sink);
        }
        self.instance_referents(object, ty, sink)?;
        match &ty.native {
            Native::None => Ok(()),
            Native::Fields(fields) | Native::Function(fields) => {
                self.fields_referents(object, fields, sink)
            }
            Native::Cell => self.cell_referents(object, sink),
            Native::List => self.list_referents(object, sink),
            Native::Tuple => self.tuple_referents(object, sink),
            Native::StructSequence => self.struct_sequence_referents(object, ty, sink),
            Native::Dict => self.dict_referents(object, namespace, sink),
            Native::DefaultDict => {
                self.dict_referents(object, namespace, sink)?;
                let at = object + self.layout.at.default_dict.default_factory;
                let label = Label::Attribute(Name::Known("default_factory"));
                self.field(at, Sight::Visited, label, sink)
            }
            Native::OrderedDict => {
                self.dict_referents(object, namespace, sink)?;
                self.ordered_dict_referents(object, sink)
            }
            Native::StgDict => {
                self.dict_referents(object, namespace, sink)?;
                self.stg_dict_referents(object, sink)
            }
            Native::Set => self.set_referents(object, sink),
            Native::Type => self.type_referents(object, sink),
            Native::CTypesType => {
                self.type_referents(object, sink)?;
                self.stg_info_referents(object, ty, sink)
            }
            Native::Code => self.code_referents(object, sink),
            Native::Frame => self.frame_object_referents(object, sink),
            Native::Generator | Native::Coroutine | Native::AsyncGenerator => {
                self.generator_referents(object, &ty.native, sink)
            }
            Native::CFunction => self.c_function_referents(object, sink),
            Native::WeakReference => {
                let at = object + self.layout.at.weak_reference.wr_callback;
                let label = Label::Attribute(Name::Known("__callback__"));
                self.field(at, Sight::Visited, label, sink)
            }
            Native::MemoryView => self.memory_view_referents(object, sink),
            Native::ManagedBuffer => self.managed_buffer_referents(object, sink),
            Native::Deque => self.deque_referents(object, sink),
            Native::LruCache(fields) => {
                self.fields_referents(object, fields, sink)?;
                self.lru_cache_referents(object, sink)
            }
            Native::TeeData => self.tee_data_referents(object, sink),
            Native::HamtArray => {
                let at = object + self.layout.at.hamt_array.a_array;
                self.words(at, 32, "a node", |nth, child| {
                    sink.in_run(Sight::Visited, child, Run::Items, nth);
                })
            }
            Native::HamtBitmap => {
                let len = self.item_count(object, "the size of a node")?;
                let at = object + self.layout.at.hamt_bitmap.b_array;
                self.words(at, len, "the size of a node", |nth, child| {
                    sink.in_run(Sight::Visited, child, Run::Items, nth);
                })
            }
            Native::SimpleQueue => self.simple_queue_referents(object, sink),
            Native::Element(_) => self.element_referents(object, sink),
            Native::NdArray => self.ndarray_referents(object, ty, sink),
            Native::Scan | Native::Module | Native::ForeignType => Ok(()),
        }
    }

    /// Every word of an object of an unknown C type that may be a reference, with its offset. The
    /// walk decides which are objects.
    ///
    /// # Errors
    /// The object cannot be read.
    pub fn scan(
        &self,
        object: Addr,
        ty: &TypeInfo,
        mut each: impl FnMut(u32, Addr),
    ) -> Result<(), DecodeError> {
        /// Larger instances are searched no further: they are buffers, not structures.
        const MAX_SCAN: u64 = 1 << 16;
        if ty.native == Native::Module {
            return self.scan_module_state(object, each);
        }
        let native = self.native_base(ty);
        let start = match ty.native {
            Native::ForeignType => self.layout.at.heap_type.sizeof.next_multiple_of(8),
            _ => OBJECT_SIZE,
        };
        let end = native.tp_basicsize.min(MAX_SCAN) & !7;
        let weak = u64::try_from(native.tp_weaklistoffset).unwrap_or(0);
        if end > start {
            self.words(object + start, (end - start) / 8, "an object", |nth, word| {
                let offset = start + u64::from(nth) * 8;
                if weak == 0 || offset != weak {
                    each(u32::try_from(offset).unwrap_or(u32::MAX), word);
                }
            })?;
        }
        if native.tp_itemsize == 8 {
            let len = u64::try_from(self.ob_size(object)?).unwrap_or(0);
            if len < MAX_SCAN {
                self.words(object + native.tp_basicsize, len, "an object's items", |nth, word| {
                    let offset = native.tp_basicsize + u64::from(nth) * 8;
                    each(u32::try_from(offset).unwrap_or(u32::MAX), word);
                })?;
            }
        }
        Ok(())
    }

    /// The nearest base that is no Python class.
    pub(super) fn native_base<'t>(&self, ty: &'t TypeInfo) -> &'t TypeInfo {
        let mut base = ty;
        while base.is_python_class {
            match &base.base {
                Some(next) => base = next,
                None => break,
            }
        }
        base
    }
}
