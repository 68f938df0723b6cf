//! Strongly connected components: which objects refer to each other in circles (Tarjan's algorithm
//! without recursion, over all references, hidden ones too).

use crate::graph::{HeapGraph, ObjectId};

/// Not numbered yet, or not looked at.
const NONE: u32 = u32::MAX;

/// The component of every object that was looked at, and the members of each.
#[derive(Clone, Debug, Default)]
pub struct Components {
    of: Vec<u32>,
    /// Where the members of each component begin, and one behind the last.
    starts: Vec<u32>,
    members: Vec<ObjectId>,
}

/// All referents of an object, hidden ones too.
pub fn all_referents(graph: &HeapGraph, object: ObjectId) -> impl Iterator<Item = ObjectId> + '_ {
    graph.referents.of(object).iter().chain(graph.hidden_referents.of(object)).copied()
}

/// How many steps before it follows a reference a search looks at where it leads: memory is then waited
/// for while other references are followed. On a heap that is larger than the processor's caches, a
/// search spends its time waiting.
pub(super) const LOOK_AHEAD: usize = 16;

impl Components {
    /// Splits the objects for which `free` holds.
    #[must_use]
    pub fn new(graph: &HeapGraph, free: impl Fn(ObjectId) -> bool) -> Self {
        let (of, count) = tarjan(graph, &free);
        // Members side by side, by counting.
        let mut starts = vec![0_u32; count as usize + 1];
        let numbered = || of.iter().filter(|&&number| number != NONE);
        for &number in numbered() {
            if let Some(start) = starts.get_mut(number as usize + 1) {
                *start += 1;
            }
        }
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        let mut next = starts.clone();
        let mut members = vec![ObjectId::default(); sum as usize];
        for (index, &number) in of.iter().enumerate() {
            if let Some(at) = next.get_mut(number as usize) {
                if let Some(slot) = members.get_mut(*at as usize) {
                    *slot = ObjectId::from_index(index);
                }
                *at += 1;
            }
        }
        Self { of, starts, members }
    }

    /// How many components there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The component of an object; nothing if it was not looked at.
    #[must_use]
    pub fn of(&self, object: ObjectId) -> Option<u32> {
        self.of.get(object.index()).copied().filter(|&number| number != NONE)
    }

    /// The objects of a component, in the order of their addresses.
    #[must_use]
    pub fn members(&self, number: u32) -> &[ObjectId] {
        let at = |index: usize| self.starts.get(index).map(|&start| start as usize);
        match (at(number as usize), at(number as usize + 1)) {
            (Some(start), Some(end)) => self.members.get(start..end).unwrap_or_default(),
            _ => &[],
        }
    }

    /// Whether the objects of a component are in a circle: two or more always are.
    #[must_use]
    pub fn is_cyclic(&self, graph: &HeapGraph, number: u32) -> bool {
        match self.members(number) {
            [] => false,
            &[single] => all_referents(graph, single).any(|to| to == single),
            _ => true,
        }
    }

    /// The shortest circle through an object, within its component: its objects, each with the
    /// number of the edge (hidden ones counted behind the others) that leads to the next; nothing
    /// if it is in none.
    #[must_use]
    pub fn circle(&self, graph: &HeapGraph, start: ObjectId) -> Vec<(ObjectId, usize)> {
        let Some(component) = self.of(start) else { return Vec::new() };
        let mut parents = rustc_hash::FxHashMap::default();
        let mut queue = vec![start];
        let mut next = 0;
        while let Some(&object) = queue.get(next) {
            next += 1;
            for (nth, to) in all_referents(graph, object).enumerate() {
                if to == start {
                    let mut circle = vec![(object, nth)];
                    let mut at = object;
                    while let Some(&(parent, nth)) = parents.get(&at) {
                        circle.push((parent, nth));
                        at = parent;
                    }
                    circle.reverse();
                    return circle;
                }
                if self.of(to) == Some(component) && !parents.contains_key(&to) {
                    parents.insert(to, (object, nth));
                    queue.push(to);
                }
            }
        }
        Vec::new()
    }
}

/// An object on the way of the search.
struct Visit {
    object: ObjectId,
    /// When it was met.
    order: u32,
    /// The earliest that it leads back to.
    low: u32,
    /// Where its references begin among those that are still to be followed.
    ahead_from: usize,
}

/// What the search knows of an object, side by side: a reference costs one look into memory, not two.
#[derive(Clone, Copy)]
struct Mark {
    /// When it was met.
    order: u32,
    /// The number of its component.
    of: u32,
}

impl Mark {
    const NONE: Self = Self { order: NONE, of: NONE };
}

/// The search, and what it has found.
struct Tarjan<'g, F> {
    graph: &'g HeapGraph,
    free: F,
    marks: Vec<Mark>,
    /// How many objects were met.
    met: u32,
    /// How many components are complete.
    count: u32,
    /// The objects whose components are not complete, in the order in which they were met.
    open: Vec<ObjectId>,
    visits: Vec<Visit>,
    /// References that are still to be followed. Those of an object lie above those of the objects before
    /// it on the way.
    ahead: Vec<ObjectId>,
}

