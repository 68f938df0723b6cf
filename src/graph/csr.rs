//! Compressed adjacency: all edges in one column, and where those of each object that has any end.

use super::ids::ObjectId;
use super::row_set::RowSet;

/// The edges of all objects of a graph, in the order of the objects: 4 bytes an edge, 4 bytes an
/// object with edges, a fifth of a byte an object without.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Csr {
    /// Which objects have edges.
    rows: RowSet,
    /// Where the edges of each object that has any end, in its lower 32 bits.
    ends: Vec<u32>,
    /// The entries of `ends` from which on the upper bits are one higher, ascending. Nearly always
    /// empty: there are more than four billion edges otherwise.
    carries: Vec<usize>,
    targets: Vec<ObjectId>,
}

impl Csr {
    /// An adjacency without edges and without objects, with room for some.
    #[must_use]
    pub fn with_capacity(objects: usize, edges: usize) -> Self {
        let mut csr = Self { targets: Vec::with_capacity(edges), ..Self::default() };
        csr.rows.reserve_exact(objects);
        csr
    }

    /// Appends the edges of the next object.
    pub fn push(&mut self, edges: impl IntoIterator<Item = ObjectId>) {
        let before = self.targets.len();
        self.targets.extend(edges);
        self.end_row(before, self.targets.len());
    }

    /// Notes that the next object has the edges from one place to another.
    fn end_row(&mut self, start: usize, end: usize) {
        self.rows.push(end > start);
        if end > start {
            self.push_end(start, end);
        }
    }

    #[allow(clippy::cast_possible_truncation)]
    fn push_end(&mut self, start: usize, end: usize) {
        for _ in (start >> 32)..(end >> 32) {
            self.carries.push(self.ends.len());
        }
        self.ends.push(end as u32);
    }

    /// Appends the edges of the objects of another adjacency behind those of this one.
    pub fn append(&mut self, other: &Self) {
        let base = self.targets.len();
        self.targets.extend_from_slice(&other.targets);
        self.rows.append(&other.rows);
        self.ends.reserve(other.ends.len());
        let mut start = base;
        for entry in 0..other.ends.len() {
            let end = base + other.end(entry);
            self.push_end(start, end);
            start = end;
        }
    }

    /// Gives back the memory that was reserved and is not needed.
    pub fn shrink_to_fit(&mut self) {
        self.ends.shrink_to_fit();
        self.targets.shrink_to_fit();
    }

    /// Where the edges of an entry end.
    #[inline]
    fn end(&self, entry: usize) -> usize {
        let low = self.ends.get(entry).map_or(0, |&end| end as usize);
        if self.carries.is_empty() {
            return low;
        }
        low | self.carries.partition_point(|&carry| carry <= entry) << 32
    }

    /// How many objects have been pushed.
    #[must_use]
    pub const fn objects(&self) -> usize {
        self.rows.len()
    }

    /// How many edges there are in all.
    #[must_use]
    pub const fn edges(&self) -> usize {
        self.targets.len()
    }

    /// The edges of one object; none for an object that is not there.
    #[must_use]
    #[inline]
    pub fn of(&self, object: ObjectId) -> &[ObjectId] {
        let Some(entry) = self.rows.entry(object.index()) else { return &[] };
        let start = entry.checked_sub(1).map_or(0, |before| self.end(before));
        self.targets.get(start..self.end(entry)).unwrap_or(&[])
    }

    /// The same edges the other way round: for each object, who refers to it, in ascending order
    /// and as often as it does.
    #[must_use]
    pub fn reverse(&self) -> Self {
        let objects = self.objects();
        let mut next = vec![0_usize; objects];
        for target in &self.targets {
            if let Some(count) = next.get_mut(target.index()) {
                *count += 1;
            }
        }
        let mut reversed = Self::with_capacity(objects, 0);
        let mut sum = 0;
        for next in &mut next {
            let start = sum;
            sum += *next;
            reversed.end_row(start, sum);
            *next = start;
        }
        let mut sources = vec![ObjectId::default(); sum];
        for source in (0..objects).map(ObjectId::from_index) {
            for target in self.of(source) {
                if let Some(at) = next.get_mut(target.index()) {
                    if let Some(slot) = sources.get_mut(*at) {
                        *slot = source;
                    }
                    *at += 1;
                }
            }
        }
        reversed.targets = sources;
        reversed
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lists() -> impl Strategy<Value = Vec<Vec<u32>>> {
        prop::collection::vec(prop::collection::vec(0_u32..150, 0..4), 150)
    }

    proptest! {
        #[test]
        fn edges_come_back_both_ways_round(lists in lists(), cut in 0_usize..150) {
            let csr_of = |lists: &[Vec<u32>]| {
                let mut csr = Csr::default();
                lists.iter().for_each(|list| csr.push(list.iter().map(|&to| ObjectId(to))));
                csr
            };
            let (before, after) = lists.split_at(cut);
            let mut csr = csr_of(before);
            csr.append(&csr_of(after));
            prop_assert_eq!(&csr, &csr_of(&lists));
            let mut expected = vec![Vec::new(); lists.len()];
            for (from, list) in (0_u32..).zip(&lists) {
                let found: Vec<u32> = csr.of(ObjectId(from)).iter().map(|id| id.0).collect();
                prop_assert_eq!(&found, list);
                list.iter().for_each(|&to| expected[to as usize].push(from));
            }
            let reversed = csr.reverse();
            for (to, list) in (0_u32..).zip(&expected) {
                let found: Vec<u32> = reversed.of(ObjectId(to)).iter().map(|id| id.0).collect();
                prop_assert_eq!(&found, list);
            }
            prop_assert_eq!(reversed.edges(), csr.edges());
        }
    }

    #[test]
    fn ends_beyond_32_bits_are_kept() {
        let places = [0, 5, 1 << 32, (1 << 32) + 7, (3 << 32) + 1, (3 << 32) + 2];
        let mut csr = Csr::default();
        for pair in places.windows(2) {
            csr.end_row(pair[0], pair[1]);
        }
        let ends: Vec<usize> = (0..csr.ends.len()).map(|entry| csr.end(entry)).collect();
        assert_eq!(ends, places[1..]);
    }
}
