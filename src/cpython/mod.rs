//! What CPython keeps where, how to find it in a process, and how to decode it.

pub mod discovery;
pub mod emulate;
pub mod layout;
pub mod object;
pub mod pymalloc;
pub mod tracemalloc;
pub mod version;

pub use layout::Layout;
pub use version::{Build, Version};
