//! The bytes of a process, and what the kernel says about it. Knows nothing of Python.

pub mod memory;

pub use memory::{Memory, ReadError, ReadErrorKind};
