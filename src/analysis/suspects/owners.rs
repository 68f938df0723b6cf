//! Which new object each new object counts for.

use crate::analysis::components::all_referents;
use crate::analysis::paths::Paths;
use crate::graph::{EdgeLabel, HeapGraph, ObjectFlags, ObjectId, TypeId};

/// How much a class says about the program it is of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Rank {
    /// `builtins`: every program has them.
    Builtin,
    /// C code of a library: a `partial`, a `deque`, an array.
    Library,
    /// Written in Python.
    Python,
}

/// Not known yet.
const UNKNOWN: u32 = u32::MAX;
/// There is none: no object on the path is new.
const NONE: u32 = u32::MAX - 1;

/// The owner of each object: the first new object on its path whose class says most.
pub(super) struct Owners<'a> {
    paths: &'a Paths,
    /// By type.
    ranks: Vec<Rank>,
    of: Vec<u32>,
}

impl<'a> Owners<'a> {
    /// Finds the owners of the objects that are new, and of what is above them.
    pub(super) fn new(graph: &HeapGraph, paths: &'a Paths, new: &[ObjectId]) -> Self {
        let mut is_new = vec![false; graph.len()];
        for object in new {
            if let Some(flag) = is_new.get_mut(object.index()) {
                *flag = true;
            }
        }
        for object in replaced(graph, paths, new) {
            if let Some(flag) = is_new.get_mut(object.index()) {
                *flag = true;
            }
        }
        let ranks = (0..graph.types.len()).map(|ty| rank(graph, TypeId::from_index(ty))).collect();
        let mut owners = Self { paths, ranks, of: vec![UNKNOWN; graph.len()] };
        let mut pending = Vec::new();
        for &object in new {
            owners.find(graph, object, &is_new, &mut pending);
        }
        owners
    }

    /// The owner of a new object.
    pub(super) fn of(&self, object: ObjectId) -> ObjectId {
        match self.of.get(object.index()) {
            Some(&owner) if owner < NONE => ObjectId(owner),
            _ => object,
        }
    }

    fn find(
        &mut self,
        graph: &HeapGraph,
        object: ObjectId,
        is_new: &[bool],
        pending: &mut Vec<ObjectId>,
    ) {
        let mut at = Some(object);
        let mut owner = NONE;
        while let Some(current) = at {
            match self.of.get(current.index()) {
                Some(&UNKNOWN) => pending.push(current),
                Some(&known) => {
                    owner = known;
                    break;
                }
                None => break,
            }
            at = self.paths.parent(current);
        }
        while let Some(current) = pending.pop() {
            let is_new = is_new.get(current.index()).copied().unwrap_or_default();
            if is_new
                && (owner == NONE || self.rank(graph, current) > self.rank(graph, ObjectId(owner)))
            {
                owner = current.0;
            }
            if let Some(slot) = self.of.get_mut(current.index()) {
                *slot = owner;
            }
        }
    }

    fn rank(&self, graph: &HeapGraph, object: ObjectId) -> Rank {
        self.ranks.get(graph.type_of(object).index()).copied().unwrap_or(Rank::Builtin)
    }
}

/// The instances whose dictionaries are new, though they themselves seem to be old: an instance keeps its dictionary, so
/// this is another one of the same class at the address of one that is gone.
fn replaced<'g>(
    graph: &'g HeapGraph,
    paths: &'g Paths,
    new: &'g [ObjectId],
) -> impl Iterator<Item = ObjectId> + use<'g> {
    let name = graph.strings.find("__dict__");
    let is_dict = move |owner: ObjectId, object: ObjectId| {
        let shape = graph.shapes_of.get(owner.index()).copied().unwrap_or_default();
        let mut edges = graph.referents.of(owner).iter().zip(graph.shapes.labels(shape));
        edges.any(|(&to, label)| {
            to == object && matches!(label, EdgeLabel::Attribute(at) if Some(at) == name)
        })
    };
    let of_instance = |object: &&ObjectId| graph.flags_of(**object).has(ObjectFlags::NAMESPACE);
    new.iter()
        .filter(of_instance)
        .filter_map(move |&object| paths.parent(object).filter(|&owner| is_dict(owner, object)))
}

/// What the class of a type says. A class in Python has functions among its names, or what only the
/// `class` statement puts there.
fn rank(graph: &HeapGraph, ty: TypeId) -> Rank {
    if graph.type_name(ty).starts_with("builtins.") {
        return Rank::Builtin;
    }
    let class = graph.types.get(ty.index()).and_then(|row| graph.find(row.addr));
    let mut names = class.into_iter().flat_map(|class| all_referents(graph, class));
    let Some(names) = names.find(|&to| graph.flags_of(to).has(ObjectFlags::NAMESPACE)) else {
        return Rank::Python;
    };
    let has_function = all_referents(graph, names)
        .any(|value| matches!(graph.type_name_of(value), "builtins.function"));
    let shape = graph.shapes_of.get(names.index()).copied().unwrap_or_default();
    let marks =
        ["__weakref__", "__slots__", "__firstlineno__"].map(|mark| graph.strings.find(mark));
    let has_mark = graph.shapes.labels(shape).any(|label| match label {
        EdgeLabel::Attribute(name) => marks.contains(&Some(name)),
        _ => false,
    });
    if has_function || has_mark { Rank::Python } else { Rank::Library }
}
