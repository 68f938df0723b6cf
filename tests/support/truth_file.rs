//! What a process says of its own heap: the file that `_truth.py` writes.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, Result, bail};

/// One object as the process itself sees it.
#[derive(Debug, Clone)]
pub(crate) struct TrueObject {
    /// The address of its type.
    pub(crate) type_at: u64,
    /// `sys.getsizeof()`; nothing where a `__sizeof__` in Python decides.
    pub(crate) bytes: Option<u64>,
    /// Whether one of the generations that `gc.get_objects()` shows has it.
    pub(crate) listed: bool,
    /// `gc.is_tracked()`.
    pub(crate) tracked: bool,
    /// `sys.getrefcount()` without the telling's own references.
    pub(crate) refcount: i64,
    /// The ids of `gc.get_referents()`.
    pub(crate) referents: Vec<u64>,
    /// Whether the closure of `gc.get_objects()` has it; otherwise it was confirmed because pyheap named it.
    pub(crate) in_closure: bool,
}

/// A whole file.
#[derive(Debug, Default)]
pub(crate) struct Truth {
    /// The header: versions, counters of the collector.
    pub(crate) header: serde_json::Value,
    /// The types, by address.
    pub(crate) types: HashMap<u64, String>,
    /// The objects, by address.
    pub(crate) objects: HashMap<u64, TrueObject>,
    /// The addresses where there is no object, and why.
    pub(crate) refuted: HashMap<u64, String>,
    /// What is not to be compared: frames of the harness.
    pub(crate) excluded: HashSet<u64>,
}

impl Truth {
    /// Reads a file.
    ///
    /// # Errors
    /// If a line makes no sense, or the end is missing.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let mut truth = Self::default();
        let mut complete = false;
        let mut reader = BufReader::with_capacity(1 << 20, File::open(path)?);
        let mut line = String::new();
        while reader.read_line(&mut line)? != 0 {
            let text = line.trim_end_matches('\n');
            complete |= truth.line(text).with_context(|| format!("cannot understand {text:?}"))?;
            line.clear();
        }
        if !complete {
            bail!("{}: the end is missing", path.display());
        }
        Ok(truth)
    }

    /// The name of an object's type.
    pub(crate) fn type_name(&self, object: &TrueObject) -> &str {
        self.types.get(&object.type_at).map_or("?", String::as_str)
    }

    fn line(&mut self, line: &str) -> Result<bool> {
        let (kind, rest) = line.split_once(' ').context("no kind")?;
        match kind {
            "H" => self.header = serde_json::from_str(rest)?,
            "T" => {
                let (address, name) = rest.split_once(' ').context("no name")?;
                self.types.insert(hex(address)?, name.to_owned());
            }
            "O" | "A" => {
                let (address, object) = object(rest, kind == "O")?;
                self.objects.insert(address, object);
            }
            "X" => {
                let (address, why) = rest.split_once(' ').context("no reason")?;
                self.refuted.insert(hex(address)?, why.to_owned());
            }
            "E" => {
                let (address, _) = rest.split_once(' ').context("no reason")?;
                self.excluded.insert(hex(address)?);
            }
            "Z" => return Ok(true),
            _ => bail!("unknown kind {kind}"),
        }
        Ok(false)
    }
}

fn object(text: &str, in_closure: bool) -> Result<(u64, TrueObject)> {
    let mut words = text.split(' ').filter(|word| !word.is_empty());
    let mut next = || words.next().context("too short");
    let address = hex(next()?)?;
    let type_at = hex(next()?)?;
    let size = next()?;
    let bytes = if size == "?" { None } else { Some(size.parse()?) };
    let state = next()?;
    let refcount = next()?.parse()?;
    let referents = words.map(hex).collect::<Result<_>>()?;
    let (listed, tracked) = (!state.starts_with('-'), state.ends_with('t'));
    Ok((address, TrueObject { type_at, bytes, listed, tracked, refcount, referents, in_closure }))
}

/// `0x…` as a number.
pub(crate) fn hex(text: &str) -> Result<u64> {
    let digits = text.strip_prefix("0x").with_context(|| format!("no address: {text:?}"))?;
    Ok(u64::from_str_radix(digits, 16)?)
}
