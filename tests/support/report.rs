//! Differences, gathered by kind and type, with the first few examples of each.

use std::collections::BTreeMap;
use std::fmt;

/// The examples shown of each kind and type.
const EXAMPLES: usize = 4;

/// The kinds of differences.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Difference {
    /// The process has an object that pyheap does not show.
    Missing,
    /// pyheap shows an object where the process has none.
    Invented,
    /// The type has another name.
    WrongType,
    /// `sys.getsizeof()` says something else.
    WrongSize,
    /// `gc.get_referents()` says something else.
    WrongReferents,
    /// The collector's view is another.
    WrongTracking,
    /// pyheap printed an address twice.
    Repeated,
}

/// One kind of difference at one type.
#[derive(Debug, Default)]
struct Group {
    count: u64,
    examples: Vec<String>,
}

/// How pyheap knows the objects of one type, and how well.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct TypeFacts {
    /// Objects that were compared.
    pub(crate) objects: u64,
    /// Whether pyheap says that it found their references by a scan.
    pub(crate) inferred: bool,
    /// Whether pyheap says that their sizes are estimates.
    pub(crate) estimated: bool,
    /// The inferred references that the process tells too.
    pub(crate) right: u64,
    /// The references that the process tells and no scan found.
    pub(crate) lacking: u64,
    /// The inferred references that the process does not tell.
    pub(crate) extra: u64,
}

impl TypeFacts {
    /// Adds what another comparison found.
    pub(crate) fn merge(&mut self, other: Self) {
        self.objects += other.objects;
        self.inferred |= other.inferred;
        self.estimated |= other.estimated;
        self.right += other.right;
        self.lacking += other.lacking;
        self.extra += other.extra;
    }

    /// All references that the process or the scan has.
    pub(crate) fn edges(&self) -> u64 {
        self.right + self.lacking + self.extra
    }
}

/// The outcome of one comparison.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// What was compared: interpreter and fixture.
    pub(crate) subject: String,
    /// Objects that both have.
    pub(crate) compared: u64,
    /// Objects of the process's own closure.
    pub(crate) told: u64,
    /// Objects that pyheap shows.
    pub(crate) claimed: u64,
    /// References of types with exact rules that were compared.
    pub(crate) exact_edges: u64,
    /// References of types whose references pyheap infers, as the process tells them.
    pub(crate) inferred_edges: u64,
    /// How many of those pyheap has.
    pub(crate) inferred_right: u64,
    /// How many more pyheap has than there are.
    pub(crate) inferred_extra: u64,
    /// Objects that pyheap lacks, which only objects of inferred types lead to.
    pub(crate) beyond_inferred: u64,
    /// Sizes not compared: a `__sizeof__` in Python, or a type that pyheap lists as estimated.
    pub(crate) sizes_left_out: u64,
    /// Refcounts that are not the same. For information: the telling itself moves the counts of common objects.
    pub(crate) refcounts_apart: u64,
    /// Anomalies that pyheap reported.
    pub(crate) anomalies: Vec<String>,
    /// What was compared, by the type's name.
    pub(crate) types: BTreeMap<String, TypeFacts>,
    groups: BTreeMap<(Difference, String), Group>,
}

impl Report {
    /// Notes a difference.
    pub(crate) fn note(
        &mut self,
        kind: Difference,
        type_name: &str,
        example: impl FnOnce() -> String,
    ) {
        let group = self.groups.entry((kind, type_name.to_owned())).or_default();
        group.count += 1;
        if group.examples.len() < EXAMPLES {
            group.examples.push(example());
        }
    }

    /// The facts about a type, to be added to.
    pub(crate) fn type_facts(&mut self, type_name: &str) -> &mut TypeFacts {
        self.types.entry(type_name.to_owned()).or_default()
    }

    /// How many differences there are in all.
    pub(crate) fn differences(&self) -> u64 {
        self.groups.values().map(|group| group.count).sum()
    }

    /// How many differences of one kind there are.
    pub(crate) fn count(&self, wanted: Difference) -> u64 {
        let of_kind = self.groups.iter().filter(|((kind, _), _)| *kind == wanted);
        of_kind.map(|(_, group)| group.count).sum()
    }

    /// How many differences of one kind there are at one type.
    pub(crate) fn count_of(&self, kind: Difference, type_name: &str) -> u64 {
        self.groups.get(&(kind, type_name.to_owned())).map_or(0, |group| group.count)
    }

    /// The part of the inferred types' references that pyheap has, 1 if there are none.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn inferred_share(&self) -> f64 {
        if self.inferred_edges == 0 {
            return 1.0;
        }
        self.inferred_right as f64 / self.inferred_edges as f64
    }

    /// Whether nothing differs, and the inferred references are as good as promised.
    pub(crate) fn is_exact(&self) -> bool {
        self.differences() == 0 && self.compared > 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}: {} told, {} claimed, {} compared; {} exact references, {} of {} inferred ones right (+{} extra); \
             {} sizes left out, {} refcounts apart",
            self.subject,
            self.told,
            self.claimed,
            self.compared,
            self.exact_edges,
            self.inferred_right,
            self.inferred_edges,
            self.inferred_extra,
            self.sizes_left_out,
            self.refcounts_apart
        )?;
        for anomaly in &self.anomalies {
            writeln!(f, "  anomaly: {anomaly}")?;
        }
        let mut groups: Vec<_> = self.groups.iter().collect();
        groups.sort_by_key(|((kind, name), group)| {
            (*kind, std::cmp::Reverse(group.count), name.as_str())
        });
        let mut last = None;
        for ((kind, name), group) in groups {
            if last != Some(*kind) {
                writeln!(f, "  {kind:?}: {}", self.count(*kind))?;
                last = Some(*kind);
            }
            writeln!(f, "    {:>8}  {name}", group.count)?;
            for example in &group.examples {
                writeln!(f, "              {example}")?;
            }
        }
        Ok(())
    }
}
