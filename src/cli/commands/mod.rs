//! The commands, one file each.

mod check;
mod demo;
mod diff;
mod doctor;
mod export;
mod histogram;
mod histogram_tree;
mod holders;
mod manual;
mod memory;
mod objects;
mod orphans;
mod ps;
mod record;
mod report;
mod retained;
mod show;
mod stacks;
mod strings;
mod top;
mod worker_tree;

use super::Context;
use super::args::Command;
use crate::error::Error;

/// Runs a command.
pub(super) fn run(command: &Command, context: &mut Context<'_>) -> Result<(), Error> {
    match command {
        Command::Ps(args) => ps::run(args, context),
        Command::Snapshot(args) => histogram::snapshot(args, context),
        Command::Histogram(args) => histogram::run(args, context),
        Command::Objects(args) => objects::run(args, context),
        Command::Show(args) => show::run(args, context),
        Command::Why(args) => holders::why(args, context),
        Command::Retained(args) => retained::run(args, context),
        Command::Cycles(args) => holders::cycles_of(args, context),
        Command::Garbage(args) => holders::garbage(args, context),
        Command::Orphans(args) => orphans::run(args, context),
        Command::Strings(args) => strings::run(args, context),
        Command::Memory(args) => memory::run(args, context),
        Command::Stacks(args) => stacks::run(args, context),
        Command::Diff(args) => diff::run(args, context),
        Command::Record(args) => record::run(args, context),
        Command::Top(args) => top::run(args, context),
        Command::Report(args) => report::run(args, context),
        Command::Export(args) => export::run(args, context),
        Command::Check(args) => check::run(args, context),
        Command::Doctor(args) => doctor::run(args, context),
        Command::Demo(args) => demo::run(args, context),
        Command::Completions { shell } => manual::completions(*shell, context),
        Command::Man { command } => manual::page(command.as_deref(), context),
    }
}
