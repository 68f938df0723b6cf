//! What made no sense in the target. A finding, not a failure: the walk goes on.

use std::collections::BTreeMap;

use crate::addr::Addr;

/// The examples kept of each kind.
const EXAMPLES: usize = 8;

/// One kind of anomaly: how often it was met, and the first places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anomaly {
    /// What is wrong, as a short sentence without addresses.
    pub kind: String,
    /// How often it was met.
    pub count: u64,
    /// The first places where it was met.
    pub examples: Vec<Addr>,
}

/// All anomalies of a walk, by kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Anomalies {
    by_kind: BTreeMap<String, Anomaly>,
}

impl Anomalies {
    /// Notes one.
    pub fn note(&mut self, kind: &str, at: Addr) {
        self.add(kind, 1, &[at]);
    }

    /// Notes several of one kind.
    pub fn add(&mut self, kind: &str, count: u64, examples: &[Addr]) {
        let entry = self.by_kind.entry(kind.to_owned()).or_insert_with(|| Anomaly {
            kind: kind.to_owned(),
            count: 0,
            examples: Vec::new(),
        });
        entry.count += count;
        let room = EXAMPLES.saturating_sub(entry.examples.len());
        entry.examples.extend(examples.iter().take(room));
    }

    /// Takes over what another worker noted.
    pub fn merge(&mut self, other: &Self) {
        for anomaly in other.iter() {
            self.add(&anomaly.kind, anomaly.count, &anomaly.examples);
        }
    }

    /// Whether nothing was noted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_kind.is_empty()
    }

    /// The anomalies, in the order of their kinds.
    pub fn iter(&self) -> impl Iterator<Item = &Anomaly> {
        self.by_kind.values()
    }
}
