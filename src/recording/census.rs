//! The types of the heap at some moments.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

/// The most types of a census that are kept by name: those with the most bytes.
const TYPES: usize = 200;
/// The most censuses that are kept. Of more, every second one goes.
const MOST: usize = 400;

/// The objects of one type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeCount {
    /// The full name of the type.
    pub name: Arc<str>,
    /// How many objects.
    pub objects: u64,
    /// What `sys.getsizeof` says of them, in bytes.
    pub shallow_bytes: u64,
    /// Memory outside them that they own, in bytes.
    pub buffer_bytes: u64,
}

impl TypeCount {
    /// All memory of the type, in bytes.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.shallow_bytes.saturating_add(self.buffer_bytes)
    }
}

/// The heap at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Census {
    /// When, in seconds after the beginning of the recording.
    pub seconds: f64,
    /// For how long the target was stopped for it, in seconds.
    pub pause_seconds: f64,
    /// How many objects there were.
    pub objects: u64,
    /// All their shallow bytes.
    pub shallow_bytes: u64,
    /// All their buffers, in bytes.
    pub buffer_bytes: u64,
    /// What a collection would free, in bytes, where that was asked for.
    pub garbage_bytes: Option<u64>,
    /// The types with the most bytes, the biggest first.
    pub types: Vec<TypeCount>,
}

impl Census {
    /// The objects of a type, by its full name or the last parts of it; nothing if it is not among
    /// the types that are kept.
    #[must_use]
    pub fn of_type(&self, name: &str) -> Option<&TypeCount> {
        self.types.iter().find(|row| {
            let rest = row.name.strip_suffix(name);
            rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        })
    }

    /// All bytes that objects take.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.shallow_bytes.saturating_add(self.buffer_bytes)
    }
}

/// The censuses of a recording, the oldest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Censuses {
    all: Vec<Census>,
    names: FxHashSet<Arc<str>>,
}

impl Censuses {
    /// Adds one. When there are too many, every second one goes, but never the first, the last, or
    /// the one nearest to the peak.
    pub fn push(&mut self, mut census: Census, peak_at: f64) {
        census.types.sort_by(|a, b| b.bytes().cmp(&a.bytes()).then_with(|| a.name.cmp(&b.name)));
        census.types.truncate(TYPES);
        for row in &mut census.types {
            match self.names.get(&row.name) {
                Some(known) => row.name = Arc::clone(known),
                None => {
                    self.names.insert(Arc::clone(&row.name));
                }
            }
        }
        self.all.push(census);
        if self.all.len() > MOST {
            let peak = self.nearest_index(peak_at);
            let last = self.all.len() - 1;
            let mut nth = 0_usize;
            self.all.retain(|_| {
                let keep = nth.is_multiple_of(2) || nth == last || Some(nth) == peak;
                nth += 1;
                keep
            });
            let used: FxHashSet<Arc<str>> =
                self.all.iter().flat_map(|c| &c.types).map(|row| Arc::clone(&row.name)).collect();
            self.names = used;
        }
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> &[Census] {
        &self.all
    }

    /// The one nearest to a moment.
    #[must_use]
    pub fn nearest(&self, seconds: f64) -> Option<&Census> {
        self.all.get(self.nearest_index(seconds)?)
    }

    fn nearest_index(&self, seconds: f64) -> Option<usize> {
        let distance = |census: &Census| (census.seconds - seconds).abs();
        let all = self.all.iter().enumerate();
        all.min_by(|a, b| distance(a.1).total_cmp(&distance(b.1))).map(|(nth, _)| nth)
    }

    /// What changed from the first to the last: type, objects and bytes, most bytes first.
    #[must_use]
    pub fn change(&self) -> Vec<(Arc<str>, i64, i64)> {
        let (Some(first), Some(last)) = (self.all.first(), self.all.last()) else {
            return Vec::new();
        };
        let mut change: FxHashMap<&Arc<str>, (i64, i64)> = FxHashMap::default();
        for (census, sign) in [(first, -1_i64), (last, 1)] {
            for row in &census.types {
                let entry = change.entry(&row.name).or_default();
                entry.0 = entry.0.saturating_add(sign.saturating_mul(signed(row.objects)));
                entry.1 = entry.1.saturating_add(sign.saturating_mul(signed(row.bytes())));
            }
        }
        let changed = change.into_iter().filter(|(_, change)| *change != (0, 0));
        let mut rows: Vec<_> =
            changed.map(|(name, (objects, bytes))| (Arc::clone(name), objects, bytes)).collect();
        rows.sort_by(|a, b| b.2.cmp(&a.2).then_with(|| a.0.cmp(&b.0)));
        rows
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn census(seconds: f64, objects: u64) -> Census {
        let row = |name: &str, objects| TypeCount {
            name: name.into(),
            objects,
            shallow_bytes: objects * 10,
            buffer_bytes: 0,
        };
        let types = vec![row("app.Session", objects), row("builtins.str", 5)];
        Census { seconds, objects: objects + 5, types, ..Census::default() }
    }

    #[test]
    fn the_first_the_last_and_the_peak_stay() {
        let mut censuses = Censuses::default();
        for nth in 0..5000 {
            censuses.push(census(f64::from(nth), 1), 1337.0);
            assert!(censuses.all().len() <= MOST);
        }
        assert_eq!(censuses.all()[0].seconds, 0.0);
        assert_eq!(censuses.all().last().unwrap().seconds, 4999.0);
        assert_eq!(censuses.nearest(1337.0).unwrap().seconds, 1337.0);
    }

    #[test]
    fn change_is_from_the_first_to_the_last() {
        let mut censuses = Censuses::default();
        for (nth, objects) in [(0.0, 10), (1.0, 900), (2.0, 40)] {
            censuses.push(census(nth, objects), 1.0);
        }
        assert_eq!(censuses.change(), [("app.Session".into(), 30, 300)]);
        assert_eq!(censuses.all()[1].of_type("Session").unwrap().objects, 900);
        assert!(censuses.all()[1].of_type("ession").is_none());
    }
}
