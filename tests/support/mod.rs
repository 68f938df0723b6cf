//! What the integration tests and `cargo xtask truth` share: interpreters, fixtures, and the comparison of what pyheap
//! says with what the process says of itself.

// Each of the two users leaves something unused.
#![allow(dead_code, unused_imports)]

pub(crate) mod altered;
pub(crate) mod claims;
pub(crate) mod compare;
pub(crate) mod fixture;
pub(crate) mod pythons;
pub(crate) mod random;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod tmux;
pub(crate) mod truth_file;
