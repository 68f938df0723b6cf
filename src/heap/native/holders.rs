//! Which of the places where an object's address stands hold it.

use rustc_hash::FxHashMap;

use super::{Owner, Owners, Place};
use crate::addr::{Addr, AddrRange};
use crate::facts::NativeHolderFacts;
use crate::graph::{EdgeLabel, HeapGraph, ObjectId};

/// So many are told one by one.
const MOST_TOLD: usize = 1 << 12;

/// Who holds objects, as far as it was found.
pub(super) struct Holders {
    /// Hidden references: from, to, label.
    pub(super) edges: Vec<(ObjectId, ObjectId, EdgeLabel)>,
    /// The best place at which an address stands.
    pub(super) names: FxHashMap<Addr, Name>,
    /// The blocks in which addresses stand.
    blocks: Vec<NativeHolderFacts>,
}

/// What a place is called.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    /// The first say more than the later ones.
    rank: Rank,
    /// With the size of the block, if it is one.
    pub(super) exact: String,
    /// Without it, the same for many objects.
    pub(super) short: String,
}

/// How much a place says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Data,
    Stack,
    OfObject,
    OfPlace,
}

/// A place in native memory that may hold an object.
struct Candidate {
    owner: ObjectId,
    /// How many blocks are between the owner and the object.
    distance: u32,
    label: EdgeLabel,
}

impl Holders {
    /// Decides. `left` says how many references of an object nothing else explains.
    pub(super) fn new(
        graph: &HeapGraph,
        left: &FxHashMap<ObjectId, u64>,
        places: &[(Addr, Place)],
        owners: &Owners,
    ) -> Self {
        let mut of_each: FxHashMap<Addr, Vec<&Place>> = FxHashMap::default();
        for (addr, place) in places {
            of_each.entry(*addr).or_default().push(place);
        }
        let mut of_each: Vec<(Addr, Vec<&Place>)> = of_each.into_iter().collect();
        of_each.sort_by_key(|&(addr, _)| addr);
        let (edges, names, blocks) = (Vec::new(), FxHashMap::default(), Vec::new());
        let mut holders = Self { edges, names, blocks };
        for (addr, places) in of_each {
            let object = graph.find(addr);
            if let Some(name) = places.iter().filter_map(|place| name(graph, place, owners)).min() {
                holders.names.insert(addr, name);
            }
            for place in &places {
                if let Place::Block(block) = place {
                    holders.tell(graph, addr, *block, owners);
                }
            }
            if let Some(object) = object
                && let Some(&left) = left.get(&object)
            {
                holders.edges.extend(edges_to(graph, object, left, &places, owners));
            }
        }
        holders
    }

    /// What the best place is called at which an address stands.
    pub(super) fn place(&self, addr: Addr) -> Option<&str> {
        self.names.get(&addr).map(|name| name.short.as_str())
    }

    /// The blocks in which addresses stand.
    pub(super) fn facts(&self) -> Vec<NativeHolderFacts> {
        self.blocks.clone()
    }

    fn tell(&mut self, graph: &HeapGraph, addr: Addr, block: AddrRange, owners: &Owners) {
        if self.blocks.len() >= MOST_TOLD {
            return;
        }
        let mut facts = NativeHolderFacts {
            object: addr.0,
            block: block.start.0,
            block_bytes: block.len(),
            ..NativeHolderFacts::default()
        };
        if let Some((owner, blocks)) = owners.of(block) {
            facts.blocks = blocks;
            match owner {
                Owner::Object(owner) => facts.owner = Some(graph.addr(owner).0),
                Owner::Place(name) => facts.place = Some(name),
            }
        }
        self.blocks.push(facts);
    }
}

fn name(graph: &HeapGraph, place: &Place, owners: &Owners) -> Option<Name> {
    let named = |rank, name: &str| Name { rank, exact: name.to_owned(), short: name.to_owned() };
    Some(match place {
        Place::Data(name) => named(Rank::Data, name),
        Place::Stack(name) => named(Rank::Stack, name),
        Place::Block(block) => {
            let size = graph.label_text(ObjectId::default(), Some(native(*block)));
            let of = |rank, owner: &str| Name {
                rank,
                exact: format!("{size}, of {owner}"),
                short: format!("native memory, of {owner}"),
            };
            match owners.of(*block).map(|(owner, _)| owner) {
                Some(Owner::Object(owner)) => of(Rank::OfObject, graph.type_name_of(owner)),
                Some(Owner::Place(name)) => of(Rank::OfPlace, &name),
                // It may be out of use, or what stands in it.
                None => return None,
            }
        }
        // Where this is what holds an object, there is a reference.
        Place::Inside(..) => return None,
    })
}

fn native(block: AddrRange) -> EdgeLabel {
    EdgeLabel::Native(u32::try_from(block.len()).unwrap_or(u32::MAX))
}

