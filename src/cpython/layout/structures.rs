//! The structures that decoders look into, with the offsets of one interpreter filled in.
//!
//! Fields are named as in CPython. A field that not every version has is an `Option`; the
//! features in [`super::features`] say how the versions differ in meaning.

use super::table::{MissingField, Offsets};

/// Declares a structure of offsets and how it is filled from the table.
macro_rules! structures {
    ($(
        $(#[$doc:meta])*
        $name:ident from $c:literal {
            $( $field:ident $(= $c_field:literal)? ),* $(,)?
            $( ; $( $optional:ident $(= $c_optional:literal)? ),* $(,)? )?
        }
    )*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy, PartialEq, Eq)]
            #[allow(missing_docs, reason = "the fields are those of the C structure")]
            pub struct $name {
                $( pub $field: u64, )*
                $( $( pub $optional: Option<u64>, )* )?
            }

            impl $name {
                /// Fills in the offsets of one interpreter.
                ///
                /// # Errors
                /// The table lacks a field that every version should have.
                pub fn from(offsets: &Offsets) -> Result<Self, MissingField> {
                    Ok(Self {
                        $( $field: offsets.get($c, name!($field $($c_field)?))?.into(), )*
                        $( $( $optional: offsets
                            .find($c, name!($optional $($c_optional)?)).map(u64::from), )* )?
                    })
                }
            }
        )*
    };
}

/// The name in the table: the field's own unless another one is given.
macro_rules! name {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $c_field:literal) => {
        $c_field
    };
}

