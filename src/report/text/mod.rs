//! Results for people.

pub mod allocation;
pub mod check;
pub mod containers;
pub mod cycles;
pub mod diff;
pub mod finalizers;
pub mod garbage;
pub mod hang;
pub mod histogram;
pub mod memory;
pub mod native;
pub mod objects;
pub mod orphans;
pub mod path;
pub mod plot;
pub mod processes;
pub mod record;
pub mod retained;
pub mod stacks;
pub mod strings;
pub mod tasks;
pub mod tree;
pub mod why;
