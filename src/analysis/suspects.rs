//! What leaks, and who holds it: the growth of a diff, told by the class that it hangs on.
//!
//! A leaking class takes dictionaries, texts and lists with it, which outnumber it. So every new
//! object counts for an *owner*: the first object of a class of its own (not `builtins`) among the
//! new objects on its path, or where there is none the first new object. Types are ranked by the
//! bytes that count for them; those that own nothing come behind.

use rustc_hash::{FxHashMap, FxHashSet};

use super::diff::{Diff, Identity, bytes_of};
use super::paths::{HeldBy, Paths};
use crate::graph::{HeapGraph, ObjectId, StringId};

/// The most ways told of one type; the rest is in the shares.
const MOST_WAYS: usize = 10;

/// A type that grew, and how its new objects are held.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Suspect {
    /// The full name.
    pub type_name: String,
    /// How many objects more there are.
    pub objects_delta: i64,
    /// How many bytes more these objects are.
    pub bytes_delta: i64,
    /// The bytes that hang on its new objects, their own and those of what they brought along.
    pub owned_bytes: u64,
    /// The ways in which its new objects (between two processes: all of them) are held.
    pub held_by: Vec<HeldBy>,
    /// How many objects the shares of `held_by` are of.
    pub held_objects: u64,
}

/// Ranks the types that grew.
#[must_use]
pub fn suspects(graph: &HeapGraph, diff: &Diff) -> Vec<Suspect> {
    let grew: FxHashMap<&str, (i64, i64, u64)> = diff
        .types
        .iter()
        .filter(|row| row.bytes_delta() > 0 || row.objects_delta() > 0)
        .map(|row| (row.name.as_str(), (row.objects_delta(), row.bytes_delta(), row.bytes_after)))
        .collect();
    if grew.is_empty() {
        return Vec::new();
    }
    let growing: FxHashSet<StringId> =
        grew.keys().filter_map(|&name| graph.strings.find(name)).collect();
    let name_of = |object: ObjectId| {
        graph.types.get(graph.type_of(object).index()).map(|row| row.name).unwrap_or_default()
    };
    let paths = Paths::new(graph);
    let candidates: Vec<ObjectId> = match diff.identity {
        Identity::SameProcess => diff.new.clone(),
        Identity::OtherProcess => graph.ids().filter(|&o| growing.contains(&name_of(o))).collect(),
    };
    let mut owned = owned_bytes(graph, &paths, &candidates, |object| {
        let bytes = bytes_of(graph, object);
        match (diff.identity, grew.get(graph.type_name_of(object))) {
            (Identity::SameProcess, _) => bytes,
            // Which objects are the new ones is not known: each counts for its part of the growth.
            (Identity::OtherProcess, Some(&(_, delta, after))) if after > 0 => {
                let part = u128::from(bytes) * u128::from(delta.max(0).unsigned_abs());
                u64::try_from(part / u128::from(after)).unwrap_or(u64::MAX)
            }
            (Identity::OtherProcess, _) => 0,
        }
    });
    let mut members: FxHashMap<StringId, Vec<ObjectId>> = FxHashMap::default();
    for &object in candidates.iter().filter(|&&object| growing.contains(&name_of(object))) {
        members.entry(name_of(object)).or_default().push(object);
    }
    for &(object, bytes) in &diff.grown {
        let name = name_of(object);
        if growing.contains(&name) {
            let sum = owned.entry(name).or_default();
            *sum = sum.saturating_add(bytes);
            members.entry(name).or_default().push(object);
        }
    }
    let mut suspects: Vec<Suspect> = grew
        .iter()
        .map(|(&name, &(objects_delta, bytes_delta, _))| {
            let id = graph.strings.find(name).unwrap_or_default();
            let objects = members.remove(&id).unwrap_or_default();
            let held_objects = objects.len() as u64;
            let mut held_by = paths.group(graph, objects);
            held_by.truncate(MOST_WAYS);
            for held in &mut held_by {
                if held.path.root.origin.is_rootless() {
                    held.cycle = paths.cycle(graph, held.example);
                }
            }
            Suspect {
                type_name: name.to_owned(),
                objects_delta,
                bytes_delta,
                owned_bytes: owned.get(&id).copied().unwrap_or_default(),
                held_by,
                held_objects,
            }
        })
        .collect();
    suspects.sort_by(|a, b| {
        let key = |suspect: &Suspect| (suspect.owned_bytes, suspect.bytes_delta);
        key(b).cmp(&key(a)).then_with(|| a.type_name.cmp(&b.type_name))
    });
    suspects
}

/// The bytes that count for each type name, by the owners of the candidates.
fn owned_bytes(
    graph: &HeapGraph,
    paths: &Paths,
    candidates: &[ObjectId],
    weight: impl Fn(ObjectId) -> u64,
) -> FxHashMap<StringId, u64> {
    let new: FxHashSet<ObjectId> = candidates.iter().copied().collect();
    let mut owners = Owners { graph, paths, new: &new, known: FxHashMap::default() };
    let mut owned: FxHashMap<StringId, u64> = FxHashMap::default();
    for &object in candidates {
        let owner = owners.of(object).unwrap_or(object);
        if let Some(row) = graph.types.get(graph.type_of(owner).index()) {
            let sum = owned.entry(row.name).or_default();
            *sum = sum.saturating_add(weight(object));
        }
    }
    owned
}

/// The owner of each object, found once.
struct Owners<'a> {
    graph: &'a HeapGraph,
    paths: &'a Paths,
    new: &'a FxHashSet<ObjectId>,
    known: FxHashMap<ObjectId, Option<ObjectId>>,
}

impl Owners<'_> {
    fn of(&mut self, object: ObjectId) -> Option<ObjectId> {
        let mut pending = Vec::new();
        let mut at = Some(object);
        let mut owner = None;
        while let Some(current) = at {
            if let Some(&known) = self.known.get(&current) {
                owner = known;
                break;
            }
            pending.push(current);
            at = self.paths.parent(current);
        }
        while let Some(current) = pending.pop() {
            if self.new.contains(&current) {
                owner = match owner {
                    Some(above) if self.is_own_class(above) => Some(above),
                    Some(above) if !self.is_own_class(current) => Some(above),
                    _ => Some(current),
                };
            }
            self.known.insert(current, owner);
        }
        owner
    }

    fn is_own_class(&self, object: ObjectId) -> bool {
        !self.graph.type_name_of(object).starts_with("builtins.")
    }
}

#[cfg(test)]
#[path = "suspects/tests.rs"]
mod tests;
