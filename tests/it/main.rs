//! All integration tests, in one binary: against real processes and against the tree itself.

#[path = "../support/mod.rs"]
mod support;

mod architecture;
mod pause;
mod truth;
