//! Which rows of a column have an entry, so that a column of which most are empty stores the others
//! only.

/// The rows of a word.
const WORD: usize = u64::BITS as usize;

/// A bit a row, and how many are set before each word: an eighth of a byte and a sixteenth more.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct RowSet {
    words: Vec<u64>,
    /// How many rows before each word have an entry.
    ranks: Vec<u32>,
    rows: usize,
    entries: u32,
}

impl RowSet {
    /// Makes room for so many rows.
    pub(super) fn reserve_exact(&mut self, rows: usize) {
        let words = rows.div_ceil(WORD);
        self.words.reserve_exact(words);
        self.ranks.reserve_exact(words);
    }

    /// Appends the next row.
    pub(super) fn push(&mut self, has_entry: bool) {
        self.push_word(u64::from(has_entry), 1);
    }

    /// Appends the rows of another set.
    pub(super) fn append(&mut self, other: &Self) {
        let mut left = other.rows;
        for &word in &other.words {
            self.push_word(word, left.min(WORD));
            left = left.saturating_sub(WORD);
        }
    }

    /// Appends up to a word of rows, the first in the lowest bit; all bits above are zero.
    fn push_word(&mut self, bits: u64, rows: usize) {
        let used = self.rows % WORD;
        if used == 0 {
            self.begin_word(bits);
        } else {
            let Some(last) = self.words.last_mut() else { return };
            *last |= bits << used;
            if used + rows > WORD {
                let so_far = self.entries.wrapping_add((bits << used).count_ones());
                self.ranks.push(so_far);
                self.words.push(bits >> (WORD - used));
            }
        }
        self.entries = self.entries.wrapping_add(bits.count_ones());
        self.rows += rows;
    }

    fn begin_word(&mut self, bits: u64) {
        self.ranks.push(self.entries);
        self.words.push(bits);
    }

    /// How many rows there are, with and without an entry.
    pub(super) const fn len(&self) -> usize {
        self.rows
    }

    /// The number of a row's entry, if it has one.
    #[inline]
    pub(super) fn entry(&self, row: usize) -> Option<usize> {
        let word = *self.words.get(row / WORD)?;
        let bit = row % WORD;
        if word >> bit & 1 == 0 {
            return None;
        }
        let before = *self.ranks.get(row / WORD)?;
        Some((before + (word & ((1 << bit) - 1)).count_ones()) as usize)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn entries_are_numbered_in_the_order_of_their_rows(
            rows in prop::collection::vec(any::<bool>(), 0..300),
            cut in 0_usize..300,
        ) {
            let (before, after) = rows.split_at(cut.min(rows.len()));
            let set_of = |rows: &[bool]| {
                let mut set = RowSet::default();
                rows.iter().for_each(|&row| set.push(row));
                set
            };
            let mut set = set_of(before);
            set.append(&set_of(after));
            prop_assert_eq!(&set, &set_of(&rows));
            prop_assert_eq!(set.len(), rows.len());
            let mut next = 0;
            for (row, &has_entry) in rows.iter().enumerate() {
                prop_assert_eq!(set.entry(row), has_entry.then_some(next));
                next += usize::from(has_entry);
            }
            prop_assert_eq!(set.entry(rows.len()), None);
        }
    }
}
