//! Questions to a heap, as pure functions from a graph to a result. No I/O, no text layout.

pub mod circles;
pub mod collection;
pub mod components;
pub mod containers;
pub mod diff;
pub mod dominators;
pub mod filter;
pub mod finalizers;
pub mod garbage;
pub mod grouping;
pub mod growth;
mod hanging;
pub mod histogram;
pub mod lineage;
pub mod lookup;
pub mod orphans;
pub mod paths;
pub mod references;
pub mod retained;
pub mod strings;
mod stuck;
pub mod suspects;
pub mod verdict;

pub use circles::{CycleGroup, Hops, State, cycles, cycles_by};
pub use collection::Collection;
pub use diff::{Diff, Identity, TypeDiff};
pub use dominators::Dominators;
pub use filter::{Filter, Selection};
pub use grouping::{GroupBy, GroupError, Groups};
pub use growth::Growth;
pub use histogram::{Histogram, SortBy, TypeTotals};
pub use lineage::Lineage;
pub use lookup::{LookupError, TypeMatch};
pub use paths::{Held, HeldBy, HeldGroup, HeldNode, HeldTree, Origin, Path, PathRoot, Paths, Step};
pub use suspects::Suspect;
