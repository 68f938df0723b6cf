//! All integration tests, in one binary: against real processes and against the tree itself.

#![allow(clippy::print_stdout, reason = "tests say what ran")]

#[path = "../support/mod.rs"]
mod support;

mod architecture;
mod arrays;
mod bad_input;
mod blocks;
mod c_held;
mod calls;
mod containers;
mod core_files;
mod cow;
mod cow_refused;
mod cow_rules;
mod damage;
mod discovery;
mod doctor;
mod export;
mod faults;
mod finalizers;
mod forked;
mod garbage;
mod groups;
mod guards;
mod hangs;
mod harm;
mod leaks;
mod memory;
mod native;
mod native_memory;
mod natives;
mod nonblocking;
mod offsets;
mod opcodes;
mod orphans;
mod pause;
mod record;
mod record_ends;
mod refused;
mod set_aside;
mod stacks;
mod strings;
mod tasks;
mod temporaries;
mod time_limit;
mod top;
mod traced;
mod traps;
mod truth;
mod types_doc;
mod worker_tree;
