//! Where in native memory an object's address stands, in `show` and `why`.

use serde::Serialize;

use crate::addr::Addr;
use crate::facts::{Facts, NativeHolderFacts};
use crate::graph::{HeapGraph, ObjectId};
use crate::report::text;

/// A block of native memory in which the address of an object stands.
#[derive(Debug, Serialize)]
pub struct NativeHolderJson<'a> {
    address: String,
    /// How many of its bytes its owner may use.
    bytes: u64,
    owner: Option<String>,
    owner_type: Option<&'a str>,
    place: Option<&'a str>,
    /// How many blocks are on the way from the owner or the place, this one included.
    blocks: u32,
}

impl<'a> NativeHolderJson<'a> {
    /// All that are known of an object.
    #[must_use]
    pub fn all(facts: &'a Facts, graph: &'a HeapGraph, object: ObjectId) -> Vec<Self> {
        let holders = text::native::holders(facts, graph, object);
        let document = |holder: &'a NativeHolderFacts| {
            let owner = holder.owner.map(Addr);
            let owner_type = owner.and_then(|owner| graph.find(owner));
            Self {
                address: Addr(holder.block).to_string(),
                bytes: holder.block_bytes,
                owner: owner.map(|owner| owner.to_string()),
                owner_type: owner_type.map(|owner| graph.type_name_of(owner)),
                place: holder.place.as_deref(),
                blocks: holder.blocks,
            }
        };
        holders.map(document).collect()
    }
}