/// The references to an object that are believed, the nearest holders first.
fn edges_to(
    graph: &HeapGraph,
    object: ObjectId,
    left: u64,
    places: &[&Place],
    owners: &Owners,
) -> Vec<(ObjectId, ObjectId, EdgeLabel)> {
    // What stands on a stack is mostly what a call has left there.
    let others = places.iter().filter(|place| matches!(place, Place::Data(_)));
    let left = left.saturating_sub(others.count() as u64);
    if left == 0 {
        return Vec::new();
    }
    let mut candidates: Vec<Candidate> = places
        .iter()
        .filter_map(|place| match **place {
            Place::Inside(owner, offset) => {
                Some(Candidate { owner, distance: 0, label: EdgeLabel::Inferred(offset) })
            }
            Place::Block(block) => match owners.of(block)? {
                (Owner::Object(owner), distance) => {
                    Some(Candidate { owner, distance, label: native(block) })
                }
                _ => None,
            },
            _ => None,
        })
        // The native side of an object mostly knows the object, and does not count that.
        .filter(|candidate| candidate.owner != object)
        .collect();
    candidates.sort_by_key(|candidate| (candidate.distance, candidate.owner));
    let mut known: FxHashMap<ObjectId, usize> = FxHashMap::default();
    for candidate in &candidates {
        known.entry(candidate.owner).or_insert_with(|| {
            let hidden = graph.hidden_referents.of(candidate.owner);
            let all = graph.referents.of(candidate.owner).iter().chain(hidden);
            all.filter(|&&to| to == object).count()
        });
    }
    let mut is_new = |candidate: &Candidate| match known.get_mut(&candidate.owner) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        _ => true,
    };
    let left = usize::try_from(left).unwrap_or(usize::MAX);
    let believed = candidates.into_iter().filter(|it| is_new(it)).take(left);
    believed.map(|candidate| (candidate.owner, object, candidate.label)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::GraphBuilder;

    const fn block(start: u64, len: u64) -> AddrRange {
        AddrRange::new(Addr(start), Addr(start + len))
    }

    /// A map, another map, and a node to which the first has `known` references already.
    fn heap(known: usize) -> (HeapGraph, [ObjectId; 3]) {
        let mut builder = GraphBuilder::new();
        let [map, other, node] = [0x100, 0x200, 0x300].map(|at| builder.object(at, "app.Map", 64));
        for _ in 0..known {
            builder.hidden_edge(map, EdgeLabel::Inferred(16), node);
        }
        let graph = builder.build();
        let ids = [map, other, node].map(|addr| graph.find(addr).unwrap());
        (graph, ids)
    }

    /// `owner label` of each reference to the node that is believed.
    fn believed(known: usize, left: u64, places: &[Place]) -> Vec<String> {
        let (graph, [map, other, node]) = heap(known);
        let lists: [(ObjectId, &[AddrRange]); 3] = [
            (map, &[block(0x1000, 64), block(0x2000, 128)]),
            (other, &[block(0x3000, 32)]),
            (node, &[block(0x4000, 32)]),
        ];
        let owners = Owners::known(&lists);
        let places: Vec<(Addr, Place)> =
            places.iter().map(|place| (graph.addr(node), place.clone())).collect();
        let left = FxHashMap::from_iter([(node, left)]);
        let holders = Holders::new(&graph, &left, &places, &owners);
        let told = |&(owner, to, label): &(ObjectId, ObjectId, EdgeLabel)| {
            assert_eq!(to, node);
            format!("{} {}", graph.addr(owner), graph.label_text(owner, Some(label)))
        };
        holders.edges.iter().map(told).collect()
    }

    #[test]
    fn no_more_references_are_believed_than_nothing_else_explains_the_nearest_first() {
        let far = Place::Block(block(0x2000, 128));
        let near = Place::Block(block(0x3000, 32));
        let of_map = "0x100 native block of 128 bytes";
        let of_other = "0x200 native block of 32 bytes";
        assert_eq!(believed(0, 1, &[far.clone(), near.clone()]), [of_other]);
        assert_eq!(believed(0, 2, &[far.clone(), near.clone()]), [of_other, of_map]);
        assert_eq!(believed(0, 9, std::slice::from_ref(&far)), [of_map]);
        // Data explains some first.
        let data = Place::Data("data of x.so".to_owned());
        let stack = Place::Stack("C stack of thread 7".to_owned());
        assert!(believed(0, 1, &[far.clone(), data.clone()]).is_empty());
        assert_eq!(believed(0, 2, &[far.clone(), near, data, stack]), [of_other]);
        // A reference that is known stands there, too.
        assert!(believed(1, 1, std::slice::from_ref(&far)).is_empty());
        assert_eq!(believed(1, 1, &[far.clone(), far]), [of_map]);
    }

    #[test]
    fn what_an_object_keeps_of_itself_and_what_nothing_leads_to_hold_nothing() {
        let own = Place::Block(block(0x4000, 32));
        let alone = Place::Block(block(0x9000, 32));
        assert!(believed(0, 2, &[own, alone]).is_empty());
        let inside = Place::Inside(ObjectId(1), 24);
        assert_eq!(believed(0, 2, &[inside, Place::Inside(ObjectId(2), 24)]), ["0x200 +24"]);
    }

    #[test]
    fn what_leads_to_a_block_is_in_its_name() {
        let (graph, [map, ..]) = heap(0);
        let owners = Owners::known(&[(map, &[block(0x1000, 64)])]);
        let named = |place: Place| {
            let places = [(Addr(0x300), place)];
            let holders = Holders::new(&graph, &FxHashMap::default(), &places, &owners);
            let exact = holders.names.get(&Addr(0x300)).map(|name| name.exact.clone());
            (exact, holders.place(Addr(0x300)).map(str::to_owned))
        };
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(
            named(Place::Block(block(0x1000, 64))),
            (text("native block of 64 bytes, of app.Map"), text("native memory, of app.Map"))
        );
        // What stands in a block to which nothing leads may be out of use.
        let alone = named(Place::Block(block(0x9000, 5000)));
        assert_eq!(alone, (None, None));
    }
}
