//! The rows of the table: types with their change.

use std::cmp::Ordering;
use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::count::Count;
use crate::recording::TypeCount;

/// By what the types are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Sort {
    #[default]
    Bytes,
    Objects,
    /// Bytes grown since the start.
    Start,
    /// Bytes grown since the last count.
    Last,
    Name,
}

impl Sort {
    const ALL: [Self; 5] = [Self::Bytes, Self::Start, Self::Last, Self::Objects, Self::Name];

    /// The one so many further.
    pub(super) fn step(self, by: usize) -> Self {
        let at = Self::ALL.iter().position(|sort| *sort == self).unwrap_or(0);
        Self::ALL.get((at + by) % Self::ALL.len()).copied().unwrap_or_default()
    }

    /// The one before.
    pub(super) fn back(self) -> Self {
        self.step(Self::ALL.len() - 1)
    }

    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Objects => "objects",
            Self::Start => "growth since the start",
            Self::Last => "growth since the last count",
            Self::Name => "name",
        }
    }
}

/// How much more there is than at another count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Change {
    pub(super) objects: i64,
    pub(super) bytes: i64,
}

impl Change {
    fn between(before: Option<&TypeCount>, after: Option<&TypeCount>) -> Self {
        let objects = |row: Option<&TypeCount>| row.map_or(0, |row| row.objects);
        let bytes = |row: Option<&TypeCount>| row.map_or(0, TypeCount::bytes);
        Self {
            objects: difference(objects(before), objects(after)),
            bytes: difference(bytes(before), bytes(after)),
        }
    }
}

/// How much more the second is, as far as that can be said.
pub(super) fn difference(before: u64, after: u64) -> i64 {
    match i64::try_from(before.abs_diff(after)) {
        Ok(change) if after >= before => change,
        Ok(change) => -change,
        Err(_) if after >= before => i64::MAX,
        Err(_) => i64::MIN,
    }
}

/// A type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) name: Arc<str>,
    pub(super) objects: u64,
    pub(super) bytes: u64,
    /// Since the start, or the mark; nothing if this is it.
    pub(super) since_start: Option<Change>,
    /// Since the count before; nothing if there is none.
    pub(super) since_last: Option<Change>,
}

/// The counts that are compared.
#[derive(Debug, Clone, Default)]
pub(super) struct Counts {
    /// The first one, or the one that was marked.
    pub(super) first: Option<Arc<Count>>,
    pub(super) before: Option<Arc<Count>>,
    pub(super) latest: Option<Arc<Count>>,
}

impl Counts {
    /// Takes in a new one.
    pub(super) fn push(&mut self, count: Arc<Count>) {
        self.before = self.latest.replace(count);
        if self.first.is_none() {
            self.first.clone_from(&self.latest);
        }
    }

    /// From now on changes are since the latest. Whether there is one.
    pub(super) fn mark(&mut self) -> bool {
        self.first.clone_from(&self.latest);
        self.first.is_some()
    }

    /// The one that changes are since, unless it is the latest.
    pub(super) fn start(&self) -> Option<&Arc<Count>> {
        let (first, latest) = (self.first.as_ref()?, self.latest.as_ref()?);
        (!Arc::ptr_eq(first, latest)).then_some(first)
    }

    /// The types whose name has the filter in it, sorted. Those that are gone are among them, with nothing left.
    pub(super) fn rows(&self, filter: &str, sort: Sort, reversed: bool) -> Vec<Row> {
        let Some(latest) = &self.latest else { return Vec::new() };
        let (start, before) = (self.start(), self.before.as_ref());
        let filter = filter.to_lowercase();
        let is_meant = |name: &str| filter.is_empty() || name.to_lowercase().contains(&filter);
        let row = |name: &Arc<str>| {
            let now = latest.of_type(name);
            let since = |count: &Arc<Count>| Change::between(count.of_type(name), now);
            Row {
                name: Arc::clone(name),
                objects: now.map_or(0, |row| row.objects),
                bytes: now.map_or(0, TypeCount::bytes),
                since_start: start.map(since),
                since_last: before.map(since),
            }
        };
        let mut gone = FxHashSet::default();
        for count in start.into_iter().chain(before) {
            let names = count.census.types.iter().map(|row| &row.name);
            gone.extend(names.filter(|name| latest.of_type(name).is_none()));
        }
        let names = latest.census.types.iter().map(|row| &row.name).chain(gone);
        let mut rows: Vec<Row> = names.filter(|name| is_meant(name)).map(row).collect();
        rows.sort_by(|a, b| match reversed {
            false => compare(sort, a, b),
            true => compare(sort, b, a),
        });
        rows
    }
}

/// What comes first: of equal ones the bigger, of these the name.
fn compare(sort: Sort, a: &Row, b: &Row) -> Ordering {
    let grown = |change: Option<Change>| change.unwrap_or_default().bytes;
    let first = match sort {
        Sort::Bytes => Ordering::Equal,
        Sort::Objects => b.objects.cmp(&a.objects),
        Sort::Start => grown(b.since_start).cmp(&grown(a.since_start)),
        Sort::Last => grown(b.since_last).cmp(&grown(a.since_last)),
        Sort::Name => a.name.cmp(&b.name),
    };
    let bigger = (b.bytes, b.objects).cmp(&(a.bytes, a.objects));
    first.then(bigger).then_with(|| a.name.cmp(&b.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_said_as_far_as_it_can_be() {
        assert_eq!((difference(5, 3), difference(3, 5), difference(7, 7)), (-2, 2, 0));
        assert_eq!((difference(0, u64::MAX), difference(u64::MAX, 0)), (i64::MAX, i64::MIN));
    }

    #[test]
    fn going_on_leads_through_all_orders_and_back() {
        let mut sort = Sort::default();
        let mut seen = Vec::new();
        for _ in 0..Sort::ALL.len() {
            seen.push(sort);
            assert_eq!(sort.step(1).back(), sort);
            sort = sort.step(1);
        }
        assert_eq!((sort, seen.as_slice()), (Sort::Bytes, &Sort::ALL[..]));
    }
}
