//! A column of which only some rows have an entry.

use super::ids::ObjectId;
use super::row_set::RowSet;

/// The entries of the rows that have one. A column without any takes no memory: rows that were
/// never pushed have none either.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SparseColumn<T> {
    rows: RowSet,
    entries: Vec<T>,
}

impl<T> Default for SparseColumn<T> {
    fn default() -> Self {
        Self { rows: RowSet::default(), entries: Vec::new() }
    }
}

impl<T: Copy> SparseColumn<T> {
    /// Appends the next row.
    pub fn push(&mut self, entry: Option<T>) {
        self.rows.push(entry.is_some());
        self.entries.extend(entry);
    }

    /// Sets the entry of the row behind all that have one; the rows before it that were not pushed
    /// have none.
    pub fn push_at(&mut self, object: ObjectId, entry: T) {
        while self.rows.len() < object.index() {
            self.rows.push(false);
        }
        self.push(Some(entry));
    }

    /// The entry of an object, if it has one.
    #[must_use]
    pub fn get(&self, object: ObjectId) -> Option<T> {
        self.entries.get(self.rows.entry(object.index())?).copied()
    }

    /// How many rows have an entry.
    #[must_use]
    pub const fn entries(&self) -> usize {
        self.entries.len()
    }

    /// Whether no row has an entry.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Gives back the memory that was reserved and is not needed.
    pub fn shrink_to_fit(&mut self) {
        self.entries.shrink_to_fit();
    }
}

impl<T: Copy> Extend<Option<T>> for SparseColumn<T> {
    fn extend<I: IntoIterator<Item = Option<T>>>(&mut self, entries: I) {
        entries.into_iter().for_each(|entry| self.push(entry));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_without_an_entry_have_none() {
        let mut column = SparseColumn::default();
        column.extend([None, Some(7_u64), None]);
        column.push_at(ObjectId(5), 9);
        let rows: Vec<Option<u64>> = (0..8).map(|row| column.get(ObjectId(row))).collect();
        assert_eq!(rows, [None, Some(7), None, None, None, Some(9), None, None]);
        assert_eq!((column.entries(), column.is_empty()), (2, false));
        assert_eq!(SparseColumn::<u64>::default().get(ObjectId(0)), None);
    }
}
