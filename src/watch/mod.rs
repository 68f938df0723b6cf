//! Looking at one process again and again: what is cheap often, its heap now and then, and never so often that it
//! harms. Recordings and the live view do it.

mod census;
mod counters;
mod pace;

pub use census::{Missed, heap_of, sums};
pub use counters::{Counters, End};
pub use pace::Pace;
