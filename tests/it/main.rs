//! Tests against real processes.

mod pause;
