//! What binary files say of an interpreter in them: looked at once, for however many processes.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::target::elf::{Image, ImageError, Placement};
use crate::target::mapped_files::MappedFiles;
use crate::target::maps::Mapping;

/// Device, inode and name of a file: a container's file system may give two files one inode.
type Key = (u32, u32, u64, String);

/// The binaries that were looked at.
#[derive(Debug, Default)]
pub struct Binaries(Mutex<HashMap<Key, Holds>>);

/// What a binary holds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Holds {
    /// No interpreter.
    Nothing,
    /// One with a runtime: CPython from 3.7 on.
    Runtime(Symbols),
    /// One without: an older CPython, or PyPy.
    Another,
}

/// What a binary with an interpreter says, in addresses of the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Symbols {
    pub(super) placement: Placement,
    /// `_PyRuntime`.
    pub(super) runtime: u64,
    /// Its size by the symbol table, in bytes: the fingerprint of a build.
    pub(super) runtime_size: Option<u64>,
    /// `Py_Version`.
    pub(super) py_version: Option<u64>,
    /// `_PySet_Dummy`.
    pub(super) set_dummy: Option<u64>,
    /// `PyType_Type`.
    pub(super) type_type: Option<u64>,
    /// `PyLong_FromSsize_t` and `PyLong_FromSize_t`.
    pub(super) long_from: [Option<u64>; 2],
    /// The slot with the address of `strcmp`.
    pub(super) strcmp_slot: Option<u64>,
    /// `_Py_GetAllocatedBlocks`.
    pub(super) get_allocated_blocks: Option<u64>,
}

impl Binaries {
    /// Looks into the file behind a mapping.
    pub(super) fn examine(
        &self,
        process: &dyn MappedFiles,
        mapping: &Mapping,
        path: &str,
    ) -> Result<Holds, String> {
        let key = (mapping.dev_major, mapping.dev_minor, mapping.inode, path.to_owned());
        let known =
            |this: &Self| this.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied();
        if let Some(holds) = known(self) {
            return Ok(holds);
        }
        let file = process.open_mapped(mapping).map_err(|error| error.to_string())?;
        let holds = match Image::read(file) {
            Ok(image) => examined(&image),
            // A font, a database, a program of 32 bits.
            Err(ImageError::Malformed(_)) => Holds::Nothing,
            Err(error) => return Err(error.to_string()),
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key, holds);
        Ok(holds)
    }
}

fn examined(image: &Image) -> Holds {
    match symbols(image) {
        Some(symbols) => Holds::Runtime(symbols),
        // Both are exported for extensions, PyPy's by that name alone.
        None if ["Py_GetVersion", "PyPy_GetVersion"]
            .iter()
            .any(|name| image.exported(name).is_some()) =>
        {
            Holds::Another
        }
        None => Holds::Nothing,
    }
}

fn symbols(image: &Image) -> Option<Symbols> {
    let (runtime, size) = match image.symbol("_PyRuntime") {
        Some(symbol) => (symbol.value, Some(symbol.size)),
        None => (image.section(".PyRuntime")?.addr, None),
    };
    let value = |name| image.symbol(name).map(|symbol| symbol.value);
    Some(Symbols {
        placement: image.placement(),
        runtime,
        runtime_size: size.filter(|&size| size > 0),
        py_version: value("Py_Version"),
        set_dummy: value("_PySet_Dummy"),
        type_type: value("PyType_Type"),
        strcmp_slot: image.import_slot("strcmp"),
        get_allocated_blocks: image.exported("_Py_GetAllocatedBlocks").map(|symbol| symbol.value),
        long_from: [value("PyLong_FromSsize_t"), value("PyLong_FromSize_t")],
    })
}
