//! `-s`: a process and all its descendants, one after the other. What is left out is said; the others
//! go on.

use std::path::Path;

use crate::cli::Context;
use crate::error::Error;
use crate::report::json;
use crate::report::json::processes::{LeftOut, MemberJson, TreeJson};
use crate::snapshot::{self, Snapshot};
use crate::source::{Options, Source};

/// What came of a tree.
pub(super) struct Outcome {
    /// The processes that gave no answer, in the order in which they were tried.
    pub(super) left_out: Vec<LeftOut>,
    /// A process that could have been read and was not, or one with anomalies (`--strict`).
    pub(super) result: Result<(), Error>,
}

/// How often the tree is listed: a master starts a worker for one that has ended meanwhile.
const LISTINGS: u32 = 2;

/// Reads the processes of a tree, the root first, and gives each heap to `report`.
///
/// Workers come and go: one that has ended, and a descendant that is no Python, are left out and are
/// no failure. Any other failure is told at the end, when the others have been read.
///
/// # Errors
/// No process could be read (then that of the root), or a result could not be written.
pub(super) fn each(
    root: u32,
    options: &Options,
    context: &mut Context<'_>,
    mut report: impl FnMut(Snapshot, &mut Context<'_>) -> Result<(), Error>,
) -> Result<Outcome, Error> {
    let mut outcome = Outcome { left_out: Vec::new(), result: Ok(()) };
    let mut seen = Vec::new();
    let (mut read, mut root_error) = (0_u32, None);
    for _ in 0..LISTINGS {
        let members = context.backend.process_tree(root);
        let fresh: Vec<u32> = members.into_iter().filter(|pid| !seen.contains(pid)).collect();
        for pid in fresh {
            seen.push(pid);
            match context.backend.load(&Source::Pid(pid), options) {
                Ok(snapshot) => {
                    read += 1;
                    let checked = context.check(&snapshot.graph);
                    report(snapshot, context)?;
                    outcome.result = outcome.result.and(checked);
                }
                Err(error) => {
                    let code = error.exit_code();
                    let reason = error.to_string().lines().next().unwrap_or_default().to_owned();
                    context.note(&format!("process {pid} is left out: {reason}"))?;
                    outcome.left_out.push(LeftOut { pid, reason, exit_code: code });
                    let is_failure = !is_absence(code);
                    match pid == root {
                        true => root_error = Some(error),
                        false if is_failure => outcome.result = outcome.result.and(Err(error)),
                        false => {}
                    }
                }
            }
        }
    }
    match root_error {
        Some(error) if read == 0 || !is_absence(error.exit_code()) => {
            if read == 0 {
                return Err(error);
            }
            outcome.result = Err(error);
        }
        _ => {}
    }
    Ok(outcome)
}

/// Reads a tree with a command that reports each process by itself: its documents as one list, or its
/// texts one below the other.
///
/// # Errors
/// As [`each`].
pub(super) fn documents(
    command: &str,
    root: u32,
    options: &Options,
    context: &mut Context<'_>,
    mut report: impl FnMut(&Snapshot, &mut Context<'_>) -> Result<Option<serde_json::Value>, Error>,
) -> Result<Result<(), Error>, Error> {
    let mut processes = Vec::new();
    let outcome = each(root, options, context, |snapshot, context| {
        if let Some(document) = report(&snapshot, context)? {
            let sharing = context.backend.sharing(snapshot.facts.process.pid);
            processes.push(json::value(MemberJson { document, sharing })?);
        }
        Ok(())
    })?;
    let Outcome { left_out, result } = outcome;
    if !processes.is_empty() {
        json::write(context.out, command, TreeJson { processes, left_out })?;
    }
    Ok(result)
}

/// Refuses a name for the files of a tree of which one is taken: before a target is stopped for it.
///
/// # Errors
/// A file is there.
pub(super) fn check_files(root: u32, file: &Path, context: &Context<'_>) -> Result<(), Error> {
    let files = context.backend.process_tree(root).into_iter();
    let mut files = files.map(|pid| snapshot::numbered(file, pid));
    match files.find(|file| file.exists()) {
        Some(file) => Err(Error::Exists(file)),
        None => Ok(()),
    }
}

/// Whether an exit code says that there is nothing to be read: no Python, or no longer there.
const fn is_absence(code: u8) -> bool {
    matches!(code, 4 | 7)
}
