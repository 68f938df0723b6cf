//! A snapshot to a file: two threads encode row groups, a third writes them in their order.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use parquet::file::metadata::KeyValue;
use parquet::file::writer::SerializedFileWriter;

use super::checksum::{FOOTER_BLANK, FOOTER_KEY, Sink};
use super::encode::{EncodedColumn, Encoder};
use super::error::{Fault, SnapshotError};
use super::footer::{self, RowGroupText};
use super::plan::{self, RowGroup};
use super::{Snapshot, columns, pipeline};
use crate::new_file::{Existing, NewFile};

/// Writes a snapshot to a file of mode 0600, which appears under its name when it is complete and
/// on disk, or not at all. An existing file is replaced only if `overwrite`.
///
/// # Errors
///
/// If the name is taken, or the file cannot be written; nothing is left behind then.
pub fn save(snapshot: &Snapshot, path: &Path, overwrite: bool) -> Result<(), SnapshotError> {
    let mode = if overwrite { Existing::Replace } else { Existing::Keep };
    let failed = |error| SnapshotError::making(path, error);
    let mut file = NewFile::create(path, mode).map_err(failed)?;
    write_to(snapshot, file.as_file()).map_err(|fault| fault.writing(path))?;
    file.publish().map_err(failed)
}

/// Writes a snapshot as the bytes of a file.
pub(super) fn write_to<W: Write + Send>(snapshot: &Snapshot, out: W) -> Result<(), Fault> {
    let graph = &snapshot.graph;
    plan::check(graph)?;
    let groups = plan::row_groups(graph);
    let schema = Arc::new(columns::schema()?);
    let properties = Arc::new(columns::properties()?);
    let mut writer = SerializedFileWriter::new(
        Sink::new(out),
        schema.root_schema_ptr(),
        Arc::clone(&properties),
    )?;
    writer.flush()?;
    writer.inner_mut().take_sum();

    let mut written = Vec::with_capacity(groups.len());
    pipeline::in_order(
        &groups,
        || {
            let mut encoder = Encoder::new(graph, Arc::clone(&schema), Arc::clone(&properties));
            move |group: &RowGroup| encoder.encode(group)
        },
        |group, columns| {
            written.push(append(&mut writer, group, columns)?);
            Ok(())
        },
    )?;

    for pair in footer::encode(&snapshot.facts, graph, &written)? {
        writer.append_key_value_metadata(pair);
    }
    let blank = KeyValue::new(FOOTER_KEY.to_owned(), FOOTER_BLANK.to_owned());
    writer.append_key_value_metadata(blank);
    writer.inner_mut().begin_footer();
    writer.finish()?;
    Ok(writer.inner_mut().finish_footer()?)
}

fn append<W: Write + Send>(
    writer: &mut SerializedFileWriter<Sink<W>>,
    group: &RowGroup,
    columns: Vec<EncodedColumn>,
) -> Result<RowGroupText, Fault> {
    let mut row_group = writer.next_row_group()?;
    for EncodedColumn { bytes, close } in columns {
        row_group.append_column(&bytes, close)?;
    }
    row_group.close()?;
    writer.flush()?;
    let (bytes, xxh3) = writer.inner_mut().take_sum();
    let kind = group.kind.name().to_owned();
    Ok(RowGroupText { kind, rows: group.rows.len() as u64, bytes, xxh3 })
}
