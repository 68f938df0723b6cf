//! The dominator tree: an object dominates what would be freed if it were. Its retained bytes are the
//! sum of its subtree.
//!
//! Semi-NCA (Georgiadis, 2005) over all references, hidden ones too, from a root above all roots:
//! arrays of 32-bit numbers, no recursion. What no root reaches hangs below the root as well, by one
//! object of each cycle that nothing else refers to, so that garbage has its tree, too.

use super::components::{Components, LOOK_AHEAD, all_referents};
use super::diff::bytes_of;
use super::paths::speakers;
use crate::graph::{HeapGraph, ObjectId};

/// No number yet.
const NONE: u32 = u32::MAX;

/// Who dominates whom, and how much.
#[derive(Clone, Debug, Default)]
pub struct Dominators {
    /// The place of each object in the order of the search; the root above all is 0.
    order: Vec<u32>,
    /// The object at each place; the first one stands for the root.
    objects: Vec<ObjectId>,
    /// The place of each place's dominator.
    idom: Vec<u32>,
    /// The bytes below each place, its own included.
    retained: Vec<u64>,
    /// The first place of what no root reaches.
    rootless_from: usize,
}

impl Dominators {
    /// Finds the dominator of every object.
    #[must_use]
    pub fn new(graph: &HeapGraph) -> Self {
        let mut search = Search::new(graph.len());
        for root in &graph.roots {
            search.from(graph, root.object);
        }
        let rootless_from = search.objects.len();
        // An object that none of these reaches hangs below the first that is tried and reaches it.
        let components = Components::new(graph, |object| !search.has(object));
        let speakers = speakers::of(graph, &components);
        for object in speakers.into_iter().chain(graph.ids()) {
            if !search.has(object) {
                search.from(graph, object);
            }
        }
        Self { rootless_from, ..search.finish(graph) }
    }

    fn place(&self, object: ObjectId) -> Option<usize> {
        self.order.get(object.index()).filter(|&&place| place != NONE).map(|&place| place as usize)
    }

    /// What would be freed if the object were, itself included: shallow and buffer bytes.
    #[must_use]
    pub fn retained_bytes(&self, object: ObjectId) -> u64 {
        self.place(object).and_then(|place| self.retained.get(place)).copied().unwrap_or_default()
    }

    /// Whether no root reaches an object.
    #[must_use]
    pub fn is_rootless(&self, object: ObjectId) -> bool {
        self.place(object).is_none_or(|place| place >= self.rootless_from)
    }

    /// The bytes of all objects.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.retained.first().copied().unwrap_or_default()
    }

    /// The object that dominates an object directly; nothing for one that several roots, or a root
    /// itself, reach.
    #[must_use]
    pub fn dominator(&self, object: ObjectId) -> Option<ObjectId> {
        let above = self.place(object).and_then(|place| self.idom.get(place)).copied()?;
        self.objects.get(above as usize).copied().filter(|_| above > 0)
    }

    /// Who is dominated directly by whom, the other way round.
    #[must_use]
    pub fn children(&self) -> Children<'_> {
        let mut starts = vec![0_u32; self.objects.len() + 1];
        for &above in self.idom.iter().skip(1) {
            if let Some(count) = starts.get_mut(above as usize + 1) {
                *count += 1;
            }
        }
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        let mut next = starts.clone();
        let mut places = vec![0_u32; sum as usize];
        for (place, &above) in self.idom.iter().enumerate().skip(1) {
            if let Some(at) = next.get_mut(above as usize) {
                if let (Some(slot), Ok(place)) =
                    (places.get_mut(*at as usize), u32::try_from(place))
                {
                    *slot = place;
                }
                *at += 1;
            }
        }
        Children { dominators: self, starts, places }
    }

    /// All objects, each behind the one that dominates it.
    pub fn in_order(&self) -> impl Iterator<Item = ObjectId> + '_ {
        self.objects.iter().skip(1).copied()
    }
}

/// The dominator tree from above.
#[derive(Clone, Debug)]
pub struct Children<'d> {
    dominators: &'d Dominators,
    starts: Vec<u32>,
    places: Vec<u32>,
}

