//! What made no sense in the target. A finding, not a failure: the walk goes on.

use std::collections::BTreeMap;

use crate::addr::Addr;

/// The examples kept of each kind.
const EXAMPLES: usize = 8;
/// The most places that are remembered: a heap with more of them is past mending.
const PLACES: usize = 1 << 20;

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
#[derive(Debug, Clone, Default)]
pub struct Anomalies {
    by_kind: BTreeMap<String, Anomaly>,
    /// Where all of them were met, up to a bound: of use to the walk only.
    places: Vec<Addr>,
}

impl PartialEq for Anomalies {
    fn eq(&self, other: &Self) -> bool {
        self.by_kind == other.by_kind
    }
}

impl Eq for Anomalies {}

impl Anomalies {
    /// Notes one.
    pub fn note(&mut self, kind: &str, at: Addr) {
        self.add(kind, 1, &[at]);
        if self.places.len() < PLACES {
            self.places.push(at);
        }
    }

    /// Takes out where all that was noted was met: sorted, each once, and at most a million.
    #[must_use]
    pub fn take_places(&mut self) -> Vec<Addr> {
        let mut places = std::mem::take(&mut self.places);
        places.sort_unstable();
        places.dedup();
        places
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
        let room = PLACES.saturating_sub(self.places.len());
        self.places.extend(other.places.iter().take(room));
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
