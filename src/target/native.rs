//! Which function of C code an instruction belongs to, by the symbols of the file that it is mapped
//! from.

use std::collections::HashMap;

use super::elf::{Image, Placement};
use super::mapped_files::MappedFiles;
use super::maps::MemoryMap;
use crate::addr::Addr;
use crate::facts::NativeFacts;

/// The most files whose symbols are read: threads stand in a handful.
const MOST_FILES: usize = 16;

/// Names instructions; the symbols of a file are read once.
pub struct Natives<'a, F> {
    files: &'a F,
    map: &'a MemoryMap,
    images: HashMap<String, Option<(Image, Placement)>>,
}

impl<'a, F: MappedFiles> Natives<'a, F> {
    /// Names instructions of a target.
    #[must_use]
    pub fn new(files: &'a F, map: &'a MemoryMap) -> Self {
        Self { files, map, images: HashMap::new() }
    }

    /// The file and function of an instruction; nothing if it is in no file's mapping.
    pub fn place(&mut self, instruction: Addr) -> Option<NativeFacts> {
        let mapping = self.map.find(instruction)?;
        let library = mapping.path.clone()?;
        let may_read = self.images.len() < MOST_FILES || self.images.contains_key(&library);
        let image = may_read.then(|| {
            self.images.entry(library.clone()).or_insert_with(|| {
                let image = Image::read(self.files.open_mapped(mapping).ok()?).ok()?;
                let placement = image.placement();
                Some((image, placement))
            })
        });
        let symbol = image.and_then(Option::as_ref).and_then(|(image, placement)| {
            let bias = placement.bias(self.map, mapping)?;
            image.function_at(instruction.0.wrapping_sub(bias))
        });
        Some(NativeFacts { library, symbol })
    }
}