impl Children<'_> {
    /// The objects that `object` dominates directly (nothing: those that the root does), most bytes
    /// first.
    #[must_use]
    pub fn of(&self, object: Option<ObjectId>) -> Vec<ObjectId> {
        let place = match object {
            None => Some(0),
            Some(object) => self.dominators.place(object),
        };
        let range = place.and_then(|place| {
            let (from, to) = (self.starts.get(place)?, self.starts.get(place + 1)?);
            self.places.get(*from as usize..*to as usize)
        });
        let object = |&place: &u32| self.dominators.objects.get(place as usize).copied();
        let mut children: Vec<ObjectId> =
            range.unwrap_or_default().iter().filter_map(object).collect();
        let retained = |child| std::cmp::Reverse(self.dominators.retained_bytes(child));
        children.sort_by_key(|&child| (retained(child), child));
        children
    }
}

/// The depth-first search from the root above all roots.
struct Search {
    order: Vec<u32>,
    objects: Vec<ObjectId>,
    /// The place before each place in the tree of the search.
    parents: Vec<u32>,
    /// The places that hang directly below the root.
    starts: Vec<u32>,
}

impl Search {
    fn new(objects: usize) -> Self {
        Self {
            order: vec![NONE; objects],
            objects: vec![ObjectId::default()],
            parents: vec![0],
            starts: Vec::new(),
        }
    }

    fn has(&self, object: ObjectId) -> bool {
        self.order.get(object.index()).is_some_and(|&place| place != NONE)
    }

    /// Numbers an object, unless it has a number.
    fn number(&mut self, object: ObjectId, parent: u32) -> Option<u32> {
        let place = u32::try_from(self.objects.len()).ok()?;
        let slot = self.order.get_mut(object.index()).filter(|slot| **slot == NONE)?;
        *slot = place;
        self.objects.push(object);
        self.parents.push(parent);
        Some(place)
    }

    /// Searches from an object that the root refers to.
    fn from(&mut self, graph: &HeapGraph, start: ObjectId) {
        let Some(place) = self.number(start, 0) else {
            // Reached before: it has one more way from the root.
            self.starts.extend(self.order.get(start.index()).copied());
            return;
        };
        self.starts.push(place);
        // References that are still to be followed, each with the place of its object. Those of an object
        // lie above those of the objects before it: the one on top is the next of the search.
        let mut ahead: Vec<(u32, ObjectId)> = Vec::new();
        self.unnumbered(graph, (place, start), &mut ahead);
        while let Some((parent, object)) = ahead.pop() {
            let soon = ahead.get(ahead.len().wrapping_sub(LOOK_AHEAD));
            std::hint::black_box(soon.map(|&(_, soon)| self.has(soon)));
            if let Some(place) = self.number(object, parent) {
                self.unnumbered(graph, (place, object), &mut ahead);
            }
        }
    }

    /// Puts the references of an object to what has no number on top, the first one last.
    fn unnumbered(
        &self,
        graph: &HeapGraph,
        (place, object): (u32, ObjectId),
        ahead: &mut Vec<(u32, ObjectId)>,
    ) {
        let from = ahead.len();
        let referents = all_referents(graph, object).filter(|&to| !self.has(to));
        ahead.extend(referents.map(|to| (place, to)));
        if let Some(added) = ahead.get_mut(from..) {
            added.reverse();
        }
    }

