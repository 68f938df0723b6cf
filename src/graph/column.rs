//! Columns that store small numbers small and common ones not at all.

use std::collections::TryReserveError;

use rustc_hash::FxHashMap;

use super::ids::ShapeId;
use super::row_set::RowSet;

/// Byte counts of 64 bits, of which nearly all fit into 32.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ByteColumn {
    low: Vec<u32>,
    /// The rows whose number does not fit.
    large: FxHashMap<usize, u64>,
}

impl ByteColumn {
    /// What stands for a number in [`ByteColumn::large`]. It is found there itself, too.
    const LARGE: u32 = u32::MAX;

    /// Makes room for so many rows.
    ///
    /// # Errors
    /// There is not so much memory.
    pub fn try_reserve_exact(&mut self, rows: usize) -> Result<(), TryReserveError> {
        self.low.try_reserve_exact(rows)
    }

    /// Appends a number.
    pub fn push(&mut self, bytes: u64) {
        match u32::try_from(bytes) {
            Ok(low) if low != Self::LARGE => self.low.push(low),
            _ => {
                self.large.insert(self.low.len(), bytes);
                self.low.push(Self::LARGE);
            }
        }
    }

    /// The number of a row.
    #[must_use]
    pub fn get(&self, row: usize) -> Option<u64> {
        match *self.low.get(row)? {
            Self::LARGE => self.large.get(&row).copied(),
            low => Some(u64::from(low)),
        }
    }

    /// How many rows there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.low.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.low.is_empty()
    }

    /// The numbers of all rows.
    pub fn iter(&self) -> impl Iterator<Item = u64> {
        self.low.iter().enumerate().map(|(row, &low)| match low {
            Self::LARGE => self.large.get(&row).copied().unwrap_or_default(),
            low => u64::from(low),
        })
    }
}

impl Extend<u64> for ByteColumn {
    fn extend<I: IntoIterator<Item = u64>>(&mut self, numbers: I) {
        numbers.into_iter().for_each(|bytes| self.push(bytes));
    }
}

/// The labels of the objects' edges. Most objects have no edges, so no labels, and no entry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShapeColumn {
    rows: RowSet,
    shapes: Vec<ShapeId>,
}

impl ShapeColumn {
    /// The label list without labels.
    const EMPTY: ShapeId = ShapeId(0);

    /// Gives back the memory that was reserved and is not needed.
    pub fn shrink_to_fit(&mut self) {
        self.shapes.shrink_to_fit();
    }

    /// Appends the label list of the next object.
    pub fn push(&mut self, shape: ShapeId) {
        let has_labels = shape != Self::EMPTY;
        self.rows.push(has_labels);
        if has_labels {
            self.shapes.push(shape);
        }
    }

    /// The label list of a row.
    #[must_use]
    pub fn get(&self, row: usize) -> Option<&ShapeId> {
        match self.rows.entry(row) {
            Some(entry) => self.shapes.get(entry),
            None => (row < self.rows.len()).then_some(&Self::EMPTY),
        }
    }

    /// How many rows there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rows.len() == 0
    }
}

impl Extend<ShapeId> for ShapeColumn {
    fn extend<I: IntoIterator<Item = ShapeId>>(&mut self, shapes: I) {
        shapes.into_iter().for_each(|shape| self.push(shape));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_64_bits_are_kept() {
        let numbers = [0, 56, u64::from(u32::MAX) - 1, u64::from(u32::MAX), 1 << 40, u64::MAX];
        let mut column = ByteColumn::default();
        column.extend(numbers);
        assert_eq!(column.iter().collect::<Vec<_>>(), numbers);
        for (row, &bytes) in numbers.iter().enumerate() {
            assert_eq!(column.get(row), Some(bytes));
        }
        assert_eq!(column.get(numbers.len()), None);
    }

    #[test]
    fn objects_without_labels_take_no_entry() {
        let mut column = ShapeColumn::default();
        column.extend([0, 7, 0, 0, 3].map(ShapeId));
        let shapes: Vec<Option<&ShapeId>> = (0..6).map(|row| column.get(row)).collect();
        let expected = [0, 7, 0, 0, 3].map(ShapeId);
        assert_eq!(shapes[..5], expected.each_ref().map(Some));
        assert_eq!(shapes[5], None);
        assert_eq!(column.shapes.len(), 2);
    }
}
