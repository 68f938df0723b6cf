//! A heap whose words were changed at random: no panic, no hang, no memory without end, whatever it says.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::core_files::{gcore, search_root, start};
use crate::support::pythons::{self, Python};
use crate::support::random::Random;
use crate::support::run::Run;

/// How many words of a core are changed at once.
const CHANGES: u64 = 3000;
/// How often each core is changed anew.
const ROUNDS: u64 = 20;
/// What pyheap may ask for, in bytes. Its own needs are some hundred megabytes.
const ADDRESS_SPACE: u64 = 8 << 30;

/// Changes words of a core's memory: to nothing, to other words of it, to small and to huge numbers, or by one bit.
fn damage(core: &mut [u8], random: &mut Random) -> Result<()> {
    // The headers are left alone: what is tested is what is in memory, and the list of mappings behind it.
    let (first, words) = (1 << 13, u64::try_from(core.len())? / 8 - (1 << 13));
    for _ in 0..CHANGES {
        let mut place =
            || Ok::<_, anyhow::Error>(usize::try_from(first + random.below(words))? * 8);
        let (at, other) = (place()?, place()?);
        let old = u64::from_le_bytes(core[at..at + 8].try_into()?);
        let new = match random.below(6) {
            0 => 0,
            1 => random.below(64),
            2 => u64::MAX - random.below(64),
            3 => old ^ (1 << random.below(48)),
            4 => old.wrapping_add(8 * random.below(32)),
            _ => u64::from_le_bytes(core[other..other + 8].try_into()?),
        };
        core[at..at + 8].copy_from_slice(&new.to_le_bytes());
    }
    Ok(())
}

/// Runs pyheap on a core with a bound on its time and its memory; it may fail, but only as it says.
fn run(words: &[&str], core: &Path, python: &Python) -> Result<()> {
    let mut command = Command::new("prlimit");
    command.arg(format!("--as={ADDRESS_SPACE}")).args(["timeout", "60"]);
    command.arg(env!("CARGO_BIN_EXE_pyheap")).args(words).arg("-c").arg(core);
    let run = Run::command(command.args(search_root(python)))?;
    let code = run.status.code();
    // 2: the name of a type may have been destroyed.
    let is_said = matches!(code, Some(0 | 1 | 2 | 4 | 6 | 8));
    ensure!(is_said, "{words:?} ended with {}: {}", run.status, run.stderr);
    ensure!(code == Some(0) || run.stderr.contains("pyheap: "), "{words:?} does not say why");
    Ok(())
}

/// One interpreter of each kind of layout: the oldest, one of the middle, the newest.
fn interpreters() -> Result<Vec<Python>> {
    let mut found = pythons::find(Path::new(env!("CARGO_MANIFEST_DIR")))?;
    found.retain(|python| !python.debug);
    let last = found.len().checked_sub(1).context("no interpreter")?;
    let wanted = [0, last / 2, last];
    let mut nth = 0..;
    found.retain(|_| nth.next().is_some_and(|nth| wanted.contains(&nth)));
    Ok(found)
}

#[test]
fn a_damaged_heap_is_read_without_panic_hang_or_endless_memory() -> Result<()> {
    let commands: [&[&str]; 10] = [
        &["objects", "--json"],
        &["garbage"],
        &["stacks", "--locals", "--values"],
        &["cycles"],
        &["retained"],
        &["why", "dict"],
        &["strings", "--values"],
        &["export", "--format", "heapsnapshot", "--values"],
        &["export", "--format", "flamegraph"],
        &["export", "--format", "dot"],
    ];
    let folder = tempfile::tempdir()?;
    let whole: Vec<(Python, PathBuf)> = interpreters()?
        .into_iter()
        .filter_map(|python| {
            let core =
                start(&python, "instances").and_then(|fixture| gcore(fixture.pid(), folder.path()));
            core.map(|core| core.map(|core| (python, core))).transpose()
        })
        .collect::<Result<_>>()?;
    for (python, core) in whole {
        let bytes = std::fs::read(&core)?;
        let changed = folder.path().join("changed");
        for round in 0..ROUNDS {
            let mut core = bytes.clone();
            damage(&mut core, &mut Random(round))?;
            std::fs::write(&changed, core)?;
            let nth = usize::try_from(round)? % commands.len();
            if let Err(error) = run(commands[nth], &changed, &python) {
                // Addresses differ from run to run, so the seed alone does not bring it back.
                let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("damaged.core");
                std::fs::copy(&changed, &kept)?;
                return Err(error.context(format!("{}: {}", python.label(), kept.display())));
            }
        }
    }
    Ok(())
}
