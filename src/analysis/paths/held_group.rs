//! Objects that have something in common, and the ways in which they are held.

use super::steps::HeldBy;

/// A group of objects, by its name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HeldGroup {
    /// What they have in common: a module, what their paths begin with, a thread, a line.
    pub name: String,
    /// How many there are.
    pub objects: u64,
    /// Their shallow and buffer bytes.
    pub bytes: u64,
    /// The ways in which they are held, most bytes first.
    pub held_by: Vec<HeldBy>,
}

impl HeldGroup {
    /// A group without objects.
    pub(super) fn named(name: &str) -> Self {
        Self { name: name.to_owned(), objects: 0, bytes: 0, held_by: Vec::new() }
    }

    /// Adds the objects of a way.
    pub(super) fn add(&mut self, held: HeldBy) {
        self.objects += held.objects;
        self.bytes = self.bytes.saturating_add(held.bytes);
        self.held_by.push(held);
    }
}
