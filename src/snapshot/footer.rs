//! The metadata of the file, as JSON under the keys `pyheap.*`.

use parquet::file::metadata::KeyValue;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::columns::SCHEMA;
use super::error::Fault;
use crate::addr::Addr;
use crate::facts::Facts;
use crate::graph::{Anomalies, HeapGraph, TypeRow};

/// The key of the format's number.
pub(super) const SCHEMA_KEY: &str = "pyheap.schema";
const FACTS_KEY: &str = "pyheap.facts";
const TYPES_KEY: &str = "pyheap.types";
const ANOMALIES_KEY: &str = "pyheap.anomalies";
const ROW_GROUPS_KEY: &str = "pyheap.row_groups";

#[derive(Serialize, Deserialize)]
struct TypeText {
    name: String,
    address: String,
    estimated: bool,
    inferred: bool,
}

#[derive(Serialize, Deserialize)]
struct AnomalyText {
    kind: String,
    count: u64,
    examples: Vec<String>,
}

/// A row group as it was written.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct RowGroupText {
    /// `object` or `root`.
    pub(super) kind: String,
    pub(super) rows: u64,
    /// Its length in the file. The first begins behind the four bytes of magic, each of the others
    /// where the one before ends.
    pub(super) bytes: u64,
    /// XXH3-64 of these bytes, sixteen hexadecimal digits.
    pub(super) xxh3: String,
}

/// The metadata of a snapshot that was written.
pub(super) fn encode(
    facts: &Facts,
    graph: &HeapGraph,
    row_groups: &[RowGroupText],
) -> Result<Vec<KeyValue>, Fault> {
    let hex = |addr: Addr| addr.to_string();
    let types: Vec<TypeText> = graph
        .types
        .iter()
        .map(|row| TypeText {
            name: graph.strings.text(row.name).to_owned(),
            address: hex(row.addr),
            estimated: row.estimated,
            inferred: row.inferred,
        })
        .collect();
    let anomalies: Vec<AnomalyText> = graph
        .anomalies
        .iter()
        .map(|anomaly| AnomalyText {
            kind: anomaly.kind.clone(),
            count: anomaly.count,
            examples: anomaly.examples.iter().map(|&at| hex(at)).collect(),
        })
        .collect();
    let facts_text = text(facts)?;
    // JSON has no NaN or infinity: better to notice here than to leave a file that nobody can load.
    if serde_json::from_str::<Facts>(&facts_text).ok().as_ref() != Some(facts) {
        return Err(Fault::Inconsistent("facts that JSON cannot express".to_owned()));
    }
    Ok(vec![
        KeyValue::new(SCHEMA_KEY.to_owned(), SCHEMA.to_string()),
        KeyValue::new(FACTS_KEY.to_owned(), facts_text),
        KeyValue::new(TYPES_KEY.to_owned(), text(&types)?),
        KeyValue::new(ANOMALIES_KEY.to_owned(), text(&anomalies)?),
        KeyValue::new(ROW_GROUPS_KEY.to_owned(), text(row_groups)?),
    ])
}

fn text(value: &(impl Serialize + ?Sized)) -> Result<String, Fault> {
    serde_json::to_string(value).map_err(|error| Fault::Inconsistent(error.to_string()))
}

/// The text under a key.
pub(super) fn find<'a>(pairs: &'a [KeyValue], key: &str) -> Option<&'a str> {
    pairs.iter().find(|pair| pair.key == key).and_then(|pair| pair.value.as_deref())
}

/// The metadata of a snapshot that is read.
pub(super) struct Footer {
    pub(super) facts: Facts,
    pub(super) anomalies: Anomalies,
    pub(super) row_groups: Vec<RowGroupText>,
}

/// Reads the metadata. The types go into `graph`.
pub(super) fn decode(pairs: &[KeyValue], graph: &mut HeapGraph) -> Result<Footer, Fault> {
    for row in parse::<Vec<TypeText>>(pairs, TYPES_KEY)? {
        let name = graph.strings.intern(&row.name);
        let addr = address(&row.address)?;
        let TypeText { estimated, inferred, .. } = row;
        graph.types.push(TypeRow { addr, name, estimated, inferred });
    }
    let mut anomalies = Anomalies::default();
    for row in parse::<Vec<AnomalyText>>(pairs, ANOMALIES_KEY)? {
        // Counts of one kind would be added up, and may be any number here.
        if anomalies.iter().any(|anomaly| anomaly.kind == row.kind) {
            return Err(Fault::damaged("an anomaly is listed twice"));
        }
        let examples = row.examples.iter().map(|at| address(at)).collect::<Result<Vec<_>, _>>()?;
        anomalies.add(&row.kind, row.count, &examples);
    }
    Ok(Footer {
        facts: parse(pairs, FACTS_KEY)?,
        anomalies,
        row_groups: parse(pairs, ROW_GROUPS_KEY)?,
    })
}

fn parse<T: DeserializeOwned>(pairs: &[KeyValue], key: &str) -> Result<T, Fault> {
    let text = find(pairs, key).ok_or_else(|| Fault::damaged(format!("{key} is missing")))?;
    serde_json::from_str(text).map_err(|error| Fault::damaged(format!("{key}: {error}")))
}

fn address(text: &str) -> Result<Addr, Fault> {
    text.strip_prefix("0x")
        .and_then(|digits| u64::from_str_radix(digits, 16).ok())
        .map(Addr)
        .ok_or_else(|| Fault::damaged(format!("{text:?} is no address")))
}
