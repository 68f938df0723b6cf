//! `orphans`, and the blocks of `diff`.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::addr::Addr;
use crate::facts::{AllocatorFacts, Facts, OrphanFacts, ProcessFacts, SizeClassFacts};

/// What nothing known refers to.
#[derive(Debug, Serialize)]
pub struct OrphansJson<'a> {
    process: &'a ProcessFacts,
    objects: u64,
    shallow_bytes: u64,
    buffer_bytes: u64,
    lost: u64,
    types: Vec<TypeJson<'a>>,
    blocks: Vec<BlocksJson>,
    allocator: &'a AllocatorFacts,
}

#[derive(Debug, Serialize)]
struct TypeJson<'a> {
    #[serde(rename = "type")]
    type_name: &'a str,
    objects: u64,
    shallow_bytes: u64,
    buffer_bytes: u64,
    unexplained_refs: u64,
    held_by: Vec<HeldByJson<'a>>,
    lost: u64,
    lost_bytes: u64,
    examples: Vec<String>,
}

#[derive(Debug, Serialize)]
struct HeldByJson<'a> {
    place: &'a str,
    objects: u64,
}

#[derive(Debug, Serialize)]
struct BlocksJson {
    size_class: u64,
    pools: u64,
    used: u64,
    free: u64,
    fragmentation: f64,
    objects: u64,
    buffers: u64,
    kept: u64,
    unexplained: u64,
    unexplained_bytes: u64,
}

impl<'a> OrphansJson<'a> {
    /// The document of a heap.
    #[must_use]
    pub fn new(facts: &'a Facts, orphans: &'a [OrphanFacts]) -> Self {
        let types = orphans.iter().map(|row| TypeJson {
            type_name: &row.type_name,
            objects: row.objects,
            shallow_bytes: row.shallow_bytes,
            buffer_bytes: row.buffer_bytes,
            unexplained_refs: row.references,
            held_by: row
                .held_by
                .iter()
                .map(|(place, objects)| HeldByJson { place, objects: *objects })
                .collect(),
            lost: row.lost,
            lost_bytes: row.lost_bytes,
            examples: row.examples.iter().map(|&at| Addr(at).to_string()).collect(),
        });
        Self {
            process: &facts.process,
            objects: orphans.iter().map(|row| row.objects).fold(0, u64::saturating_add),
            shallow_bytes: orphans.iter().map(|row| row.shallow_bytes).fold(0, u64::saturating_add),
            buffer_bytes: orphans.iter().map(|row| row.buffer_bytes).fold(0, u64::saturating_add),
            lost: orphans.iter().map(|row| row.lost).fold(0, u64::saturating_add),
            types: types.collect(),
            blocks: facts.allocator.size_classes.iter().map(Into::into).collect(),
            allocator: &facts.allocator,
        }
    }
}

impl From<&SizeClassFacts> for BlocksJson {
    fn from(class: &SizeClassFacts) -> Self {
        Self {
            size_class: class.block_bytes,
            pools: class.pools,
            used: class.used_blocks(),
            free: class.free_blocks,
            fragmentation: class.fragmentation(),
            objects: class.object_blocks,
            buffers: class.buffer_blocks,
            kept: class.kept_blocks,
            unexplained: class.unexplained_blocks,
            unexplained_bytes: class.unexplained_bytes(),
        }
    }
}

/// The unexplained blocks of one size in two heaps.
#[derive(Debug, Serialize)]
pub struct BlocksDiffJson {
    size_class: u64,
    unexplained_before: u64,
    unexplained_after: u64,
}

/// The sizes of which there are unexplained blocks, before or after.
#[must_use]
pub fn blocks_diff(before: &Facts, after: &Facts) -> Vec<BlocksDiffJson> {
    let mut rows: BTreeMap<u64, BlocksDiffJson> = BTreeMap::new();
    for (facts, is_after) in [(before, false), (after, true)] {
        for class in facts.allocator.size_classes.iter().filter(|it| it.unexplained_blocks > 0) {
            let size_class = class.block_bytes;
            let row = rows.entry(size_class).or_insert(BlocksDiffJson {
                size_class,
                unexplained_before: 0,
                unexplained_after: 0,
            });
            let side =
                if is_after { &mut row.unexplained_after } else { &mut row.unexplained_before };
            *side = class.unexplained_blocks;
        }
    }
    rows.into_values().collect()
}
