//! Tests against real processes.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod pause;
