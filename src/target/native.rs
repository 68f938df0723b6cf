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
#[derive(Debug)]
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
        if self.images.len() >= MOST_FILES && !self.images.contains_key(&library) {
            return Some(NativeFacts { library, symbol: None });
        }
        if !self.images.contains_key(&library) {
            let file = self.files.open_mapped(mapping).ok();
            let image = file.and_then(|file| Image::read(file).ok());
            let image = image.map(|image| {
                let placement = image.placement();
                (image, placement)
            });
            self.images.insert(library.clone(), image);
        }
        let symbol = match self.images.get(&library) {
            Some(Some((image, placement))) => placement
                .bias(self.map, mapping)
                .and_then(|bias| image.function_at(instruction.0.wrapping_sub(bias))),
            _ => None,
        };
        Some(NativeFacts { library, symbol })
    }
}