    /// The dominators, now that all objects have a place.
    fn finish(self, graph: &HeapGraph) -> Dominators {
        let (offsets, sources) = self.referrers(graph);
        let count = self.objects.len();
        let places = u32::try_from(count).unwrap_or(NONE);
        let mut semi: Vec<u32> = (0..places).collect();
        let up = |&ancestor: &u32| Way { ancestor, lowest: NONE };
        let mut ways: Vec<Way> = self.parents.iter().map(up).collect();
        let mut compressed: Vec<u32> = Vec::new();
        for place in (1..places).rev() {
            let at = place as usize;
            let range = (offsets.get(at), offsets.get(at + 1));
            let (Some(&from), Some(&to)) = range else { continue };
            let mut lowest = place;
            let soon = sources.get((from as usize).wrapping_sub(LOOK_AHEAD));
            let soon = soon.and_then(|&soon| ways.get(soon as usize));
            std::hint::black_box(soon.map(|way| way.lowest));
            for &source in sources.get(from as usize..to as usize).unwrap_or_default() {
                lowest = lowest.min(match source <= place {
                    true => source,
                    false => compress(source, place, &mut ways, &mut compressed),
                });
            }
            set(&mut semi, place, lowest);
            if let Some(way) = ways.get_mut(at) {
                way.lowest = lowest;
            }
        }
        drop((ways, offsets, sources));
        let mut idom = self.parents;
        for place in 1..places {
            let mut above = get(&idom, place);
            let lowest = get(&semi, place);
            while above > lowest {
                above = get(&idom, above);
            }
            set(&mut idom, place, above);
        }
        let mut retained: Vec<u64> =
            self.objects.iter().map(|&object| bytes_of(graph, object)).collect();
        if let Some(root) = retained.first_mut() {
            *root = 0;
        }
        for place in (1..count).rev() {
            let bytes = retained.get(place).copied().unwrap_or_default();
            let above = idom.get(place).copied().unwrap_or_default() as usize;
            if let Some(sum) = retained.get_mut(above) {
                *sum = sum.saturating_add(bytes);
            }
        }
        Dominators { order: self.order, objects: self.objects, idom, retained, rootless_from: 0 }
    }

    /// Who refers to each place, by place: where the list of each begins, and the lists. In the order of
    /// the objects, whose references lie side by side: memory is not waited for.
    fn referrers(&self, graph: &HeapGraph) -> (Vec<u32>, Vec<u32>) {
        let mut offsets = vec![0_u32; self.objects.len() + 1];
        let each = |tell: &mut dyn FnMut(u32, u32)| {
            for &start in &self.starts {
                tell(0, start);
            }
            for (object, &from) in graph.ids().zip(&self.order).filter(|&(_, &from)| from != NONE) {
                for to in all_referents(graph, object) {
                    if let Some(&to) = self.order.get(to.index()) {
                        tell(from, to);
                    }
                }
            }
        };
        each(&mut |_, to| {
            if let Some(count) = offsets.get_mut(to as usize + 1) {
                *count += 1;
            }
        });
        let mut sum = 0_u32;
        for offset in &mut offsets {
            sum = sum.saturating_add(*offset);
            *offset = sum;
        }
        let mut next = offsets.clone();
        let mut sources = vec![0; sum as usize];
        each(&mut |from, to| {
            if let Some(at) = next.get_mut(to as usize) {
                if let Some(slot) = sources.get_mut(*at as usize) {
                    *slot = from;
                }
                *at += 1;
            }
        });
        (offsets, sources)
    }
}

fn get(list: &[u32], at: u32) -> u32 {
    list.get(at as usize).copied().unwrap_or_default()
}

fn set(list: &mut [u32], at: u32, to: u32) {
    if let Some(slot) = list.get_mut(at as usize) {
        *slot = to;
    }
}

/// The way from a place up through places that are linked, as far as it is known: both parts side by
/// side, for a step of it is a look into memory.
#[derive(Clone, Copy)]
struct Way {
    /// Where it has come to.
    ancestor: u32,
    /// The lowest semidominator on it.
    lowest: u32,
}

