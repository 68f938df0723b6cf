//! `--where` and `--by`: which objects are meant, and what is counted together.

use super::args::{GroupKey, HeapArgs, SelectArgs};
use crate::analysis::grouping::Known;
use crate::analysis::{Filter, GroupBy, Groups, Histogram, Selection};
use crate::error::Error;
use crate::facts::Facts;
use crate::graph::{HeapGraph, ObjectId};
use crate::report::text;
use crate::snapshot::Snapshot;

/// Reads the filter, before a target is stopped for it.
pub(super) fn filter(args: &SelectArgs) -> Result<Option<Filter>, Error> {
    let Some(text) = &args.filter else { return Ok(None) };
    let hint = "such as --where 'type=*.DataFrame and bytes>=1M'; docs/filters.md has the columns";
    Filter::parse(text).map(Some).map_err(|error| Error::usage(error.to_string(), Some(hint)))
}

/// The objects of a heap that are meant.
pub(super) fn selection(
    filter: Option<&Filter>,
    graph: &HeapGraph,
    facts: &Facts,
) -> Result<Selection, Error> {
    let Some(filter) = filter else { return Ok(Selection::all()) };
    let thread = |id: u64| {
        let thread = facts.threads.iter().find(|thread| thread.thread_id == id)?;
        Some(thread.name.clone())
    };
    let line = |object: ObjectId| text::allocation::of(graph, object);
    let lines: Option<&dyn Fn(ObjectId) -> Option<String>> =
        if graph.allocations.is_empty() { None } else { Some(&line) };
    Ok(filter.select(graph, Known { lines, threads: Some(&thread) })?)
}

/// The groups of the objects of a heap.
pub(super) fn groups(key: GroupKey, graph: &HeapGraph, facts: &Facts) -> Result<Groups, Error> {
    let thread = |id: u64| {
        let thread = facts.threads.iter().find(|thread| thread.thread_id == id)?;
        Some(format!("thread \"{}\"", thread.name))
    };
    let line = |object: ObjectId| text::allocation::of(graph, object);
    let lines: Option<&dyn Fn(ObjectId) -> Option<String>> =
        if graph.allocations.is_empty() { None } else { Some(&line) };
    let known = Known { lines, threads: Some(&thread) };
    Ok(Groups::new(graph, by(key), known)?)
}

/// Objects that were counted by type, and by something else where that was asked for.
pub(super) struct Counts {
    pub(super) types: Histogram,
    pub(super) groups: Option<Histogram>,
    pub(super) by: GroupBy,
}

impl Counts {
    /// What people read.
    pub(super) fn table(&self) -> &Histogram {
        self.groups.as_ref().unwrap_or(&self.types)
    }
}

/// Counts the objects of a heap that are meant.
pub(super) fn counts(
    args: &HeapArgs,
    filter: Option<&Filter>,
    snapshot: &Snapshot,
) -> Result<Counts, Error> {
    let Snapshot { facts, graph } = snapshot;
    let selection = selection(filter, graph, facts)?;
    let counted = |groups: &Groups| Histogram::grouped(graph, groups, &selection, args.sort());
    let groups = match args.by {
        GroupKey::Type => None,
        key => Some(counted(&groups(key, graph, facts)?)),
    };
    Ok(Counts { types: counted(&Groups::by_type(graph)), groups, by: by(args.by) })
}

/// What a word of the command line means.
pub(super) const fn by(key: GroupKey) -> GroupBy {
    match key {
        GroupKey::Type => GroupBy::Type,
        GroupKey::Module => GroupBy::Module,
        GroupKey::Line => GroupBy::Line,
        GroupKey::Root => GroupBy::Root,
        GroupKey::Thread => GroupBy::Thread,
    }
}