structures! {
    /// `PyTypeObject` (`Include/cpython/object.h`).
    Type from "PyTypeObject" {
        sizeof, tp_name, tp_basicsize, tp_itemsize, tp_flags, tp_traverse, tp_members, tp_weaklistoffset,
        tp_base, tp_dict, tp_dictoffset, tp_bases, tp_mro, tp_cache, tp_subclasses, tp_del,
        tp_finalize,
    }
    /// `PyHeapTypeObject` (`Include/cpython/object.h`).
    HeapType from "PyHeapTypeObject" {
        sizeof, ht_name, ht_slots, ht_qualname, ht_cached_keys;
        ht_module,
    }
    /// `managed_static_type_state` (`Include/internal/pycore_typeobject.h`), one for each static
    /// type and interpreter.
    StaticTypeState from "managed_static_type_state" {
        ;
        sizeof, type_ = "type", tp_dict, tp_subclasses,
    }
    /// `PyASCIIObject` (`Include/cpython/unicodeobject.h`).
    Ascii from "PyASCIIObject" { sizeof, length, state; wstr }
    /// `PyCompactUnicodeObject`.
    CompactUnicode from "PyCompactUnicodeObject" { sizeof, utf8_length, utf8; wstr_length }
    /// `PyUnicodeObject`.
    Unicode from "PyUnicodeObject" { sizeof, data }
    /// `PyBytesObject` (`Include/cpython/bytesobject.h`).
    Bytes from "PyBytesObject" { ob_sval }
    /// `PyByteArrayObject` (`Include/cpython/bytearrayobject.h`).
    ByteArray from "PyByteArrayObject" { ob_alloc; ob_bytes_object }
    /// `PyListObject` (`Include/cpython/listobject.h`).
    List from "PyListObject" { ob_item, allocated }
    /// `PyTupleObject` (`Include/cpython/tupleobject.h`).
    Tuple from "PyTupleObject" { ob_item }
    /// `PySetObject` (`Include/setobject.h`).
    Set from "PySetObject" { used, mask, table, smalltable }
    /// `PyDictObject` (`Include/cpython/dictobject.h`).
    Dict from "PyDictObject" { sizeof, ma_used, ma_keys, ma_values }
    /// `struct _dictkeysobject` (`Include/internal/pycore_dict.h`).
    DictKeysObject from "_dictkeysobject" {
        dk_refcnt, dk_usable, dk_nentries, dk_indices;
        dk_size, dk_lookup, dk_log2_size, dk_log2_index_bytes, dk_kind,
    }
    /// `PyDictValues` (`Include/internal/pycore_dict.h`).
    DictValues from "PyDictValues" { ; values, valid, embedded }
    /// `PyODictObject` (`Objects/odictobject.c`).
    OrderedDict from "PyODictObject" { od_first, od_fast_nodes_size, od_inst_dict }
    /// `struct _odictnode`.
    OrderedDictNode from "_odictnode" { sizeof, key, next }
    /// `defdictobject` (`Modules/_collectionsmodule.c`).
    DefaultDict from "defdictobject" { default_factory }
    /// `dequeobject` (`Modules/_collectionsmodule.c`).
    Deque from "dequeobject" { leftblock, rightblock, leftindex, rightindex }
    /// `struct BLOCK` of a deque.
    DequeBlock from "BLOCK" { sizeof, data, rightlink }
    /// `PyCodeObject` (`Include/cpython/code.h`).
    Code from "PyCodeObject" {
        co_argcount, co_kwonlyargcount, co_stacksize, co_flags, co_firstlineno, co_filename, co_name, co_consts, co_names, co_extra;
        co_nlocals, co_varnames, co_freevars, co_cellvars, co_cell2arg, co_code, co_opcache_map,
        co_opcache, co_opcache_size, co_nlocalsplus, co_localsplusnames, co_localspluskinds,
        co_qualname, co_linetable, co_lnotab, co_exceptiontable, _co_cached, _co_code,
        co_code_adaptive, _co_monitoring,
    }
    /// `_PyCoMonitoringData` (`Include/cpython/code.h`).
    CodeMonitoring from "_PyCoMonitoringData" { ; lines, per_instruction_opcodes }
    /// `_PyCoCached`.
    CodeCache from "_PyCoCached" { ; _co_code, _co_varnames, _co_cellvars, _co_freevars }
    /// `PyFrameObject` (`Include/internal/pycore_frame.h`).
    FrameObject from "PyFrameObject" {
        sizeof, f_back, f_trace;
        f_frame, f_code, f_builtins, f_globals, f_locals, f_valuestack, f_stacktop, f_stackdepth,
        f_localsplus, f_lasti, f_iblock, f_blockstack, f_extra_locals, f_locals_cache, f_overwritten_fast_locals, _f_frame_data,
    }
    /// `_PyInterpreterFrame` (`Include/internal/pycore_frame.h`).
    InterpreterFrame from "_PyInterpreterFrame" {
        ;
        f_executable, f_code, f_func, f_funcobj, f_globals, f_builtins, f_locals, frame_obj,
        previous, stacktop, stackpointer, owner, localsplus, prev_instr, instr_ptr,
    }
    /// `PyGenObject`, `PyCoroObject` and `PyAsyncGenObject` (`Include/cpython/genobject.h`).
    Generator from "PyGenObject" {
        gi_name, gi_qualname, gi_exc_state;
        gi_frame, gi_code, gi_frame_state, gi_iframe, gi_origin_or_finalizer,
    }
    /// The part of `PyCoroObject` that a generator does not have.
    Coroutine from "PyCoroObject" { ; cr_origin }
    /// The part of `PyAsyncGenObject` that a generator does not have.
    AsyncGenerator from "PyAsyncGenObject" { ; ag_finalizer }
    /// `_PyErr_StackItem` (`Include/cpython/pystate.h`).
    ExceptionState from "_err_stackitem" { exc_value, previous_item; exc_type, exc_traceback }
    /// `PyModuleObject` (`Include/internal/pycore_moduleobject.h`).
    Module from "PyModuleObject" { md_dict, md_name, md_state; md_def, md_state_size }
    /// `PyFunctionObject` (`Include/cpython/funcobject.h`).
    Function from "PyFunctionObject" { func_code, func_closure }
    /// `PyCFunctionObject` (`Include/cpython/methodobject.h`).
    CFunction from "PyCFunctionObject" { m_ml, m_self, m_module }
    /// `PyCMethodObject` (`Include/cpython/methodobject.h`).
    CMethod from "PyCMethodObject" { ; mm_class }
    /// `PyWeakReference` (`Include/cpython/weakrefobject.h`).
    WeakReference from "PyWeakReference" { wr_object, wr_callback }
    /// `arrayobject` (`Modules/arraymodule.c`).
    Array from "arrayobject" { ob_item, allocated, ob_descr }
    /// `bytesio` (`Modules/_io/bytesio.c`).
    BytesIo from "bytesio" { buf }
    /// `buffered` (`Modules/_io/bufferedio.c`).
    Buffered from "buffered" { buffer, buffer_size }
    /// `lru_cache_object` (`Modules/_functoolsmodule.c`).
    LruCache from "lru_cache_object" { root }
    /// `lru_list_elem`.
    LruCacheElement from "lru_list_elem" { next, key, result }
    /// `teedataobject` (`Modules/itertoolsmodule.c`).
    TeeData from "teedataobject" { it, numread, nextlink, values }
    /// `productobject`.
    Product from "productobject" { pools }
    /// `permutationsobject`.
    Permutations from "permutationsobject" { pool, r }
    /// `combinationsobject`.
    Combinations from "combinationsobject" { r }
    /// `ElementObject` (`Modules/_elementtree.c`).
    Element from "ElementObject" { extra }
    /// `ElementObjectExtra`.
    ElementExtra from "ElementObjectExtra" {
        sizeof, attrib, length, allocated, children, inline_children = "_children",
    }
    /// `PyStructObject` (`Modules/_struct.c`).
    StructObject from "PyStructObject" { s_codes }
    /// `PicklerObject` (`Modules/_pickle.c`).
    Pickler from "PicklerObject" { sizeof, memo, output_buffer }
    /// `UnpicklerObject`.
    Unpickler from "UnpicklerObject" {
        sizeof, stack, memo, memo_size, input_line, encoding, errors, marks, marks_size
    }
    /// `simplequeueobject` (`Modules/_queuemodule.c`).
    SimpleQueue from "simplequeueobject" {
        ;
        lst, lst_pos, put_idx = "buf.put_idx", get_idx = "buf.get_idx", items = "buf.items",
        items_cap = "buf.items_cap", num_items = "buf.num_items",
    }
    /// `fileio` (`Modules/_io/fileio.c`).
    FileIo from "fileio" { fd }
    /// `PySocketSockObject` (`Modules/socketmodule.h`).
    Socket from "PySocketSockObject" { sock_fd }
    /// `PyMethodObject` (`Include/cpython/classobject.h`).
    Method from "PyMethodObject" { im_self }
    /// `PyTracebackObject` (`Include/cpython/traceback.h`).
    Traceback from "PyTracebackObject" { tb_next, tb_frame, tb_lasti, tb_lineno }
    /// `PyBaseExceptionObject` (`Include/cpython/pyerrors.h`).
    BaseException from "PyBaseExceptionObject" { traceback }
    /// `FutureObj` (`Modules/_asynciomodule.c`), with which a `TaskObj` begins.
    Future from "FutureObj" { fut_loop, fut_state, fut_exception, fut_callbacks, fut_callback0 }
    /// `TaskObj` (`Modules/_asynciomodule.c`).
    Task from "TaskObj" { task_fut_waiter, task_coro, task_name; task_num_cancels_requested }
    /// `PyHamtNode_Array` (`Include/internal/pycore_hamt.h`).
    HamtArray from "PyHamtNode_Array" { a_array }
    /// `PyHamtNode_Bitmap`; a collision node has its array at the same place.
    HamtBitmap from "PyHamtNode_Bitmap" { b_array }
    /// `StgDictObject` (`Modules/_ctypes/ctypes.h`), up to 3.12.
    StgDict from "StgDictObject" {
        ;
        sizeof, proto, argtypes, converters, restype, checker, format, ndim, ffi_type_pointer,
        length,
    }
    /// `StgInfo` (`Modules/_ctypes/ctypes.h`), from 3.13 on.
    StgInfo from "StgInfo" {
        ;
        sizeof, proto, argtypes, converters, restype, checker, module, pointer_type, format, ndim,
        ffi_type_pointer, length,
    }
    /// `PyMemoryViewObject` (`Include/memoryobject.h`).
    MemoryView from "PyMemoryViewObject" { mbuf, view }
    /// `_PyManagedBufferObject`.
    ManagedBuffer from "_PyManagedBufferObject" { master }
    /// `_gc_runtime_state` (`Include/internal/pycore_interp_structs.h`).
    Gc from "_gc_runtime_state" {
        sizeof, enabled, generations, permanent_generation, generation_stats, collecting, garbage,
        callbacks,
    }
    /// `struct gc_generation`.
    GcGeneration from "gc_generation" { sizeof, threshold, count }
    /// `struct gc_generation_stats`.
    GcGenerationStats from "gc_generation_stats" { sizeof, collections }
    /// `_PyRuntimeState` (`Include/internal/pycore_runtime_structs.h`).
    Runtime from "_PyRuntimeState" {
        sizeof, interpreters_head = "interpreters.head", interpreters_main = "interpreters.main";
        gc, ceval_gil = "ceval.gil", ceval_pending = "ceval.pending",
        pending_mainthread = "ceval.pending_mainthread",
        interpreter_leaks = "obmalloc.interpreter_leaks",
    }
    /// `PyInterpreterState` (`Include/internal/pycore_interp_structs.h`).
    Interpreter from "PyInterpreterState" {
        sizeof, next, id, sysdict, builtins;
        gc, ceval_gil = "ceval.gil", ceval_pending = "ceval.pending", threads_head = "threads.head", tstate_head, modules,
        imports_modules = "imports.modules", imports_modules_by_index = "imports.modules_by_index",
        modules_by_index, imports_importlib = "imports.importlib", importlib,
        imports_import_func = "imports.import_func", import_func,
        codecs_search_path = "codecs.search_path", codecs_search_cache = "codecs.search_cache",
        codecs_error_registry = "codecs.error_registry", codec_search_path, codec_search_cache,
        codec_error_registry, dict, sysdict_copy, builtins_copy, before_forkers,
        after_forkers_parent, after_forkers_child, pyexitmodule, atexit, obmalloc, feature_flags,
        audit_hooks, object_state, types_builtins = "types.builtins",
        types_for_extensions = "types.for_extensions",
        interned_strings = "cached_objects.interned_strings", objreduce = "cached_objects.objreduce",
        common_consts, exc_state,
        isinstance = "callable_cache.isinstance", len = "callable_cache.len",
        list_append = "callable_cache.list_append",
        object_getattribute = "callable_cache.object__getattribute__",
    }
    /// `struct pool_header` (`Objects/obmalloc.c`).
    PoolHeader from "pool_header" {
        sizeof, count = "ref", freeblock, arenaindex, szidx, nextoffset, maxnextoffset,
    }
    /// `struct arena_object` (`Objects/obmalloc.c`).
    ArenaObject from "arena_object" {
        sizeof, address, pool_address, nfreepools, ntotalpools, nextarena,
    }
    /// `struct _obmalloc_state` (`Include/internal/pycore_obmalloc.h`).
    Obmalloc from "_obmalloc_state" {
        ;
        arenas = "mgmt.arenas", maxarenas = "mgmt.maxarenas",
        raw_allocated_blocks = "mgmt.raw_allocated_blocks",
    }
    /// `struct _pending_calls` (`Include/internal/pycore_ceval_state.h`): a ring of calls.
    PendingCalls from "_pending_calls" { ; npending, calls, first, last, next }
    /// `struct _pending_call`.
    PendingCall from "_pending_call" { ; sizeof, arg }
    /// `struct atexit_state` (`Include/internal/pycore_atexit.h`), 3.10 and later.
    AtexitState from "atexit_state" { ; callbacks, ncallbacks }
    /// `PyThreadState` (`Include/cpython/pystate.h`).
    Thread from "PyThreadState" {
        prev, next, interp, dict, async_exc, thread_id, context, exc_info, exc_state, c_profileobj,
        c_traceobj, async_gen_firstiter, async_gen_finalizer;
        frame, cframe, current_frame, native_thread_id, curexc_type, curexc_value,
        curexc_traceback, current_exception, threading_local_key, threading_local_sentinel,
        datastack_chunk, delete_later,
    }
    /// `_PyThreadStateImpl` (`Include/internal/pycore_tstate.h`), which begins with the above.
    ThreadImpl from "_PyThreadStateImpl" { ; asyncio_running_loop, asyncio_running_task }
    /// `_PyCFrame` (`Include/cpython/pystate.h`), 3.10 to 3.12.
    CFrame from "_PyCFrame" { ; current_frame }
    /// `struct _gil_runtime_state` (`Include/internal/pycore_gil.h`).
    Gil from "_gil_runtime_state" { last_holder, locked }
    /// `lockobject` (`Modules/_threadmodule.c`), `_thread.lock`.
    Lock from "lockobject" { ; lock_lock, locked, lock }
    /// `rlockobject` (`Modules/_threadmodule.c`), `_thread.RLock`.
    RLock from "rlockobject" { ; rlock_lock, rlock_owner, rlock_count, lock }
}

