//! Every bound on what a hostile target may make us do, each with its reason.

/// Bounds of one snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest name of a type, attribute or file that is read, in bytes. CPython has no limit;
    /// generated class names reach a few hundred.
    pub name_bytes: usize,
    /// The most base classes, slots, or closure variables that one type or code object may claim.
    pub members: u64,
    /// The most threads, and the most interpreters, of a process.
    pub threads: usize,
    /// The most frames of one thread. `sys.setrecursionlimit` beyond a million is seen in the wild.
    pub frames: usize,
    /// The deepest chain of base types.
    pub type_depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            name_bytes: 4096,
            members: 1 << 20,
            threads: 1 << 16,
            frames: 1 << 24,
            type_depth: 1 << 10,
        }
    }
}
