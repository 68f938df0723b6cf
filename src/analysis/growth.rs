//! What grows from snapshot to snapshot, when there are more than two.

use std::collections::BTreeMap;

use super::histogram::Histogram;

/// The objects and bytes of each type in each of several heaps.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Growth {
    heaps: usize,
    types: BTreeMap<String, Vec<(u64, u64)>>,
}

impl Growth {
    /// Adds the next heap.
    pub fn push(&mut self, histogram: &Histogram) {
        for row in &histogram.types {
            let series = self.types.entry(row.name.clone()).or_default();
            series.resize(self.heaps, (0, 0));
            series.push((row.totals.objects, row.totals.bytes()));
        }
        self.heaps += 1;
        for series in self.types.values_mut() {
            series.resize(self.heaps, (0, 0));
        }
    }

    /// How many heaps were added.
    #[must_use]
    pub const fn heaps(&self) -> usize {
        self.heaps
    }

    /// Objects and bytes of a type in each heap.
    #[must_use]
    pub fn series(&self, name: &str) -> &[(u64, u64)] {
        self.types.get(name).map_or(&[], Vec::as_slice)
    }

    /// How many bytes a type gained at each step; nothing where it did not.
    #[must_use]
    pub fn bytes_by_step(&self, name: &str) -> Vec<u64> {
        let series = self.series(name).iter().map(|&(_, bytes)| bytes);
        series.clone().zip(series.skip(1)).map(|(a, b)| b.saturating_sub(a)).collect()
    }

    /// Whether a type had more objects, or as many and more bytes, at every step.
    #[must_use]
    pub fn grew_at_every_step(&self, name: &str) -> bool {
        let series = self.series(name);
        series.len() > 1 && series.is_sorted_by(|a, b| a < b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::SortBy;
    use crate::graph::GraphBuilder;

    fn heap(counts: &[(&str, u64)]) -> Histogram {
        let mut builder = GraphBuilder::new();
        let mut at = 0x1000;
        for &(name, count) in counts {
            for _ in 0..count {
                builder.object(at, name, 16);
                at += 16;
            }
        }
        Histogram::new(&builder.build(), SortBy::Bytes)
    }

    #[test]
    fn only_what_grows_at_every_step_is_said_to() {
        let mut growth = Growth::default();
        growth.push(&heap(&[("app.A", 1), ("app.B", 1)]));
        growth.push(&heap(&[("app.A", 2), ("app.B", 3), ("app.C", 1)]));
        growth.push(&heap(&[("app.A", 3), ("app.B", 3), ("app.C", 2)]));
        assert!(growth.grew_at_every_step("app.A"));
        assert!(!growth.grew_at_every_step("app.B"));
        assert!(growth.grew_at_every_step("app.C"));
        assert!(!growth.grew_at_every_step("app.D"));
        assert_eq!(growth.series("app.C"), [(0, 0), (1, 16), (2, 32)]);
    }
}
