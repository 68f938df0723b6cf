//! `_Py_DebugOffsets`: what an interpreter says of itself, from 3.13 on
//! (`Include/internal/pycore_debug_offsets.h`).

use super::table::{BadRow, Offsets};
use crate::cpython::version::{Build, Version};

/// The first bytes of `_PyRuntime` where it describes itself.
const COOKIE: &[u8; 8] = b"xdebugpy";

/// Which of its fields tell which of ours.
const ROWS: &[(&str, &str, &str)] = &[
    ("runtime_state.size", "_PyRuntimeState", "sizeof"),
    ("runtime_state.interpreters_head", "_PyRuntimeState", "interpreters.head"),
    ("interpreter_state.size", "PyInterpreterState", "sizeof"),
    ("interpreter_state.id", "PyInterpreterState", "id"),
    ("interpreter_state.next", "PyInterpreterState", "next"),
    ("interpreter_state.threads_head", "PyInterpreterState", "threads.head"),
    ("interpreter_state.gc", "PyInterpreterState", "gc"),
    ("interpreter_state.imports_modules", "PyInterpreterState", "imports.modules"),
    ("interpreter_state.sysdict", "PyInterpreterState", "sysdict"),
    ("interpreter_state.builtins", "PyInterpreterState", "builtins"),
    ("thread_state.prev", "PyThreadState", "prev"),
    ("thread_state.next", "PyThreadState", "next"),
    ("thread_state.interp", "PyThreadState", "interp"),
    ("thread_state.current_frame", "PyThreadState", "current_frame"),
    ("thread_state.thread_id", "PyThreadState", "thread_id"),
    ("thread_state.native_thread_id", "PyThreadState", "native_thread_id"),
    ("thread_state.datastack_chunk", "PyThreadState", "datastack_chunk"),
    ("interpreter_frame.previous", "_PyInterpreterFrame", "previous"),
    ("interpreter_frame.executable", "_PyInterpreterFrame", "f_executable"),
    ("interpreter_frame.localsplus", "_PyInterpreterFrame", "localsplus"),
    ("interpreter_frame.owner", "_PyInterpreterFrame", "owner"),
    ("interpreter_frame.stackpointer", "_PyInterpreterFrame", "stackpointer"),
    ("code_object.size", "PyCodeObject", "sizeof"),
    ("code_object.filename", "PyCodeObject", "co_filename"),
    ("code_object.name", "PyCodeObject", "co_name"),
    ("code_object.qualname", "PyCodeObject", "co_qualname"),
    ("code_object.linetable", "PyCodeObject", "co_linetable"),
    ("code_object.firstlineno", "PyCodeObject", "co_firstlineno"),
    ("code_object.localsplusnames", "PyCodeObject", "co_localsplusnames"),
    ("code_object.localspluskinds", "PyCodeObject", "co_localspluskinds"),
    ("type_object.size", "PyTypeObject", "sizeof"),
    ("type_object.tp_name", "PyTypeObject", "tp_name"),
    ("type_object.tp_flags", "PyTypeObject", "tp_flags"),
    ("tuple_object.ob_item", "PyTupleObject", "ob_item"),
    ("list_object.ob_item", "PyListObject", "ob_item"),
    ("set_object.table", "PySetObject", "table"),
    ("set_object.mask", "PySetObject", "mask"),
    ("dict_object.ma_keys", "PyDictObject", "ma_keys"),
    ("dict_object.ma_values", "PyDictObject", "ma_values"),
    ("bytes_object.ob_sval", "PyBytesObject", "ob_sval"),
    ("unicode_object.state", "PyASCIIObject", "state"),
    ("unicode_object.length", "PyASCIIObject", "length"),
    ("unicode_object.asciiobject_size", "PyASCIIObject", "sizeof"),
    ("gc.size", "_gc_runtime_state", "sizeof"),
    ("gc.collecting", "_gc_runtime_state", "collecting"),
    ("gen_object.gi_name", "PyGenObject", "gi_name"),
    ("gen_object.gi_iframe", "PyGenObject", "gi_iframe"),
    ("gen_object.gi_frame_state", "PyGenObject", "gi_frame_state"),
];

/// The description that was read from a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebugOffsets {
    /// Which version describes itself.
    pub version: Version,
    /// Whether it runs without the GIL.
    pub free_threaded: bool,
    values: Vec<(&'static str, &'static str, u32)>,
}

/// A field for which the target and the table name different offsets. The target wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disagreement {
    /// The C structure.
    pub structure: &'static str,
    /// Its field.
    pub field: &'static str,
    /// What the table says.
    pub table: Option<u32>,
    /// What the target says.
    pub target: u32,
}

impl DebugOffsets {
    /// The first bytes of a runtime that describes itself.
    pub const COOKIE: &'static [u8; 8] = COOKIE;
    /// The longest description that is known, in bytes.
    pub const MAX_SIZE: usize = 888;

    /// Decodes the first bytes of `_PyRuntime`; nothing if they are no description.
    ///
    /// # Errors
    /// The table is damaged.
    pub fn decode(bytes: &[u8], build: Build) -> Result<Option<Self>, BadRow> {
        let word = |offset: u32| {
            let start = usize::try_from(offset).ok()?;
            let bytes = bytes.get(start..start.checked_add(8)?)?;
            Some(u64::from_le_bytes(bytes.try_into().ok()?))
        };
        if bytes.get(..COOKIE.len()) != Some(COOKIE) {
            return Ok(None);
        }
        let (Some(hex), Some(free_threaded)) = (word(8), word(16)) else { return Ok(None) };
        let Ok(hex) = u32::try_from(hex) else { return Ok(None) };
        let version = Version::from_hex(hex);
        let offsets = Offsets::of(version, build.debug)?;
        let mut values = Vec::with_capacity(ROWS.len());
        for &(says, structure, field) in ROWS {
            let value = offsets.find("_Py_DebugOffsets", says).and_then(word);
            // An offset is below the size of the largest structure, the runtime's.
            if let Some(value) = value.and_then(|value| u32::try_from(value).ok())
                && value < 1 << 24
            {
                values.push((structure, field, value));
            }
        }
        Ok(Some(Self { version, free_threaded: free_threaded != 0, values }))
    }

    /// Lays the description over the table and says where they differ.
    pub fn overlay(&self, offsets: &mut Offsets) -> Vec<Disagreement> {
        let mut disagreements = Vec::new();
        for &(structure, field, target) in &self.values {
            let table = offsets.find(structure, field);
            if table != Some(target) {
                disagreements.push(Disagreement { structure, field, table, target });
                offsets.set(structure, field, target);
            }
        }
        disagreements
    }
}
