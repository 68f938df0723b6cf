//! Who leads to a block of native memory: an object, the data of a binary, or the stack of a thread,
//! at once or over other blocks.
//!
//! A breadth-first walk over blocks begins at objects, so that the nearest object has a block. It goes on from
//! modules and classes, last from data and stacks, with what is left then: the structure behind an object is the object's, though a table
//! of all structures, or an old address, may lead to it as well. A word that leads into a block, not only to
//! where it begins, counts: a hash table of Rust is known by its middle.

use rustc_hash::{FxHashMap, FxHashSet};

use super::search::Search;
use super::words::words;
use crate::addr::{Addr, AddrRange};
use crate::graph::ObjectId;
use crate::target::memory::Memory;

/// More blocks are not walked over: their owners stay unknown.
const MOST_BLOCKS: usize = 1 << 23;

/// What leads to a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Owner {
    /// An object.
    Object(ObjectId),
    /// A variable of a binary, or a word on a stack, by the name of the place.
    Place(String),
}

/// What is before a block on the way to it.
#[derive(Debug, Clone, Copy)]
enum Before {
    Object(ObjectId),
    Place(u32),
    Block(u32),
}

/// The blocks that were reached, the nearest first.
#[derive(Debug, Default)]
pub(super) struct Owners {
    blocks: Vec<(AddrRange, Before)>,
    by_start: FxHashMap<Addr, u32>,
    places: Vec<String>,
}

impl Owners {
    /// Walks until all blocks in `wanted`, by their beginnings, are reached or there is nothing more.
    /// `owners` are objects and their memory, in the order of their ranks.
    pub(super) fn trace<M: Memory>(
        search: &Search<'_, '_, M>,
        owners: &[Vec<(ObjectId, AddrRange)>],
        mut wanted: FxHashSet<Addr>,
    ) -> Self {
        let mut found = Self::default();
        let memory = search.objects.memory;
        for rank in owners {
            let reached = found.blocks.len();
            for &(object, range) in rank {
                words(memory, range, |_, word| {
                    found.reach(search, word, |_| Some(Before::Object(object)), &mut wanted);
                });
            }
            found.spread(search, reached, &mut wanted);
        }
        if wanted.is_empty() {
            return found;
        }
        let reached = found.blocks.len();
        for range in search.variables_and_stacks() {
            words(memory, range, |at, word| {
                let place = |found: &mut Self| found.place(search.outside(at)?);
                found.reach(search, word, place, &mut wanted);
            });
        }
        found.spread(search, reached, &mut wanted);
        found
    }

    /// Follows the blocks that were reached, from one on, as long as there are any and any are wanted.
    fn spread<M: Memory>(
        &mut self,
        search: &Search<'_, '_, M>,
        mut next: usize,
        wanted: &mut FxHashSet<Addr>,
    ) {
        while !wanted.is_empty()
            && let Some(&(block, _)) = self.blocks.get(next)
        {
            let number = u32::try_from(next).unwrap_or(u32::MAX);
            words(search.objects.memory, block, |_, word| {
                self.reach(search, word, |_| Some(Before::Block(number)), wanted);
            });
            next += 1;
        }
    }

    /// Notes the block that a word leads to, if it is new.
    fn reach<M: Memory>(
        &mut self,
        search: &Search<'_, '_, M>,
        word: Addr,
        before: impl FnOnce(&mut Self) -> Option<Before>,
        wanted: &mut FxHashSet<Addr>,
    ) {
        let Some(block) = search.surroundings.native.around(search.objects.memory, word) else {
            return;
        };
        if self.blocks.len() >= MOST_BLOCKS || self.by_start.contains_key(&block.start) {
            return;
        }
        let Some(before) = before(self) else { return };
        self.by_start.insert(block.start, u32::try_from(self.blocks.len()).unwrap_or(u32::MAX));
        self.blocks.push((block, before));
        wanted.remove(&block.start);
    }

    fn place(&mut self, name: String) -> Option<Before> {
        let nth = self.places.iter().position(|known| *known == name);
        let nth = nth.unwrap_or_else(|| {
            self.places.push(name);
            self.places.len() - 1
        });
        u32::try_from(nth).ok().map(Before::Place)
    }

    /// Blocks with the objects that lead to them, each over the one before in its list.
    #[cfg(test)]
    pub(super) fn known(lists: &[(ObjectId, &[AddrRange])]) -> Self {
        let mut owners = Self::default();
        for &(object, blocks) in lists {
            let mut before = Before::Object(object);
            for &block in blocks {
                let number = u32::try_from(owners.blocks.len()).unwrap();
                owners.by_start.insert(block.start, number);
                owners.blocks.push((block, before));
                before = Before::Block(number);
            }
        }
        owners
    }

    /// Who leads to a block, and how many blocks there are on the way, that one included.
    pub(super) fn of(&self, block: AddrRange) -> Option<(Owner, u32)> {
        let mut number = *self.by_start.get(&block.start)?;
        let mut blocks = 1;
        loop {
            // What is before a block was reached before it, so this ends.
            match self.blocks.get(number as usize)?.1 {
                Before::Object(object) => return Some((Owner::Object(object), blocks)),
                Before::Place(nth) => {
                    let name = self.places.get(nth as usize)?.clone();
                    return Some((Owner::Place(name), blocks));
                }
                Before::Block(before) => {
                    number = before;
                    blocks += 1;
                }
            }
        }
    }
}
