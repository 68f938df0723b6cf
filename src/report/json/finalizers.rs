//! What runs when objects go, in the documents of `garbage` and `cycles`.

use serde::Serialize;

use crate::analysis::finalizers::FinalizerRow;

/// What runs when objects go.
#[derive(Debug, Serialize)]
pub(super) struct FinalizerJson<'a> {
    kind: &'static str,
    name: &'a str,
    count: u64,
}

pub(super) fn finalizers(rows: &[FinalizerRow]) -> Vec<FinalizerJson<'_>> {
    rows.iter()
        .map(|row| FinalizerJson { kind: row.kind.name(), name: &row.name, count: row.count })
        .collect()
}
