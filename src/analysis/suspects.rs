//! What leaks, and who holds it: the growth of a diff, told by the class that it hangs on.
//!
//! A leaking class takes dictionaries, texts and lists with it, which outnumber it. So every new
//! object counts for an *owner*: on its path, among the new objects, the first one of a class in
//! Python; where there is none, of C code of a library; else the first one. Types are ranked by the
//! bytes that count for them; those that own nothing come behind.
//!
//! With more than two heaps, what came at every step and stayed is above all else: a cache that fills
//! stops growing, and what a request in flight holds is gone at the next step.

mod owners;

use rustc_hash::FxHashMap;

use super::diff::{Diff, Identity, bytes_of};
use super::growth::Growth;
use super::lineage::Lineage;
use super::paths::grouping::Grouping;
use super::paths::{HeldBy, Paths, Step};
use crate::graph::{HeapGraph, ObjectId, StringId};
use owners::Owners;

/// The most ways told of one type; the rest is in the shares.
const MOST_WAYS: usize = 10;

/// The most parts told of what hangs on the objects of a type.
const MOST_PARTS: usize = 3;

/// A part is told if it is at least one of so many of what hangs on the objects.
const LEAST_PART: u64 = 10;

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
    /// The ways in which its new objects (between two processes: all of them) are held, each with the
    /// bytes that hang on these.
    pub held_by: Vec<HeldBy>,
    /// How many objects the shares of `held_by` are of.
    pub held_objects: u64,
    /// What most of the bytes that hang on them are.
    pub holds: Vec<Held>,
    /// With more than two heaps: the bytes that came at each step and are still there.
    pub steps: Vec<u64>,
    /// With more than two heaps: whether it grew at every step.
    pub is_steady: bool,
}

/// A part of what hangs on the objects of a type.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Held {
    /// The way from the object, which is the first step.
    pub path: Vec<Step>,
    /// How many objects.
    pub objects: u64,
    /// Their shallow and buffer bytes.
    pub bytes: u64,
}

/// What is known of the heaps between the first and the last.
#[derive(Clone, Copy, Debug)]
pub struct Between<'a> {
    /// The counts of each type in each heap.
    pub growth: &'a Growth,
    /// At which step each object of the last heap came; of one process only.
    pub lineage: Option<&'a Lineage>,
}

/// The growth of a type between two heaps.
#[derive(Clone, Copy)]
struct Grew {
    objects_delta: i64,
    bytes_delta: i64,
    bytes_after: u64,
}

/// Ranks the types that grew.
#[must_use]
pub fn suspects(graph: &HeapGraph, diff: &Diff, between: Option<Between<'_>>) -> Vec<Suspect> {
    let mut grew: FxHashMap<StringId, Grew> = FxHashMap::default();
    for row in diff.types.iter().filter(|row| row.bytes_delta() > 0 || row.objects_delta() > 0) {
        if let Some(name) = graph.strings.find(&row.name) {
            let (objects_delta, bytes_delta) = (row.objects_delta(), row.bytes_delta());
            grew.insert(name, Grew { objects_delta, bytes_delta, bytes_after: row.bytes_after });
        }
    }
    if grew.is_empty() {
        return Vec::new();
    }
    let paths = Paths::new(graph);
    let mut search = Search::new(graph, diff, &paths, &grew, between);
    let mut suspects: Vec<Suspect> =
        grew.iter().map(|(&name, &grew)| search.suspect(name, grew)).collect();
    suspects.sort_by(|a, b| {
        let key = |suspect: &Suspect| {
            // What came at the leanest step is what can be relied on.
            let least = suspect.steps.iter().min().copied().unwrap_or_default();
            let steady = if suspect.is_steady { least } else { 0 };
            (steady, suspect.owned_bytes, suspect.bytes_delta)
        };
        key(b).cmp(&key(a)).then_with(|| a.type_name.cmp(&b.type_name))
    });
    search.tell_parts(&mut suspects, |object| {
        weight(graph, object, diff.identity, grew.get(&name_of(graph, object)))
    });
    suspects
}

