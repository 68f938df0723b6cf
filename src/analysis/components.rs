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
    /// The next of its referents.
    next: u32,
}

/// What the search knows of an object, side by side: a reference costs one look into memory, not
/// three.
#[derive(Clone, Copy)]
struct Mark {
    /// When it was met.
    order: u32,
    /// The earliest that it leads back to.
    low: u32,
    /// The number of its component.
    of: u32,
}

impl Mark {
    const NONE: Self = Self { order: NONE, low: NONE, of: NONE };
}

/// The number of the component of each object, and how many there are.
fn tarjan(graph: &HeapGraph, free: &impl Fn(ObjectId) -> bool) -> (Vec<u32>, u32) {
    let mut marks = vec![Mark::NONE; graph.len()];
    let (mut counter, mut count) = (0_u32, 0_u32);
    let mut stack: Vec<ObjectId> = Vec::new();
    let mut visits: Vec<Visit> = Vec::new();
    let get =
        |marks: &[Mark], object: ObjectId| marks.get(object.index()).copied().unwrap_or(Mark::NONE);
    let lower = |marks: &mut [Mark], object: ObjectId, to: u32| {
        if let Some(mark) = marks.get_mut(object.index()) {
            mark.low = mark.low.min(to);
        }
    };
    for start in graph.ids().filter(|&object| free(object)) {
        if get(&marks, start).order != NONE {
            continue;
        }
        visits.push(Visit { object: start, next: 0 });
        while let Some(visit) = visits.last_mut() {
            let object = visit.object;
            if visit.next == 0 {
                if let Some(mark) = marks.get_mut(object.index()) {
                    *mark = Mark { order: counter, low: counter, of: NONE };
                }
                counter = counter.saturating_add(1);
                stack.push(object);
            }
            let visible = graph.referents.of(object);
            let nth = visit.next as usize;
            let to = visible
                .get(nth)
                .or_else(|| graph.hidden_referents.of(object).get(nth.wrapping_sub(visible.len())));
            // The first step of an object is numbering it, so an object without referents ends too.
            visit.next += 1;
            let Some(&to) = to else {
                visits.pop();
                let mark = get(&marks, object);
                if let Some(above) = visits.last() {
                    lower(&mut marks, above.object, mark.low);
                }
                if mark.low == mark.order {
                    while let Some(member) = stack.pop() {
                        if let Some(mark) = marks.get_mut(member.index()) {
                            mark.of = count;
                        }
                        if member == object {
                            break;
                        }
                    }
                    count += 1;
                }
                continue;
            };
            if !free(to) {
                continue;
            }
            let mark = get(&marks, to);
            if mark.order == NONE {
                visits.push(Visit { object: to, next: 0 });
            } else if mark.of == NONE {
                lower(&mut marks, object, mark.order);
            }
        }
    }
    (marks.iter().map(|mark| mark.of).collect(), count)
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