/// Shortens the way from a place up to those that are not linked yet (up to `linked`), and gives the
/// lowest semidominator on it.
fn compress(place: u32, linked: u32, ways: &mut [Way], passed: &mut Vec<u32>) -> u32 {
    const NOWHERE: Way = Way { ancestor: 0, lowest: NONE };
    let way = |ways: &[Way], at: u32| ways.get(at as usize).copied().unwrap_or(NOWHERE);
    let mut above = way(ways, place);
    if above.ancestor <= linked {
        return above.lowest;
    }
    passed.clear();
    let mut at = place;
    while above.ancestor > linked {
        passed.push(at);
        at = above.ancestor;
        above = way(ways, at);
    }
    while let Some(at) = passed.pop() {
        if let Some(way) = ways.get_mut(at as usize) {
            let lowest = way.lowest.min(above.lowest);
            *way = Way { ancestor: above.ancestor, lowest };
            above = *way;
        }
    }
    above.lowest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{EdgeLabel, GraphBuilder, RootKind};

    /// Objects of 16, 32, 48, … bytes with the given edges; roots where given.
    fn graph(objects: usize, edges: &[(usize, usize, bool)], roots: &[usize]) -> HeapGraph {
        let mut builder = GraphBuilder::new();
        let addrs: Vec<_> = (0..objects)
            .map(|nth| builder.object(16 * (nth as u64 + 1), "app.T", 16 * (nth as u64 + 1)))
            .collect();
        for &(from, to, hidden) in edges {
            match hidden {
                true => builder.hidden_edge(addrs[from], EdgeLabel::Index(0), addrs[to]),
                false => builder.edge(addrs[from], EdgeLabel::Index(0), addrs[to]),
            }
        }
        for &root in roots {
            builder.root(RootKind::Module, "app", addrs[root]);
        }
        builder.build()
    }

    /// What the roots reach if one object is taken out.
    fn reached(
        objects: usize,
        edges: &[(usize, usize, bool)],
        roots: &[usize],
        without: usize,
    ) -> Vec<bool> {
        let mut reached = vec![false; objects];
        let mut left: Vec<usize> = roots.iter().copied().filter(|&root| root != without).collect();
        while let Some(at) = left.pop() {
            if !std::mem::replace(&mut reached[at], true) {
                let next = edges.iter().filter(|&&(from, to, _)| from == at && to != without);
                left.extend(next.map(|&(_, to, _)| to));
            }
        }
        reached
    }

    proptest::proptest! {
        #[test]
        fn retained_bytes_are_what_taking_the_object_out_frees(
            edges in proptest::collection::vec((0_usize..10, 0_usize..10, proptest::bool::ANY), 0..30),
            roots in proptest::collection::vec(0_usize..10, 1..4),
        ) {
            let graph = graph(10, &edges, &roots);
            let dominators = Dominators::new(&graph);
            let all = reached(10, &edges, &roots, usize::MAX);
            // What is garbage holds what it refers to until it is collected.
            let holders: Vec<usize> =
                roots.iter().copied().chain((0..10).filter(|&object| !all[object])).collect();
            for object in (0..10).filter(|&object| all[object]) {
                let left = reached(10, &edges, &holders, object);
                let freed: usize = (0..10).filter(|&at| all[at] && !left[at]).map(|at| 16 * (at + 1)).sum();
                let id = ObjectId::from_index(object);
                proptest::prop_assert_eq!(dominators.retained_bytes(id), freed as u64, "{}", object);
            }
            let total: u64 = (1..=10).map(|nth| 16 * nth).sum();
            proptest::prop_assert_eq!(dominators.total_bytes(), total);
        }
    }

    #[test]
    fn an_object_retains_the_cycle_behind_it() {
        // 0 refers to 1, which is in a cycle with 2; the root refers to 0.
        let graph = graph(3, &[(0, 1, false), (1, 2, false), (2, 1, false)], &[0]);
        let dominators = Dominators::new(&graph);
        assert_eq!(dominators.retained_bytes(ObjectId(0)), 16 + 32 + 48);
        assert_eq!(dominators.dominator(ObjectId(2)), Some(ObjectId(1)));
        assert_eq!(dominators.children().of(None), [ObjectId(0)]);
    }

    #[test]
    fn garbage_has_a_tree_of_its_own() {
        // Nothing refers to 0, which refers to a cycle of 1 and 2.
        let graph = graph(3, &[(0, 1, false), (1, 2, false), (2, 1, false)], &[]);
        assert_eq!(Dominators::new(&graph).retained_bytes(ObjectId(0)), 16 + 32 + 48);
    }

    #[test]
    fn a_list_of_a_million_links_is_no_deep_recursion() {
        let links: Vec<_> = (0..1_000_000).map(|nth| (nth, nth + 1, false)).collect();
        let graph = graph(1_000_001, &links, &[0]);
        let dominators = Dominators::new(&graph);
        assert_eq!(dominators.retained_bytes(ObjectId(0)), dominators.total_bytes());
    }
}
