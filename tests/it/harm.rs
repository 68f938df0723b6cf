//! The target runs on, whatever happens to pyheap.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::support::fixture::Fixture;
use crate::support::pythons;

/// A generator whose seed is in the test, so that a failure can be had again.
struct Random(u64);

impl Random {
    /// A number below a bound.
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % bound.max(1)
    }
}

#[test]
fn killing_pyheap_at_any_moment_leaves_the_target_at_work() -> Result<()> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found = pythons::find(workspace)?;
    let python = found.iter().rfind(|python| !python.debug).context("no interpreter")?;
    let sources = workspace.join("python-fixtures");
    let mut fixture = Fixture::start(python, &sources, "busy", &[])?;
    let pid = fixture.pid();
    let start = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pyheap"));
        command.args(["snapshot", "-p", &pid.to_string()]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()
    };
    let begun = Instant::now();
    ensure!(start()?.wait()?.success(), "pyheap does not read the fixture at all");
    let whole = u64::try_from(begun.elapsed().as_micros())?;
    let mut random = Random(20_261_123);
    let mut rounds = 0;
    for nth in 0..50 {
        let mut child = start()?;
        // Not a wait for anything: the moment is what is tested.
        std::thread::sleep(Duration::from_micros(random.below(whole)));
        child.kill()?;
        child.wait()?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        ensure!(status.contains("TracerPid:\t0\n"), "kill {nth}: still traced");
        // The loop must get on: asked until a round has ended since the last time.
        loop {
            let answer = fixture.ask("check")?;
            let count: u64 = answer.strip_prefix("ok ").context(answer.clone())?.parse()?;
            if count > rounds {
                rounds = count;
                break;
            }
        }
    }
    Ok(())
}
