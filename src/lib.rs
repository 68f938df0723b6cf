//! pyheap reads the heap of a running CPython from outside: which objects are alive, how big they
//! are, what grew, and who holds what. It runs no code in the target and changes none of its
//! memory. See `ARCHITECTURE.md` for the way from a pid to an answer.

pub mod addr;
pub mod analysis;
pub mod cli;
pub mod cpython;
pub mod error;
pub mod facts;
pub mod footprint;
pub mod graph;
pub mod heap;
pub mod limits;
pub mod malloc;
pub mod new_file;
mod processes;
pub mod record;
pub mod recording;
pub mod report;
pub mod snapshot;
pub mod source;
pub mod take;
pub mod target;
pub mod top;
pub mod watch;