/// The new objects of a heap, by the type they are of and the type they count for.
struct Search<'a> {
    graph: &'a HeapGraph,
    paths: &'a Paths,
    between: Option<Between<'a>>,
    new: Vec<ObjectId>,
    owners: Owners<'a>,
    /// What counts for each object.
    owned: Vec<u64>,
    /// The same of each type, by step.
    steps: FxHashMap<StringId, Vec<u64>>,
    /// The bytes of the new objects of each type that count for another type, by step.
    elsewhere: FxHashMap<StringId, Vec<u64>>,
    /// The objects of each type that grew: those that own something, or where none does, all.
    members: FxHashMap<StringId, Vec<ObjectId>>,
}

impl<'a> Search<'a> {
    fn new(
        graph: &'a HeapGraph,
        diff: &Diff,
        paths: &'a Paths,
        grew: &FxHashMap<StringId, Grew>,
        between: Option<Between<'a>>,
    ) -> Self {
        let new: Vec<ObjectId> = match diff.identity {
            Identity::SameProcess => diff.new.clone(),
            Identity::OtherProcess => {
                graph.ids().filter(|&object| grew.contains_key(&name_of(graph, object))).collect()
            }
        };
        let weight = |object: ObjectId| {
            weight(graph, object, diff.identity, grew.get(&name_of(graph, object)))
        };
        let owners = Owners::new(graph, paths, &new);
        let mut search = Self {
            graph,
            paths,
            between,
            new: Vec::new(),
            owners,
            owned: vec![0; graph.len()],
            steps: FxHashMap::default(),
            elsewhere: FxHashMap::default(),
            members: FxHashMap::default(),
        };
        for &object in &new {
            search.count(object, search.owners.of(object), weight(object));
        }
        for &(object, bytes) in &diff.grown {
            search.count(object, object, bytes);
        }
        let grown = diff.grown.iter().map(|&(object, _)| object);
        for object in new.iter().copied().chain(grown) {
            let name = name_of(graph, object);
            if grew.contains_key(&name) {
                search.members.entry(name).or_default().push(object);
            }
        }
        search.new = new;
        search
    }

    /// Counts bytes of an object for another one.
    fn count(&mut self, object: ObjectId, owner: ObjectId, bytes: u64) {
        if let Some(sum) = self.owned.get_mut(owner.index()) {
            *sum = sum.saturating_add(bytes);
        }
        if let Some(Between { lineage: Some(lineage), .. }) = self.between {
            // An object that was there at first, and has grown since, is of no step.
            let Some(step) = lineage.born(object).checked_sub(1) else { return };
            let (name, of) = (name_of(self.graph, object), name_of(self.graph, owner));
            let add = |to: &mut FxHashMap<StringId, Vec<u64>>, name| {
                let steps = to.entry(name).or_default();
                steps.resize(lineage.steps(), 0);
                if let Some(sum) = steps.get_mut(step) {
                    *sum = sum.saturating_add(bytes);
                }
            };
            add(&mut self.steps, of);
            if name != of {
                add(&mut self.elsewhere, name);
            }
        }
    }

    fn owned(&self, object: ObjectId) -> u64 {
        self.owned.get(object.index()).copied().unwrap_or_default()
    }

