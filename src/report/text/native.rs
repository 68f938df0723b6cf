//! Where in native memory an object's address stands.

use crate::addr::Addr;
use crate::facts::{Facts, NativeHolderFacts};
use crate::graph::{HeapGraph, ObjectId};
use crate::report::{short_type, units};

/// The blocks in which the address of an object stands that has references nothing else explains.
pub fn holders<'f>(
    facts: &'f Facts,
    graph: &HeapGraph,
    object: ObjectId,
) -> impl Iterator<Item = &'f NativeHolderFacts> + use<'f> {
    let addr = graph.addr(object).0;
    facts.native_holders.iter().filter(move |holder| holder.object == addr)
}

/// A line for each of them: `native block of 1,008 bytes at 0x…, to which Map at 0x… leads`.
#[must_use]
pub fn lines(facts: &Facts, graph: &HeapGraph, object: ObjectId) -> Vec<String> {
    let line = |holder: &NativeHolderFacts| {
        let block = format!(
            "native block of {} bytes at {}",
            units::count(holder.block_bytes),
            Addr(holder.block)
        );
        let over = match holder.blocks {
            0 | 1 => String::new(),
            2 => " over another block".to_owned(),
            blocks => format!(" over {} other blocks", blocks - 1),
        };
        let owner = match (holder.owner, &holder.place) {
            (Some(owner), _) => {
                let name = graph.find(Addr(owner)).map(|owner| graph.type_name_of(owner));
                format!(", to which {} at {} leads{over}", short_type(name?), Addr(owner))
            }
            (None, Some(place)) => format!(", to which {place} leads{over}"),
            (None, None) => ", to which nothing leads that was found".to_owned(),
        };
        Some(format!("{block}{owner}").replace(char::is_control, "\u{fffd}"))
    };
    holders(facts, graph, object).filter_map(line).collect()
}
