//! Reports as one HTML page each. A page needs nothing else: no network, no file beside it.

mod page;
pub mod recording;
pub mod snapshot;
