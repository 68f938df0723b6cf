//! What pyheap says of a process: the output of its binary, read as a user's program would read it.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::truth_file::hex;

/// A line of `pyheap objects --json`.
#[derive(Deserialize)]
struct Line<'a> {
    address: Cow<'a, str>,
    #[serde(rename = "type")]
    type_name: Cow<'a, str>,
    gc_tracked: bool,
    #[serde(default)]
    gc_frozen: bool,
    refcount: Option<i64>,
    shallow_bytes: u64,
    #[serde(borrow)]
    referents: Vec<Cow<'a, str>>,
    #[serde(borrow, default)]
    hidden_referents: Vec<Cow<'a, str>>,
}

/// One object as pyheap sees it.
#[derive(Debug, Clone)]
pub(crate) struct ClaimedObject {
    /// Its type, as an index into the names.
    pub(crate) type_index: usize,
    pub(crate) tracked: bool,
    pub(crate) frozen: bool,
    pub(crate) refcount: Option<i64>,
    pub(crate) bytes: u64,
    pub(crate) referents: Vec<u64>,
    /// What it keeps alive besides.
    pub(crate) hidden: Vec<u64>,
}

/// All that pyheap says of a process.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    /// The objects, by address.
    pub(crate) objects: HashMap<u64, ClaimedObject>,
    /// The names of the types.
    pub(crate) type_names: Vec<String>,
    /// The types whose sizes are estimates.
    pub(crate) estimated: HashSet<String>,
    /// The types whose references were found by a scan.
    pub(crate) inferred: HashSet<String>,
    /// How many interpreters there are.
    pub(crate) interpreters: u64,
    /// The `anomalies` of the snapshot.
    pub(crate) anomalies: Vec<serde_json::Value>,
    /// The whole document of `snapshot`.
    pub(crate) document: serde_json::Value,
    /// An address that was printed twice, if any was.
    pub(crate) repeated: Vec<u64>,
}

impl Claims {
    /// Runs `pyheap objects` and `pyheap snapshot` on a process.
    ///
    /// # Errors
    /// If pyheap fails, or does not print what the contract says.
    pub(crate) fn of(pyheap: &Path, pid: u32) -> Result<Self> {
        Self::with(pyheap, pid, &[])
    }

    /// The same with further arguments, such as `--pause none`.
    ///
    /// # Errors
    /// As [`Claims::of`].
    pub(crate) fn with(pyheap: &Path, pid: u32, capture: &[&str]) -> Result<Self> {
        let mut claims = Self::default();
        let pid = pid.to_string();
        let words = [&["snapshot", "-p", &pid, "--json"], capture].concat();
        let document: serde_json::Value = serde_json::from_str(&run(pyheap, &words)?)?;
        claims.document = document.clone();
        let names = |field: &str| {
            let list = document.get(field).and_then(serde_json::Value::as_array);
            list.into_iter().flatten().filter_map(|name| Some(name.as_str()?.to_owned())).collect()
        };
        claims.estimated = names("estimated_types");
        claims.inferred = names("inferred_types");
        let interpreters = document.pointer("/interpreter/interpreters");
        claims.interpreters = interpreters.and_then(serde_json::Value::as_u64).unwrap_or(1);
        claims.anomalies =
            document.get("anomalies").and_then(|list| list.as_array().cloned()).unwrap_or_default();
        claims.read_objects(pyheap, &[&["objects", "-p", &pid, "--json"], capture].concat())?;
        Ok(claims)
    }

    /// The name of an object's type.
    pub(crate) fn type_name(&self, object: &ClaimedObject) -> &str {
        self.type_names.get(object.type_index).map_or("?", String::as_str)
    }

    fn read_objects(&mut self, pyheap: &Path, args: &[&str]) -> Result<()> {
        let mut child = Command::new(pyheap)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {}", pyheap.display()))?;
        let mut errors = child.stderr.take().context("no stderr")?;
        let drain = std::thread::spawn(move || {
            let mut text = String::new();
            errors.read_to_string(&mut text).map(|_| text)
        });
        let mut reader =
            BufReader::with_capacity(1 << 20, child.stdout.take().context("no stdout")?);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if !line.is_empty() {
            let head: serde_json::Value = serde_json::from_str(&line)?;
            if head.get("schema") != Some(&1.into())
                || head.get("command") != Some(&"objects".into())
            {
                bail!("the first line is not the header: {line}");
            }
        }
        let mut type_indices = HashMap::new();
        loop {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                break;
            }
            self.add(&line, &mut type_indices)
                .with_context(|| format!("cannot understand {line}"))?;
        }
        let status = child.wait()?;
        let errors = drain.join().ok().context("the reader of stderr died")??;
        if !status.success() {
            bail!("pyheap {}: {status}\n{errors}", args.join(" "));
        }
        Ok(())
    }

    fn add(&mut self, line: &str, type_indices: &mut HashMap<String, usize>) -> Result<()> {
        let line: Line<'_> = serde_json::from_str(line)?;
        let type_index = match type_indices.get(line.type_name.as_ref()) {
            Some(&index) => index,
            None => {
                let index = self.type_names.len();
                self.type_names.push(line.type_name.to_string());
                type_indices.insert(line.type_name.into_owned(), index);
                index
            }
        };
        let address = hex(&line.address)?;
        let object = ClaimedObject {
            type_index,
            tracked: line.gc_tracked,
            frozen: line.gc_frozen,
            refcount: line.refcount,
            bytes: line.shallow_bytes,
            referents: line.referents.iter().map(|text| hex(text)).collect::<Result<_>>()?,
            hidden: line.hidden_referents.iter().map(|text| hex(text)).collect::<Result<_>>()?,
        };
        if self.objects.insert(address, object).is_some() {
            self.repeated.push(address);
        }
        Ok(())
    }
}

/// Runs pyheap and gives back what it printed.
///
/// # Errors
/// If it fails; its own words are in the error.
pub(crate) fn run(pyheap: &Path, args: &[&str]) -> Result<String> {
    let output = Command::new(pyheap)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {}", pyheap.display()))?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        bail!("pyheap {}: {}\n{errors}", args.join(" "), output.status);
    }
    Ok(String::from_utf8(output.stdout)?)
}
