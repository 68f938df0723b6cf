//! The bytes of a process, and what the kernel says about it. Knows nothing of Python.

pub mod memory;
pub mod permission;

pub use memory::{Memory, ReadError, ReadErrorKind};
