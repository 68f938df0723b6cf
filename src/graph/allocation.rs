//! Where objects were allocated, as far as the target kept book of it.

use rustc_hash::FxHashMap;

use super::ids::{ObjectId, SiteId, StringId};
use super::sparse::SparseColumn;

/// A line of a program: its file and number, 0 if that is not known.
pub type Line = (StringId, u32);

/// The tracebacks of the objects of which one is known, each kept once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allocations {
    sites: Vec<Box<[Line]>>,
    by_lines: FxHashMap<Box<[Line]>, SiteId>,
    of_object: SparseColumn<SiteId>,
}

impl Allocations {
    /// The number of a traceback, the line that allocated first. One without lines has none.
    pub fn intern(&mut self, lines: &[Line]) -> Option<SiteId> {
        if lines.is_empty() {
            return None;
        }
        if let Some(&known) = self.by_lines.get(lines) {
            return Some(known);
        }
        let site = SiteId::from_index(self.sites.len());
        self.sites.push(lines.into());
        self.by_lines.insert(lines.into(), site);
        Some(site)
    }

    /// Notes where an object was allocated. Objects come in ascending order.
    pub fn push_at(&mut self, object: ObjectId, site: SiteId) {
        self.of_object.push_at(object, site);
    }

    /// Appends what is known of the next objects.
    pub fn extend(&mut self, sites: impl IntoIterator<Item = Option<SiteId>>) {
        self.of_object.extend(sites);
    }

    /// Whether no object has a known traceback: the target did not run with `tracemalloc`.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.of_object.is_empty()
    }

    /// The traceback of an object, by number.
    #[must_use]
    pub fn site_of(&self, object: ObjectId) -> Option<SiteId> {
        self.of_object.get(object)
    }

    /// The lines of a traceback, the one that allocated first.
    #[must_use]
    pub fn lines(&self, site: SiteId) -> &[Line] {
        self.sites.get(site.index()).map_or(&[], |lines| lines)
    }

    /// The line that allocated an object.
    #[must_use]
    pub fn line_of(&self, object: ObjectId) -> Option<Line> {
        self.lines(self.site_of(object)?).first().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceback_is_kept_once() {
        let mut allocations = Allocations::default();
        assert_eq!(allocations.intern(&[]), None);
        let lines = [(StringId(1), 10), (StringId(2), 20)];
        let site = allocations.intern(&lines).unwrap();
        assert_eq!(allocations.intern(&lines), Some(site));
        assert!(allocations.is_empty());
        allocations.push_at(ObjectId(3), site);
        assert_eq!(allocations.line_of(ObjectId(3)), Some((StringId(1), 10)));
        assert_eq!(allocations.line_of(ObjectId(2)), None);
        assert_eq!(allocations.lines(site), lines);
        assert!(!allocations.is_empty());
    }
}
