//! Questions to a fleet: the queries of `docs/fleet.md` over 200 snapshots, by DuckDB and by Spark.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::support::pythons;
use crate::support::run::{Run, Target};

/// A Python with `duckdb` and `pyspark`, named by the environment.
const PYTHON: &str = "PYHEAP_QUERY_PYTHON";

const SERVICES: [&str; 5] = ["billing", "checkout", "mail", "search", "web"];
const VERSIONS: [&str; 2] = ["1.10", "2.0"];
const HOSTS: u64 = 4;
const MOMENTS: u64 = 5;
/// What the version that leaks has more at each moment.
const STEP: u64 = 250;

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Takes a snapshot of a process that holds so many sessions.
fn snapshot(sessions: u64, file: &Path) -> Result<()> {
    let mut pythons = pythons::find(workspace())?;
    pythons.retain(|python| python.root.is_none() && !python.debug);
    let python = pythons.pop().context("no interpreter")?;
    let code = format!(
        "import sys\n\
         class Session:\n    __slots__ = ('user',)\n\
         cache = [None] * 2000\n\
         cache[:{sessions}] = [Session() for _ in range({sessions})]\n\
         print('READY', flush=True); sys.stdin.readline()"
    );
    let target = Target::ready(Command::new(&python.executable).args(["-I", "-S", "-c", &code]))?;
    let file = file.to_str().context("not UTF-8")?;
    let args = ["snapshot", "-q", "-p", &target.pid(), "-o", file, "--json"];
    Run::of(Path::new(env!("CARGO_BIN_EXE_pyheap")), &args)?.expect(0, &[])
}

/// 200 snapshots, of which five are not links to others.
fn fleet(folder: &Path) -> Result<()> {
    let real: Vec<PathBuf> =
        (0..MOMENTS).map(|nth| folder.join(format!("{nth}.parquet"))).collect();
    for (nth, file) in (0..).zip(&real) {
        snapshot(100 + nth * STEP, file)?;
    }
    let mut count = 0;
    for service in SERVICES {
        for version in VERSIONS {
            for host in 0..HOSTS {
                for moment in 0..MOMENTS {
                    let leaks = service == "checkout" && version == "2.0";
                    let from = real.get(if leaks { usize::try_from(moment)? } else { 0 });
                    let at = 1_764_000_000 + moment * 3600;
                    let place = format!(
                        "snapshots/service={service}/version={version}/host=h{host}/taken_at={at}"
                    );
                    let place = folder.join(place);
                    std::fs::create_dir_all(&place)?;
                    std::fs::hard_link(from.context("no file")?, place.join("4242.parquet"))?;
                    count += 1;
                }
            }
        }
    }
    ensure!(count == 200, "{count} snapshots");
    Ok(())
}

fn ask(python: &Path, folder: &Path, engine: &str) -> Result<Value> {
    let output = Command::new(python)
        .arg(workspace().join("tests/query_fleet.py"))
        .arg(workspace().join("docs/fleet.md"))
        .arg(folder.join("snapshots"))
        .arg(engine)
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{engine}: {said}");
    Ok(serde_json::from_slice(&output.stdout)?)
}

#[test]
fn a_fleet_says_which_service_and_version_grew_which_type() -> Result<()> {
    let Some(python) = std::env::var_os(PYTHON).map(PathBuf::from) else {
        println!("skipped: {PYTHON} names no Python with duckdb and pyspark");
        return Ok(());
    };
    let folder = tempfile::tempdir()?;
    fleet(folder.path())?;
    let duckdb = ask(&python, folder.path(), "duckdb")?;
    let grown = &duckdb[0][0];
    let expected =
        json!(["checkout", "2.0", "__main__.Session", HOSTS, HOSTS * STEP * (MOMENTS - 1)]);
    let found: Vec<Value> = grown.as_array().context("no rows")?.iter().take(5).cloned().collect();
    ensure!(Value::Array(found) == expected, "{}", duckdb[0]);
    // What did not leak did not grow: its snapshots are one.
    let rows = duckdb[0].as_array().context("no rows")?;
    ensure!(rows.iter().all(|row| row[0] == "checkout" && row[1] == "2.0"), "{}", duckdb[0]);
    let moments = duckdb[2].as_array().context("no rows")?;
    ensure!(moments.len() == 50 && moments.iter().all(|row| row[3] == HOSTS), "{}", duckdb[2]);
    let has_java = Command::new("java").arg("-version").output().is_ok();
    if !has_java {
        println!("Spark was skipped: there is no Java");
        return Ok(());
    }
    let spark = ask(&python, folder.path(), "local[2]")?;
    ensure!(spark == duckdb, "Spark says {spark}\nDuckDB says {duckdb}");
    Ok(())
}
