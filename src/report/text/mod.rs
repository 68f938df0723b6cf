//! Results for people.

pub mod diff;
pub mod histogram;
pub mod objects;
pub mod path;
pub mod processes;
pub mod stacks;