/// All structures of one interpreter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each field is the structure of its type")]
pub struct Structures {
    pub ty: Type,
    pub heap_type: HeapType,
    pub static_type_state: StaticTypeState,
    pub ascii: Ascii,
    pub compact_unicode: CompactUnicode,
    pub unicode: Unicode,
    pub bytes: Bytes,
    pub byte_array: ByteArray,
    pub list: List,
    pub tuple: Tuple,
    pub set: Set,
    pub dict: Dict,
    pub dict_keys: DictKeysObject,
    pub dict_values: DictValues,
    pub ordered_dict: OrderedDict,
    pub ordered_dict_node: OrderedDictNode,
    pub default_dict: DefaultDict,
    pub deque: Deque,
    pub deque_block: DequeBlock,
    pub code: Code,
    pub code_cache: CodeCache,
    pub code_monitoring: CodeMonitoring,
    pub frame_object: FrameObject,
    pub interpreter_frame: InterpreterFrame,
    pub generator: Generator,
    pub coroutine: Coroutine,
    pub async_generator: AsyncGenerator,
    pub exception_state: ExceptionState,
    pub module: Module,
    pub function: Function,
    pub c_function: CFunction,
    pub c_method: CMethod,
    pub weak_reference: WeakReference,
    pub array: Array,
    pub bytes_io: BytesIo,
    pub buffered: Buffered,
    pub lru_cache: LruCache,
    pub lru_cache_element: LruCacheElement,
    pub tee_data: TeeData,
    pub product: Product,
    pub permutations: Permutations,
    pub combinations: Combinations,
    pub element: Element,
    pub element_extra: ElementExtra,
    pub struct_object: StructObject,
    pub pickler: Pickler,
    pub unpickler: Unpickler,
    pub simple_queue: SimpleQueue,
    pub file_io: FileIo,
    pub socket: Socket,
    pub method: Method,
    pub traceback: Traceback,
    pub base_exception: BaseException,
    pub future: Future,
    pub task: Task,
    pub hamt_array: HamtArray,
    pub hamt_bitmap: HamtBitmap,
    pub pending_calls: PendingCalls,
    pub pending_call: PendingCall,
    pub atexit_state: AtexitState,
    pub stg_dict: StgDict,
    pub stg_info: StgInfo,
    pub memory_view: MemoryView,
    pub managed_buffer: ManagedBuffer,
    pub gc: Gc,
    pub gc_generation: GcGeneration,
    pub gc_generation_stats: GcGenerationStats,
    pub runtime: Runtime,
    pub interpreter: Interpreter,
    pub pool_header: PoolHeader,
    pub arena_object: ArenaObject,
    pub obmalloc: Obmalloc,
    pub thread: Thread,
    pub thread_impl: ThreadImpl,
    pub c_frame: CFrame,
    pub gil: Gil,
    pub lock: Lock,
    pub rlock: RLock,
}

