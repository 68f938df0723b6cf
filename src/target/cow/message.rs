//! What the guardian tells pyheap: a line of JSON each.

use serde::{Deserialize, Serialize};

/// A line from the guardian.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "told", rename_all = "snake_case")]
pub(super) enum Message {
    /// The child is there, and the target runs again.
    Forked {
        /// The child, as pyheap sees it.
        child: u32,
        /// For how long the target could not run, in seconds.
        seconds: f64,
        /// How often it was stopped.
        stops: u32,
    },
    /// The target is as it was, and there is no child.
    Refused {
        /// Why, in words.
        reason: String,
    },
    /// Tracing is not permitted.
    Denied,
    /// The target has ended, or runs another program.
    Gone,
    /// The operating system failed.
    Failed {
        /// What was tried.
        what: String,
        /// The number of the error.
        errno: i32,
    },
    /// The child is gone.
    Ended {
        /// For how long the target's thread could not run, in seconds.
        seconds: f64,
        /// Why it was ended before that was asked for; empty if it was not.
        early: String,
        /// Whether a zombie is left until the target ends.
        zombie: bool,
    },
}
