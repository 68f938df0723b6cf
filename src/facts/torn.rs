//! How much of a heap does not fit together, because its process ran while it was read.

use serde::{Deserialize, Serialize};

/// What was changed under the reader's eyes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct TornFacts {
    /// Objects that could not be decoded in full, or at all.
    pub objects: u64,
    /// Their share of all objects, from 0 to 1.
    pub object_share: f64,
    /// Their bytes, as far as they are known.
    pub bytes: u64,
    /// Their share of all bytes, from 0 to 1.
    pub byte_share: f64,
    /// How often parts were read again.
    pub retries: u32,
}

impl TornFacts {
    /// Of objects and of bytes: the torn ones, and all.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "shares for people")]
    pub fn new(objects: (usize, usize), bytes: (u64, u64), retries: u32) -> Self {
        let share = |part: u64, whole: u64| match whole {
            0 => 0.0,
            whole => part as f64 / whole as f64,
        };
        let number = |count| u64::try_from(count).unwrap_or(u64::MAX);
        Self {
            objects: number(objects.0),
            object_share: share(number(objects.0), number(objects.1)),
            bytes: bytes.0,
            byte_share: share(bytes.0, bytes.1),
            retries,
        }
    }
}