impl<F: Fn(ObjectId) -> bool> Tarjan<'_, F> {
    fn mark(&self, object: ObjectId) -> Mark {
        self.marks.get(object.index()).copied().unwrap_or(Mark::NONE)
    }

    /// Begins with an object that was not met.
    fn visit(&mut self, object: ObjectId) {
        let order = self.met;
        self.met = self.met.saturating_add(1);
        if let Some(mark) = self.marks.get_mut(object.index()) {
            mark.order = order;
        }
        self.open.push(object);
        let (mut low, ahead_from) = (order, self.ahead.len());
        for to in all_referents(self.graph, object) {
            let Mark { order, of } = self.mark(to);
            match (order, of) {
                (NONE, _) => self.ahead.push(to),
                (order, NONE) => low = low.min(order),
                _ => {}
            }
        }
        self.visits.push(Visit { object, order, low, ahead_from });
    }

    /// Follows all that an object leads to.
    fn from(&mut self, start: ObjectId) {
        self.visit(start);
        while let Some(visit) = self.visits.last_mut() {
            if self.ahead.len() <= visit.ahead_from {
                self.complete();
                continue;
            }
            let Some(to) = self.ahead.pop() else { break };
            let soon = self.ahead.get(self.ahead.len().wrapping_sub(LOOK_AHEAD));
            std::hint::black_box(
                soon.and_then(|soon| self.marks.get(soon.index())).map(|m| m.order),
            );
            match self.marks.get(to.index()).copied().unwrap_or(Mark::NONE) {
                Mark { order: NONE, .. } if (self.free)(to) => self.visit(to),
                Mark { order: NONE, .. } => {}
                Mark { order, of: NONE } => visit.low = visit.low.min(order),
                _ => {}
            }
        }
    }

    /// Ends the last visit: its component is complete if it leads back to nothing before it.
    fn complete(&mut self) {
        let Some(Visit { object, order, low, .. }) = self.visits.pop() else { return };
        if low < order {
            if let Some(above) = self.visits.last_mut() {
                above.low = above.low.min(low);
            }
            return;
        }
        while let Some(member) = self.open.pop() {
            if let Some(mark) = self.marks.get_mut(member.index()) {
                mark.of = self.count;
            }
            if member == object {
                break;
            }
        }
        self.count += 1;
    }
}

/// The number of the component of each object, and how many there are.
fn tarjan(graph: &HeapGraph, free: &impl Fn(ObjectId) -> bool) -> (Vec<u32>, u32) {
    let mut search = Tarjan {
        graph,
        free,
        marks: vec![Mark::NONE; graph.len()],
        met: 0,
        count: 0,
        open: Vec::new(),
        visits: Vec::new(),
        ahead: Vec::new(),
    };
    for start in graph.ids().filter(|&object| free(object)) {
        if search.mark(start).order == NONE {
            search.from(start);
        }
    }
    (search.marks.iter().map(|mark| mark.of).collect(), search.count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{EdgeLabel, GraphBuilder};

    /// A graph of objects 0..n with the given edges, hidden where the flag says so.
    fn graph(objects: usize, edges: &[(usize, usize, bool)]) -> HeapGraph {
        let mut builder = GraphBuilder::new();
        let addrs: Vec<_> =
            (0..objects).map(|nth| builder.object(16 * (nth as u64 + 1), "app.T", 16)).collect();
        for &(from, to, hidden) in edges {
            if let (Some(&from), Some(&to)) = (addrs.get(from), addrs.get(to)) {
                if hidden {
                    builder.hidden_edge(from, EdgeLabel::Index(0), to);
                } else {
                    builder.edge(from, EdgeLabel::Index(0), to);
                }
            }
        }
        builder.build()
    }

    /// What an object reaches, by following all edges.
    fn reached(from: usize, edges: &[(usize, usize, bool)]) -> Vec<usize> {
        let mut reached: Vec<usize> = Vec::new();
        let mut left = vec![from];
        while let Some(at) = left.pop() {
            for &(_, to, _) in edges.iter().filter(|&&(start, ..)| start == at) {
                if !reached.contains(&to) {
                    reached.push(to);
                    left.push(to);
                }
            }
        }
        reached
    }

    proptest::proptest! {
        #[test]
        fn two_objects_are_of_one_component_if_each_reaches_the_other(
            edges in proptest::collection::vec((0_usize..12, 0_usize..12, proptest::bool::ANY), 0..40),
        ) {
            let graph = graph(12, &edges);
            let components = Components::new(&graph, |_| true);
            for a in 0..12 {
                let id = ObjectId::from_index(a);
                let from_a = reached(a, &edges);
                for b in 0..12 {
                    let same = components.of(id) == components.of(ObjectId::from_index(b));
                    let both = from_a.contains(&b) && reached(b, &edges).contains(&a);
                    proptest::prop_assert_eq!(same, a == b || both);
                }
                proptest::prop_assert_eq!(!components.circle(&graph, id).is_empty(), from_a.contains(&a));
                let cyclic = components.of(id).map(|n| components.is_cyclic(&graph, n));
                proptest::prop_assert_eq!(cyclic, Some(from_a.contains(&a)));
            }
        }
    }

    #[test]
    fn a_list_of_a_million_links_and_a_star_do_not_overflow() {
        let links: Vec<_> = (0..1_000_000).map(|nth| (nth, nth + 1, false)).collect();
        let graph = graph(1_000_001, &links);
        assert_eq!(Components::new(&graph, |_| true).len(), 1_000_001);
    }
}
