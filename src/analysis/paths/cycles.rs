//! What only the collector knows: which object of each reference cycle speaks for it.
//!
//! Every object of such a cycle is known to the collector, so each would be a root of its own and
//! nothing would be said of who brought whom along. So the objects that nothing else reaches are
//! split into strongly connected components (Tarjan's algorithm without recursion), and one object
//! of every component that no other one refers to becomes the beginning of the paths.

use rustc_hash::FxHashMap;

use crate::graph::{HeapGraph, ObjectId};

/// Not numbered yet.
const NONE: u32 = u32::MAX;

/// The components of the objects that nothing but the collector reaches.
#[derive(Clone, Debug, Default)]
pub(super) struct Components {
    /// The component of each object in a cycle.
    cyclic: FxHashMap<ObjectId, u32>,
}

/// All referents of an object, hidden ones too.
fn referents(graph: &HeapGraph, object: ObjectId) -> impl Iterator<Item = ObjectId> + '_ {
    graph.referents.of(object).iter().chain(graph.hidden_referents.of(object)).copied()
}

/// An object on the way of the search.
struct Visit {
    object: ObjectId,
    /// The next of its referents.
    next: usize,
}

impl Components {
    /// Splits the objects for which `free` holds, and gives the object that speaks for each
    /// component without a referrer outside it; only objects that `may_speak` are asked.
    pub(super) fn new(
        graph: &HeapGraph,
        free: impl Fn(ObjectId) -> bool,
        may_speak: impl Fn(ObjectId) -> bool,
    ) -> (Self, Vec<ObjectId>) {
        let found = tarjan(graph, &free);
        let mut held = vec![false; found.members.len()];
        let mut degree: FxHashMap<ObjectId, u32> = FxHashMap::default();
        let mut components = Self::default();
        let mut looped = vec![false; found.members.len()];
        for (number, members) in found.members.iter().enumerate() {
            for &member in members {
                for to in referents(graph, member).filter(|&to| free(to)) {
                    let there = found.of.get(to.index()).copied().unwrap_or(NONE) as usize;
                    if there == number {
                        *degree.entry(to).or_default() += 1;
                        if let Some(flag) = looped.get_mut(number) {
                            *flag = true;
                        }
                    } else if let Some(flag) = held.get_mut(there) {
                        *flag = true;
                    }
                }
            }
        }
        let mut speakers = Vec::new();
        for (number, members) in found.members.iter().enumerate() {
            if looped.get(number).copied().unwrap_or_default() {
                let id = u32::try_from(number).unwrap_or(NONE);
                components.cyclic.extend(members.iter().map(|&member| (member, id)));
            }
            if held.get(number).copied().unwrap_or_default() {
                continue;
            }
            // A class of its own, then the hub, then the bigger one, then by name: cycles of the
            // same shape are spoken for by the same type.
            let speaker =
                members.iter().copied().filter(|&member| may_speak(member)).max_by_key(|&member| {
                    let name = graph.type_name_of(member);
                    let own = !name.starts_with("builtins.");
                    let degree = degree.get(&member).copied().unwrap_or_default();
                    (own, degree, graph.shallow_bytes_of(member), name, member)
                });
            speakers.extend(speaker);
        }
        speakers.sort_unstable();
        (components, speakers)
    }

    /// The shortest cycle through an object: its objects, each with the number of the edge (hidden
    /// ones counted behind the others) that leads to the next; nothing if it is in none.
    pub(super) fn through(&self, graph: &HeapGraph, start: ObjectId) -> Vec<(ObjectId, usize)> {
        let Some(&component) = self.cyclic.get(&start) else { return Vec::new() };
        let mut parents: FxHashMap<ObjectId, (ObjectId, usize)> = FxHashMap::default();
        let mut queue = vec![start];
        let mut next = 0;
        while let Some(&object) = queue.get(next) {
            next += 1;
            for (nth, to) in referents(graph, object).enumerate() {
                if to == start {
                    let mut cycle = vec![(object, nth)];
                    let mut at = object;
                    while let Some(&(parent, nth)) = parents.get(&at) {
                        cycle.push((parent, nth));
                        at = parent;
                    }
                    cycle.reverse();
                    return cycle;
                }
                if self.cyclic.get(&to) == Some(&component) && !parents.contains_key(&to) {
                    parents.insert(to, (object, nth));
                    queue.push(to);
                }
            }
        }
        Vec::new()
    }
}

/// Components by number, and the number of each object's.
struct Found {
    members: Vec<Vec<ObjectId>>,
    of: Vec<u32>,
}

/// Tarjan's algorithm on the objects for which `free` holds.
fn tarjan(graph: &HeapGraph, free: &impl Fn(ObjectId) -> bool) -> Found {
    let mut found = Found { members: Vec::new(), of: vec![NONE; graph.len()] };
    let mut order = vec![NONE; graph.len()];
    let mut low = vec![NONE; graph.len()];
    let mut counter = 0_u32;
    let mut stack: Vec<ObjectId> = Vec::new();
    let mut visits: Vec<Visit> = Vec::new();
    let get = |list: &[u32], object: ObjectId| list.get(object.index()).copied().unwrap_or(NONE);
    let lower = |list: &mut [u32], object: ObjectId, to: u32| {
        if let Some(slot) = list.get_mut(object.index()) {
            *slot = to.min(*slot);
        }
    };
    for start in graph.ids().filter(|&object| free(object)) {
        if get(&order, start) != NONE {
            continue;
        }
        visits.push(Visit { object: start, next: 0 });
        while let Some(visit) = visits.last_mut() {
            let object = visit.object;
            if visit.next == 0 {
                lower(&mut order, object, counter);
                lower(&mut low, object, counter);
                counter = counter.saturating_add(1);
                stack.push(object);
            }
            let visible = graph.referents.of(object);
            let to = visible.get(visit.next).or_else(|| {
                graph.hidden_referents.of(object).get(visit.next.wrapping_sub(visible.len()))
            });
            // The first step of an object is numbering it, so an object without referents ends too.
            visit.next += 1;
            match to.copied() {
                Some(to) if free(to) && get(&order, to) == NONE => {
                    visits.push(Visit { object: to, next: 0 });
                }
                Some(to) if free(to) && get(&found.of, to) == NONE => {
                    let number = get(&order, to);
                    lower(&mut low, object, number);
                }
                Some(_) => {}
                None => {
                    visits.pop();
                    let lowest = get(&low, object);
                    if let Some(above) = visits.last() {
                        lower(&mut low, above.object, lowest);
                    }
                    if lowest == get(&order, object) {
                        close(&mut found, &mut stack, object);
                    }
                }
            }
        }
    }
    found
}

/// Takes a finished component off the stack.
fn close(found: &mut Found, stack: &mut Vec<ObjectId>, first: ObjectId) {
    let number = u32::try_from(found.members.len()).unwrap_or(NONE);
    let mut members = Vec::new();
    while let Some(member) = stack.pop() {
        if let Some(slot) = found.of.get_mut(member.index()) {
            *slot = number;
        }
        members.push(member);
        if member == first {
            break;
        }
    }
    found.members.push(members);
}