    fn suspect(&mut self, name: StringId, grew: Grew) -> Suspect {
        let (graph, paths) = (self.graph, self.paths);
        let type_name = graph.strings.text(name).to_owned();
        let mut objects = self.members.remove(&name).unwrap_or_default();
        let owned_bytes = objects.iter().fold(0, |sum: u64, &o| sum.saturating_add(self.owned(o)));
        if owned_bytes > 0 {
            objects.retain(|&object| self.owned(object) > 0);
        }
        let held_objects = objects.len() as u64;
        let weighed = objects.iter().map(|&object| match owned_bytes {
            0 => (object, bytes_of(graph, object)),
            _ => (object, self.owned(object)),
        });
        let mut held_by = Grouping::new(paths, graph, |_| false).group(weighed);
        held_by.truncate(MOST_WAYS);
        for held in &mut held_by {
            if held.path.root.origin.is_rootless() {
                held.cycle = paths.cycle(graph, held.example);
            }
        }
        let (steps, is_steady) = match (self.between, self.steps.remove(&name)) {
            (None, _) => (Vec::new(), false),
            (Some(Between { growth, .. }), Some(steps)) => {
                // The allocator reuses addresses, so what comes and goes may seem to stay: but
                // there are no more of it.
                let grew = growth.grew_at_every_step(&type_name);
                let is_steady = grew && steps.iter().all(|&bytes| bytes > 0);
                (steps, is_steady)
            }
            // Nothing new counts for it, or it is not known what is new: objects grow in place.
            (Some(Between { growth, .. }), None) => {
                let mut steps = growth.bytes_by_step(&type_name);
                let elsewhere = self.elsewhere.get(&name).map_or(&[][..], Vec::as_slice);
                for (bytes, &counted) in steps.iter_mut().zip(elsewhere) {
                    *bytes = bytes.saturating_sub(counted);
                }
                let is_steady =
                    growth.grew_at_every_step(&type_name) && steps.iter().all(|&bytes| bytes > 0);
                (steps, is_steady)
            }
        };
        Suspect {
            type_name,
            objects_delta: grew.objects_delta,
            bytes_delta: grew.bytes_delta,
            owned_bytes,
            held_by,
            held_objects,
            holds: Vec::new(),
            steps,
            is_steady,
        }
    }

    /// Says of the first suspects what most of their bytes are.
    fn tell_parts(&self, suspects: &mut [Suspect], weight: impl Fn(ObjectId) -> u64) {
        /// More is not read.
        const FIRST: usize = 5;
        let graph = self.graph;
        for suspect in suspects.iter_mut().take(FIRST) {
            let Some(name) = graph.strings.find(&suspect.type_name) else { continue };
            let owner = |object: ObjectId| self.owners.of(object);
            let along =
                self.new.iter().copied().filter(|&object| {
                    owner(object) != object && name_of(graph, owner(object)) == name
                });
            let weighed = along.map(|object| (object, weight(object)));
            let begins = |object: ObjectId| owner(object) == object;
            let parts = Grouping::new(self.paths, graph, begins).group(weighed).into_iter();
            let parts = parts.take_while(|part| part.bytes >= suspect.owned_bytes / LEAST_PART);
            let parts = parts.take(MOST_PARTS).map(|part| Held {
                path: part.path.steps,
                objects: part.objects,
                bytes: part.bytes,
            });
            suspect.holds = parts.collect();
        }
    }
}

/// The bytes that an object counts for.
fn weight(graph: &HeapGraph, object: ObjectId, identity: Identity, grew: Option<&Grew>) -> u64 {
    let bytes = bytes_of(graph, object);
    match (identity, grew) {
        (Identity::SameProcess, _) => bytes,
        // Which objects are the new ones is not known: each counts for its part of the growth.
        (Identity::OtherProcess, Some(grew)) if grew.bytes_after > 0 => {
            let delta = grew.bytes_delta.max(0).unsigned_abs();
            let part = u128::from(bytes) * u128::from(delta);
            u64::try_from(part / u128::from(grew.bytes_after)).unwrap_or(u64::MAX)
        }
        (Identity::OtherProcess, _) => 0,
    }
}

/// The name of the type of an object.
fn name_of(graph: &HeapGraph, object: ObjectId) -> StringId {
    graph.types.get(graph.type_of(object).index()).map(|row| row.name).unwrap_or_default()
}

#[cfg(test)]
#[path = "suspects/tests.rs"]
mod tests;