impl Structures {
    /// Fills in the offsets of one interpreter.
    ///
    /// # Errors
    /// The table lacks a field that every version should have.
    pub fn from(offsets: &Offsets) -> Result<Self, MissingField> {
        Ok(Self {
            ty: Type::from(offsets)?,
            heap_type: HeapType::from(offsets)?,
            static_type_state: StaticTypeState::from(offsets)?,
            ascii: Ascii::from(offsets)?,
            compact_unicode: CompactUnicode::from(offsets)?,
            unicode: Unicode::from(offsets)?,
            bytes: Bytes::from(offsets)?,
            byte_array: ByteArray::from(offsets)?,
            list: List::from(offsets)?,
            tuple: Tuple::from(offsets)?,
            set: Set::from(offsets)?,
            dict: Dict::from(offsets)?,
            dict_keys: DictKeysObject::from(offsets)?,
            dict_values: DictValues::from(offsets)?,
            ordered_dict: OrderedDict::from(offsets)?,
            ordered_dict_node: OrderedDictNode::from(offsets)?,
            default_dict: DefaultDict::from(offsets)?,
            deque: Deque::from(offsets)?,
            deque_block: DequeBlock::from(offsets)?,
            code: Code::from(offsets)?,
            code_cache: CodeCache::from(offsets)?,
            code_monitoring: CodeMonitoring::from(offsets)?,
            frame_object: FrameObject::from(offsets)?,
            interpreter_frame: InterpreterFrame::from(offsets)?,
            generator: Generator::from(offsets)?,
            coroutine: Coroutine::from(offsets)?,
            async_generator: AsyncGenerator::from(offsets)?,
            exception_state: ExceptionState::from(offsets)?,
            module: Module::from(offsets)?,
            function: Function::from(offsets)?,
            c_function: CFunction::from(offsets)?,
            c_method: CMethod::from(offsets)?,
            weak_reference: WeakReference::from(offsets)?,
            array: Array::from(offsets)?,
            bytes_io: BytesIo::from(offsets)?,
            buffered: Buffered::from(offsets)?,
            lru_cache: LruCache::from(offsets)?,
            lru_cache_element: LruCacheElement::from(offsets)?,
            tee_data: TeeData::from(offsets)?,
            product: Product::from(offsets)?,
            permutations: Permutations::from(offsets)?,
            combinations: Combinations::from(offsets)?,
            element: Element::from(offsets)?,
            element_extra: ElementExtra::from(offsets)?,
            struct_object: StructObject::from(offsets)?,
            pickler: Pickler::from(offsets)?,
            unpickler: Unpickler::from(offsets)?,
            simple_queue: SimpleQueue::from(offsets)?,
            file_io: FileIo::from(offsets)?,
            socket: Socket::from(offsets)?,
            method: Method::from(offsets)?,
            traceback: Traceback::from(offsets)?,
            base_exception: BaseException::from(offsets)?,
            future: Future::from(offsets)?,
            task: Task::from(offsets)?,
            hamt_array: HamtArray::from(offsets)?,
            hamt_bitmap: HamtBitmap::from(offsets)?,
            pending_calls: PendingCalls::from(offsets)?,
            pending_call: PendingCall::from(offsets)?,
            atexit_state: AtexitState::from(offsets)?,
            stg_dict: StgDict::from(offsets)?,
            stg_info: StgInfo::from(offsets)?,
            memory_view: MemoryView::from(offsets)?,
            managed_buffer: ManagedBuffer::from(offsets)?,
            gc: Gc::from(offsets)?,
            gc_generation: GcGeneration::from(offsets)?,
            gc_generation_stats: GcGenerationStats::from(offsets)?,
            runtime: Runtime::from(offsets)?,
            interpreter: Interpreter::from(offsets)?,
            pool_header: PoolHeader::from(offsets)?,
            arena_object: ArenaObject::from(offsets)?,
            obmalloc: Obmalloc::from(offsets)?,
            thread: Thread::from(offsets)?,
            thread_impl: ThreadImpl::from(offsets)?,
            c_frame: CFrame::from(offsets)?,
            gil: Gil::from(offsets)?,
            lock: Lock::from(offsets)?,
            rlock: RLock::from(offsets)?,
        })
    }
}
