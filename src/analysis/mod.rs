//! Questions to a heap, as pure functions from a graph to a result. No I/O, no text layout.

pub mod circles;
pub mod collection;
pub mod components;
pub mod diff;
pub mod dominators;
pub mod garbage;
pub mod growth;
pub mod histogram;
pub mod lookup;
pub mod paths;
pub mod references;
pub mod retained;
pub mod strings;
pub mod suspects;
pub mod verdict;

pub use circles::{CycleGroup, Hops, State, cycles};
pub use collection::Collection;
pub use diff::{Diff, Identity, TypeDiff};
pub use dominators::Dominators;
pub use growth::Growth;
pub use histogram::{Histogram, SortBy, TypeTotals};
pub use lookup::{LookupError, TypeMatch};
pub use paths::{HeldBy, Origin, Path, PathRoot, Paths, Step};
pub use suspects::Suspect;
